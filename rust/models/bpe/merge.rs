//! Merges, by rank, leftmost first among equals: the work of byte-pair encoding.
//!
//! The cost of a new word is instructions and unpredictable branches, more than waiting for memory. For a word of
//! LLaMA-3's Russian, `callgrind` counted 5,400 instructions and 90 such branches. (Each byte was a symbol in a list
//! that was compacted after each merge.) So a short word is one block of arrays on the stack. A removed symbol is a
//! cleared bit in a number, and the next merge is a minimum without branches.

use crate::models::bpe::initial_symbols::Take;
use crate::models::bpe::merge_table::{Merge, PairTable, Table, NO_MERGE};
use crate::tokens::token::TokenId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A symbol of a word, with its place in bytes from the start of the word. Example: `the` at 1 to 4 in " the".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol {
    pub(crate) id: TokenId,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// With the next one; used for long words only.
    merge: Merge,
}

/// Above this many symbols a heap is faster than looking for the lowest rank again and again.
pub(crate) const SHORT: usize = 32;

/// A word whose symbols merge, and room for the next one.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    symbols: Vec<Symbol>,
    long: Long,
}

/// The arrays of [`merge_long`].
#[derive(Debug, Default)]
struct Long {
    next: Vec<u32>,
    previous: Vec<u32>,
    /// (rank, position), packed: the lowest rank first, the leftmost among equals.
    heap: BinaryHeap<Reverse<u64>>,
}

impl Take for Merger {
    #[inline]
    fn symbol(&mut self, id: TokenId, start: usize, end: usize) {
        self.symbols.push(Symbol { id, start: start as u32, end: end as u32, merge: NO_MERGE });
    }

    #[inline]
    fn widen_last(&mut self, end: usize) {
        if let Some(last) = self.symbols.last_mut() {
            last.end = end as u32;
        }
    }
}

impl Merger {
    /// Gives back the memory that a huge word has left.
    pub(crate) fn trim(&mut self) {
        *self = Self::default();
    }

    /// Takes the next symbol of a word, from `start` to `end`.
    pub(crate) fn take(&mut self, id: TokenId, start: usize, end: usize) {
        self.symbol(id, start, end);
    }

    /// Forgets the word before and takes the symbols of one that has `symbols` at most.
    #[inline]
    pub(crate) fn begin(&mut self, symbols: usize) {
        self.symbols.clear();
        // Known beforehand, so that a huge word does not grow by doubling.
        if symbols > SHORT {
            self.symbols.reserve_exact(symbols);
        }
    }

    /// Merges the symbols of the word: its tokens.
    ///
    /// Complexity: O(n^2) for n symbols up to [`SHORT`], O(n log n) above.
    #[inline]
    pub(crate) fn merge(&mut self, merges: &PairTable) -> &[Symbol] {
        let symbols = &mut self.symbols[..];
        let count = match symbols.len() {
            count @ ..2 => count,
            2 => merge_two(merges, symbols),
            3..=8 => merge_short::<8>(merges, symbols),
            9..=SHORT => merge_short::<SHORT>(merges, symbols),
            _ => merge_long(merges, symbols, &mut self.long),
        };
        &self.symbols[..count]
    }
}

/// As [`merge_short`] for two symbols.
fn merge_two(merges: &PairTable, symbols: &mut [Symbol]) -> usize {
    let merge = merges.get(symbols[0].id, symbols[1].id);
    if merge.rank == NO_MERGE.rank {
        return 2;
    }
    symbols[0] = Symbol { id: merge.id, end: symbols[1].end, ..symbols[0] };
    1
}

/// Merges the symbols of a word of 2 to `N` symbols; as many as it answers are left, at the beginning.
fn merge_short<const N: usize>(merges: &PairTable, symbols: &mut [Symbol]) -> usize {
    let count = symbols.len();
    let mut ids = [TokenId(0); N];
    let mut tables = [Table::default(); N];
    // The merge of each symbol with the next one, and its rank with the place of the symbol in the low bits. The lowest
    // is the next merge, the leftmost of equal ranks.
    let mut becomes = [(TokenId(0), Table::default()); N];
    let mut order = [u64::MAX; N];
    for (at, symbol) in symbols.iter().enumerate().take(N) {
        (ids[at], tables[at]) = (symbol.id, merges.of(symbol.id));
    }
    let set = |at: usize, merge: Merge, becomes: &mut [(TokenId, Table); N], order: &mut [u64; N]| {
        becomes[at % N] = (merge.id, merge.table);
        order[at % N] = u64::from(merge.rank) << 32 | at as u64;
    };
    for at in 1..count.min(N) {
        set(at - 1, merges.find(tables[at - 1], ids[at]), &mut becomes, &mut order);
    }
    let none = u64::from(NO_MERGE.rank) << 32;
    // A bit for each symbol that is still there.
    let mut left: u32 = u32::MAX >> (32 - count);
    loop {
        let lowest = order[..count - 1].iter().fold(u64::MAX, |lowest, &one| lowest.min(one));
        if lowest >= none {
            break;
        }
        let at = lowest as usize % N;
        let right = (at + 1 + (left >> at >> 1).trailing_zeros() as usize) % N;
        left &= !(1 << right);
        order[right] = u64::MAX;
        order[at] = u64::MAX;
        symbols[at].end = symbols[right].end;
        (ids[at], tables[at]) = becomes[at];
        let (after, before) = (left >> at >> 1, left & ((1 << at) - 1));
        if after != 0 {
            let after = at + 1 + after.trailing_zeros() as usize;
            set(at, merges.find(tables[at], ids[after % N]), &mut becomes, &mut order);
        }
        if before != 0 {
            let before = 31 - before.leading_zeros() as usize;
            set(before, merges.find(tables[before % N], ids[at]), &mut becomes, &mut order);
        }
    }
    let mut kept = 0;
    while left != 0 {
        let at = left.trailing_zeros() as usize % N;
        left &= left - 1;
        symbols[kept] = Symbol { id: ids[at], ..symbols[at] };
        kept += 1;
    }
    kept
}

/// Merges the symbols of a long word; as many as it answers are left, at the beginning.
fn merge_long(pairs: &PairTable, symbols: &mut [Symbol], long: &mut Long) -> usize {
    let count = symbols.len();
    let Long { next, previous, heap } = long;
    next.clear();
    next.extend(1..=count as u32);
    previous.clear();
    previous.extend((0..count as u32).map(|at| at.wrapping_sub(1)));
    for at in 1..count {
        symbols[at - 1].merge = pairs.get(symbols[at - 1].id, symbols[at].id);
    }
    let packed = |rank: u32, at: usize| Reverse(u64::from(rank) << 32 | at as u64);
    let mut proposals = std::mem::take(heap).into_vec();
    proposals.clear();
    proposals.extend(
        symbols
            .iter()
            .enumerate()
            .filter(|(_, s)| s.merge.rank != NO_MERGE.rank)
            .map(|(at, s)| packed(s.merge.rank, at)),
    );
    *heap = BinaryHeap::from(proposals);
    while let Some(Reverse(proposal)) = heap.pop() {
        let (rank, left) = ((proposal >> 32) as u32, proposal as u32 as usize);
        // Either side may have been merged since the proposal was made; an equal rank is the same pair again.
        if symbols[left].merge.rank != rank {
            continue;
        }
        let right = next[left] as usize;
        let after = next[right] as usize;
        let Merge { id, table, .. } = symbols[left].merge;
        symbols[left] = Symbol { id, start: symbols[left].start, end: symbols[right].end, merge: NO_MERGE };
        symbols[right].merge = NO_MERGE;
        next[left] = after as u32;
        // Marks a symbol that is gone.
        next[right] = u32::MAX;
        if after < count {
            previous[after] = left as u32;
            symbols[left].merge = pairs.find(table, symbols[after].id);
            if symbols[left].merge.rank != NO_MERGE.rank {
                heap.push(packed(symbols[left].merge.rank, left));
            }
        }
        let before = previous[left] as usize;
        if before < count {
            symbols[before].merge = pairs.get(symbols[before].id, id);
            if symbols[before].merge.rank != NO_MERGE.rank {
                heap.push(packed(symbols[before].merge.rank, before));
            }
        }
    }
    let mut kept = 0;
    for at in 0..count {
        if next[at] != u32::MAX {
            symbols[kept] = symbols[at];
            kept += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// a=0 b=1 c=2 ab=3 abc=4 aa=5
    fn table() -> PairTable {
        let merges = [((0, 1), 3), ((3, 2), 4), ((0, 0), 5)];
        PairTable::new(
            merges
                .iter()
                .zip(0..)
                .map(|(&((left, right), merged), rank)| (TokenId(left), TokenId(right), rank, TokenId(merged))),
        )
        .unwrap()
    }

    fn tokens(merger: &mut Merger, word: &[u32]) -> Vec<(u32, u32, u32)> {
        merger.begin(word.len());
        word.iter().enumerate().for_each(|(at, &id)| merger.symbol(TokenId(id), at, at + 1));
        merger.merge(&table()).iter().map(|s| (s.id.0, s.start, s.end)).collect()
    }

    #[test]
    fn merges_lowest_rank_first_and_leftmost_among_equals() {
        let mut merger = Merger::default();
        let found = [&[0, 1, 2, 0, 1][..], &[0, 0, 0], &[0, 0, 1], &[2], &[]].map(|word| tokens(&mut merger, word));
        let expected = [
            vec![(4, 0, 3), (3, 3, 5)],
            vec![(5, 0, 2), (0, 2, 3)],
            vec![(0, 0, 1), (3, 1, 3)],
            vec![(2, 0, 1)],
            vec![],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn short_and_long_words_merge_alike() {
        let mut merger = Merger::default();
        for seed in 0..2000_u64 {
            let digit = |i: u64| {
                (seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i.wrapping_mul(1_442_695_040_888_963_407))
                    >> 33)
                    % 3
            };
            let word: Vec<u32> = (0..seed % 33).map(|i| digit(i) as u32).collect();
            let symbol = |(at, &id): (usize, &u32)| Symbol {
                id: TokenId(id),
                start: at as u32,
                end: at as u32 + 1,
                merge: NO_MERGE,
            };
            let mut symbols: Vec<Symbol> = word.iter().enumerate().map(symbol).collect();
            let kept = merge_long(&table(), &mut symbols, &mut Long::default());
            let long: Vec<_> = symbols[..kept].iter().map(|s| (s.id.0, s.start, s.end)).collect();
            assert_eq!(tokens(&mut merger, &word), long, "{word:?}");
        }
    }
}
