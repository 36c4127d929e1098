//! Unigram models: the segmentation of a word with the largest sum of scores.
//!
//! Kudo 2018, "Subword Regularization"; the forward pass is that of `EncodeOptimized` in SentencePiece's
//! `src/unigram_model.cc`, which the `tokenizers` crate follows: of equal sums the one that was found first stays, that is
//! the one whose last piece begins first. Sums are rounded from left to right, so rounding decides between equally good
//! segmentations, and the two libraries round differently ([`Sums`]).

use crate::dictionary::Dictionary;

/// How scores are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sums {
    /// `tokenizers`: everything in 64 bits.
    Double,
    /// SentencePiece: sums have 32 bits.
    Single,
}

/// The model. Works in byte space where `marks`: the mark U+2581 is a plain space in the pieces and in the text.
#[derive(Debug)]
pub(crate) struct Unigram {
    /// The numbers are indices into `entries`.
    pub(crate) pieces: Dictionary,
    /// Score and id, short pieces first: they are asked for most, and so stand close together.
    pub(crate) entries: Box<[(f64, u32)]>,
    pub(crate) unknown: u32,
    /// Of a character that is no piece.
    pub(crate) unknown_score: f64,
    /// The ids of the byte pieces, where unknown text is spelled in bytes.
    pub(crate) bytes: Option<Box<[Option<u32>; 256]>>,
    pub(crate) sums: Sums,
    pub(crate) marks: bool,
}

/// The best way to a position.
#[derive(Debug, Clone, Copy)]
struct Best {
    sum: f64,
    id: u32,
    /// Length of the last piece; 0 where no way leads here yet.
    length: u32,
}

const NOWHERE: Best = Best { sum: 0.0, id: 0, length: 0 };

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Lattice {
    best: Vec<Best>,
    path: Vec<(u32, u32)>,
}

impl Unigram {
    /// Emits (id, start, end) for the tokens of `word` in order; positions are those of its bytes.
    ///
    /// Complexity: O(length · longest piece) at worst, a few steps per byte in practice; 16 bytes of memory per byte of a
    /// stretch that pieces overlap without a gap.
    pub(crate) fn encode(&self, word: &str, lattice: &mut Lattice, mut emit: impl FnMut(u32, usize, usize)) {
        match self.sums {
            Sums::Double => self.search::<false>(word, lattice, &mut emit),
            Sums::Single => self.search::<true>(word, lattice, &mut emit),
        }
    }

    fn search<const SINGLE: bool>(&self, word: &str, lattice: &mut Lattice, emit: &mut impl FnMut(u32, usize, usize)) {
        let bytes = word.as_bytes();
        // Positions in the lattice count from here: the last position that every segmentation goes through.
        let mut origin = 0;
        // The furthest that a piece has reached.
        let mut furthest = 0;
        // Unknown text before the origin that more of it may follow.
        let mut open: Option<usize> = None;
        let mut at = 0;
        lattice.best.clear();
        lattice.best.push(NOWHERE);
        while at < bytes.len() {
            let here = lattice.best[at - origin].sum;
            if furthest == at && at > origin {
                open = self.emit_path(word, origin, at, open, lattice, emit);
                lattice.best.clear();
                lattice.best.push(Best { sum: here, ..NOWHERE });
                origin = at;
            }
            let size = char_length(bytes[at]);
            let mut is_piece = false;
            let mut node = self.pieces.root();
            let mut end = at;
            for &byte in &bytes[at..] {
                match self.pieces.step(node, byte) {
                    Some(next) => node = next,
                    None => break,
                }
                end += 1;
                if let Some(index) = node.value() {
                    let length = end - at;
                    is_piece |= length == size;
                    let (score, id) = self.entries[index as usize];
                    reach::<SINGLE>(&mut lattice.best, at - origin, length, score + here, id);
                    furthest = furthest.max(end);
                }
            }
            if !is_piece {
                reach::<SINGLE>(&mut lattice.best, at - origin, size, self.unknown_score + here, self.unknown);
                furthest = furthest.max(at + size);
            }
            at += size;
        }
        open = self.emit_path(word, origin, at, open, lattice, emit);
        if let Some(start) = open {
            self.emit_unknown(word, start, at, emit);
        }
    }

    /// Emits the best path from `origin` to `end`, but for unknown text at its end: that begins at the result.
    fn emit_path(
        &self,
        word: &str,
        origin: usize,
        end: usize,
        mut open: Option<usize>,
        lattice: &mut Lattice,
        emit: &mut impl FnMut(u32, usize, usize),
    ) -> Option<usize> {
        let mut at = end;
        lattice.path.clear();
        while at > origin {
            let Best { id, length, .. } = lattice.best[at - origin];
            lattice.path.push((id, length));
            at -= length as usize;
        }
        for &(id, length) in lattice.path.iter().rev() {
            let behind = at + length as usize;
            if id == self.unknown {
                open = open.or(Some(at));
            } else {
                if let Some(start) = open.take() {
                    self.emit_unknown(word, start, at, emit);
                }
                emit(id, at, behind);
            }
            at = behind;
        }
        open
    }

    /// Neighbouring unknown characters are one token, or their bytes.
    #[cold]
    fn emit_unknown(&self, word: &str, start: usize, end: usize, emit: &mut impl FnMut(u32, usize, usize)) {
        let text = &word.as_bytes()[start..end];
        // The crate asks for the whole run once more; it may be a piece after all if that scores worse than unknown.
        if self.sums == Sums::Double {
            if let Some(&(_, id)) = self.pieces.get(text).and_then(|index| self.entries.get(index as usize)) {
                return emit(id, start, end);
            }
        }
        if let Some(ids) = &self.bytes {
            let id = |byte: u8| ids[usize::from(byte)];
            let mark = "\u{2581}".as_bytes();
            let known = |byte: &u8| if self.marks && *byte == b' ' { mark.iter().all(|b| id(*b).is_some()) } else { id(*byte).is_some() };
            if text.iter().all(known) {
                for (index, &byte) in text.iter().enumerate() {
                    let spelled = if self.marks && byte == b' ' { mark } else { std::slice::from_ref(&byte) };
                    for id in spelled.iter().filter_map(|b| id(*b)) {
                        emit(id, start + index, start + index + 1);
                    }
                }
                return;
            }
        }
        emit(self.unknown, start, end);
    }
}

/// A piece of `length` bytes leads on from `at`, with `sum` behind it.
#[inline]
fn reach<const SINGLE: bool>(best: &mut Vec<Best>, at: usize, length: usize, sum: f64, id: u32) {
    let to = at + length;
    if best.len() <= to {
        best.resize(to + 1, NOWHERE);
    }
    // The sum of two numbers of 32 bits, rounded to 64 and then to 32 bits, is what an addition in 32 bits gives.
    let sum = if SINGLE { f64::from(sum as f32) } else { sum };
    let target = &mut best[to];
    if target.length == 0 || sum > target.sum {
        *target = Best { sum, id, length: length as u32 };
    }
}

/// The length of the character that begins with `byte`.
#[inline]
pub(crate) fn char_length(byte: u8) -> usize {
    match byte {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}
