//! TODO

pub(crate) mod byte_exact;
pub(crate) mod engine;
pub(crate) mod hf_tokenizers;
pub(crate) mod lattice;
pub(crate) mod longest_match;
pub(crate) mod normalizing;
pub(crate) mod sentencepiece;
pub(crate) mod stretch;
