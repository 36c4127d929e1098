//! Characters of a byte-level vocabulary that are symbols from the start, although the merges begin with bytes.

use crate::models::bpe::initial_symbols::{Symbols, Take};
use crate::models::bpe::merge_table::PairTable;
use crate::tokens::token::TokenId;
use crate::util::byte_set::ByteSet;
use crate::util::char_table::CharTable;
use rustc_hash::FxHashMap;

/// Merges with a part of a character on one side. Each entry is the lowest rank for a byte of the other side that is
/// next to it, ascending.
type Attacks = Vec<(u32, u8)>;

/// Tokens that may merge with the parts of characters before these have become whole.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    /// Merges with this fragment on their right.
    from_left: FxHashMap<TokenId, Attacks>,
    /// Merges with this fragment on their left.
    from_right: FxHashMap<TokenId, Attacks>,
    /// The lowest rank of the merges that have this character on one side.
    first_use: FxHashMap<TokenId, u32>,
}

/// The outline of a token, as far as a merge depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outline {
    first: u8,
    last: u8,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// One character that is not ASCII.
    Character,
    /// A possible symbol on the way to one.
    Fragment,
    #[default]
    Other,
}

impl Outline {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return Self::default() };
        let length = match first {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        // Bytes that are no character after all are called one, which delays nothing but their use.
        let kind = match first {
            0x80.. if bytes.len() == length && bytes[1..].iter().all(|byte| byte & 0xC0 == 0x80) => Kind::Character,
            0x80.. if bytes.len() < 4 => Kind::Fragment,
            _ => Kind::Other,
        };
        Self { first, last, kind }
    }
}

impl Fragments {
    /// Those of a vocabulary; `outlines` by id, all others being empty.
    pub(crate) fn new(merges: &PairTable, outlines: &[Outline]) -> Self {
        let outline = |TokenId(id): TokenId| outlines.get(id as usize).copied().unwrap_or_default();
        let mut all = Self::default();
        for (left, right, rank) in merges.iter() {
            let (before, after) = (outline(left), outline(right));
            if after.kind == Kind::Fragment {
                all.from_left.entry(right).or_default().push((rank, before.last));
            }
            if before.kind == Kind::Fragment {
                all.from_right.entry(left).or_default().push((rank, after.first));
            }
            for (side, _) in
                [(left, before), (right, after)].into_iter().filter(|(_, side)| side.kind == Kind::Character)
            {
                let first = all.first_use.entry(side).or_insert(rank);
                *first = rank.min(*first);
            }
        }
        for attacks in all.from_left.values_mut().chain(all.from_right.values_mut()) {
            attacks.sort_unstable();
            let mut seen = ByteSet::default();
            attacks.retain(|&(_, byte)| seen.insert(byte));
            attacks.shrink_to_fit();
        }
        all
    }
}

/// A character whose bytes alone merge into one token, and the bytes beside it that may disturb that.
#[derive(Debug)]
struct Whole {
    id: TokenId,
    before: ByteSet,
    after: ByteSet,
}

/// The characters of the texts so far.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    /// 0: not known yet, 1: none, else the index into `whole` plus two.
    numbers: CharTable<u16>,
    whole: Vec<Whole>,
}

impl Characters {
    /// The known merges of a character.
    fn get(&mut self, merges: &PairTable, fragments: &Fragments, ids: &Symbols, c: char) -> Option<&Whole> {
        let mut number = self.numbers.get(c);
        if number == 0 {
            let whole = find(merges, fragments, ids, c).filter(|_| self.whole.len() < usize::from(u16::MAX) - 2);
            number = if whole.is_some() { self.whole.len() as u16 + 2 } else { 1 };
            self.numbers.insert(c, number);
            self.whole.extend(whole);
        }
        self.whole.get(usize::from(number).checked_sub(2)?)
    }

    /// Passes on the symbols of `word` (docs/proofs/whole-characters.md). These are whole characters where they surely
    /// become tokens before anything else can touch their parts, and bytes elsewhere. The vocabulary has a token for
    /// each byte.
    pub(crate) fn symbols(
        &mut self,
        (merges, fragments): (&PairTable, &Fragments),
        ids: &Symbols,
        word: &str,
        to: &mut impl Take,
    ) {
        let bytes = word.as_bytes();
        for (at, c) in word.char_indices() {
            let end = at + c.len_utf8();
            let whole = if c.is_ascii() { None } else { self.get(merges, fragments, ids, c) };
            let before = at.checked_sub(1).map(|before| bytes[before]);
            let holds = |set: &ByteSet, byte: Option<u8>| byte.is_some_and(|byte| set.contains(byte));
            match whole.filter(|whole| !holds(&whole.before, before) && !holds(&whole.after, bytes.get(end).copied())) {
                Some(whole) => to.symbol(whole.id, at, end),
                None => (at..end).for_each(|at| to.symbol(ids[usize::from(bytes[at])].unwrap_or_default(), at, at + 1)),
            }
        }
    }
}

/// Merges the bytes of a character and records the merges that could have come between.
fn find(merges: &PairTable, fragments: &Fragments, ids: &Symbols, c: char) -> Option<Whole> {
    let mut symbols = [TokenId(0); 4];
    let mut count = 0;
    for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
        symbols[count] = ids[usize::from(byte)].unwrap_or_default();
        count += 1;
    }
    let (mut before, mut after) = (ByteSet::default(), ByteSet::default());
    // The highest rank since the symbol at the left end, that at the right end, and the first were there.
    let (mut since_left, mut since_right, mut highest) = (0, 0, 0);
    while count > 1 {
        // The leftmost of the lowest.
        let (mut at, mut merge) = (0, merges.get(symbols[0], symbols[1]));
        for next in 1..count - 1 {
            let other = merges.get(symbols[next], symbols[next + 1]);
            if other.rank < merge.rank {
                (at, merge) = (next, other);
            }
        }
        let rank = merge.rank;
        if rank == u32::MAX {
            return None;
        }
        (since_left, since_right, highest) = (rank.max(since_left), rank.max(since_right), rank.max(highest));
        // The symbol at the left end goes now: a merge of the same rank with something before it would have come first.
        if at == 0 {
            let attacks = fragments.from_left.get(&symbols[0]).into_iter().flatten();
            attacks.take_while(|(other, _)| *other <= since_left).for_each(|&(_, byte)| {
                before.insert(byte);
            });
            since_left = 0;
        }
        // So does that at the right end: a merge of the same rank with the text after it would have come later.
        if at + 2 == count {
            let attacks = fragments.from_right.get(&symbols[at + 1]).into_iter().flatten();
            attacks.take_while(|(other, _)| *other < since_right).for_each(|&(_, byte)| {
                after.insert(byte);
            });
            since_right = 0;
        }
        symbols[at] = merge.id;
        symbols.copy_within(at + 2.., at + 1);
        count -= 1;
    }
    let id = symbols[0];
    // Were it there from the start, it could merge on before others that come before it is there.
    let in_order = fragments.first_use.get(&id).is_none_or(|&first| first > highest);
    in_order.then_some(Whole { id, before, after })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::models::bpe::merge::Merger;

    /// The tokens of the bytes of a word, with whole characters from the start and without.
    fn both(pieces: &[(&[u8], u32)], merges: &[(u32, u32, u32)], word: &str) -> (Vec<u32>, Vec<u32>) {
        let table = PairTable::new(
            merges.iter().zip(0..).map(|(&(left, right, id), rank)| (TokenId(left), TokenId(right), rank, TokenId(id))),
        )
        .unwrap();
        let outlines: Vec<Outline> = (0..16)
            .map(|id| {
                pieces
                    .iter()
                    .find(|(_, other)| *other == id)
                    .map_or_else(Outline::default, |(bytes, _)| Outline::new(bytes))
            })
            .collect();
        let ids: Symbols = std::array::from_fn(|byte| {
            pieces.iter().find(|(piece, _)| *piece == [byte as u8]).map(|(_, id)| TokenId(*id))
        });
        let (mut first, mut plain) = (Merger::default(), Merger::default());
        Characters::default().symbols((&table, &Fragments::new(&table, &outlines)), &ids, word, &mut first);
        word.bytes().enumerate().for_each(|(at, byte)| plain.symbol(ids[usize::from(byte)].unwrap(), at, at + 1));
        let list = |mut merger: Merger| merger.merge(&table).iter().map(|symbol| symbol.id.0).collect();
        (list(first), list(plain))
    }

    #[test]
    fn any_order_of_any_merges_gives_the_same() {
        // é = C3 A9, ü = C3 BC, and pieces across them; some merges come before those that make their sides.
        let pieces: [(&[u8], u32); 11] = [
            (b"a", 0),
            (b"\xC3", 1),
            (b"\xA9", 2),
            (b"\xBC", 3),
            (b"\xC3\xA9", 4),
            (b"\xC3\xBC", 5),
            (b"a\xC3", 6),
            (b"\xA9\xC3", 7),
            (b"a\xC3\xA9", 8),
            (b"\xA9a", 9),
            (b"\xC3\xA9\xC3", 10),
        ];
        let all = [(0, 1, 6), (1, 2, 4), (1, 3, 5), (2, 1, 7), (0, 4, 8), (6, 2, 8), (2, 0, 9), (4, 1, 10), (1, 7, 10)];
        let mut whole = 0;
        for seed in 0..3000_u64 {
            // A shuffle of a part of the merges.
            let key = |i: usize| {
                (seed + 1)
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add((i as u64 + 1).wrapping_mul(1_442_695_040_888_963_407))
                    .rotate_left(29)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                    >> 20
            };
            let mut order: Vec<usize> = (0..all.len()).filter(|&i| key(i) % 4 > 0).collect();
            order.sort_by_key(|&i| key(i));
            let merges: Vec<_> = order.iter().map(|&i| all[i]).collect();
            for word in ["é", "aé", "éa", "éé", "éü", "üéaé", "aéüéa", "aaéééa", "üüé"] {
                let (first, plain) = both(&pieces, &merges, word);
                assert_eq!(first, plain, "{word} with {merges:?}");
                whole += usize::from(first.contains(&4));
            }
        }
        assert!(whole > 1000);
    }

    #[test]
    fn a_neighbour_that_takes_a_part_of_a_character_first_is_found() {
        // é = C3 A9, è = C3 A8
        let pieces: [(&[u8], u32); 8] = [
            (b" ", 0),
            (b"\xC3", 1),
            (b"\xA9", 2),
            (b"\xA8", 3),
            (b"\xC3\xA9", 4),
            (b" \xC3", 5),
            (b"\xA9\xC3", 6),
            (b"\xC3\xA8", 7),
        ];
        let (space, whole_e, between, whole_other) = ((0, 1, 5), (1, 2, 4), (2, 1, 6), (1, 3, 7));
        for merges in [
            [space, whole_e, between, whole_other],
            [whole_e, space, between, whole_other],
            [between, whole_other, space, whole_e],
            [whole_other, between, whole_e, space],
        ] {
            for word in ["é", " é", "éé", " éè è", "éèéé é"] {
                let (first, plain) = both(&pieces, &merges, word);
                assert_eq!(first, plain, "{word} with {merges:?}");
            }
        }
        let (first, _) = both(&pieces, &[whole_e, space, between, whole_other], " éé");
        assert_eq!(first, [0, 4, 4]);
    }
}
