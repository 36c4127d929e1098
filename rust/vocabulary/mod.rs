//! The bytes of each token, and how the bytes of several make a text.
//!
//! In: pieces and their ids. Out: [`table::Vocabulary`] (id to bytes, and back), [`decode_rules::DecodeRules`]
//! (the text that decoding joins, drops or owes between tokens), [`said`] (whether tokens give back a text). May
//! import: `error`, `tokens`, `util`. Read next: `models/`, or `streams/decoder.rs`.

pub(crate) mod added;
pub(crate) mod decode_rules;
pub(crate) mod said;
pub(crate) mod table;
