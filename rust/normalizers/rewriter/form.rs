//! Normalization forms of Unicode, and the effects of a character on its neighbours in them.
//!
//! A space composes with no character before it: part of the argument for a cut before white space
//! (docs/proofs/white-space-cuts.md, step 1, *Normalizer*).

use crate::normalizers::rewriter::item::{replace_all, Item};
use crate::normalizers::unicode_forms;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical, decompose_compatible};
use unicode_normalization_alignments::{is_nfc_quick, IsNormalized, UnicodeNormalization};

/// Normalization forms of Unicode Standard Annex 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

impl Form {
    pub(super) fn decompose(self, c: char, mut push: impl FnMut(char)) {
        match self {
            Self::Nfc | Self::Nfd => decompose_canonical(c, &mut push),
            Self::Nfkc | Self::Nfkd => decompose_compatible(c, &mut push),
        }
    }

    /// Whether no text before `c` can act on it: its decomposition begins with a starter that never composes to the
    /// left.
    pub(super) fn starts_anew(self, c: char) -> bool {
        if c.is_ascii() {
            return true;
        }
        let mut first = None;
        self.decompose(c, |c| first = first.or(Some(c)));
        first.is_some_and(|c| {
            let composes =
                matches!(self, Self::Nfc | Self::Nfkc) && is_nfc_quick(std::iter::once(c)) != IsNormalized::Yes;
            canonical_combining_class(c) == 0 && !composes
        })
    }

    /// Whether text that ends with `left` and text that begins with `c` are rewritten separately.
    pub(super) fn parts(self, left: char, c: char) -> bool {
        if self.starts_anew(c) || matches!(self, Self::Nfd | Self::Nfkd) {
            return self.starts_anew(c);
        }
        // Both are decomposed before any composition.
        let (mut last, mut first) = (left, None);
        self.decompose(left, |c| last = c);
        self.decompose(c, |c| first = first.or(Some(c)));
        first.is_some_and(|c| unicode_forms::parts(Some(last), c))
    }

    /// Whether `c` alone is in this form already; false where the test takes long.
    pub(super) fn leaves(self, c: char) -> bool {
        let mut parts = [None; 2];
        self.decompose(c, |c| parts = [parts[1], Some(c)]);
        parts == [None, Some(c)]
    }

    /// Whether no text in this form has `c`.
    pub(super) fn replaces(self, c: char) -> bool {
        self.of(&[Item { c, start: 0, end: 1 }]) != [c]
    }

    pub(super) fn apply(self, items: &[Item]) -> Vec<Item> {
        let mut output = Vec::with_capacity(items.len());
        for part in items.chunk_by(|left, item| !self.parts(left.c, item.c)) {
            let is_kept = |items: &[Item], normal: &[char]| normal.iter().copied().eq(items.iter().map(|item| item.c));
            if is_kept(part, &self.of(part)) {
                output.extend_from_slice(part);
                continue;
            }
            let (head, tail) = part.split_at(self.head(part));
            match self.of(head) {
                normal if is_kept(head, &normal) => output.extend_from_slice(head),
                normal => replace_all(head, &normal, &mut output),
            }
            tail.iter().for_each(|item| replace_all(&[*item], &self.of(&[*item]), &mut output));
        }
        output
    }

    /// The normal form of `items`.
    pub(super) fn of(self, items: &[Item]) -> Vec<char> {
        let chars = items.iter().map(|item| item.c);
        match self {
            Self::Nfc => chars.nfc().map(|(c, _)| c).collect(),
            Self::Nfd => chars.nfd().map(|(c, _)| c).collect(),
            Self::Nfkc => chars.nfkc().map(|(c, _)| c).collect(),
            Self::Nfkd => chars.nfkd().map(|(c, _)| c).collect(),
        }
    }
}
