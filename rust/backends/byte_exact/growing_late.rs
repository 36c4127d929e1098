//! Thousands of marks after one character under NFC: each one is put in its place, and the changed tokens are computed
//! on demand.
//!
//! A mark that moves before others changes the numbers of all tokens after it, but few of the tokens. So the tokens of
//! the end of the stretch are kept in a [`Rope`]. Those around the mark are merged again, until the pairs at both ends
//! are stable (docs/proofs/nfc-streams.md, *Many marks*).

use crate::models::bpe::merge::Merger;
use crate::models::bpe::model::Bpe;
use crate::models::bpe::prefixes::Pairs;
use crate::normalizers::unicode_forms::class_of;
use crate::tokens::rope::{Piece, Rope};
use crate::vocabulary::table::Vocabulary;
use std::sync::Arc;

/// The number of marks from which on this is worth it.
pub(super) const MANY: usize = 64;
/// The least number of bytes before the end of the final normal form whose tokens may change.
pub(super) const ROOM: usize = 256;

/// The end of a stretch, of whose marks each may be put in its place.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    /// Shared by all states that began with the same stretch.
    pub(super) base: Arc<()>,
    /// Where the first of the tokens begins; the text before it is that of the stretch.
    pub(super) begin: usize,
    /// It begins a word.
    pub(super) whole: bool,
    pub(super) tokens: Rope,
    /// The classes of the marks, ascending, and where the marks of each end in the stretch.
    pub(super) ends: Vec<(u8, usize)>,
    /// A mark that is to the rule as each of them is.
    pub(super) like: char,
    /// The number of letters that were merged.
    #[cfg(test)]
    pub(crate) merged: usize,
}

impl Late {
    /// The length of the stretch.
    pub(crate) fn length(&self) -> usize {
        self.begin + self.tokens.bytes()
    }

    /// The place of a mark of `class`, and the number of the class; None where no mark of this class is there.
    fn place(&self, class: u8) -> Option<(usize, usize)> {
        let number = self.ends.binary_search_by_key(&class, |&(class, _)| class).ok()?;
        Some((self.ends[number].1, number)).filter(|&(at, _)| at > self.begin)
    }

    /// Puts `c` in its place; returns the number of first tokens that stay. None where that is not carried, and the
    /// state is then of no use.
    pub(super) fn put(&mut self, c: char, (bpe, vocabulary): (&Bpe, &Vocabulary), pairs: &mut Pairs) -> Option<usize> {
        let (at, number) = self.place(class_of(c))?;
        let (first, begin) = self.tokens.find(at - self.begin);
        // The mark is inside a token, or between two.
        let (mut from, mut to) = (first, first + usize::from(begin < at - self.begin));
        let mut inserted = [0; 4];
        let inserted = c.encode_utf8(&mut inserted).as_bytes();
        let (mut left, mut right) = (1, 1);
        let made = loop {
            let mut pieces = Vec::new();
            // With a neighbour at each end.
            let more = usize::from(from > 0);
            self.tokens.read(from - more, to + 1, &mut pieces);
            let (before, after) = ((more > 0).then(|| pieces[0]), pieces.get(more + to - from).copied());
            (before.is_some() || self.whole).then_some(())?;
            let mut text = Vec::new();
            for (index, &(id, _)) in (from..to).zip(&pieces[more..]) {
                let bytes = vocabulary.bytes(id, 0).ok()?;
                let inside = if index == first { at - self.begin - begin } else { 0 };
                if index == first {
                    text.extend_from_slice(&bytes[..inside]);
                    text.extend_from_slice(inserted);
                }
                text.extend_from_slice(&bytes[inside..]);
            }
            if to <= first {
                text.extend_from_slice(inserted);
            }
            let made = self.merged(&text, bpe, vocabulary)?;
            let mut apart = |one: Option<Piece>, other: Option<&Piece>| match (one, other) {
                (Some(one), Some(&other)) => pairs.stand_apart(bpe, one, other, || {
                    let bytes = [vocabulary.bytes(one.0, 0).ok()?, vocabulary.bytes(other.0, 0).ok()?].concat();
                    let mut letters = Vec::new();
                    bpe.letters(&bytes, 0, &mut letters).map(|()| letters)
                }),
                _ => true,
            };
            let (stays_left, stays_right) = (apart(before, made.first()), apart(made.last().copied(), after.as_ref()));
            if stays_left && stays_right {
                break made;
            }
            if !stays_left {
                (from, left) = (from.saturating_sub(left), 2 * left);
            }
            if !stays_right {
                (to, right) = (self.tokens.count().min(to + right), 2 * right);
            }
        };
        self.tokens = self.tokens.replaced(from, to, &made);
        self.ends[number..].iter_mut().for_each(|(_, end)| *end += c.len_utf8());
        Some(from)
    }

    /// The tokens that the merges make of `text`; None where they say something else.
    fn merged(&mut self, text: &[u8], bpe: &Bpe, vocabulary: &Vocabulary) -> Option<Vec<Piece>> {
        #[cfg(test)]
        {
            self.merged += text.len();
        }
        let mut letters = Vec::new();
        bpe.letters(text, 0, &mut letters)?;
        bpe.merged_letters(&letters, 0, &mut Merger::default(), |made| {
            let piece = |symbol: &crate::models::bpe::merge::Symbol| {
                let said = vocabulary.bytes(symbol.id, 0).ok()? == &text[symbol.start as usize..symbol.end as usize];
                said.then_some((symbol.id, symbol.end - symbol.start))
            };
            made.iter().map(piece).collect()
        })
    }

    /// Whether both began with the same stretch.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }

    /// The text from byte `closed` of the stretch on; `before` is the text from there to the first of the tokens, if
    /// there is any.
    pub(super) fn open(&self, closed: usize, before: &str, vocabulary: &Vocabulary) -> Option<String> {
        let text = String::from_utf8(self.text(vocabulary)?).ok()?;
        Some(format!("{before}{}", &text[closed.saturating_sub(self.begin)..]))
    }

    /// The text of the tokens.
    pub(super) fn text(&self, vocabulary: &Vocabulary) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.tokens.bytes());
        for id in self.tokens.ids(0) {
            text.extend_from_slice(vocabulary.bytes(id, 0).ok()?);
        }
        Some(text)
    }
}
