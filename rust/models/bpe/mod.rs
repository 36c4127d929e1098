//! Byte-pair encoding of one word.
//!
//! A word is looked up in the cache, then among the pieces, and only then merged from its first symbols. Read first:
//! [`model`], then [`initial_symbols`], [`merge`] and [`merge_table`]. [`merge_barriers`] and [`prefixes`] find the
//! tokens that stay when a word grows.

pub(crate) mod initial_symbols;
pub(crate) mod letters;
pub(crate) mod long_pieces;
pub(crate) mod merge;
pub(crate) mod merge_barriers;
pub(crate) mod merge_table;
pub(crate) mod model;
pub(crate) mod prefixes;
pub(crate) mod squeezed;
pub(crate) mod whole_chars;
pub(crate) mod whole_pieces;
pub(crate) mod word_cache;
pub(crate) mod word_prefixes;
