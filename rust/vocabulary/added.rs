//! Added tokens of a definition, as a chat template needs them.

use crate::tokens::token::TokenId;

/// An added token. Example: Phi-3's `<|end|>` is a control token that takes the white space after it.
#[derive(Debug, Clone)]
pub(crate) struct AddedEntry {
    pub(crate) id: TokenId,
    pub(crate) content: String,
    /// No text stands for it.
    pub(crate) control: bool,
    /// Whether it takes the white space before it, and after it.
    pub(crate) strips: (bool, bool),
}
