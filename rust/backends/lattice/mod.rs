//! The lattice of a Unigram model over a text that grows at its end.
//!
//! In: text, piece by piece. Out: the best segmentation of all of it, and its changes. Both backends of Unigram models
//! use it. Read first: [`growing_lattice`].

pub(crate) mod growing_lattice;
pub(crate) mod growing_path;
