//! The cuts of a growing text that no piece can cross, found with about two walks per byte.
//!
//! [`uncrossed`](crate::stability::pieces::uncrossed) is the slow twin: it walks from every byte of the text each time.

use crate::util::sorted_trie::PieceTrie;
use crate::util::text::is_tail;
use std::collections::VecDeque;

/// The uncrossed cuts near the end of a text that grows.
///
/// A piece that begins at a byte is closed where no longer piece can begin there, whatever is appended. The text before
/// the first open byte is final: a cut there is crossed or not. All cuts after it are crossed, so nothing else is read.
/// Example: the pieces are `a` and `aaa`. In `aaaa` bytes 0 and 1 are closed, each by `aaa`, and byte 2 is open,
/// because `aa` may become `aaa`.
#[derive(Debug, Clone)]
pub(crate) struct GrowingCuts {
    /// No piece begins before here.
    begin: usize,
    /// Cuts after here are known; `usize::MAX` where nothing was read.
    from: usize,
    /// So long the text was.
    length: usize,
    /// Before here all bytes are closed.
    closed: usize,
    /// The furthest end of a piece that begins before there.
    reach: usize,
    cuts: VecDeque<usize>,
}

impl Default for GrowingCuts {
    fn default() -> Self {
        Self { begin: 0, from: usize::MAX, length: 0, closed: 0, reach: 0, cuts: VecDeque::new() }
    }
}

impl GrowingCuts {
    /// The uncrossed cuts of `bytes[begin..]` after byte `from`, ascending, in positions of `bytes`. `is_fused` returns
    /// whether the characters at a place may share a token although no piece holds both.
    ///
    /// `bytes` begins with those of the last call, or [`GrowingCuts::default`] takes the place of this state.
    ///
    /// Complexity: O(longest piece) for each appended byte. Where `from` or `bytes` is smaller than in the last call:
    /// O((bytes after `from` + longest) · longest).
    pub(crate) fn after(
        &mut self,
        pieces: &PieceTrie,
        bytes: &[u8],
        (begin, from): (usize, usize),
        is_fused: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = usize> + '_ {
        if from < self.from || bytes.len() < self.length || begin != self.begin {
            // A piece that begins earlier ends at `from` at the latest.
            self.closed = from.saturating_sub(pieces.longest_piece()).max(begin);
            self.reach = self.closed;
            self.cuts.clear();
        }
        (self.begin, self.from, self.length) = (begin, from, bytes.len());
        while self.closed + 1 < bytes.len() {
            let (length, open) = pieces.longest(&bytes[self.closed..]);
            if open {
                break;
            }
            self.reach = self.reach.max(self.closed + length);
            self.closed += 1;
            let at = self.closed;
            if self.reach <= at && !is_tail(bytes[at]) && !is_fused(at) {
                self.cuts.push_back(at);
            }
        }
        let known = self.cuts.partition_point(|&at| at <= from);
        self.cuts.drain(..known);
        self.cuts.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stability::pieces::uncrossed;
    use crate::util::text::characters_around;

    fn compare(pieces: &[&str], text: &str, steps: &[(usize, usize)], fuses: impl Fn(char, char) -> bool + Copy) {
        let trie = PieceTrie::new(pieces.iter().copied());
        let mut growing = GrowingCuts::default();
        for &(length, from) in steps {
            let text = &text[..length];
            let is_fused = |at| {
                let (left, right) = characters_around(text.as_bytes(), at);
                fuses(left, right)
            };
            let found: Vec<usize> = growing.after(&trie, text.as_bytes(), (0, from), is_fused).collect();
            let mut all = uncrossed(&trie, text, fuses);
            all.retain(|&at| at > from);
            assert_eq!(found, all, "{pieces:?} {text:?} after {from}");
        }
    }

    #[test]
    fn a_growing_text_has_the_cuts_of_a_whole_one() {
        let pieces = [
            &["a", "aaa"][..],
            &["a", "b", "ab", "ba", " a", "c d"],
            &["a", "b", "abab", "b a", "é", "\u{e9}a", "aé"],
            &["aa", "bb", "ba ab", "aba"],
        ];
        let texts = ["aaaaaaaaaaaab", "abab a c d c e abba b aaabbb", "aébéaé abab aé", "ba abba aba ba ab"];
        for pieces in pieces {
            for text in texts {
                for every in 1..5 {
                    for after in [0, 1, 3, 100] {
                        let ends = (1..=text.len()).filter(|&at| at % every == 0 && text.is_char_boundary(at));
                        let steps: Vec<_> = ends.map(|end| (end, end.saturating_sub(after))).collect();
                        compare(pieces, text, &steps, |_, _| false);
                        compare(pieces, text, &steps, |left, right| left == 'b' && right == 'a');
                    }
                }
            }
        }
    }

    #[test]
    fn an_earlier_place_is_read_again() {
        compare(&["a", "b", "ab"], "ababab ab", &[(9, 6), (9, 2), (9, 8), (9, 0)], |_, _| false);
    }
}
