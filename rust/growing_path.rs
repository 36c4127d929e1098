//! The tokens of the ways through a growing lattice, and what changes between two of them.
//!
//! Unknown characters side by side are a *run*: one unknown token, or their bytes, or the piece that they are as a whole
//! (`Unigram::emit_unknown`). A run may begin far back, so it is told by where it begins and ends.

use crate::growing_lattice::{GrowingLattice, NO_RUN};
use crate::prefixes::common_prefix;
use crate::token::TokenId;
use crate::unigram::Unigram;
use crate::vocabulary::Vocabulary;

/// A token: id, start, end.
type Spanned = (TokenId, usize, usize);

/// What unknown text becomes.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    Piece(u32),
    Bytes,
    Unknown,
}

/// Whether a token gives back `bytes`.
pub(crate) fn says(vocabulary: &Vocabulary, id: u32, bytes: &[u8]) -> bool {
    vocabulary.bytes(TokenId(id), 0).is_ok_and(|said| said == bytes)
}

impl GrowingLattice {
    fn spelling(&self, model: &Unigram, start: usize, end: usize) -> Spelling {
        let whole = !(self.torn && start == 0);
        match Some(&self.text.as_bytes()[start..end]).filter(|_| whole).and_then(|text| model.as_piece(text)) {
            Some(id) => Spelling::Piece(id),
            None if model.bytes.is_some() => Spelling::Bytes,
            None => Spelling::Unknown,
        }
    }

    /// Where the unknown text begins that ends at `at`.
    fn run(&self, at: usize) -> Option<usize> {
        Some(self.at[at].run).filter(|&run| run != NO_RUN).map(|run| run as usize)
    }

    /// How many tokens make up the prefix of `length` bytes.
    pub(crate) fn count(&self, model: &Unigram, length: usize) -> usize {
        let of_run = |start| match self.spelling(model, start, length) {
            Spelling::Bytes => length - start,
            Spelling::Piece(_) | Spelling::Unknown => 1,
        };
        self.at[length].depth as usize + self.run(length).map_or(0, of_run)
    }

    /// So many bytes of the prefix its tokens do not give back.
    pub(crate) fn lost(&self, model: &Unigram, length: usize) -> usize {
        let of_run = |start| if self.spelling(model, start, length) == Spelling::Unknown { length - start } else { 0 };
        self.at[length].lost as usize + self.run(length).map_or(0, of_run)
    }

    /// What turns the tokens of the prefix `one` into those of the prefix `other`: so many are taken from the end, then these follow.
    ///
    /// Complexity: O(tokens that differ).
    pub(crate) fn change(&self, model: &Unigram, one: usize, other: usize) -> (usize, Vec<TokenId>) {
        let from = common_prefix(one, other, |at| self.at[at].best.length as usize);
        let mut kept = self.at[from].depth as usize;
        let Some(run) = self.run(from) else {
            return (self.count(model, one) - kept, self.ids_behind(model, from, other));
        };
        let (path, old) = (self.path(from, other), self.path(from, one));
        let (mut begin, mut told) = (from, false);
        let end = |path: &[Spanned]| {
            path.iter()
                .take_while(|(id, start, _)| id.0 == model.unknown && (*start == from || !self.at[*start].begins))
                .last()
                .map_or(from, |&(_, _, end)| end)
        };
        match (self.spelling(model, run, end(&old)), self.spelling(model, run, end(&path))) {
            (Spelling::Bytes, Spelling::Bytes) => kept += from - run,
            (Spelling::Unknown, Spelling::Unknown) => {
                kept += 1;
                told = true;
            }
            _ => begin = run,
        }
        let mut found = Vec::new();
        self.tell(model, from, &path, begin, told, &mut found);
        (self.count(model, one) - kept, found.into_iter().map(|(id, ..)| id).collect())
    }

    /// The tokens between two prefixes, the shorter of which the longer one begins with and does not end with unknown text.
    fn ids_behind(&self, model: &Unigram, from: usize, to: usize) -> Vec<TokenId> {
        let mut ids = Vec::with_capacity((self.at[to].depth - self.at[from].depth) as usize);
        let mut at = to;
        while at > from {
            let best = self.at[at].best;
            if best.id == model.unknown {
                let (mut found, path) = (Vec::new(), self.path(from, to));
                self.tell(model, from, &path, from, false, &mut found);
                return found.into_iter().map(|(id, ..)| id).collect();
            }
            ids.push(TokenId(best.id));
            at -= best.length as usize;
        }
        ids.reverse();
        ids
    }

    /// Whether the prefix of `length` bytes has a token that says something else than what stands there, unknown ones apart.
    pub(crate) fn is_odd(&self, model: &Unigram, vocabulary: &Vocabulary, length: usize) -> bool {
        let of_run = |start| match self.spelling(model, start, length) {
            Spelling::Piece(id) => !says(vocabulary, id, &self.text.as_bytes()[start..length]),
            Spelling::Bytes | Spelling::Unknown => false,
        };
        self.at[length].odd || self.run(length).is_some_and(of_run)
    }

    /// The tokens of the prefix of `length` bytes that end behind `from`, and perhaps some before them.
    pub(crate) fn tokens(&self, model: &Unigram, from: usize, length: usize) -> Vec<Spanned> {
        let path = self.path(from, length);
        let first = path.first().map_or(length, |&(_, start, _)| start);
        let mut found = Vec::new();
        self.tell(model, first, &path, first, false, &mut found);
        found
    }

    /// The edges of the best way to `to`, from the first one that ends behind `from` on.
    fn path(&self, from: usize, to: usize) -> Vec<Spanned> {
        let mut found = Vec::new();
        let mut at = to;
        while at > from {
            let best = self.at[at].best;
            found.push((TokenId(best.id), at - best.length as usize, at));
            at -= best.length as usize;
        }
        found.reverse();
        found
    }

    /// Appends the tokens that the edges `path` from `from` on make up. Bytes of a run are told from `begin` on, and the
    /// token of the one that ends at `from` only if it is not `told`.
    fn tell(&self, model: &Unigram, from: usize, path: &[Spanned], begin: usize, mut told: bool, ids: &mut Vec<Spanned>) {
        let mut run = self.run(from);
        let mut end_run = |run: Option<usize>, end: usize, ids: &mut Vec<Spanned>| {
            let Some(start) = run else { return };
            let told = std::mem::take(&mut told);
            match (self.spelling(model, start, end), &model.bytes) {
                (Spelling::Piece(id), _) => ids.push((TokenId(id), start, end)),
                (Spelling::Bytes, Some(bytes)) => {
                    let spelled = (start.max(begin)..end).filter_map(|at| Some((TokenId(bytes[usize::from(self.text.as_bytes()[at])]?), at, at + 1)));
                    ids.extend(spelled);
                }
                _ if told => {}
                _ => ids.push((TokenId(model.unknown), start, end)),
            }
        };
        for &(id, start, end) in path {
            if start > from && self.at[start].begins {
                end_run(run.take(), start, ids);
            }
            if id.0 == model.unknown {
                run = run.or(Some(start));
            } else {
                end_run(run.take(), start, ids);
                ids.push((id, start, end));
            }
        }
        end_run(run, path.last().map_or(from, |&(_, _, end)| end), ids);
    }
}
