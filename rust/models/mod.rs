//! Models: the bytes of one word to tokens.
//!
//! In: a word. Out: its tokens. May import: `error`, `tokens`, `util`, `vocabulary`, and lower folders. Read first:
//! [`bpe`], the model of most files, then [`unigram`]. Read next: `stability/`.

pub(crate) mod bpe;
pub(crate) mod unigram;
pub(crate) mod wordpiece;
