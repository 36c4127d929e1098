//! The parts of a tokenizer that are built from a specification.

use crate::backends::engine::Engine;
use crate::load::entries::Spelling;
use crate::vocabulary::added::AddedEntry;
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::Vocabulary;

/// The parts of a tokenizer that are built from a specification.
pub(crate) struct Loaded {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) spelling: Spelling,
    /// Some pieces represent single bytes of a text, such as `<0x41>`.
    pub(crate) byte_fallback: bool,
    pub(crate) decode_rules: DecodeRules,
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
    /// The result of the load-time comparison with another library, in words.
    pub(crate) check: String,
}
