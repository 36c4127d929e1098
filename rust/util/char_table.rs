//! Numbers by character, in pages: the characters of one script lie together, so a text keeps few cache lines busy.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;

/// Characters to a page.
const PAGE: usize = 256;

/// One number a character, 0 (or another default) where none was set: a page for each block that has any.
#[derive(Debug, Clone, Default)]
pub(crate) struct CharTable<T> {
    /// Number of the page of each block, plus one.
    blocks: Vec<u16>,
    pages: Vec<[T; PAGE]>,
}

impl<T: Copy + Default> CharTable<T> {
    /// Sets the number of `c`; the last one counts.
    pub(crate) fn insert(&mut self, c: char, value: T) {
        let block = c as usize / PAGE;
        if self.blocks.len() <= block {
            self.blocks.resize(block + 1, 0);
        }
        if self.blocks[block] == 0 {
            self.pages.push([T::default(); PAGE]);
            self.blocks[block] = self.pages.len() as u16;
        }
        self.pages[usize::from(self.blocks[block]) - 1][c as usize % PAGE] = value;
    }

    /// The number of `c`. Complexity: O(1).
    #[inline]
    pub(crate) fn get(&self, c: char) -> T {
        let page =
            self.blocks.get(c as usize / PAGE).and_then(|&block| self.pages.get(usize::from(block).wrapping_sub(1)));
        page.map_or(T::default(), |page| page[c as usize % PAGE])
    }
}

/// In every value of a [`CharMemo`] that is there.
const KNOWN: u64 = 1 << 63;

/// One number of up to 63 bits a character, found out when it is first asked for.
///
/// Threads share it without a lock, which a [`CharTable`] does not allow. Numbers are not found out page by page,
/// because 3,000 characters of Chinese are 534 different ones on 73 pages. Finding out about all others on these pages
/// took nine tenths of the time of BERT's first encoding of them.
#[derive(Debug)]
pub(crate) struct CharMemo(Vec<OnceLock<Box<[AtomicU64; PAGE]>>>);

impl Default for CharMemo {
    fn default() -> Self {
        Self((0..=char::MAX as usize / PAGE).map(|_| OnceLock::new()).collect())
    }
}

impl CharMemo {
    /// The number of `c`, which `find_out` computes the first time. Threads that ask at once may each find out.
    #[inline]
    pub(crate) fn get(&self, c: char, find_out: impl FnOnce() -> u64) -> u64 {
        let page = self.0[c as usize / PAGE].get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE]));
        // The whole answer is in the one number, so no order of memory matters.
        let entry = &page[c as usize % PAGE];
        let known = entry.load(Relaxed);
        if known != 0 {
            return known & !KNOWN;
        }
        let found = find_out();
        entry.store(found | KNOWN, Relaxed);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_has_the_number_that_was_set_last() {
        let mut table = CharTable::default();
        assert_eq!(table.get('a'), 0);
        for (c, number) in [('a', 1), ('\u{4e00}', 2), ('\u{4e01}', 3), ('\u{10FFFF}', 4), ('a', 5)] {
            table.insert(c, number);
        }
        assert_eq!(['a', '\u{4e00}', '\u{4e01}', '\u{10FFFF}'].map(|c| table.get(c)), [5, 2, 3, 4]);
        assert_eq!(['b', '\u{4e02}', '\u{5000}', '\u{10FFFE}', '\0'].map(|c| table.get(c)), [0; 5]);
    }

    #[test]
    fn a_memo_finds_out_once() {
        let memo = CharMemo::default();
        assert_eq!([0, 7].map(|number| memo.get('\u{e01}', || number)), [0, 0]);
        assert_eq!([5, 7].map(|number| memo.get('\u{e02}', || number)), [5, 5]);
    }
}
