//! Pieces too long for the cache of words, by their last bytes.

use crate::tokens::token::TokenId;
use rustc_hash::FxHashMap;

/// A piece that the merges build from its bytes.
type Built = (Box<[u8]>, TokenId);

/// The pieces of more than [`LONGEST`](super::word_cache::LONGEST) bytes that the merges build, by their last eight
/// bytes, the longest first.
#[derive(Debug, Default)]
pub(crate) struct LongPieces {
    pub(super) built: FxHashMap<[u8; 8], Vec<Built>>,
    /// Of all pieces, built or not.
    pub(super) longest: usize,
}
