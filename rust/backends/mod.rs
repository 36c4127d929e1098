//! Backends: everything that runs a tokenizer, from text to tokens with spans and *settled* cuts.
//!
//! In: text. Out: tokens, cuts that no later text moves, and the state of a stretch that grows. [`engine::Engine`] is
//! the trait. [`byte_exact`] runs definitions that keep all bytes, and [`normalizing`] those that rewrite text.
//! [`sentencepiece`] runs its model files, [`longest_match`] RWKV's, and [`hf_tokenizers`] all others. No backend
//! imports another one. May import: all floors below. Read next: `tokenizer.rs`.

pub(crate) mod byte_exact;
pub(crate) mod engine;
pub(crate) mod hf_tokenizers;
pub(crate) mod lattice;
pub(crate) mod longest_match;
pub(crate) mod normalizing;
pub(crate) mod sentencepiece;
pub(crate) mod stretch;
