//! Words that were encoded before, and the places where such memories are kept between calls.

use crate::tokens::token::{Sink, Token, TokenId};

/// Longest word that is kept, in bytes.
pub(crate) const LONGEST: usize = 24;
/// Most tokens of a word that is kept.
const MOST_TOKENS: usize = 7;
/// Entries at first, and at most; the table doubles when it has taken in half as many words as it has entries. Small
/// tables stay in the processor's cache; the largest has 8 MiB.
const FEWEST: usize = 1 << 11;
const MOST: usize = 1 << 17;

/// The kind of a word: a whole pre-token, or a part of one between barriers. `ignore_merges` treats them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Word = 0,
    Part = 0x80,
}

/// A table with two places for a word: a new one takes the first, the one that was there moves to the second.
///
/// An entry is one cache line: the word's bytes (24, padded with zeros), its length, scope, number of tokens and their
/// ends, and the ids. The bytes themselves are compared, so a hit is exact.
#[derive(Debug)]
pub(crate) struct WordCache {
    entries: Vec<[u64; 8]>,
    /// Words taken in since the table had this size.
    taken: usize,
}

impl Default for WordCache {
    fn default() -> Self {
        Self { entries: vec![[0; 8]; FEWEST], taken: 0 }
    }
}

/// The bytes of a word, padded, with its length and scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: [u64; 3],
    tag: u8,
}

impl Key {
    /// The key of `text[start..end]`, of 1 to [`LONGEST`] bytes.
    #[inline(always)]
    pub(crate) fn new(text: &[u8], start: usize, end: usize, scope: Scope) -> Self {
        let length = end - start;
        let mut bytes = [0; 3];
        match text[start..].first_chunk::<LONGEST>() {
            Some(chunk) => {
                let word = |index: usize, kept: usize| {
                    chunk[index * 8..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight)) & MASKS[kept]
                };
                // Most words are short.
                if length <= 8 {
                    bytes[0] = word(0, length);
                } else {
                    bytes = [word(0, 8), word(1, (length - 8).min(8)), word(2, length.saturating_sub(16))];
                }
            }
            None => {
                for (at, &byte) in text[start..end].iter().enumerate() {
                    bytes[at / 8] |= u64::from(byte) << (at % 8 * 8);
                }
            }
        }
        Self { bytes, tag: length as u8 | scope as u8 }
    }

    /// Bytes of the word.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        usize::from(self.tag & 0x7F)
    }

    /// The word, padded with zeros.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u64; 3] {
        &self.bytes
    }

    /// A hash of the word alone.
    #[inline(always)]
    pub(crate) fn bare_hash(&self) -> u64 {
        hash(self.bytes, self.tag & 0x7F)
    }

    /// Whether an entry is that of this word.
    #[inline]
    fn is_of(&self, entry: &[u64; 8]) -> bool {
        // Number by number, because a slice comparison is a call.
        let differs = (entry[0] ^ self.bytes[0]) | (entry[1] ^ self.bytes[1]) | (entry[2] ^ self.bytes[2]);
        differs == 0 && entry[3] as u8 == self.tag
    }

    /// A hash of the bytes, its upper bits the best.
    #[inline]
    fn hash(&self) -> u64 {
        hash(self.bytes, self.tag)
    }
}

#[inline]
fn hash(bytes: [u64; 3], tag: u8) -> u64 {
    // Products with odd constants, folded (Knuth, TAOCP 3, 6.4): three multiplications that do not wait for each other.
    let first = (bytes[0] ^ u64::from(tag)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let second = bytes[1].wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let third = bytes[2].wrapping_mul(0xA076_1D64_78BD_642F);
    let mixed = first ^ second.rotate_left(23) ^ third.rotate_left(41);
    (mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const MASKS: [u64; 9] = {
    let mut masks = [0; 9];
    let mut bytes = 1;
    while bytes < 9 {
        masks[bytes] = u64::MAX >> (64 - bytes * 8);
        bytes += 1;
    }
    masks
};

/// The tokens of a cached word.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a>(&'a [u64; 8]);

impl Entry<'_> {
    /// Number of tokens.
    #[inline]
    pub(crate) fn len(self) -> usize {
        (self.0[3] >> 8 & 0xFF) as usize
    }

    /// The id of one token.
    #[inline]
    pub(crate) fn id(self, index: usize) -> TokenId {
        TokenId((self.0[4 + index / 2] >> (index % 2 * 32)) as u32)
    }

    /// Where one token ends, in bytes from the start of the word.
    #[inline]
    pub(crate) fn end(self, index: usize) -> usize {
        if index + 1 == self.len() {
            return (self.0[3] & 0x7F) as usize;
        }
        (self.0[3] >> (16 + index * 8) & 0xFF) as usize
    }

    /// Passes on the tokens of the word, which begins at byte `start`.
    #[inline]
    pub(crate) fn tokens(self, start: usize, number: u32, sink: &mut impl Sink) {
        let mut from = start;
        for index in 0..self.len() {
            let to = start + self.end(index);
            sink.token(Token { id: self.id(index), start: from, end: to, word: number });
            from = to;
        }
    }
}

impl WordCache {
    /// The entry for a hash: its upper bits, as many as the length of the table, a power of two, has.
    #[inline]
    fn slot(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.entries.len() - 1)
    }

    fn place(&mut self, hash: u64, entry: [u64; 8]) {
        let first = self.slot(hash);
        self.entries[first ^ 1] = std::mem::replace(&mut self.entries[first], entry);
    }

    /// Doubles the table, with its entries.
    fn widen(&mut self) {
        let wider = vec![[0; 8]; self.entries.len() * 2];
        let old = std::mem::replace(&mut self.entries, wider);
        self.taken = 0;
        for entry in old.into_iter().filter(|entry| entry[3] != 0) {
            self.place(hash([entry[0], entry[1], entry[2]], entry[3] as u8), entry);
        }
    }

    /// The tokens of a word, if they are known.
    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<Entry<'_>> {
        let first = self.slot(key.hash());
        let entry = &self.entries[first];
        if key.is_of(entry) {
            return Some(Entry(entry));
        }
        let entry = &self.entries[first ^ 1];
        key.is_of(entry).then_some(Entry(entry))
    }

    /// Keeps the tokens of the word that begins at byte `start`. A whole word with many tokens, or with bytes left out,
    /// is kept without tokens, as a mark.
    pub(crate) fn put(&mut self, key: &Key, start: usize, tokens: &[Token]) {
        let length = key.length();
        let mut reached = start;
        let tiles = tokens.iter().all(|t| t.start == std::mem::replace(&mut reached, t.end) && t.end > t.start);
        let fits = tokens.len() <= MOST_TOKENS && tiles && reached == start + length;
        if !fits && key.tag & Scope::Part as u8 != 0 {
            return;
        }
        let tokens = if fits { tokens } else { &[] };
        let mut entry = [0; 8];
        entry[..3].copy_from_slice(&key.bytes);
        entry[3] = u64::from(key.tag) | (tokens.len() as u64) << 8;
        for (index, token) in tokens.iter().enumerate() {
            if index + 1 < tokens.len() {
                entry[3] |= ((token.end - start) as u64) << (16 + index * 8);
            }
            entry[4 + index / 2] |= u64::from(token.id.0) << (index % 2 * 32);
        }
        if self.taken * 2 >= self.entries.len() && self.entries.len() < MOST {
            self.widen();
        }
        self.taken += 1;
        self.place(key.hash(), entry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(id: u32, start: usize, end: usize) -> Token {
        Token { id: TokenId(id), start, end, word: 0 }
    }

    #[test]
    fn gives_back_what_was_put_in_for_the_same_bytes_only() {
        let mut cache = WordCache::default();
        let text = b"xxabcdefghij abcdefghik abcdefghij and more text after it";
        let key = Key::new(text, 2, 12, Scope::Word);
        cache.put(&key, 2, &[token(7, 2, 5), token(1 << 31, 5, 6), token(9, 6, 12)]);
        let again = Key::new(b"abcdefghij", 0, 10, Scope::Word);
        assert_eq!(key, again, "near the end of a text and far from it");
        let entry = cache.get(&again).unwrap();
        let found: Vec<_> = (0..entry.len()).map(|i| (entry.id(i).0, entry.end(i))).collect();
        assert_eq!(found, [(7, 3), (1 << 31, 4), (9, 10)]);
        assert!(cache.get(&Key::new(text, 13, 23, Scope::Word)).is_none());
        assert!(cache.get(&Key::new(text, 24, 34, Scope::Part)).is_none());
        assert!(cache.get(&Key::new(text, 24, 33, Scope::Word)).is_none());
    }

    #[test]
    fn does_not_keep_what_it_cannot_give_back() {
        for (scope, known) in [(Scope::Word, Some(0)), (Scope::Part, None)] {
            let key = Key::new(b"abcdefgh", 0, 8, scope);
            let many = (0..8).map(|at| token(1, at, at + 1)).collect::<Vec<_>>();
            for tokens in [&[token(1, 0, 3), token(2, 4, 8)][..], &[token(1, 0, 3)], &[], &many] {
                let mut cache = WordCache::default();
                cache.put(&key, 0, tokens);
                assert_eq!(cache.get(&key).map(Entry::len), known);
            }
        }
    }
}
