//! Words with numbers, walked byte by byte: the double array that the models of our own look their pieces up in.
//!
//! One `u64` a node: the base of its children (upper half), the number of the word that ends here, and the byte that
//! leads here. A child is at `base ^ byte`, so a step is one load and one comparison (Aoe 1989, "An efficient digital
//! search algorithm by using a double-array structure"). Nodes are placed into blocks of 256, the last few of which are
//! searched for room. Most slots are used, so a vocabulary takes about 10 bytes per node.

use std::ops::Range;

const BLOCK: usize = 256;
/// The number of blocks that are searched for room.
const OPEN_BLOCKS: usize = 16;
/// The number of free slots that are tried before a new block is begun.
const TRIES: usize = 64;
/// The greatest distance of a single child after its parent, where there is room: the same cache line, or the next.
const NEAR: usize = 12;
/// Nodes nearer to the root than this come first and are stored together, because every walk passes them.
const TOP: usize = 3;
const NONE: u32 = (1 << 23) - 1;
const USED: u64 = 1 << 8;
const LABEL: u64 = USED | 0xff;

/// A map from words to numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dictionary {
    units: Box<[u64]>,
}

/// A position in the walk: the node's own unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node(u64);

impl Node {
    /// The number of the word that ends here.
    #[inline]
    pub(crate) fn value(self) -> Option<u32> {
        let value = (self.0 >> 9) as u32 & NONE;
        (value != NONE).then_some(value)
    }

    /// Whether a longer word begins like this.
    pub(crate) fn goes_on(self) -> bool {
        self.0 >> 32 != 0
    }
}

impl Dictionary {
    /// The dictionary of `words`; of equal words the last one counts, empty ones are left out.
    ///
    /// None if a number is 2^23 - 1 or larger. Complexity: O(bytes) but for the sorting.
    pub(crate) fn new(mut words: Vec<(Box<[u8]>, u32)>) -> Option<Self> {
        words.retain(|(word, _)| !word.is_empty());
        if words.iter().any(|&(_, value)| value >= NONE) {
            return None;
        }
        words.sort_by(|a, b| a.0.cmp(&b.0));
        Some(Builder::default().build(&words))
    }

    /// Where every walk begins.
    #[inline]
    pub(crate) fn root(&self) -> Node {
        Node(self.units.first().copied().unwrap_or(u64::from(NONE) << 9))
    }

    /// The node after one more byte.
    #[inline]
    pub(crate) fn step(&self, node: Node, byte: u8) -> Option<Node> {
        let unit = *self.units.get((node.0 >> 32) as usize ^ usize::from(byte))?;
        (unit & LABEL == USED | u64::from(byte)).then_some(Node(unit))
    }

    /// The number of `word`.
    pub(crate) fn get(&self, word: &[u8]) -> Option<u32> {
        word.iter().try_fold(self.root(), |node, &byte| self.step(node, byte))?.value()
    }

    /// The longest word that `text` begins with (its length, its number), and whether a word goes on after its end.
    #[inline]
    pub(crate) fn longest_and_open(&self, text: &[u8]) -> (Option<(usize, u32)>, bool) {
        let mut node = self.root();
        let mut longest = None;
        for (index, &byte) in text.iter().enumerate() {
            match self.step(node, byte) {
                Some(next) => node = next,
                None => return (longest, false),
            }
            if let Some(value) = node.value() {
                longest = Some((index + 1, value));
            }
        }
        (longest, node.goes_on())
    }

    /// The longest word that `text` begins with, (its length, its number).
    #[inline]
    pub(crate) fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        self.longest_and_open(text).0
    }

    /// How far words reach that begin where `text` does: the length of the longest, and whether one goes on after its
    /// end.
    pub(crate) fn reach(&self, text: &[u8]) -> (usize, bool) {
        let (longest, open) = self.longest_and_open(text);
        (longest.map_or(0, |(length, _)| length), open)
    }
}

/// A node whose children are not placed yet: the words below it agree in their first `depth` bytes.
struct PendingNode {
    slot: usize,
    range: Range<usize>,
    depth: usize,
}

/// The nodes while they are being placed: free slots are a doubly linked list through slot 0.
#[derive(Default)]
struct Builder {
    units: Vec<u64>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// Bases in use: no two nodes share one, so that the label alone identifies a child.
    bases: Vec<bool>,
}

impl Builder {
    fn build(mut self, words: &[(Box<[u8]>, u32)]) -> Dictionary {
        // The first block holds the root only: a node without children has base 0 and finds no child there.
        self.units = vec![0; BLOCK];
        self.next = vec![0; BLOCK];
        self.previous = vec![0; BLOCK];
        self.bases = vec![true; BLOCK];
        let mut level = vec![PendingNode { slot: 0, range: 0..words.len(), depth: 0 }];
        for _ in 0..TOP {
            let mut next = Vec::new();
            level.into_iter().for_each(|place| self.node(place, words, &mut next));
            level = next;
        }
        let mut pending = Vec::new();
        for place in level {
            pending.push(place);
            while let Some(place) = pending.pop() {
                self.node(place, words, &mut pending);
            }
        }
        Dictionary { units: self.units.into_boxed_slice() }
    }

    /// Fills the node of `place`, finds room for its children and appends them to `pending`.
    fn node(&mut self, place: PendingNode, words: &[(Box<[u8]>, u32)], pending: &mut Vec<PendingNode>) {
        let PendingNode { slot, mut range, depth } = place;
        let mut value = NONE;
        while range.start < range.end && words[range.start].0.len() == depth {
            value = words[range.start].1;
            range.start += 1;
        }
        let mut children: Vec<(u8, Range<usize>)> = Vec::new();
        while range.start < range.end {
            let byte = words[range.start].0[depth];
            let size = words[range.clone()].partition_point(|(word, _)| word[depth] == byte);
            children.push((byte, range.start..range.start + size));
            range.start += size;
        }
        let base = if children.is_empty() { 0 } else { self.base(slot, &children) };
        self.units[slot] |= (base as u64) << 32 | u64::from(value) << 9;
        for (byte, range) in children {
            let child = base ^ usize::from(byte);
            self.units[child] = USED | u64::from(byte);
            pending.push(PendingNode { slot: child, range, depth: depth + 1 });
        }
    }

    /// A base whose slots for `children` of `parent` are free; takes them.
    fn base(&mut self, parent: usize, children: &[(u8, Range<usize>)]) -> usize {
        let first = usize::from(children[0].0);
        if children.len() == 1 && parent >= BLOCK {
            for free in parent + 1..(parent + NEAR).min(self.units.len()) {
                if self.is_free(free) && !self.bases[free ^ first] {
                    return self.take(free ^ first, children);
                }
            }
        }
        let mut free = self.next[0] as usize;
        for _ in 0..TRIES {
            if free == 0 {
                break;
            }
            let base = free ^ first;
            if !self.bases[base] && children.iter().all(|(byte, _)| self.is_free(base ^ usize::from(*byte))) {
                return self.take(base, children);
            }
            free = self.next[free] as usize;
        }
        let base = self.units.len();
        self.add_block();
        self.take(base, children)
    }

    fn is_free(&self, slot: usize) -> bool {
        self.units[slot] == 0
    }

    fn take(&mut self, base: usize, children: &[(u8, Range<usize>)]) -> usize {
        self.bases[base] = true;
        for (byte, _) in children {
            let slot = base ^ usize::from(*byte);
            self.units[slot] = USED;
            self.unlink(slot);
        }
        base
    }

    fn unlink(&mut self, slot: usize) {
        let (before, after) = (self.previous[slot], self.next[slot]);
        if before as usize == slot {
            return; // of a closed block: in no list
        }
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
        self.previous[slot] = slot as u32;
    }

    fn add_block(&mut self) {
        let start = self.units.len();
        let end = start + BLOCK;
        self.units.resize(end, 0);
        self.bases.resize(end, false);
        self.next.resize(end, 0);
        self.previous.resize(end, 0);
        for slot in start..end {
            let last = self.previous[0];
            self.next[last as usize] = slot as u32;
            self.previous[slot] = last;
            self.next[slot] = 0;
            self.previous[0] = slot as u32;
        }
        if start > OPEN_BLOCKS * BLOCK {
            let closing = start - OPEN_BLOCKS * BLOCK;
            for slot in closing..closing + BLOCK {
                if self.is_free(slot) {
                    self.unlink(slot);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn dictionary(words: &[&str]) -> Dictionary {
        let words = words.iter().enumerate().map(|(value, word)| (word.as_bytes().into(), value as u32)).collect();
        Dictionary::new(words).unwrap()
    }

    #[test]
    fn finds_its_words_and_no_others() {
        let words: Vec<String> =
            (0..20_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761) % 300_000)).collect();
        let mut last = std::collections::HashMap::new();
        for (value, word) in words.iter().enumerate() {
            last.insert(word.as_str(), value as u32);
        }
        let found = dictionary(&words.iter().map(String::as_str).collect::<Vec<_>>());
        for n in 0..300_000_u32 {
            let word = format!("{n:x}");
            assert_eq!(found.get(word.as_bytes()), last.get(word.as_str()).copied(), "{word}");
        }
        let nodes = found.units.iter().filter(|unit| **unit != 0).count();
        assert!(found.units.len() * 3 < nodes * 4 + 16 * BLOCK, "{nodes} of {}", found.units.len());
    }

    #[test]
    fn walks_tell_the_longest_word_and_what_may_follow() {
        let found = dictionary(&["a", "ab", "abcd", "", "b", " c", "ab", "\u{0}"]);
        assert_eq!(found.longest(b"abcx"), Some((2, 6)), "of equal words the last");
        assert_eq!(found.longest(b"x"), None);
        assert_eq!((found.reach(b"abc"), found.reach(b"abx"), found.reach(b"")), ((2, true), (2, false), (0, true)));
        assert_eq!((found.get(b""), found.get(b"\0"), found.get(b"\0\0")), (None, Some(7), None));
        assert_eq!(Dictionary::default().longest(b"a"), None);
        assert!(Dictionary::new(vec![(b"a"[..].into(), NONE)]).is_none());
    }
}
