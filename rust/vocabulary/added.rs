//! Added tokens of a definition, as a chat template needs them.

use crate::tokens::token::TokenId;

/// An added token. Example: Phi-3's `<|end|>` is a control token that takes the white space after it.
#[derive(Debug, Clone)]
pub struct AddedEntry {
    /// The id of the token.
    pub id: TokenId,
    /// Its content as the file has it.
    pub content: String,
    /// Whether it is a control token, for which no text stands.
    pub control: bool,
    /// Whether it takes the white space before it, and after it.
    pub strips: (bool, bool),
}
