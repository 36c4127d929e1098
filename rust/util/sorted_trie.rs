//! All pieces of a vocabulary, walked byte by byte.

use crate::util::byte_strings::Arena;

/// The pieces in sorted order; a walk narrows a range of them by one byte at a time.
///
/// A sorted list costs 4 bytes beyond each piece, where a node-based tree of 262,144 pieces takes tens of megabytes. A
/// walk ends after a few bytes, so the logarithm per byte does not matter.
///
/// A [`Dictionary`](crate::util::double_array::Dictionary) walks in a fifth of the time, but takes over four times as
/// long to build. For Gemma 2's 256,000 pieces that is 350 instead of 80 ms, which every load would pay.
#[derive(Debug, Clone, Default)]
pub(crate) struct PieceTrie {
    pieces: Arena,
    /// Range of the pieces that begin with each byte.
    heads: Vec<(u32, u32)>,
    /// Range of the pieces that begin with each pair of bytes: the first two steps of nearly every walk. Empty where
    /// the pieces are few.
    pairs: Vec<(u32, u32)>,
    longest: usize,
}

/// From this many pieces on a table of all pairs of bytes (512 KiB) is worth its place.
const MANY: usize = 1 << 12;

/// The pieces that agree with the bytes walked so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    low: usize,
    high: usize,
    depth: usize,
}

impl PieceTrie {
    /// A trie of `pieces`, in any order. Complexity: O(n log n) for n pieces.
    pub(crate) fn new<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Self {
        let pieces = sorted(pieces.into_iter().collect());
        let mut heads = vec![(0, 0); 256];
        let mut pairs = vec![(0, 0); if pieces.len() < MANY { 0 } else { 1 << 16 }];
        let widen = |range: &mut (u32, u32), index: usize| {
            let low = if range.1 == 0 { index as u32 } else { range.0 };
            *range = (low, index as u32 + 1);
        };
        for (index, piece) in pieces.iter().enumerate() {
            widen(&mut heads[usize::from(piece[0])], index);
            if let (false, Some(&second)) = (pairs.is_empty(), piece.get(1)) {
                widen(&mut pairs[pair(piece[0], second)], index);
            }
        }
        let longest = pieces.iter().map(|p| p.len()).max().unwrap_or(1);
        Self { pieces, heads, pairs, longest }
    }

    /// The walk after its first byte.
    pub(crate) fn begin(&self, byte: u8) -> Option<Walk> {
        let &(low, high) = self.heads.get(usize::from(byte))?;
        (low < high).then_some(Walk { low: low as usize, high: high as usize, depth: 1 })
    }

    /// The walk after one more byte; O(log pieces).
    pub(crate) fn step(&self, walk: Walk, byte: u8) -> Option<Walk> {
        let depth = walk.depth;
        if depth == 1 && !self.pairs.is_empty() {
            let (low, high) = self.pairs[pair(self.pieces.get(walk.low)[0], byte)];
            return (low < high).then_some(Walk { low: low as usize, high: high as usize, depth: 2 });
        }
        // Pieces that end here sort before all longer ones.
        let low = self.first(walk.low, walk.high, |p| p.len() > depth && p[depth] >= byte);
        let high = self.first(low, walk.high, |p| p[depth] > byte);
        (low < high).then_some(Walk { low, high, depth: depth + 1 })
    }

    /// The first of the pieces `low..high` that is `after`, where all after it are, too.
    fn first(&self, mut low: usize, mut high: usize, after: impl Fn(&[u8]) -> bool) -> usize {
        while low < high {
            let middle = low + (high - low) / 2;
            if after(self.pieces.get(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Whether a piece ends exactly here.
    pub(crate) fn is_piece(&self, walk: Walk) -> bool {
        self.pieces.get(walk.low).len() == walk.depth
    }

    /// Whether a longer piece begins like this.
    pub(crate) fn goes_on(&self, walk: Walk) -> bool {
        self.pieces.get(walk.high - 1).len() > walk.depth
    }

    /// Length of the longest piece that `text` begins with, and whether some piece reaches beyond its end.
    pub(crate) fn longest(&self, text: &[u8]) -> (usize, bool) {
        let mut longest = 0;
        let mut walk = match text.first().and_then(|&b| self.begin(b)) {
            Some(walk) => walk,
            None => return (0, text.is_empty()),
        };
        loop {
            if self.is_piece(walk) {
                longest = walk.depth;
            }
            match text.get(walk.depth) {
                None => return (longest, self.goes_on(walk)),
                Some(&byte) => match self.step(walk, byte) {
                    Some(next) => walk = next,
                    None => return (longest, false),
                },
            }
        }
    }

    /// Length of the longest piece, in bytes; 1 without pieces.
    pub(crate) fn longest_piece(&self) -> usize {
        self.longest
    }

    /// The pieces in sorted order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter()
    }

    /// Whether some piece satisfies `predicate`.
    pub(crate) fn any(&self, predicate: impl Fn(&[u8]) -> bool) -> bool {
        self.pieces.iter().any(predicate)
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// `pieces` in order, each once, without the empty one.
fn sorted<P: AsRef<[u8]>>(pieces: Vec<P>) -> Arena {
    // The first eight bytes as a number decide nearly every comparison, without a look at the piece.
    let head = |piece: &[u8]| {
        let mut bytes = [0; 8];
        let length = piece.len().min(8);
        bytes[..length].copy_from_slice(&piece[..length]);
        u64::from_be_bytes(bytes)
    };
    let piece = |number: u32| pieces[number as usize].as_ref();
    let mut order: Vec<(u64, u32)> =
        pieces.iter().zip(0..).map(|(piece, number)| (head(piece.as_ref()), number)).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| piece(a.1).cmp(piece(b.1))));
    order.dedup_by(|a, b| a.0 == b.0 && piece(a.1) == piece(b.1));
    order.retain(|&(_, number)| !piece(number).is_empty());
    let bytes = order.iter().map(|&(_, number)| piece(number).len()).sum();
    let mut arena = Arena::with_capacity(order.len(), bytes);
    order.iter().for_each(|&(_, number)| arena.push(piece(number)));
    arena
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_longest_piece_and_knows_what_may_follow() {
        let trie = PieceTrie::new(["a", "ab", "abcd", "b", " c"]);
        assert_eq!(trie.longest(b"abx"), (2, false));
        assert_eq!(trie.longest(b"abc"), (2, true), "abcd may still come");
        assert_eq!(trie.longest(b"abcde"), (4, false));
        assert_eq!(trie.longest(b"x"), (0, false));
        assert_eq!(trie.longest(b"a"), (1, true));
    }

    #[test]
    fn many_pieces_are_walked_as_few_are() {
        // Most strings of up to five of five bytes, the empty one and repetitions included: with the table of pairs.
        let bytes = [0, b'a', b'b', 0x80, 0xFF];
        let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
        for length in 1..6 {
            let longer = pieces.iter().filter(|p| p.len() + 1 == length);
            let longer: Vec<Vec<u8>> = longer.flat_map(|p| bytes.map(|b| [p.as_slice(), &[b]].concat())).collect();
            pieces.extend(longer);
        }
        let kept = |p: &Vec<u8>| p.iter().map(|&b| usize::from(b)).sum::<usize>() % 7 != 3;
        let mut some: Vec<Vec<u8>> = pieces.iter().filter(|p| kept(p)).cloned().collect();
        some.extend(pieces.iter().map(|p| [b"long common head", p.as_slice()].concat()));
        let many = PieceTrie::new(some.iter().rev().chain(&some));
        assert!(!many.pairs.is_empty());
        let walked: Vec<&[u8]> = many.pieces.iter().collect();
        let mut expected: Vec<&[u8]> = some.iter().map(Vec::as_slice).filter(|p| !p.is_empty()).collect();
        expected.sort_unstable();
        assert_eq!(walked, expected);
        for text in pieces.iter().map(|p| [p.as_slice(), b"\x80aab"].concat()) {
            let is_piece = |length: &usize| expected.binary_search(&&text[..*length]).is_ok();
            let longest = (1..=text.len()).rev().find(is_piece).unwrap_or(0);
            let open = expected.iter().any(|piece| piece.len() > text.len() && piece.starts_with(&text));
            assert_eq!(many.longest(&text), (longest, open), "{text:?}");
        }
        assert_eq!(many.longest(b"long common"), (0, true));
    }
}
