//! The best segmentation of every prefix of a growing word, for Unigram models: a byte more costs the pieces that are open there.
//!
//! `Unigram::encode` goes through the same edges in the same order, so sums and ties are the same to the last bit
//! (docs/proofs/certificates.md, section 9). Only words of known characters are taken: unknown text is not carried.

use crate::prefixes::common_prefix;
use crate::dictionary::Node;
use crate::token::TokenId;
use crate::unigram::{Best, Carried, Unigram, NOWHERE};

/// A word, the best ways to its positions, and the pieces that may still grow.
#[derive(Debug, Clone)]
pub(crate) struct GrowingLattice {
    best: Vec<Best>,
    /// The number of tokens up to each position.
    depth: Vec<u32>,
    /// For each position, where the longest piece that ends there begins; the position itself where none does.
    longest: Vec<u32>,
    /// Where a walk through the pieces began, and where it is; ascending.
    walks: Vec<(u32, Node)>,
    /// As it was before the last character.
    before: Border,
}

/// An end of the word: its place, and where the first piece begins that may still grow there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Border {
    length: usize,
    first_open: usize,
}

/// The open pieces of a word, to go back to.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    length: usize,
    walks: Vec<(u32, Node)>,
    before: Border,
}

impl Border {
    /// A later text cannot settle a cut up to here that is not settled now.
    pub(crate) fn quiet(self) -> usize {
        self.first_open
    }
}

impl GrowingLattice {
    /// A word that begins behind what is `carried`; None behind unknown text.
    pub(crate) fn new(carried: Option<Carried>) -> Option<Self> {
        let sum = match carried {
            Some(carried) => carried.known_sum()?,
            None => 0.0,
        };
        Some(Self { best: vec![Best { sum, ..NOWHERE }], depth: vec![0], longest: vec![0], walks: Vec::new(), before: Border::default() })
    }

    /// The bytes of the word.
    pub(crate) fn length(&self) -> usize {
        self.best.len() - 1
    }

    /// Appends `text`; None where a character is no piece.
    ///
    /// Complexity: O(text · longest piece) at worst.
    pub(crate) fn extend(&mut self, model: &Unigram, text: &str) -> Option<()> {
        for c in text.chars() {
            let begin = self.length();
            self.before = self.border();
            self.walks.push((begin as u32, model.pieces.root()));
            let mut buffer = [0; 4];
            let mut known = false;
            for &byte in c.encode_utf8(&mut buffer).as_bytes() {
                let end = self.best.len();
                let mut here = NOWHERE;
                let mut longest = end as u32;
                let best = &self.best;
                self.walks.retain_mut(|(start, node)| {
                    let Some(next) = model.pieces.step(*node, byte) else { return false };
                    *node = next;
                    if let Some(index) = next.value() {
                        let (score, id) = model.entries[index as usize];
                        longest = longest.min(*start);
                        let start = *start as usize;
                        known |= start == begin && end - begin == c.len_utf8();
                        // As `reach` in unigram.rs: of equal sums the first one stays.
                        let sum = model.rounded(score + best[start].sum);
                        if here.length == 0 || sum > here.sum {
                            here = Best { sum, id, length: (end - start) as u32 };
                        }
                    }
                    next.goes_on()
                });
                let depth = if here.length == 0 { 0 } else { self.depth[end - here.length as usize] + 1 };
                self.best.push(here);
                self.depth.push(depth);
                self.longest.push(longest);
            }
            if !known || self.best.last().is_none_or(|last| last.id == model.unknown) {
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn open(&self) -> Open {
        Open { length: self.length(), walks: self.walks.clone(), before: self.before }
    }

    /// Goes back to where the pieces `open` were. Complexity: O(bytes that are forgotten).
    pub(crate) fn restore(&mut self, open: &Open) {
        self.best.truncate(open.length + 1);
        self.depth.truncate(open.length + 1);
        self.longest.truncate(open.length + 1);
        self.walks.clone_from(&open.walks);
        self.before = open.before;
    }

    /// The end of the word.
    pub(crate) fn border(&self) -> Border {
        let length = self.length();
        Border { length, first_open: self.walks.first().map_or(length, |&(start, _)| start as usize) }
    }

    /// The end of the word without its last character.
    pub(crate) fn before_last(&self) -> Border {
        self.before
    }

    /// The positions behind `from`, descending, that no piece stands across if the word ends at `border`, whatever is appended.
    pub(crate) fn uncrossed(&self, from: usize, border: Border) -> impl Iterator<Item = usize> + '_ {
        let mut first = border.first_open;
        (from + 1..border.length).rev().filter(move |&at| {
            first = first.min(self.longest[at + 1] as usize);
            first >= at
        })
    }

    /// How many tokens make up the prefix of `length` bytes.
    pub(crate) fn count(&self, length: usize) -> usize {
        self.depth[length] as usize
    }

    /// The longest prefix whose tokens both prefixes begin with.
    pub(crate) fn common(&self, one: usize, other: usize) -> usize {
        common_prefix(one, other, |at| self.best[at].length as usize)
    }

    /// The tokens between two prefixes, the shorter of which the longer one begins with: id, start, end.
    pub(crate) fn tokens(&self, from: usize, to: usize) -> Vec<(TokenId, usize, usize)> {
        let mut found = Vec::new();
        let mut at = to;
        while at > from {
            let Best { id, length, .. } = self.best[at];
            found.push((TokenId(id), at - length as usize, at));
            at -= length as usize;
        }
        found.reverse();
        found
    }
}
