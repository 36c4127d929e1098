//! (left, right) -> merge: the one look-up that byte-pair encoding is made of.

use crate::tokens::token::TokenId;

/// A merge of two symbols. Example: `t` and `h` become `th`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Merge {
    /// The lowest rank merges first.
    pub(crate) rank: u32,
    pub(crate) id: TokenId,
    /// The merges with `id` on the left.
    pub(crate) table: Table,
}

/// The merges of one left side: where its slots begin, and above [`START`] the logarithm of their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Table(u32);

const START: u32 = 27;

/// Of left sides that merge with nothing: one free slot, which all of them share.
const NOTHING: Table = Table(0);

/// No merge: ranks after all others.
pub(crate) const NO_MERGE: Merge = Merge { rank: u32::MAX, id: TokenId(0), table: NOTHING };

/// A merge as it is written down: (left, right, rank, merged).
pub(crate) type Pair = (TokenId, TokenId, u32, TokenId);

/// A free slot: no token has this id, which would need a vocabulary of 32 GiB.
const FREE: u32 = u32::MAX;

/// A right side and its merge.
#[derive(Debug, Clone, Copy)]
struct Slot {
    right: u32,
    merge: Merge,
}

/// For each left side a hash table of its own, all end to end.
///
/// The cost of a look-up is cache misses: a new word has as many pairs as symbols and twice as many again while they
/// merge. In one table for all pairs (of up to 17 MB) each look-up was a line of its own. Here the pairs of a common
/// left side are stored together. A merge holds the place of the table of the new token, so that nothing else has to be
/// looked up first. Many pieces merge with nothing after them, and need no look-up at all.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    /// Of each left side.
    tables: Box<[Table]>,
    slots: Box<[Slot]>,
}

/// The logarithm of the number of slots for that many right sides; few are simply searched.
fn room(pairs: u32) -> u32 {
    const FEW: u32 = 4;
    let slots = if pairs <= FEW { pairs } else { pairs + pairs / 3 };
    slots.next_power_of_two().trailing_zeros()
}

/// Where to look first: the upper bits of a product with an odd constant (Knuth, TAOCP 3, 6.4).
#[inline]
fn first(right: u32, logarithm: u32) -> u32 {
    ((u64::from(right.wrapping_mul(0x9E37_79B9)) << logarithm) >> 32) as u32
}

impl PairTable {
    /// The table of `pairs`; the last one of equals counts. None if there are too many.
    ///
    /// They are gone through three times, which takes less memory than a list of them.
    pub(crate) fn new(pairs: impl Iterator<Item = Pair> + Clone) -> Option<Self> {
        let lefts = pairs.clone().map(|(left, ..)| left.0 as usize + 1).max().unwrap_or(0);
        let mut counts = vec![0; lefts];
        pairs.clone().for_each(|(left, ..)| counts[left.0 as usize] += 1);
        let mut used = 1_u32;
        let mut tables = Vec::with_capacity(lefts);
        for count in counts {
            tables.push(if count == 0 { NOTHING } else { Table(room(count) << START | used) });
            used = used.checked_add(if count == 0 { 0 } else { 1 << room(count) }).filter(|&used| used < 1 << START)?;
        }
        let slots = vec![Slot { right: FREE, merge: NO_MERGE }; used as usize].into_boxed_slice();
        let mut all = Self { tables: tables.into_boxed_slice(), slots };
        for (left, right, rank, id) in pairs {
            let (start, mask, mut at) = Self::place(all.of(left), right);
            while ![FREE, right.0].contains(&all.slots[start + at].right) {
                at = (at + 1) & mask;
            }
            all.slots[start + at] = Slot { right: right.0, merge: Merge { rank, id, table: all.of(id) } };
        }
        Some(all)
    }

    /// All merges: left, right, rank.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TokenId, TokenId, u32)> + '_ {
        self.tables.iter().zip(0..).filter(|&(&table, _)| table != NOTHING).flat_map(|(&table, left)| {
            let (start, mask, _) = Self::place(table, TokenId(0));
            let taken = self.slots[start..=start + mask].iter().filter(|slot| slot.right != FREE);
            taken.map(move |slot| (TokenId(left), TokenId(slot.right), slot.merge.rank))
        })
    }

    /// The merges with `left` on the left.
    #[inline]
    pub(crate) fn of(&self, left: TokenId) -> Table {
        self.tables.get(left.0 as usize).copied().unwrap_or(NOTHING)
    }

    /// Where the slots of a table begin, their number less one, and which of them is looked at first.
    #[inline(always)]
    fn place(table: Table, right: TokenId) -> (usize, usize, usize) {
        let (start, logarithm) = (table.0 & ((1 << START) - 1), table.0 >> START);
        (start as usize, (1 << logarithm) - 1, first(right.0, logarithm) as usize)
    }

    /// The merge of the token of the table `left` with its right neighbour; [`NO_MERGE`] if there is none. Complexity:
    /// O(1).
    #[inline]
    pub(crate) fn find(&self, left: Table, right: TokenId) -> Merge {
        let (start, mask, mut at) = Self::place(left, right);
        for _ in 0..=mask {
            let slot = &self.slots[start + at];
            // A free slot holds no merge.
            if slot.right == right.0 || slot.right == FREE {
                return slot.merge;
            }
            at = (at + 1) & mask;
        }
        NO_MERGE
    }

    /// The merge of two neighbours.
    #[inline]
    pub(crate) fn get(&self, left: TokenId, right: TokenId) -> Merge {
        self.find(self.of(left), right)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let mut pairs: Vec<Pair> = (0..1000).map(|n| (TokenId(n), TokenId(n * n), n, TokenId(n + 7))).collect();
        pairs.extend((0..1000).map(|n| (TokenId(40), TokenId(n * 7 + 2), n + 2000, TokenId(n))));
        pairs.push((TokenId(3), TokenId(9), 5000, TokenId(1)));
        let table = PairTable::new(pairs.into_iter()).unwrap();
        let get = |left, right| {
            let found = table.get(TokenId(left), TokenId(right));
            assert!(found == NO_MERGE || found.table == table.of(found.id));
            (found != NO_MERGE).then_some((found.rank, found.id.0))
        };
        assert_eq!(get(3, 9), Some((5000, 1)), "of equal pairs the last");
        assert_eq!(get(30, 900), Some((30, 37)));
        for (left, right) in [(30, 901), (1000, 9), (999, 9), (u32::MAX, 0), (u32::MAX - 1, 0), (2, u32::MAX)] {
            assert_eq!(get(left, right), None);
        }
        for n in 0..7002 {
            let expected = if n % 7 == 2 { Some((n / 7 + 2000, n / 7)) } else { (n == 1600).then_some((40, 47)) };
            assert_eq!(get(40, n), expected, "{n}");
        }
        assert_eq!(table.iter().count(), 2000);
        assert!(table.iter().all(|(left, right, rank)| table.get(left, right).rank == rank));
        assert_eq!(PairTable::new(std::iter::empty()).unwrap().get(TokenId(0), TokenId(0)), NO_MERGE);
    }
}
