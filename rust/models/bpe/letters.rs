//! Queries of [`Prefixes`](crate::models::bpe::prefixes::Prefixes) to a byte-pair encoder: its letters, its pieces, and
//! the merges of letters.

use crate::models::bpe::initial_symbols::{Alphabet, Take};
use crate::models::bpe::long_pieces::LongPieces;
use crate::models::bpe::merge::{Merger, Symbol};
use crate::models::bpe::model::Bpe;
use crate::models::bpe::prefixes::Letter;
use crate::models::bpe::whole_chars::Characters;
use crate::models::bpe::word_cache::{Key, Scope, LONGEST};
use crate::tokens::token::TokenId;

/// Takes consecutive letters without a gap.
struct Letters<'l> {
    letters: &'l mut Vec<Letter>,
    base: usize,
    reached: usize,
}

impl Take for Letters<'_> {
    fn symbol(&mut self, id: TokenId, start: usize, end: usize) {
        if self.reached == self.base + start {
            self.reached = self.base + end;
            self.letters.push(Letter { id, end: self.reached as u32 });
        }
    }

    fn widen_last(&mut self, _end: usize) {}
}

impl Bpe {
    /// Notes which of `pieces` are long and built by the merges; needed once before [`Bpe::made_at_end`].
    pub(crate) fn prepare<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) {
        self.long_pieces.get_or_init(|| {
            let mut found = LongPieces::default();
            let (mut merger, mut characters) = (Merger::default(), Characters::default());
            let bytes = matches!(self.alphabet, Alphabet::Bytes { .. });
            for piece in pieces.filter(|piece| piece.len() > LONGEST) {
                found.longest = found.longest.max(piece.len());
                if !bytes && std::str::from_utf8(piece).is_err() {
                    continue;
                }
                let [all] = self.encoded(piece, &mut merger, &mut characters) else { continue };
                if let (0, true, Some(&end)) = (all.start, all.end as usize == piece.len(), piece.last_chunk()) {
                    found.built.entry(end).or_default().push((piece.into(), all.id));
                }
            }
            found.built.values_mut().for_each(|pieces| pieces.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.len())));
            found
        });
    }

    /// The pieces that `word` ends with and that the merges build, with their lengths, the longest first.
    pub(crate) fn made_at_end<'a>(&'a self, word: &'a [u8]) -> impl Iterator<Item = (TokenId, usize)> + 'a {
        let long = word.last_chunk().and_then(|end: &[u8; 8]| self.long_pieces.get()?.built.get(end));
        let long =
            long.into_iter().flatten().filter(|(piece, _)| word.ends_with(piece)).map(|(piece, id)| (*id, piece.len()));
        let short = (1..=word.len().min(LONGEST)).rev().filter_map(|length| {
            let key = Key::new(word, word.len() - length, word.len(), Scope::Part);
            self.whole.get(&key, false).map(|id| (id, length))
        });
        long.chain(short)
    }

    /// An upper bound of the lengths of the pieces that [`Bpe::made_at_end`] finds in `word`.
    pub(crate) fn reach(&self, word: &[u8]) -> usize {
        let long = word.last_chunk().and_then(|end: &[u8; 8]| self.long_pieces.get()?.built.get(end)?.first());
        long.map_or(LONGEST, |(piece, _)| piece.len())
    }

    /// Appends the letters of `word` after its first `known` bytes; None where a character has none, or shares that of
    /// the one before it.
    pub(crate) fn letters(&self, word: &[u8], known: usize, letters: &mut Vec<Letter>) -> Option<()> {
        let mut taken = Letters { letters, base: known, reached: known };
        let rest = &word[known..];
        if let Alphabet::Characters { complete: false, .. } = self.alphabet {
            std::str::from_utf8(rest).ok()?;
        }
        self.alphabet.symbols(rest, &mut taken);
        (taken.reached == word.len()).then_some(())
    }

    /// The result of `look` on the tokens that the merges make of `letters`, the first of which begins at `start`.
    pub(crate) fn merged_letters<R>(
        &self,
        letters: &[Letter],
        start: usize,
        merger: &mut Merger,
        look: impl FnOnce(&[Symbol]) -> R,
    ) -> R {
        merger.begin(letters.len());
        let mut from = 0;
        for letter in letters {
            let end = letter.end as usize - start;
            merger.take(letter.id, from, end);
            from = end;
        }
        look(merger.merge(&self.merges))
    }

    /// At least the length of every piece that [`Bpe::whole_word`] may find.
    pub(crate) fn longest_piece(&self) -> usize {
        self.long_pieces.get().map_or(0, |pieces| pieces.longest.max(LONGEST))
    }

    /// The token of a whole word that is one whatever the merges say.
    pub(crate) fn whole_word(&self, word: &[u8]) -> Option<TokenId> {
        match word.len() {
            0 => None,
            _ if !self.whole.ignores_merges() => None,
            1..=LONGEST => self.whole.get(&Key::new(word, 0, word.len(), Scope::Word), true),
            _ => self.whole.long(word),
        }
    }
}
