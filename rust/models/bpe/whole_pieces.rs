//! Words that are one token, and a cheap look-up of them.
//!
//! Most words of a language that a vocabulary knows well are pieces of it. For nearly every piece of a byte-pair
//! vocabulary the merges build just that piece from its bytes. That is tried for each of them when the tokenizer is
//! loaded (`Bpe::new`). So a new word takes one look-up instead of two for each of its merges.

use crate::models::bpe::word_cache::{Key, LONGEST};
use crate::tokens::token::TokenId;
use rustc_hash::FxHashMap;

/// A slot for a piece of up to `4 * W` bytes, which are in the slot itself: a look-up is a cache line or two.
#[derive(Debug, Clone, Copy)]
struct Slot<const W: usize> {
    bytes: [u32; W],
    /// From the lowest bit: the length (5 bits), [`MADE`], the id (26 bits); 0 where free.
    rest: u32,
}

const LENGTH: u32 = 0x1F;
/// The merges build this piece from its bytes.
const MADE: u32 = 1 << 5;
const ID: u32 = 6;

/// Ids of pieces are below this.
pub(crate) const MOST_IDS: u32 = 1 << (32 - ID);

/// An open-addressed table, three quarters full at most.
#[derive(Debug)]
struct Slots<const W: usize>(Box<[Slot<W>]>);

impl<const W: usize> Slots<W> {
    fn with_room(pieces: usize) -> Self {
        Self(vec![Slot { bytes: [0; W], rest: 0 }; pieces + pieces / 3 + 1].into_boxed_slice())
    }

    /// Where the piece `key` is, or the free place where it belongs.
    #[inline]
    fn place(&self, key: &Key) -> usize {
        let (bytes, length) = (words(key), key.length() as u32);
        // Where to look first: the product of the hash's upper half and the number of slots, its upper half.
        let mut at = (((key.bare_hash() >> 32) * self.0.len() as u64) >> 32) as usize;
        loop {
            let slot = &self.0[at];
            if slot.rest == 0 || slot.bytes == bytes && slot.rest & LENGTH == length {
                return at;
            }
            at = if at + 1 == self.0.len() { 0 } else { at + 1 };
        }
    }

    fn insert(&mut self, key: &Key, id: TokenId, made: bool) {
        let rest = id.0 << ID | if made { MADE } else { 0 } | key.length() as u32;
        let at = self.place(key);
        self.0[at] = Slot { bytes: words(key), rest };
    }

    /// Id, and whether the merges build it.
    #[inline]
    fn get(&self, key: &Key) -> Option<(TokenId, bool)> {
        let rest = self.0[self.place(key)].rest;
        (rest != 0).then_some((TokenId(rest >> ID), rest & MADE != 0))
    }
}

#[inline(always)]
fn words<const W: usize>(key: &Key) -> [u32; W] {
    std::array::from_fn(|at| (key.bytes()[at / 2] >> (at % 2 * 32)) as u32)
}

/// bytes -> the one token that a word of these bytes is.
#[derive(Debug)]
pub(crate) struct WholePieces {
    one: Slots<2>,
    two: Slots<4>,
    three: Slots<6>,
    /// A whole word that is a piece is that token whatever the merges say (`ignore_merges`); those of more than
    /// [`LONGEST`] bytes.
    always: Option<FxHashMap<Box<[u8]>, TokenId>>,
}

impl WholePieces {
    /// A table with room for pieces of these lengths; `always`: see there.
    pub(crate) fn with_room(
        lengths: impl Iterator<Item = usize>,
        always: Option<FxHashMap<Box<[u8]>, TokenId>>,
    ) -> Self {
        let mut room = [0; 4];
        lengths.for_each(|length| room[length.saturating_sub(1).min(LONGEST) / 8] += 1);
        Self {
            one: Slots::with_room(room[0]),
            two: Slots::with_room(room[1]),
            three: Slots::with_room(room[2]),
            always,
        }
    }

    /// Notes that a word is this token, whose id is below [`MOST_IDS`]; `made`: the merges say so too. Of equal words
    /// the last one counts.
    pub(crate) fn insert(&mut self, key: &Key, id: TokenId, made: bool) {
        match key.length() {
            ..=8 => self.one.insert(key, id, made),
            9..=16 => self.two.insert(key, id, made),
            _ => self.three.insert(key, id, made),
        }
    }

    /// Whether whole words that are pieces are tokens whatever the merges say.
    pub(crate) fn ignores_merges(&self) -> bool {
        self.always.is_some()
    }

    /// The token of a whole word of more than [`LONGEST`] bytes that is one whatever the merges say.
    #[inline]
    pub(crate) fn long(&self, word: &[u8]) -> Option<TokenId> {
        self.always.as_ref()?.get(word).copied()
    }

    /// The token of a word, if it is one; `whole`: it is a whole word, not a part of one.
    #[inline]
    pub(crate) fn get(&self, key: &Key, whole: bool) -> Option<TokenId> {
        let (id, made) = match key.length() {
            ..=8 => self.one.get(key),
            9..=16 => self.two.get(key),
            _ => self.three.get(key),
        }?;
        (made || whole && self.always.is_some()).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::bpe::word_cache::Scope;

    #[test]
    fn finds_each_piece_of_any_length_and_the_last_of_equals() {
        let name = |n: u32| "abcdefghijklmnopqrst"[..n as usize % 20].to_string() + &format!("{n:04}");
        let key = |name: &str| Key::new(name.as_bytes(), 0, name.len(), Scope::Word);
        for always in [None, Some((b"a word of more than 24 bytes"[..].into(), TokenId(7)))] {
            let whatever = always.is_some();
            let always = always.map(|entry| [entry].into_iter().collect());
            let mut pieces = WholePieces::with_room((0..3000).map(|n| name(n).len()), always);
            (0..3000).for_each(|n| pieces.insert(&key(&name(n)), TokenId(n), n % 3 > 0));
            pieces.insert(&key(&name(5)), TokenId(7777), true);
            let get = |name: &str, whole| pieces.get(&key(name), whole).map(|id| id.0);
            for n in 0..3000 {
                let expected = if n == 5 { 7777 } else { n };
                assert_eq!(get(&name(n), false), (n % 3 > 0).then_some(expected));
                assert_eq!(get(&name(n), true), (n % 3 > 0 || whatever).then_some(expected));
            }
            for other in ["5", "abcd", "abcdefghijklmnopqrst9999", "000", "00000"] {
                assert_eq!(get(other, true), None, "{other}");
            }
            assert_eq!(pieces.long(b"a word of more than 24 bytes"), whatever.then_some(TokenId(7)));
            assert_eq!(pieces.long(b"a word of more than 24 bytez"), None);
        }
        let none = WholePieces::with_room(std::iter::empty(), None);
        assert_eq!(none.get(&key("a"), true), None);
    }
}
