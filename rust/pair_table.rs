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

/// A merge as it is written down: (left, right, merge).
pub(crate) type Pair = (TokenId, TokenId, Merge);

/// A free slot: no token has this id, which would need a vocabulary of 32 GiB.
const FREE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot {
    right: u32,
    merge: Merge,
}

/// For each left side a hash table of its own, all end to end.
///
/// What a look-up costs is cache lines that nobody has touched yet: a new word has as many pairs as symbols and twice as
/// many again while they merge. In one table for all pairs each of these was a line of its own, of 8 MB; here the pairs of a
/// common left side stand together, and for the many pieces that merge with nothing behind them the answer is in `starts`.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    /// Where the table of each left side begins, and where the last one ends.
    starts: Box<[u32]>,
    slots: Box<[Slot]>,
}

/// Slots for that many right sides; few are simply searched.
fn room(pairs: u32) -> u32 {
    const FEW: u32 = 4;
    if pairs <= FEW { pairs } else { pairs + pairs.div_ceil(2) }
}

/// Where to look first among `slots`: the upper half of a product with an odd constant (Knuth, TAOCP 3, 6.4), scaled.
#[inline]
fn first(right: u32, slots: u32) -> u32 {
    ((u64::from(right.wrapping_mul(0x9E37_79B9)) * u64::from(slots)) >> 32) as u32
}

impl PairTable {
    /// The table of `pairs`; the last one of equals counts.
    pub(crate) fn new(pairs: &[Pair]) -> Self {
        let lefts = pairs.iter().map(|(left, ..)| left.0 as usize + 1).max().unwrap_or(0);
        let mut starts = vec![0; lefts + 1].into_boxed_slice();
        pairs.iter().for_each(|(left, ..)| starts[left.0 as usize] += 1);
        let mut next = 0;
        for start in &mut starts {
            let size = room(*start);
            *start = next;
            next += size;
        }
        let mut table = Self { starts, slots: vec![Slot { right: FREE, merge: NO_MERGE }; next as usize].into_boxed_slice() };
        for &(left, right, merge) in pairs {
            let (start, size) = table.of(left);
            let mut at = first(right.0, size);
            while ![FREE, right.0].contains(&table.slots[(start + at) as usize].right) {
                at = if at + 1 == size { 0 } else { at + 1 };
            }
            table.slots[(start + at) as usize] = Slot { right: right.0, merge };
        }
        table
    }

    /// Where the table of `left` begins, and its slots.
    #[inline]
    fn of(&self, left: TokenId) -> (u32, u32) {
        match self.starts.get(left.0 as usize..) {
            Some(&[start, end, ..]) => (start, end - start),
            _ => (0, 0),
        }
    }

    /// The merge of two neighbours; [`NO_MERGE`] if there is none. Complexity: O(1).
    #[inline]
    pub(crate) fn get(&self, left: TokenId, right: TokenId) -> Merge {
        let (start, size) = self.of(left);
        let slots = self.slots.get(start as usize..(start + size) as usize).unwrap_or_default();
        let (before, behind) = slots.split_at(first(right.0, size) as usize);
        for slot in behind.iter().chain(before) {
            if slot.right == right.0 {
                return slot.merge;
            }
            if slot.right == FREE {
                break;
            }
        }
        NO_MERGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let merge = |rank, id| Merge { rank, id: TokenId(id) };
        let mut pairs: Vec<Pair> = (0..1000).map(|n| (TokenId(n), TokenId(n * n), merge(n, n + 7))).collect();
        pairs.extend((0..1000).map(|n| (TokenId(40), TokenId(n * 7 + 2), merge(n + 2000, n))));
        pairs.push((TokenId(3), TokenId(9), merge(5000, 1)));
        let table = PairTable::new(&pairs);
        assert_eq!(table.get(TokenId(3), TokenId(9)), merge(5000, 1), "of equal pairs the last");
        assert_eq!(table.get(TokenId(30), TokenId(900)), merge(30, 37));
        for (left, right) in [(30, 901), (1000, 9), (999, 9), (u32::MAX, 0), (u32::MAX - 1, 0)] {
            assert_eq!(table.get(TokenId(left), TokenId(right)), NO_MERGE);
        }
        for n in 0..7002 {
            let expected = if n % 7 == 2 { merge(n / 7 + 2000, n / 7) } else if n == 1600 { merge(40, 47) } else { NO_MERGE };
            assert_eq!(table.get(TokenId(40), TokenId(n)), expected, "{n}");
        }
        assert_eq!(PairTable::new(&[]).get(TokenId(0), TokenId(0)), NO_MERGE);
    }
}
