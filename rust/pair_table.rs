//! (left, right) -> merge: the one look-up that byte-pair encoding is made of.

use crate::token::TokenId;

/// A merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Merge {
    /// The lowest rank merges first.
    pub(crate) rank: u32,
    pub(crate) id: TokenId,
}

/// No merge: ranks after all others.
pub(crate) const NO_MERGE: Merge = Merge { rank: u32::MAX, id: TokenId(0) };

const EMPTY: u64 = u64::MAX;

/// An open-addressed hash table with 16 bytes a slot, so that a look-up touches one cache line.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    slots: Box<[(u64, Merge)]>,
    shift: u32,
    filled: usize,
}

impl PairTable {
    /// A table for `pairs` pairs.
    pub(crate) fn with_capacity(pairs: usize) -> Self {
        let slots = (pairs * 4 / 3).next_power_of_two().max(16);
        Self { slots: vec![(EMPTY, NO_MERGE); slots].into_boxed_slice(), shift: 64 - slots.trailing_zeros(), filled: 0 }
    }

    fn key(left: TokenId, right: TokenId) -> u64 {
        u64::from(left.0) << 32 | u64::from(right.0)
    }

    /// The slot that holds `key`, or the free one where it belongs.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // The high bits of a product with an odd constant depend on all bits of the key (Knuth, TAOCP 3, 6.4).
        let mut at = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize & mask;
        while self.slots[at].0 != key && self.slots[at].0 != EMPTY {
            at = (at + 1) & mask;
        }
        at
    }

    /// Adds a merge; the last one of a pair counts.
    pub(crate) fn insert(&mut self, left: TokenId, right: TokenId, rank: u32, id: TokenId) {
        if (self.filled + 1) * 5 > self.slots.len() * 4 {
            let mut wider = Self::with_capacity(self.filled * 2 + 16);
            for &(key, merge) in self.slots.iter().filter(|slot| slot.0 != EMPTY) {
                let at = wider.slot(key);
                wider.slots[at] = (key, merge);
            }
            wider.filled = self.filled;
            *self = wider;
        }
        let key = Self::key(left, right);
        let at = self.slot(key);
        self.filled += usize::from(self.slots[at].0 == EMPTY);
        self.slots[at] = (key, Merge { rank, id });
    }

    /// The merge of two neighbours; [`NO_MERGE`] if there is none. Complexity: O(1).
    #[inline]
    pub(crate) fn get(&self, left: TokenId, right: TokenId) -> Merge {
        self.slots[self.slot(Self::key(left, right))].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let mut table = PairTable::with_capacity(4);
        for n in 0..1000u32 {
            table.insert(TokenId(n), TokenId(n * n), n, TokenId(n + 7));
        }
        table.insert(TokenId(3), TokenId(9), 5000, TokenId(1));
        assert_eq!(table.get(TokenId(3), TokenId(9)), Merge { rank: 5000, id: TokenId(1) });
        assert_eq!(table.get(TokenId(30), TokenId(900)), Merge { rank: 30, id: TokenId(37) });
        assert_eq!(table.get(TokenId(30), TokenId(901)), NO_MERGE);
    }
}
