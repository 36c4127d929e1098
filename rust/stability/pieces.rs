//! The certificate of tokenizers without a pre-token rule: no piece can cross a settled cut.

use crate::util::double_array::Dictionary;
use crate::util::sorted_trie::PieceTrie;
use crate::util::text::characters_around;

/// Pieces that a text is compared with, in any data structure.
pub(crate) trait Reach {
    /// How far pieces reach that begin where `text` does: the length of the longest, and whether one goes on after its
    /// end.
    fn reach(&self, text: &[u8]) -> (usize, bool);
}

impl Reach for PieceTrie {
    fn reach(&self, text: &[u8]) -> (usize, bool) {
        self.longest(text)
    }
}

impl Reach for Dictionary {
    fn reach(&self, text: &[u8]) -> (usize, bool) {
        Dictionary::reach(self, text)
    }
}

/// The interior character boundaries of `text` that no piece can cross, whatever is appended.
///
/// A piece that occurs in the text blocks every cut inside it. A piece that begins in the text and may reach beyond its
/// end blocks all cuts after its start. Every other cut separates the text for every segmentation into pieces.
/// Byte-pair merges only ever build pieces, and every Unigram lattice path goes through the cut (docs/definitions.md,
/// "Settled cut"). `fuses` returns whether two neighbours may share a token although no piece holds both. For example,
/// two characters without a piece become one unknown token, and a dropped character brings those around it together.
///
/// Complexity: O(text · longest piece) at worst, a few steps per byte in practice.
pub(crate) fn uncrossed(pieces: &impl Reach, text: &str, fuses: impl Fn(char, char) -> bool) -> Vec<usize> {
    let bytes = text.as_bytes();
    let is_cut = |&at: &usize| {
        text.is_char_boundary(at) && {
            let (left, right) = characters_around(bytes, at);
            !fuses(left, right)
        }
    };
    uncrossed_places(pieces, bytes).into_iter().filter(is_cut).collect()
}

/// The places inside `bytes` that no piece can cross, whatever is appended; they may be inside characters.
///
/// Complexity: as [`uncrossed`].
pub(crate) fn uncrossed_places(pieces: &impl Reach, bytes: &[u8]) -> Vec<usize> {
    // blocked[i] counts, as a difference array, the pieces that cover both sides of byte boundary i
    let mut blocked = vec![0i32; bytes.len() + 2];
    // From every byte: pieces of byte-level vocabularies may begin inside a character.
    for start in 0..bytes.len() {
        let (longest, open) = pieces.reach(&bytes[start..]);
        let end = if open { bytes.len() + 1 } else { start + longest };
        if end > start + 1 {
            blocked[start + 1] += 1;
            blocked[end] -= 1;
        }
    }
    let mut depth = 0;
    let mut cuts = Vec::new();
    for (at, change) in blocked.iter().enumerate().take(bytes.len()) {
        depth += change;
        if depth == 0 && at > 0 {
            cuts.push(at);
        }
    }
    cuts
}

/// Whether the cut at byte `at` of `text` is one of [`uncrossed`].
///
/// Complexity: O(longest piece), a few steps for each byte that it may begin at.
pub(crate) fn is_uncrossed(trie: &PieceTrie, text: &str, at: usize, fuses: impl Fn(char, char) -> bool) -> bool {
    let bytes = text.as_bytes();
    let crosses = |start: usize| {
        let (longest, open) = trie.longest(&bytes[start..]);
        open || start + longest > at
    };
    if (at.saturating_sub(trie.longest_piece() - 1)..at).any(crosses) {
        return false;
    }
    let (left, right) = characters_around(bytes, at);
    !fuses(left, right)
}

/// Whether a piece holds a space after another character.
pub(crate) fn holds_inner_space(piece: &[u8]) -> bool {
    piece.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_only_where_nothing_can_stand_across() {
        let trie = PieceTrie::new(["a", "b", "ab", "ba", " a", "c d"]);
        // "abc" + ...: ab covers 1; nothing covers b|c; c may become "c d"
        assert_eq!(uncrossed(&trie, "abc", |_, _| false), [2]);
        assert_eq!(uncrossed(&trie, "c d", |_, _| false), Vec::<usize>::new());
        assert_eq!(uncrossed(&trie, "c e", |_, _| false), [1, 2]);
        for text in ["abc", "c d", "c e", "abab a", "ccdc c"] {
            let all = uncrossed(&trie, text, |a, b| a == 'c' && b == 'c');
            let each: Vec<usize> =
                (1..text.len()).filter(|&at| is_uncrossed(&trie, text, at, |a, b| a == 'c' && b == 'c')).collect();
            assert_eq!(all, each, "{text}");
        }
        assert_eq!(uncrossed(&trie, "xéy", |a, b| [a, b] == ['x', 'é']), [3], "two unknown characters may fuse");
    }
}
