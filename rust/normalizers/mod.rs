//! Normalizers: text that is rewritten before it is cut, with the way back to the original positions.
//!
//! In: text. Out: the rewritten text, and the origin of each of its positions. `\u{fb01}ne` becomes `fine` under NFKC,
//! and its first two characters lead back to one. May import: `error`, `tokens`, `util`, `regex`. Read next:
//! `pre_tokenizers/`.

pub(crate) mod changed_parts;
pub mod charsmap;
pub(crate) mod compositions;
pub(crate) mod offsets;
pub(crate) mod rewriter;
pub(crate) mod unicode_forms;
