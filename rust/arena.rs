//! Many short strings in two allocations instead of one each: a vocabulary has a quarter of a million of them.

use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Byte strings, numbered in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(strings) }
    }

    /// Appends what `write` writes as one string.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_with(|all| all.extend_from_slice(bytes));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// String `number`, which must be there.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> &[u8] {
        &self.bytes[start(&self.ends, number)..self.ends[number] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// Strings of text, numbered in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(crate) fn push(&mut self, string: &str) {
        self.push_pieces([string]);
    }

    /// Appends one string that `pieces` make.
    pub(crate) fn push_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a str>) {
        pieces.into_iter().for_each(|piece| self.text.push_str(piece));
        self.ends.push(self.text.len() as u32);
    }

    /// Forgets all strings from `number` on.
    pub(crate) fn truncate(&mut self, number: usize) {
        self.ends.truncate(number);
        self.text.truncate(start(&self.ends, number));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all strings.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// String `number`, which must be there.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> &str {
        &self.text[start(&self.ends, number)..self.ends[number] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}

fn start(ends: &[u32], number: usize) -> usize {
    number.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

/// String -> number, for strings that lie in an arena: a table of 8 bytes a slot, at most half full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// (32 bits of the hash, number + 1); 0 is free.
    slots: Vec<u64>,
}

impl Index {
    pub(crate) fn with_capacity(strings: usize) -> Self {
        Self { slots: vec![0; (strings * 2).next_power_of_two().max(16)] }
    }

    fn hash(string: &[u8]) -> u64 {
        let mut hasher = FxHasher::default();
        hasher.write(string);
        hasher.finish()
    }

    /// The slot of `string`, or the free one where it belongs; `get` answers the string of a number.
    fn slot<'a>(&self, string: &[u8], hash: u64, get: impl Fn(usize) -> &'a str) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 || (slot >> 32 == hash & 0xFFFF_FFFF && get(number(slot)).as_bytes() == string) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of `string`.
    pub(crate) fn find(&self, string: &str, strings: &Strings) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let at = self.slot(string.as_bytes(), Self::hash(string.as_bytes()), |n| strings.get(n));
        (self.slots[at] != 0).then(|| number(self.slots[at]))
    }

    /// Notes that string `new` has this number; returns the number that an equal string had before.
    ///
    /// There must be fewer strings than the capacity.
    pub(crate) fn insert(&mut self, new: usize, strings: &Strings) -> Option<usize> {
        let string = strings.get(new).as_bytes();
        let hash = Self::hash(string);
        let at = self.slot(string, hash, |n| strings.get(n));
        let before = (self.slots[at] != 0).then(|| number(self.slots[at]));
        self.slots[at] = (hash & 0xFFFF_FFFF) << 32 | (new as u64 + 1);
        before
    }
}

fn number(slot: u64) -> usize {
    (slot & 0xFFFF_FFFF) as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_by_their_numbers() {
        let (mut strings, mut arena) = (Strings::default(), Arena::with_capacity(3, 8));
        for string in ["", "é", "", "abc"] {
            strings.push(string);
            arena.push(string.as_bytes());
        }
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["", "é", "", "abc"]);
        assert!(arena.iter().eq(strings.iter().map(str::as_bytes)));
        strings.truncate(2);
        strings.push_pieces(["x", "y"]);
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["", "é", "xy"]);
        assert_eq!((strings.bytes(), strings.len(), arena.len()), (4, 3, 4));
        strings.truncate(0);
        assert_eq!((strings.bytes(), strings.len()), (0, 0));
    }

    #[test]
    fn the_index_finds_the_last_of_equal_strings() {
        let mut strings = Strings::default();
        (0..500).for_each(|n| strings.push(&(n % 400).to_string()));
        let mut index = Index::with_capacity(strings.len());
        for n in 0..500 {
            assert_eq!(index.insert(n, &strings), (n >= 400).then(|| n - 400));
        }
        for n in 0..400 {
            assert_eq!(index.find(&n.to_string(), &strings), Some(if n < 100 { n + 400 } else { n }));
        }
        assert_eq!(index.find("400", &strings), None);
        assert_eq!(Index::default().find("", &strings), None);
    }
}
