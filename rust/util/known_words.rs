//! Words that were encoded before, with their tokens.

/// Longer words are not kept: they hardly ever come again.
pub(crate) const LONGEST_WORD: usize = 64;
/// All words are forgotten when there are so many (some 900 KB).
const WORDS: usize = 16384;
const SLOTS: usize = 2 * WORDS;

/// A token, with its place in the word that it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: u32,
    pub(crate) start: u16,
    pub(crate) end: u16,
    /// Number of the pre-token, from 0 in each word.
    pub(crate) word: u16,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    key: u32,
    tokens: u32,
    key_length: u8,
    variant: u8,
    token_count: u16,
    words: u16,
}

/// Open addressing over one buffer of keys and one of tokens.
#[derive(Debug, Default)]
pub(crate) struct KnownWords {
    /// Index into `entries`, plus one.
    slots: Vec<u16>,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    tokens: Vec<Placed>,
}

impl KnownWords {
    /// The tokens of `word` and the number of pre-tokens that they are of.
    #[inline]
    pub(crate) fn get(&self, word: &[u8], variant: u8, hash: u32) -> Option<(&[Placed], u16)> {
        let mut slot = hash as usize % SLOTS;
        loop {
            let index = usize::from(*self.slots.get(slot)?).checked_sub(1)?;
            let entry = self.entries.get(index)?;
            if entry.hash == hash && entry.variant == variant && usize::from(entry.key_length) == word.len() {
                let key = entry.key as usize;
                if self.keys.get(key..key + word.len()) == Some(word) {
                    let first = entry.tokens as usize;
                    return Some((self.tokens.get(first..first + usize::from(entry.token_count))?, entry.words));
                }
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Remembers `word`, which is not there yet.
    pub(crate) fn insert(&mut self, word: &[u8], variant: u8, hash: u32, tokens: &[Placed], words: u16) {
        let (Ok(key_length), Ok(token_count)) = (u8::try_from(word.len()), u16::try_from(tokens.len())) else { return };
        if self.entries.len() >= WORDS || self.slots.is_empty() {
            self.slots.clear();
            self.slots.resize(SLOTS, 0);
            self.entries.clear();
            self.keys.clear();
            self.tokens.clear();
        }
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        let entry = Entry {
            hash,
            key: self.keys.len() as u32,
            tokens: self.tokens.len() as u32,
            key_length,
            variant,
            token_count,
            words,
        };
        self.keys.extend_from_slice(word);
        self.tokens.extend_from_slice(tokens);
        self.entries.push(entry);
        self.slots[slot] = self.entries.len() as u16;
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

    #[test]
    fn remembers_words_until_there_are_too_many() {
        let mut cache = KnownWords::default();
        let tokens =
            |n: u32| [Placed { id: n, start: 0, end: 1, word: 0 }, Placed { id: n + 1, start: 1, end: 2, word: 1 }];
        for n in 0..3 * WORDS as u32 {
            let word = n.to_string();
            let hash = hash(word.as_bytes(), 0);
            assert_eq!(cache.get(word.as_bytes(), 0, hash), None);
            cache.insert(word.as_bytes(), 0, hash, &tokens(n), 2);
            assert_eq!(cache.get(word.as_bytes(), 0, hash), Some((&tokens(n)[..], 2)));
            assert_eq!(cache.get(word.as_bytes(), 1, hash), None, "another variant");
        }
        let last = (3 * WORDS - WORDS / 2).to_string();
        assert!(cache.get(last.as_bytes(), 0, hash(last.as_bytes(), 0)).is_some());
        assert!(cache.entries.len() <= WORDS);
    }
}
