//! Proofs about positions of a text that no vocabulary entry crosses.
//!
//! In: the pieces of a vocabulary and a text. Out: positions at which a text can be cut, so that both parts can be
//! encoded alone. The statements are in `docs/proofs/`. May import: the floors below `models/`. Read next: `backends/`.

pub(crate) mod growing_cuts;
pub(crate) mod pieces;
pub(crate) mod white_space;
