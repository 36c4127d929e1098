//! The backend of SentencePiece model files, which reads them as SentencePiece does.
//!
//! Read first: [`parts`], then [`normalizer`] and [`growing`].

pub(crate) mod engine;
#[cfg(test)]
pub(crate) mod files;
pub(crate) mod growing;
pub(crate) mod growing_cuts;
pub(crate) mod normalizer;
pub(crate) mod parts;
pub(crate) mod written;
