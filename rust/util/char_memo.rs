//! What was found out about a character, remembered for the next time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;

/// Characters to a page.
const PAGE: usize = 256;
/// In every value that is there.
const KNOWN: u64 = 1 << 63;

/// One number of up to 63 bits a character, found out when it is first asked for.
///
/// Not page by page: 3,000 characters of Chinese are 534 different ones on 73 pages, and finding out about all others
/// on these pages took nine tenths of the time of BERT's first encoding of them.
#[derive(Debug)]
pub(crate) struct CharMemo(Vec<OnceLock<Box<[AtomicU64; PAGE]>>>);

impl Default for CharMemo {
    fn default() -> Self {
        Self((0..=char::MAX as usize / PAGE).map(|_| OnceLock::new()).collect())
    }
}

impl CharMemo {
    /// The number of `c`, which `find_out` tells the first time. Threads that ask at once may each find out.
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
