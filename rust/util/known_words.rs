//! A cache of words with the result of each: tokens, or characters.

use crate::tokens::token::{Token, TokenId};

/// Places where a word is looked for; a text whose words were chosen to collide is not remembered rather than slow.
const PLACES: usize = 32;
/// Words whose numbers fit in 16 bits, with a free one.
const MOST_WORDS: usize = u16::MAX as usize;

/// A token of a word, its place counted from the start of the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: u32,
    pub(crate) start: u16,
    pub(crate) end: u16,
    /// Number of the pre-token, from 0 in each word.
    pub(crate) word: u16,
}

impl Placed {
    /// The same in a text where the word begins at byte `start`, and its pre-tokens are counted from `word`.
    #[inline]
    pub(crate) fn token(self, start: usize, word: u32) -> Token {
        let Self { id, start: from, end, word: number } = self;
        Token {
            id: TokenId(id),
            start: start + usize::from(from),
            end: start + usize::from(end),
            word: word + u32::from(number),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    key: u32,
    values: u32,
    key_length: u16,
    value_count: u16,
    words: u16,
    variant: u8,
}

/// Words in one buffer of keys and one of values, and an open-addressed table of their numbers, at most half full.
///
/// All words are forgotten when they take more than about `MOST` bytes, or are [`MOST_WORDS`]. Numbers of 16 bits keep
/// the table small: with 32 bits, text of known words took BERT 3 % and XLNet 5 % longer.
#[derive(Debug)]
pub(crate) struct KnownWords<T, const MOST: usize> {
    /// Index into `entries`, plus one; 0 where free.
    slots: Vec<u16>,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    values: Vec<T>,
}

impl<T, const MOST: usize> Default for KnownWords<T, MOST> {
    fn default() -> Self {
        Self { slots: Vec::new(), entries: Vec::new(), keys: Vec::new(), values: Vec::new() }
    }
}

impl<T: Copy, const MOST: usize> KnownWords<T, MOST> {
    /// The result of `word`, and the number of pre-tokens in it. `hash` is [`hash`] of both arguments.
    #[inline]
    pub(crate) fn get(&self, word: &[u8], variant: u8, hash: u32) -> Option<(&[T], u16)> {
        let mask = self.slots.len().wrapping_sub(1);
        for place in 0..PLACES {
            let index = *self.slots.get((hash as usize + place) & mask)?;
            let entry = self.entries.get((index as usize).checked_sub(1)?)?;
            if entry.hash == hash && entry.variant == variant && usize::from(entry.key_length) == word.len() {
                let key = entry.key as usize;
                if self.keys.get(key..key + word.len()) == Some(word) {
                    let first = entry.values as usize;
                    return Some((self.values.get(first..first + usize::from(entry.value_count))?, entry.words));
                }
            }
        }
        None
    }

    /// Remembers `word`, which is not there yet.
    pub(crate) fn insert(
        &mut self,
        word: &[u8],
        variant: u8,
        hash: u32,
        values: impl IntoIterator<Item = T>,
        words: u16,
    ) {
        let Ok(key_length) = u16::try_from(word.len()) else { return };
        let taken = self.keys.len() + self.values.len() * size_of::<T>() + self.entries.len() * size_of::<Entry>();
        if taken > MOST || self.entries.len() >= MOST_WORDS {
            self.slots.fill(0);
            self.entries.clear();
            self.keys.clear();
            self.values.clear();
        }
        let first = self.values.len();
        self.values.extend(values);
        let Ok(value_count) = u16::try_from(self.values.len() - first) else {
            self.values.truncate(first);
            return;
        };
        let (key, values) = (self.keys.len() as u32, first as u32);
        self.entries.push(Entry { hash, key, values, key_length, value_count, words, variant });
        self.keys.extend_from_slice(word);
        if self.entries.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(256)];
            (0..self.entries.len()).for_each(|index| self.note(index));
        } else {
            self.note(self.entries.len() - 1);
        }
    }

    /// Puts the number of a word into the table, after those that want the same place.
    fn note(&mut self, index: usize) {
        let (mask, first) = (self.slots.len() - 1, self.entries[index].hash as usize);
        if let Some(at) = (0..PLACES).map(|place| (first + place) & mask).find(|&at| self.slots[at] == 0) {
            self.slots[at] = index as u16 + 1;
        }
    }
}

/// A number for `word` that differs between words; multiplications of eight bytes at a time (FxHash).
#[inline]
pub(crate) fn hash(word: &[u8], variant: u8) -> u32 {
    const FACTOR: u64 = 0x51_7c_c1_b7_27_22_0a_95;
    let mut sum = u64::from(variant) ^ word.len() as u64;
    let mut chunks = word.chunks_exact(8);
    for chunk in &mut chunks {
        if let Ok(chunk) = chunk.try_into() {
            sum = (sum.rotate_left(5) ^ u64::from_le_bytes(chunk)).wrapping_mul(FACTOR);
        }
    }
    let rest = chunks.remainder().iter().fold(0, |rest, &byte| rest << 8 | u64::from(byte));
    sum = (sum.rotate_left(5) ^ rest).wrapping_mul(FACTOR);
    (sum ^ sum >> 29 ^ sum >> 41) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = KnownWords<Placed, { 1 << 20 }>;

    #[test]
    fn remembers_words_until_there_are_too_many() {
        let mut known = Words::default();
        let tokens =
            |n: u32| [Placed { id: n, start: 0, end: 1, word: 0 }, Placed { id: n + 1, start: 1, end: 2, word: 1 }];
        for n in 0..50_000 {
            let word = n.to_string();
            let hash = hash(word.as_bytes(), 0);
            assert_eq!(known.get(word.as_bytes(), 0, hash), None);
            known.insert(word.as_bytes(), 0, hash, tokens(n), 2);
            assert_eq!(known.get(word.as_bytes(), 0, hash), Some((&tokens(n)[..], 2)));
            assert_eq!(known.get(word.as_bytes(), 1, hash), None, "another variant");
        }
        let is_known = |n: &u32| known.get(n.to_string().as_bytes(), 0, hash(n.to_string().as_bytes(), 0)).is_some();
        let kept = (0..50_000).filter(is_known).count();
        assert!((1000..25_000).contains(&kept), "{kept} of 50,000 words");
        assert!(known.keys.len() + known.values.len() * size_of::<Placed>() < 1 << 20);
    }

    #[test]
    fn words_that_collide_are_not_remembered_rather_than_slow() {
        let mut known = Words::default();
        for n in 0..1000_u32 {
            known.insert(&n.to_le_bytes(), 0, 7, [], 0);
        }
        let found = (0..1000_u32).filter(|n| known.get(&n.to_le_bytes(), 0, 7).is_some()).count();
        assert_eq!(found, PLACES);
    }

    #[test]
    fn tokens_are_placed_in_the_text() {
        let placed = Placed { id: 3, start: 2, end: 4, word: 1 };
        assert_eq!(placed.token(10, 5), Token { id: TokenId(3), start: 12, end: 14, word: 6 });
    }
}
