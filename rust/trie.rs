//! All pieces of a vocabulary, walked byte by byte.

/// The pieces in sorted order; a walk narrows a range of them by one byte at a time.
///
/// A sorted list costs no memory beyond the pieces (a node-based tree of 262,144 pieces takes tens of megabytes) and a
/// walk ends after a few bytes, so the logarithm per byte does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct PieceTrie {
    pieces: Vec<Box<[u8]>>,
    /// Range of the pieces that begin with each byte.
    heads: Vec<(u32, u32)>,
    /// Range of the pieces that begin with each pair of bytes: the first two steps of nearly every walk.
    pairs: Vec<(u32, u32)>,
    longest: usize,
}

/// The pieces that agree with the bytes walked so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    low: usize,
    high: usize,
    depth: usize,
}

impl PieceTrie {
    pub(crate) fn new(mut pieces: Vec<Box<[u8]>>) -> Self {
        pieces.retain(|p| !p.is_empty());
        pieces.sort_unstable();
        pieces.dedup();
        let heads = (0..=255u8)
            .map(|byte| {
                let low = pieces.partition_point(|p| p[0] < byte);
                let high = pieces.partition_point(|p| p[0] <= byte);
                (low as u32, high as u32)
            })
            .collect();
        let mut pairs = vec![(0, 0); 1 << 16];
        for (index, piece) in pieces.iter().enumerate().filter(|(_, p)| p.len() > 1) {
            let (low, high) = &mut pairs[pair(piece[0], piece[1])];
            if *high == 0 {
                *low = index as u32;
            }
            *high = index as u32 + 1;
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
        let range = &self.pieces[walk.low..walk.high];
        let depth = walk.depth;
        if depth == 1 {
            let (low, high) = self.pairs[pair(range[0][0], byte)];
            return (low < high).then_some(Walk { low: low as usize, high: high as usize, depth: 2 });
        }
        // Pieces that end here sort before all longer ones.
        let low = range.partition_point(|p| p.len() <= depth || p[depth] < byte);
        let high = low + range[low..].partition_point(|p| p[depth] <= byte);
        (low < high).then_some(Walk { low: walk.low + low, high: walk.low + high, depth: depth + 1 })
    }

    /// Whether a piece ends exactly here.
    pub(crate) fn is_piece(&self, walk: Walk) -> bool {
        self.pieces[walk.low].len() == walk.depth
    }

    /// Whether a longer piece begins like this.
    pub(crate) fn goes_on(&self, walk: Walk) -> bool {
        self.pieces[walk.high - 1].len() > walk.depth
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

    /// Whether some piece satisfies `predicate`.
    pub(crate) fn any(&self, predicate: impl Fn(&[u8]) -> bool) -> bool {
        self.pieces.iter().any(|p| predicate(p))
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_longest_piece_and_knows_what_may_follow() {
        let trie = PieceTrie::new(["a", "ab", "abcd", "b", " c"].iter().map(|p| p.as_bytes().into()).collect());
        assert_eq!(trie.longest(b"abx"), (2, false));
        assert_eq!(trie.longest(b"abc"), (2, true), "abcd may still come");
        assert_eq!(trie.longest(b"abcde"), (4, false));
        assert_eq!(trie.longest(b"x"), (0, false));
        assert_eq!(trie.longest(b"a"), (1, true));
    }
}
