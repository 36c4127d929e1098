//! Scratch: the buffers of one call and of one part, kept for the next, and the words remembered with their tokens.
//!
//! No answer depends on their content: each entry is a function of its key, as in docs/proofs/word-cache.md.

use crate::models::bpe::model::Scratch as BytePairs;
use crate::models::unigram::{Lattice, Point};
use crate::normalizers::rewriter::stages::KnownGroups;
use crate::normalizers::rewriter::trace::Trace;
use crate::util::known_words::{KnownWords, Placed};

/// Longer parts are not kept: they hardly ever come again.
pub(super) const LONGEST_PART: usize = 64;
/// The approximate limit on the bytes of parts and their tokens.
const MOST: usize = 2 << 20;

/// Buffers for one call; no lock is held while they are used.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(super) cache: KnownWords<Placed, MOST>,
    pub(super) work: Work,
    pub(super) tokens: Vec<Placed>,
}

/// Buffers for one part.
#[derive(Default)]
pub(crate) struct Work {
    pub(super) models: ModelBuffers,
    pub(super) normal: String,
    pub(super) trace: Trace,
    pub(super) word: String,
    pub(super) positions: Vec<u32>,
    pub(super) points: Vec<Point>,
    pub(super) groups: KnownGroups,
}

/// Buffers of the models, each of which uses its own.
#[derive(Default)]
pub(crate) struct ModelBuffers {
    pub(super) lattice: Lattice,
    pub(super) path: Vec<(u32, u32)>,
    /// Made when a byte-pair encoder first needs them.
    pub(super) byte_pairs: Option<Box<BytePairs>>,
}

impl Work {
    /// Frees the buffers of a huge text.
    pub(super) fn shrink(&mut self, length: usize) {
        if length > LARGE {
            let mut byte_pairs = self.models.byte_pairs.take();
            byte_pairs.iter_mut().for_each(|buffers| buffers.trim(length));
            let models = ModelBuffers { byte_pairs, ..ModelBuffers::default() };
            *self = Self { models, groups: std::mem::take(&mut self.groups), ..Self::default() };
        }
    }
}

/// Buffers of texts that are longer (in bytes) are not kept.
const LARGE: usize = 1 << 16;
