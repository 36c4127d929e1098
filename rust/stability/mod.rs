//! Proofs about positions of a text that no vocabulary entry crosses.
//!
//! In: the pieces of a vocabulary and a text. Out: positions at which a text can be cut, so that both parts are encoded
//! by themselves. The statements are in `docs/proofs/`. May import: what stands below `models/`. Read next:
//! `backends/`.

pub(crate) mod growing_cuts;
pub(crate) mod pieces;
pub(crate) mod white_space;
