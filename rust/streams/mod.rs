//! Streams: ids to text and text to ids, piece by piece, equal to the whole.
//!
//! In: a tokenizer, and ids or pieces of text as they come. Out: text that is never taken back ([`decoder`]), the ids
//! of all text so far ([`encoder`]), and segments ([`segmenter`]). A segment ends where all tokenizers have a cut. May
//! import: all but `load/` and `python/`. Read next: `docs/definitions.md`.

#[cfg(test)]
pub(crate) mod carried_cuts;
pub(crate) mod decoder;
pub(crate) mod encoder;
#[cfg(test)]
pub(crate) mod encoder_windows;
pub(crate) mod folding;
pub(crate) mod granularity;
#[cfg(test)]
mod left_out;
pub(crate) mod segmenter;
#[cfg(test)]
pub(crate) mod segmenter_windows;
pub(crate) mod tail;
