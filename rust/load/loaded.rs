//! What a specification turns into.

use crate::backends::engine::Engine;
use crate::load::entries::Spelling;
use crate::vocabulary::added::AddedEntry;
use crate::vocabulary::reading::Reading;
use crate::vocabulary::table::Vocabulary;

/// What a specification turns into.
pub(crate) struct Loaded {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) spelling: Spelling,
    /// Some pieces stand for single bytes of a text.
    pub(crate) byte_fallback: bool,
    pub(crate) reading: Reading,
    /// The token of text that has no other.
    pub(crate) unknown: Option<u32>,
    pub(crate) model: String,
    pub(crate) split_rule: String,
    pub(crate) normalizer: String,
    pub(crate) added: Vec<AddedEntry>,
    /// Only the first section of a text between control tokens gets a dummy prefix.
    pub(crate) prefixes_once: bool,
    pub(crate) control_tokens: Vec<(String, u32)>,
    pub(crate) source_notes: Vec<String>,
    /// What the load-time comparison with another library says.
    pub(crate) check: String,
}
