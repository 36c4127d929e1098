//! TODO

pub(crate) mod bpe;
pub(crate) mod unigram;
pub(crate) mod wordpiece;
