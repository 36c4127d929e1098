//! Bytes of a text that are looked for eight at a time.
//!
//! A word of eight bytes is compared as one number, and each byte that fits sets its highest bit. So no branch depends
//! on the text. Example: the word "a b c  d" and the byte " " give the bits of the places 1, 3, 5 and 6.

use crate::util::byte_set::ByteSet;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * LOW;

/// The next eight bytes from `at` on; None where fewer are left.
#[inline(always)]
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// The bytes of a word that are `byte`.
#[inline(always)]
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (LOW * u64::from(byte));
    !(((other & !HIGH) + !HIGH) | other) & HIGH
}

/// The bytes of a word from `first` to `last`, which are ASCII.
#[inline(always)]
pub(crate) fn between(word: u64, first: u8, last: u8) -> u64 {
    let low = word & !HIGH;
    let from = low + LOW * u64::from(0x80 - first);
    let after = low + LOW * u64::from(0x7F - last);
    from & !after & !word & HIGH
}

/// Whether all bytes of a word are ASCII.
#[inline(always)]
pub(crate) fn is_ascii(word: u64) -> bool {
    word & HIGH == 0
}

/// The place of the first byte in the result of a comparison that is not 0.
#[inline(always)]
pub(crate) fn first(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}

/// Finds the next byte of a set. Example: the first bytes of all added tokens, of which most texts hold none.
#[derive(Debug, Default)]
pub(crate) struct ByteFinder {
    set: ByteSet,
    /// The bytes of a small set, the last one again where they are fewer than four. A look-up for each byte of a text
    /// takes more time than comparing four.
    few: Option<[u8; 4]>,
}

impl ByteFinder {
    pub(crate) fn new(set: ByteSet) -> Self {
        let all: Vec<u8> = (0..=255).filter(|&byte| set.contains(byte)).collect();
        let few = (1..=4).contains(&all.len()).then(|| std::array::from_fn(|index| all[index.min(all.len() - 1)]));
        Self { set, few }
    }

    /// The place of the next byte of the set from `at` on; the length of `bytes` without one.
    #[inline]
    pub(crate) fn next(&self, bytes: &[u8], mut at: usize) -> usize {
        if let Some(few) = self.few {
            while let Some(word) = word(bytes, at) {
                let found = few.iter().fold(0, |found, &byte| found | equal(word, byte));
                if found != 0 {
                    return at + first(found);
                }
                at += 8;
            }
        }
        while at < bytes.len() && !self.set.contains(bytes[at]) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The places of the bits of a comparison.
    fn places(mut found: u64) -> Vec<usize> {
        let mut places = Vec::new();
        while found != 0 {
            places.push(first(found));
            found &= found - 1;
        }
        places
    }

    #[test]
    fn a_comparison_is_that_of_each_byte() {
        for byte in 0..=255_u8 {
            let neighbours = [byte, byte.wrapping_add(1), byte.wrapping_sub(1), byte ^ 0x80, 0, 0xFF, 0x80, 0x7F];
            let all = word(&neighbours, 0).unwrap();
            let expected =
                |is: &dyn Fn(u8) -> bool| -> Vec<usize> { (0..8).filter(|&at| is(neighbours[at])).collect() };
            for wanted in [byte, 0, 9, 13, 32, 0x80, 0xE3, 0xFF] {
                assert_eq!(places(equal(all, wanted)), expected(&|byte| byte == wanted));
            }
            assert_eq!(is_ascii(all), neighbours.is_ascii());
            for (from, to) in [(9, 13), (0, 0), (0, 0x7F), (0x7F, 0x7F), (32, 47)] {
                assert_eq!(places(between(all, from, to)), expected(&|byte| (from..=to).contains(&byte)));
            }
        }
        assert_eq!(word(b"1234567", 0), None);
    }

    #[test]
    fn a_finder_finds_each_byte_of_its_set() {
        let text: Vec<u8> = (0..600_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for set in [&b""[..], b"a", b"\n<\xE2", b"abcd", b"abcdefgh\x00\xFF"] {
            let bytes: ByteSet = set.iter().copied().collect();
            let finder = ByteFinder::new(bytes);
            for at in 0..=text.len() {
                let expected = (at..text.len()).find(|&at| bytes.contains(text[at])).unwrap_or(text.len());
                assert_eq!(finder.next(&text, at), expected, "{set:?} from {at}");
            }
        }
    }
}
