//! Many short strings in two allocations instead of one each: a vocabulary has a quarter of a million of them.

use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Byte strings, numbered in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    /// Where each string begins, and where the last one ends.
    bounds: Vec<u32>,
}

impl Default for Arena {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl Arena {
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        let mut bounds = Vec::with_capacity(strings + 1);
        bounds.push(0);
        Self { bytes: Vec::with_capacity(bytes), bounds }
    }

    /// Appends the bytes that `write` writes as one string.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.bounds.push(self.bytes.len() as u32);
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_with(|all| all.extend_from_slice(bytes));
    }

    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// String `number`, which must be there.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> &[u8] {
        &self.bytes[self.bounds[number] as usize..self.bounds[number + 1] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.bounds.windows(2).map(|bounds| &self.bytes[bounds[0] as usize..bounds[1] as usize])
    }
}

/// Strings of text, numbered in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Strings {
    text: String,
    /// Where each string begins, and where the last one ends.
    bounds: Vec<u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { text: String::new(), bounds: vec![0] }
    }
}

impl Strings {
    pub(crate) fn push(&mut self, string: &str) {
        self.text.push_str(string);
        self.bounds.push(self.text.len() as u32);
    }

    /// Forgets all strings from `number` on.
    pub(crate) fn truncate(&mut self, number: usize) {
        self.bounds.truncate(number + 1);
        self.text.truncate(self.bytes());
    }

    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Bytes of all strings.
    pub(crate) fn bytes(&self) -> usize {
        self.bounds.last().map_or(0, |&end| end as usize)
    }

    /// String `number`, which must be there.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> &str {
        &self.text[self.bounds[number] as usize..self.bounds[number + 1] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.bounds.windows(2).map(|bounds| &self.text[bounds[0] as usize..bounds[1] as usize])
    }
}

/// String -> number, for strings that lie in an arena: an open-addressed table, at most half full.
///
/// A look-up of a string of up to eight bytes touches one cache line. That decides how long loading takes, because the
/// two sides of each merge are looked up, and most are that short.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    slots: Vec<Slot>,
    shift: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The string itself, if it is short; else its hash.
    key: u64,
    /// Bytes of the string, so that `key` says all of a short one.
    length: u32,
    /// Its number + 1; 0 where the slot is free.
    number: u32,
}

impl Index {
    /// An index for that many strings.
    pub(crate) fn with_capacity(strings: usize) -> Self {
        let slots = (strings * 2).next_power_of_two().max(16);
        Self { slots: vec![Slot::default(); slots], shift: 64 - slots.trailing_zeros() }
    }

    fn key(string: &[u8]) -> u64 {
        if string.len() <= 8 {
            let mut bytes = [0; 8];
            bytes[..string.len()].copy_from_slice(string);
            return u64::from_le_bytes(bytes);
        }
        let mut hasher = FxHasher::default();
        hasher.write(string);
        hasher.finish()
    }

    /// The slot of `string`, or the free one where it belongs.
    #[inline]
    fn slot(&self, string: &str, strings: &Strings) -> (usize, Slot) {
        let wanted = Slot { key: Self::key(string.as_bytes()), length: string.len() as u32, number: 0 };
        let mask = self.slots.len() - 1;
        // The high bits of a product with an odd constant depend on all bits of the key (Knuth, TAOCP 3, 6.4). The key
        // is folded first, so that the bytes at both ends of a short string count in full.
        let folded = wanted.key ^ wanted.key >> 29 ^ u64::from(wanted.length);
        let mut at = (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize & mask;
        loop {
            let slot = self.slots[at];
            let same = slot.key == wanted.key && slot.length == wanted.length;
            if slot.number == 0 || same && (string.len() <= 8 || strings.get(slot.number as usize - 1) == string) {
                return (at, Slot { number: slot.number, ..wanted });
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of `string`.
    #[inline]
    pub(crate) fn find(&self, string: &str, strings: &Strings) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        (self.slot(string, strings).1.number as usize).checked_sub(1)
    }

    /// Notes that string `new` has this number; returns the number that an equal string had before.
    ///
    /// There must be fewer strings than the index was made for.
    pub(crate) fn insert(&mut self, new: usize, strings: &Strings) -> Option<usize> {
        let (at, slot) = self.slot(strings.get(new), strings);
        self.slots[at] = Slot { number: new as u32 + 1, ..slot };
        (slot.number as usize).checked_sub(1)
    }
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
        strings.push("xy");
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["", "é", "xy"]);
        assert_eq!((strings.bytes(), strings.len(), arena.len()), (4, 3, 4));
        strings.truncate(0);
        assert_eq!((strings.bytes(), strings.len()), (0, 0));
    }

    #[test]
    fn the_index_finds_the_last_of_equal_strings() {
        let mut strings = Strings::default();
        let name = |n: usize| "0123456789"[..n % 10].to_string() + &n.to_string();
        (0..500).for_each(|n| strings.push(&name(n % 400)));
        let mut index = Index::with_capacity(strings.len());
        for n in 0..500 {
            assert_eq!(index.insert(n, &strings), (n >= 400).then(|| n - 400));
        }
        for n in 0..400 {
            assert_eq!(index.find(&name(n), &strings), Some(if n < 100 { n + 400 } else { n }));
        }
        assert_eq!(index.find("nobody", &strings), None);
        assert_eq!(Index::default().find("", &strings), None);
    }
}
