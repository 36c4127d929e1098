//! The tokens of every prefix of a growing word, of which characters may be dropped or fused.
//!
//! A word of known characters is read as it is. Any other one is squeezed from its first such character on
//! (`squeezed.rs`), and the prefixes are those of what is left.

use crate::models::bpe::model::Bpe;
use crate::models::bpe::prefixes::{Pairs, Prefixes};
use crate::models::bpe::squeezed::Squeezed;
use crate::tokens::token::TokenId;

/// A word and the tokens of its prefixes; lengths and places are those of the word.
#[derive(Debug, Clone, Default)]
pub(crate) struct WordPrefixes {
    prefixes: Prefixes,
    squeezed: Option<Box<Squeezed>>,
}

/// A token of a word, and the text that it has to say: nothing if it is the unknown token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spelled<'w> {
    pub(crate) id: TokenId,
    pub(crate) text: &'w [u8],
}

impl WordPrefixes {
    /// The bytes that are known so far.
    pub(crate) fn length(&self) -> usize {
        self.squeezed.as_ref().map_or_else(|| self.prefixes.length(), |squeezed| squeezed.length)
    }

    /// Forgets the state after the prefix of `length` bytes. Complexity: O(forgotten bytes).
    pub(crate) fn truncate(&mut self, length: usize) {
        let place = self.place(length);
        self.prefixes.truncate(place);
        self.squeezed.iter_mut().for_each(|squeezed| squeezed.truncate(length));
    }

    /// A place of the word in the text whose prefixes are known.
    fn place(&self, at: usize) -> usize {
        self.squeezed.as_ref().map_or(at, |squeezed| squeezed.place(at))
    }

    /// Takes in `word`, as [`Prefixes::extend`].
    pub(crate) fn extend(&mut self, bpe: &Bpe, word: &[u8], pairs: &mut Pairs) -> Option<()> {
        let known = self.length();
        if self.squeezed.is_none() && bpe.alphabet.gives_all(&word[known..]) {
            return self.prefixes.extend(bpe, word, pairs);
        }
        let squeezed = self.squeezed.get_or_insert_with(|| Box::new(Squeezed::new(&bpe.alphabet, &word[..known])));
        squeezed.extend(&bpe.alphabet, word)?;
        self.prefixes.extend(bpe, &squeezed.text, pairs)
    }

    /// Takes in `added` bytes at `at`, as [`Prefixes::insert`].
    pub(crate) fn insert(&mut self, bpe: &Bpe, word: &[u8], at: usize, added: usize, pairs: &mut Pairs) -> Option<()> {
        if self.squeezed.is_none() && bpe.alphabet.gives_all(&word[at..at + added]) {
            return self.prefixes.insert(bpe, word, at, added, pairs).map(|_| ());
        }
        self.truncate(at);
        self.extend(bpe, word, pairs)
    }

    /// Whether the tokens of the prefix of `length` bytes say less than it.
    pub(crate) fn loses(&self, length: usize) -> bool {
        self.squeezed.as_ref().is_some_and(|squeezed| squeezed.loses(length))
    }

    /// The word without what is left out of it, if there may be such text.
    pub(crate) fn squeezed(&self) -> Option<&Squeezed> {
        self.squeezed.as_deref()
    }

    /// The number of tokens of the prefix of `length` bytes.
    pub(crate) fn count(&self, length: usize) -> usize {
        self.prefixes.count(self.place(length))
    }

    /// The number of first tokens that two prefixes of `word` share, and the other tokens of the second one.
    pub(crate) fn changed<'w>(
        &'w self,
        bpe: &'w Bpe,
        word: &'w [u8],
        one: usize,
        other: usize,
    ) -> (usize, impl Iterator<Item = Spelled<'w>> + 'w) {
        let (one, other) = (self.place(one), self.place(other));
        let from = self.prefixes.common(one, other);
        let text = self.squeezed.as_ref().map_or(word, |squeezed| &squeezed.text);
        let spelled = self.prefixes.tokens(from, other).into_iter().map(move |(id, length, at)| {
            let text = &text[at..at + length];
            let is_unknown = self.squeezed.is_some() && bpe.alphabet.is_unknown_token(id, text);
            Spelled { id, text: if is_unknown { b"" } else { text } }
        });
        (self.prefixes.count(from), spelled)
    }

    /// The tokens of the prefix of `to` bytes that end after `from`, each with its begin and end.
    pub(crate) fn tokens(&self, from: usize, to: usize) -> Vec<(TokenId, usize, usize)> {
        let begin = self.squeezed.as_ref().map_or(from, |squeezed| squeezed.from(from, to));
        let tokens = self.prefixes.tokens(begin, self.place(to)).into_iter();
        tokens
            .map(|(id, length, at)| {
                let span = (at, at + length);
                let (begin, end) = self.squeezed.as_ref().map_or(span, |squeezed| squeezed.span(span.0, span.1, to));
                (id, begin, end)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::models::bpe::initial_symbols::{Alphabet, CharSymbols};
    use crate::models::bpe::merge::Merger;
    use crate::models::bpe::merge_table::PairTable;
    use crate::models::bpe::whole_chars::Characters;

    const PIECES: [&str; 10] = ["<unk>", "a", "b", "\u{e9}", "aa", "ab", "b\u{e9}", "aab", "ba", "a\u{4e2d}"];
    const LETTERS: [char; 6] = ['a', 'b', '\u{e9}', '\u{4e2d}', '\u{1f600}', '\0'];

    /// The merges build all pieces but the first and the last.
    fn encoder(alphabet: Alphabet) -> Bpe {
        let id = |piece: &str| TokenId(PIECES.iter().position(|&known| known == piece).unwrap() as u32);
        let merges = [("a", "b"), ("a", "a"), ("b", "\u{e9}"), ("a", "ab"), ("b", "a")];
        let merges = merges
            .iter()
            .zip(0..)
            .map(|(&(left, right), rank)| (id(left), id(right), rank, id(&[left, right].concat())));
        let pieces = PIECES.iter().map(|&piece| (id(piece), piece.as_bytes(), false));
        let bpe = Bpe::new(alphabet, PairTable::new(merges).unwrap(), false, pieces);
        bpe.prepare(PIECES.iter().map(|piece| piece.as_bytes()));
        bpe
    }

    fn encoders() -> Vec<Bpe> {
        let mut found = Vec::new();
        for (unknown, fuse_unknown) in [(Some(TokenId(0)), true), (Some(TokenId(0)), false), (None, true)] {
            let mut ids = CharSymbols::default();
            [('a', 1), ('b', 2), ('\u{e9}', 3)].into_iter().for_each(|(c, id)| ids.insert(c, TokenId(id)));
            let alphabet = Alphabet::Characters { ids, fallback: None, unknown, fuse_unknown, complete: false };
            found.push(encoder(alphabet));
        }
        // The second byte of one character is a symbol, its other bytes are dropped.
        let ids = std::array::from_fn(|byte| match byte as u8 {
            b'a' => Some(TokenId(1)),
            b'b' => Some(TokenId(2)),
            0x9f => Some(TokenId(0)),
            _ => None,
        });
        found.push(encoder(Alphabet::Bytes { ids: Box::new(ids), complete: false }));
        found
    }

    /// The tokens of `word` by the merges alone.
    fn merged(bpe: &Bpe, word: &[u8]) -> Vec<(TokenId, usize, usize)> {
        let (mut merger, mut characters) = (Merger::default(), Characters::default());
        let made = bpe.encoded(word, &mut merger, &mut characters);
        made.iter().map(|symbol| (symbol.id, symbol.start as usize, symbol.end as usize)).collect()
    }

    /// Compares all prefixes of `word` and what is told of pairs of them.
    fn compare(bpe: &Bpe, prefixes: &WordPrefixes, word: &str, dice: &mut impl FnMut(usize) -> usize) {
        let bytes = word.as_bytes();
        let ends: Vec<usize> = (0..=word.len()).filter(|&at| word.is_char_boundary(at)).collect();
        let lists: Vec<_> = ends.iter().map(|&end| merged(bpe, &bytes[..end])).collect();
        for (index, (&end, list)) in ends.iter().zip(&lists).enumerate() {
            assert_eq!((&prefixes.tokens(0, end), prefixes.count(end)), (list, list.len()), "{word:?} to {end}");
            let from = dice(end + 1);
            let after: Vec<_> = list.iter().copied().filter(|token| token.2 > from).collect();
            assert_eq!(prefixes.tokens(from, end), after, "{word:?} from {from} to {end}");
            let said: usize =
                list.iter().filter(|token| token.0 .0 > 0).map(|token| PIECES[token.0 .0 as usize].len()).sum();
            if !matches!(bpe.alphabet, Alphabet::Bytes { .. }) {
                assert_eq!(prefixes.loses(end), said < end, "{word:?} to {end}");
            }
            let before = dice(index + 1);
            let (same, tokens) = prefixes.changed(bpe, bytes, ends[before], end);
            let tokens: Vec<_> = tokens.collect();
            let shared = lists[before].iter().zip(list).take_while(|(one, other)| one.0 == other.0).count();
            assert_eq!(same, shared, "{word:?} from {} to {end}", ends[before]);
            assert_eq!(
                tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
                list[same..].iter().map(|token| token.0).collect::<Vec<_>>()
            );
            if !matches!(bpe.alphabet, Alphabet::Bytes { .. }) {
                let texts = tokens.iter().map(|token| (token.id, token.text));
                assert!(texts
                    .into_iter()
                    .all(|(id, text)| text == if id.0 == 0 { "" } else { PIECES[id.0 as usize] }.as_bytes()));
            }
        }
    }

    #[test]
    fn prefixes_with_unknown_characters_are_those_of_the_merges() {
        let mut roll = 7_u64;
        let mut dice = |sides: usize| {
            roll = roll.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (roll >> 33) as usize % sides
        };
        for bpe in encoders() {
            for _ in 0..200 {
                let (mut prefixes, mut pairs, mut word) = (WordPrefixes::default(), Pairs::default(), String::new());
                let kinds = 1 + dice(LETTERS.len());
                for _ in 0..6 {
                    let first = dice(LETTERS.len());
                    let more: String = (0..dice(12)).map(|_| LETTERS[(first + dice(kinds)) % LETTERS.len()]).collect();
                    match dice(4) {
                        0 => {
                            word.truncate(
                                (0..=dice(word.len() + 1)).rev().find(|&at| word.is_char_boundary(at)).unwrap(),
                            );
                            prefixes.truncate(word.len());
                        }
                        1 => {
                            let at = (0..=dice(word.len() + 1)).rev().find(|&at| word.is_char_boundary(at)).unwrap();
                            word.insert_str(at, &more);
                            if at < prefixes.length() {
                                prefixes.insert(&bpe, word.as_bytes(), at, more.len(), &mut pairs).unwrap();
                            } else {
                                prefixes.extend(&bpe, word.as_bytes(), &mut pairs).unwrap();
                            }
                        }
                        _ => {
                            word.push_str(&more);
                            prefixes.extend(&bpe, word.as_bytes(), &mut pairs).unwrap();
                        }
                    }
                    if prefixes.length() > 0 {
                        compare(&bpe, &prefixes, &word, &mut dice);
                    }
                }
            }
        }
    }
}
