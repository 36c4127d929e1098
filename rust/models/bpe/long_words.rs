//! Longer words that were encoded before, such as phrases of a script without spaces.

use crate::tokens::token::{Token, TokenId};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Longest word that is kept, in bytes.
pub(crate) const LONG_WORD: usize = 256;
/// Most bytes of words and tokens that are kept, about; then the memory begins anew.
const MOST_BYTES: usize = 4 << 20;
/// Places where a word is looked for; a text whose words were chosen to collide is not remembered rather than slow.
const PLACES: usize = 32;

/// A token of a word, its place counted from the start of the word.
#[derive(Debug, Clone, Copy)]
struct Placed {
    id: TokenId,
    start: u16,
    end: u16,
}

/// A word: upper half of its hash, and where its bytes and tokens end.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u32,
    bytes_end: u32,
    tokens_end: u32,
}

/// Words in two arrays, one of bytes and one of tokens, and a table of their numbers that is at most half full.
#[derive(Debug, Default)]
pub(crate) struct LongWords {
    bytes: Vec<u8>,
    tokens: Vec<Placed>,
    words: Vec<Known>,
    /// Number of a word plus one; 0 where free.
    slots: Vec<u32>,
}

fn hash(word: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(word);
    hasher.finish()
}

impl LongWords {
    /// Where word `number` begins: in `bytes` and in `tokens`.
    fn start(&self, number: usize) -> (usize, usize) {
        match number.checked_sub(1).map(|before| self.words[before]) {
            Some(Known { bytes_end, tokens_end, .. }) => (bytes_end as usize, tokens_end as usize),
            None => (0, 0),
        }
    }

    /// The number of a word, if it is known; valid until the next [`LongWords::put`].
    #[inline]
    pub(crate) fn find(&self, word: &[u8]) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let (mask, hash) = (self.slots.len() - 1, hash(word));
        for at in 0..PLACES {
            let number = (self.slots[(hash as usize + at) & mask] as usize).checked_sub(1)?;
            let known = self.words[number];
            if known.hash == (hash >> 32) as u32 && &self.bytes[self.start(number).0..known.bytes_end as usize] == word
            {
                return Some(number);
            }
        }
        None
    }

    /// The tokens of a word that [`LongWords::find`] found, in a text where it begins at byte `start`.
    #[inline]
    pub(crate) fn tokens(&self, number: usize, start: usize, word: u32) -> impl Iterator<Item = Token> + '_ {
        let tokens = &self.tokens[self.start(number).1..self.words[number].tokens_end as usize];
        tokens.iter().map(move |t| Token {
            id: t.id,
            start: start + usize::from(t.start),
            end: start + usize::from(t.end),
            word,
        })
    }

    /// Keeps the tokens of a word of at most [`LONG_WORD`] bytes that begins at byte `start`, unless they are known.
    pub(crate) fn put(&mut self, word: &[u8], start: usize, tokens: &[Token]) {
        if self.find(word).is_some() {
            return;
        }
        if self.bytes.len() + self.tokens.len() * size_of::<Placed>() > MOST_BYTES {
            self.bytes.clear();
            self.tokens.clear();
            self.words.clear();
            self.slots.fill(0);
        }
        let hash = hash(word);
        self.bytes.extend_from_slice(word);
        self.tokens.extend(tokens.iter().map(|t| Placed {
            id: t.id,
            start: (t.start - start) as u16,
            end: (t.end - start) as u16,
        }));
        self.words.push(Known {
            hash: (hash >> 32) as u32,
            bytes_end: self.bytes.len() as u32,
            tokens_end: self.tokens.len() as u32,
        });
        if self.words.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(256)];
            (0..self.words.len()).for_each(|number| self.note(number));
        } else {
            self.note(self.words.len() - 1);
        }
    }

    /// Puts the number of a word into the table, behind those that want the same place.
    fn note(&mut self, number: usize) {
        let mask = self.slots.len() - 1;
        let word = &self.bytes[self.start(number).0..self.words[number].bytes_end as usize];
        let first = hash(word) as usize;
        if let Some(at) = (0..PLACES).map(|at| (first + at) & mask).find(|&at| self.slots[at] == 0) {
            self.slots[at] = number as u32 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn gives_back_what_was_put_in_and_begins_anew_when_it_is_full() {
        let mut words = LongWords::default();
        let name = |n: u32| format!("a phrase of more than a word, number {n}");
        let tokens = |n: u32| {
            [
                Token { id: TokenId(n), start: 5, end: 7, word: 0 },
                Token { id: TokenId(n + 1), start: 7, end: 40, word: 0 },
            ]
        };
        assert_eq!(words.find(name(0).as_bytes()), None);
        for n in 0..100_000 {
            words.put(name(n).as_bytes(), 5, &tokens(n));
            let found = words.find(name(n).as_bytes()).unwrap();
            let expected = [
                Token { id: TokenId(n), start: 9, end: 11, word: 3 },
                Token { id: TokenId(n + 1), start: 11, end: 44, word: 3 },
            ];
            assert!(words.tokens(found, 9, 3).eq(expected));
        }
        let kept = (0..100_000).filter(|&n| words.find(name(n).as_bytes()).is_some()).count();
        assert!((1..100_000).contains(&kept), "{kept} of 100,000 phrases");
        assert_eq!(words.find(b"a phrase of more than a word, number"), None);
    }
}
