//! Barriers: places between two characters that no piece of the vocabulary can cross, whatever the text around them.
//!
//! A byte-pair encoder only ever builds pieces, so the text before a barrier and the text after it are encoded
//! independently (docs/proofs/bpe-merge-barriers.md). Barriers make short words of long ones; for example, a Japanese
//! sentence is one pre-token. So a cache of words helps, and no merge covers more than a few characters.

use crate::util::text::{characters_around, code_point, is_tail};

/// Bits of the hashed set: 128 KiB, so that a vocabulary with 60,000 pairs has 6 % of false alarms; these only cost
/// speed.
const BITS: u32 = 20;

/// The pairs of neighbouring characters that occur in pieces, in full or with a part of either. Example: the piece
/// `the` has the pairs `th` and `he`.
#[derive(Debug, Clone)]
pub(crate) struct MergeBarriers {
    /// Pairs of ASCII characters, exactly: `ascii[first]` has bit `second`.
    ascii: Box<[u128; 128]>,
    hashed: Box<[u64]>,
    /// One bit a character (those above the first plane share bits): it is before a part of another in some piece.
    before_part: Box<[u64; PLANE]>,
    /// The same: it is after a part of another in some piece.
    after_part: Box<[u64; PLANE]>,
    /// Parts of two characters side by side: `parts[last byte of one]` has bit `first byte of the other`, modulo 64.
    parts: Box<[u64; 64]>,
}

const PLANE: usize = 0x10000 / 64;

/// The bit of a character in a table of one plane.
fn bit(c: char) -> (usize, u32) {
    let code = u32::from(c) & 0xFFFF;
    (code as usize / 64, code % 64)
}

/// A side of a pair.
#[derive(Clone, Copy)]
enum Side {
    Whole(char),
    /// Only its byte next to the place is looked at.
    Byte(u8),
}

impl Side {
    fn code(self) -> u64 {
        match self {
            Self::Whole(c) => u64::from(u32::from(c)),
            Self::Byte(byte) => 0x20_0000 | u64::from(byte),
        }
    }
}

fn slot(left: Side, right: Side) -> usize {
    let key = left.code() << 24 | right.code();
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as usize
}

impl MergeBarriers {
    /// The barriers of a vocabulary of `pieces`.
    ///
    /// Complexity: O(bytes of the pieces).
    pub(crate) fn new<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut barriers = Self {
            ascii: Box::new([0; 128]),
            hashed: vec![0; 1 << (BITS - 6)].into_boxed_slice(),
            before_part: Box::new([0; PLANE]),
            after_part: Box::new([0; PLANE]),
            parts: Box::new([0; 64]),
        };
        for piece in pieces {
            barriers.add(piece);
        }
        barriers
    }

    fn add(&mut self, piece: &[u8]) {
        for at in 1..piece.len() {
            if is_tail(piece[at]) {
                continue;
            }
            let left = last_character(&piece[..at]).map_or(Side::Byte(piece[at - 1]), Side::Whole);
            let right = first_character(&piece[at..]).map_or(Side::Byte(piece[at]), Side::Whole);
            let mark = |table: &mut [u64], c: char| table[bit(c).0] |= 1 << bit(c).1;
            match (left, right) {
                (Side::Whole(a), Side::Whole(b)) if a.is_ascii() && b.is_ascii() => {
                    self.ascii[a as usize] |= 1 << (b as u32);
                    continue;
                }
                (Side::Whole(_), Side::Whole(_)) => {}
                (Side::Whole(a), Side::Byte(_)) => mark(&mut self.before_part[..], a),
                (Side::Byte(_), Side::Whole(b)) => mark(&mut self.after_part[..], b),
                (Side::Byte(a), Side::Byte(b)) => {
                    self.parts[usize::from(a % 64)] |= 1 << (b % 64);
                    continue;
                }
            }
            let slot = slot(left, right);
            self.hashed[slot / 64] |= 1 << (slot % 64);
        }
    }

    fn holds(&self, left: Side, right: Side) -> bool {
        let slot = slot(left, right);
        self.hashed[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Whether the place between `a`, whose last byte is `before`, and `b`, whose first is `after`, is a barrier.
    #[inline]
    fn is_between(&self, a: char, before: u8, b: char, after: u8) -> bool {
        !self.holds(Side::Whole(a), Side::Whole(b)) && self.parts_characters(a, before, b, after)
    }

    /// Whether no piece holds a part of one of two neighbours together with something of the other.
    #[inline]
    pub(crate) fn parts_characters(&self, a: char, before: u8, b: char, after: u8) -> bool {
        let marked = |table: &[u64; PLANE], c: char| table[bit(c).0] >> bit(c).1 & 1 == 1;
        !(self.parts[usize::from(before % 64)] >> (after % 64) & 1 == 1
            || marked(&self.before_part, a) && self.holds(Side::Whole(a), Side::Byte(after))
            || marked(&self.after_part, b) && self.holds(Side::Byte(before), Side::Whole(b)))
    }

    /// Whether byte `at` of `text`, the start of a character, is a barrier.
    ///
    /// Complexity: O(1).
    #[inline]
    pub(crate) fn is_barrier(&self, text: &[u8], at: usize) -> bool {
        let (before, after) = (text[at - 1], text[at]);
        if before < 0x80 && after < 0x80 {
            return self.ascii[usize::from(before)] >> after & 1 == 0;
        }
        let (a, b) = characters_around(text, at);
        self.is_between(a, before, b, after)
    }

    /// Calls `cut` with every barrier inside `text[start..end]`, ascending.
    #[inline]
    pub(crate) fn for_each(&self, text: &[u8], start: usize, end: usize, mut cut: impl FnMut(usize)) {
        let mut at = start;
        let mut last: Option<char> = None;
        while at < end {
            let after = text[at];
            // Words of byte-level tokenizers may begin inside a character; nothing is known of such a place.
            if is_tail(after) {
                at += 1;
                continue;
            }
            let b = if after < 0x80 { char::from(after) } else { code_point(text, at) };
            if let Some(a) = last.replace(b) {
                let before = text[at - 1];
                let barrier = if a.is_ascii() && after < 0x80 {
                    self.ascii[usize::from(before)] >> after & 1 == 0
                } else {
                    self.is_between(a, before, b, after)
                };
                if barrier {
                    cut(at);
                }
            }
            at += b.len_utf8();
        }
    }
}

/// The last character of a piece, if it is whole.
fn last_character(piece: &[u8]) -> Option<char> {
    let start = (1..=piece.len().min(4)).map(|n| piece.len() - n).find(|&start| !is_tail(piece[start]))?;
    std::str::from_utf8(&piece[start..]).ok()?.chars().next()
}

/// The first character of a piece, if it is whole.
fn first_character(piece: &[u8]) -> Option<char> {
    let end = (1..piece.len()).find(|&at| !is_tail(piece[at])).unwrap_or(piece.len());
    std::str::from_utf8(&piece[..end]).ok()?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barriers(pieces: &[&[u8]], text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        MergeBarriers::new(pieces.iter().copied()).for_each(text.as_bytes(), 0, text.len(), |at| found.push(at));
        found
    }

    #[test]
    fn a_seam_is_where_no_piece_stands_across() {
        assert_eq!(barriers(&[b"ab", b"bc", b" a"], "abc a"), [3]);
        assert_eq!(barriers(&["\u{e9}a".as_bytes()], "\u{e9}a\u{e9}\u{e9}"), [3, 5]);
    }

    #[test]
    fn pieces_that_hold_parts_of_characters_block_all_characters_with_that_part() {
        let (a, b, c) = ("\u{4e00}", "\u{4e01}", "\u{6f22}");
        let text = [a, b, c].concat();
        assert_eq!(barriers(&[], &text), [3, 6]);
        // a and the first byte of b, which is not the first byte of c
        assert_eq!(barriers(&[&[a.as_bytes(), &b.as_bytes()[..1]].concat()], &text), [6]);
        // the last byte of b and c
        assert_eq!(barriers(&[&[&b.as_bytes()[2..], c.as_bytes()].concat()], &text), [3]);
        // the last byte of b and the first two of c
        assert_eq!(barriers(&[&[&b.as_bytes()[2..], &c.as_bytes()[..2]].concat()], &text), [3]);
    }
}
