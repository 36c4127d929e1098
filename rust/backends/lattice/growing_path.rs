//! The tokens of the ways through a growing lattice.
//!
//! Unknown characters side by side are a *run*. A run is one unknown token, or its bytes, or the piece that it is as a
//! whole (`Unigram::emit_unknown`). It may begin far back, so its tokens go on from those before it. Example: "qz"
//! without a piece for "q" or "z".

use crate::backends::lattice::growing_lattice::{At, GrowingLattice, NO_RUN};
use crate::models::unigram::Unigram;
use crate::tokens::token::TokenId;
use crate::tokens::tree::{List, Lists, EMPTY};
use crate::vocabulary::said::{say, says, Said};
use crate::vocabulary::table::Vocabulary;

/// The tokens that unknown text becomes.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    Piece(u32),
    Bytes,
    Unknown,
}

impl GrowingLattice {
    fn spelling(&self, model: &Unigram, start: usize, end: usize) -> Spelling {
        let whole = !(self.torn && start == 0);
        match Some(&self.text.as_bytes()[start..end]).filter(|_| whole).and_then(|text| model.as_piece(text)) {
            Some(id) => Spelling::Piece(id),
            None if model.bytes.is_some() && self.at[end].spelt => Spelling::Bytes,
            None => Spelling::Unknown,
        }
    }

    /// The begin of the unknown text that ends at `at`.
    fn run(&self, at: usize) -> Option<usize> {
        Some(self.at[at].run).filter(|&run| run != NO_RUN).map(|run| run as usize)
    }

    /// The last list that a position was given.
    pub(crate) fn last_list(&self, at: usize) -> List {
        self.at[at].list.max(self.at[at].spelled)
    }

    /// The tokens of a word without text. Unknown text that goes on in it is one token, whose bytes are before the
    /// word.
    pub(crate) fn begin(&mut self, model: &Unigram) {
        if self.torn && model.bytes.is_none() {
            self.at[0].list = self.tree.lists().append(EMPTY, TokenId(model.unknown), 0);
        }
    }

    /// Makes the list of the position `end`, whose run is known, and compares the bytes of its tokens with `raw`.
    pub(crate) fn write(
        &mut self,
        model: &Unigram,
        end: usize,
        lists: &mut Lists<'_>,
        vocabulary: &Vocabulary,
        raw: &str,
    ) {
        let At { best, .. } = self.at[end];
        let start = end - best.length as usize;
        let before = self.at[start];
        let append = |said: [Said; 2], id: u32| {
            said.map(|said| vocabulary.bytes(TokenId(id), 0).map_or(Said::Other, |bytes| say(said, bytes, raw)))
        };
        let Some(run) = self.run(end) else {
            self.at[end].list = lists.append(before.list, TokenId(best.id), end);
            self.at[end].said = append(before.said, best.id);
            return;
        };
        let stem = if self.torn && run == 0 { EMPTY } else { self.at[run].list };
        let said = self.at[run].said;
        let (mut spelled, mut spelled_said) =
            if before.run == NO_RUN { (stem, said) } else { (before.spelled, before.spelled_said) };
        if let Some(bytes) = model.bytes.as_ref().filter(|_| self.at[end].spelt) {
            for at in start..end {
                if let Some(id) = bytes[usize::from(self.text.as_bytes()[at])] {
                    spelled = lists.append(spelled, TokenId(id), at + 1);
                    spelled_said = append(spelled_said, id);
                }
            }
        }
        let (list, said) = match self.spelling(model, run, end) {
            Spelling::Bytes => (spelled, spelled_said),
            Spelling::Piece(id) => (lists.append(stem, TokenId(id), end), append(said, id)),
            Spelling::Unknown => (lists.append(stem, TokenId(model.unknown), end), append(said, model.unknown)),
        };
        let here = &mut self.at[end];
        (here.spelled, here.spelled_said, here.list, here.said) = (spelled, spelled_said, list, said);
    }

    /// The number of bytes of the prefix that its tokens do not give back.
    pub(crate) fn lost(&self, model: &Unigram, length: usize) -> usize {
        let of_run = |start| if self.spelling(model, start, length) == Spelling::Unknown { length - start } else { 0 };
        self.at[length].lost as usize + self.run(length).map_or(0, of_run)
    }

    /// Whether a token of the prefix of `length` bytes decodes to other bytes than those of its place. Unknown tokens
    /// do not count.
    pub(crate) fn is_odd(&self, model: &Unigram, vocabulary: &Vocabulary, length: usize) -> bool {
        let of_run = |start| match self.spelling(model, start, length) {
            Spelling::Piece(id) => !says(vocabulary, id, &self.text.as_bytes()[start..length]),
            Spelling::Bytes | Spelling::Unknown => false,
        };
        self.at[length].odd || self.run(length).is_some_and(of_run)
    }
}
