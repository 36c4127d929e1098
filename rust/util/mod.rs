//! Containers and helpers that know bytes and characters, and no tokenizer.
//!
//! In: bytes, text, numbers. Out: UTF-8 and white space ([`utf8`], [`text`]), maps from bytes to values, tries, tables
//! by character, pools, threads. May import: `error`, `tokens`. Read next: `regex/`, or `vocabulary/`.

pub(crate) mod ascending;
pub mod byte_alphabet;
pub(crate) mod byte_scan;
pub(crate) mod byte_set;
pub(crate) mod byte_strings;
pub(crate) mod char_table;
pub(crate) mod double_array;
pub(crate) mod known_words;
pub(crate) mod parallel;
pub(crate) mod pool;
pub(crate) mod sha256;
pub(crate) mod sorted_trie;
pub(crate) mod text;
pub(crate) mod utf8;
