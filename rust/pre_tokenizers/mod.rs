//! Pre-tokenizers: a normalized text to words, and added tokens found before anything else.
//!
//! In: text. Out: spans of words, each of which a model encodes alone, and whether appended text can still move them.
//! May import: `error`, `tokens`, `util`, `regex`, `normalizers`. Read next: `models/`.

pub(crate) mod added_tokens;
pub(crate) mod char_rules;
pub(crate) mod converging;
pub(crate) mod dummy_prefix;
pub(crate) mod split;
pub(crate) mod whole_stages;
