//! The certificate of tokenizers without a pre-token rule: no piece can stand across a settled cut.

use crate::trie::PieceTrie;

/// The interior character boundaries of `text` that no piece can cross, whatever is appended.
///
/// A piece that occurs in the text blocks every cut inside it; a piece that begins in the text and may reach beyond its
/// end blocks all cuts behind its start. What is left separates the text for every segmentation into pieces: byte-pair
/// merges only ever build pieces, and every Unigram lattice path goes through the cut (docs/design.md, "Settled cut").
/// `is_unknown` tells characters without a piece: two of them side by side may be fused into one unknown token.
///
/// Complexity: O(text · longest piece) at worst, a few steps per byte in practice.
pub(crate) fn uncrossed(trie: &PieceTrie, text: &str, is_unknown: impl Fn(char) -> bool) -> Vec<usize> {
    let bytes = text.as_bytes();
    // blocked[i] counts, as a difference array, the pieces that cover both sides of byte boundary i
    let mut blocked = vec![0i32; bytes.len() + 2];
    // From every byte: pieces of byte-level vocabularies may begin inside a character.
    for start in 0..bytes.len() {
        let (longest, open) = trie.longest(&bytes[start..]);
        let end = if open { bytes.len() + 1 } else { start + longest };
        if end > start + 1 {
            blocked[start + 1] += 1;
            blocked[end] -= 1;
        }
    }
    let mut previous_unknown = false;
    for (start, c) in text.char_indices() {
        let unknown = is_unknown(c);
        if unknown && previous_unknown {
            blocked[start] += 1;
            blocked[start + 1] -= 1;
        }
        previous_unknown = unknown;
    }
    let mut depth = 0;
    let mut cuts = Vec::new();
    for (at, change) in blocked.iter().enumerate().take(bytes.len()) {
        depth += change;
        if depth == 0 && at > 0 && text.is_char_boundary(at) {
            cuts.push(at);
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_only_where_nothing_can_stand_across() {
        let trie = PieceTrie::new(["a", "b", "ab", "ba", " a", "c d"]);
        // "abc" + ...: ab covers 1; nothing covers b|c; c may become "c d"
        assert_eq!(uncrossed(&trie, "abc", |_| false), [2]);
        assert_eq!(uncrossed(&trie, "c d", |_| false), Vec::<usize>::new());
        assert_eq!(uncrossed(&trie, "c e", |_| false), [1, 2]);
        assert_eq!(uncrossed(&trie, "xéy", |c| c == 'x' || c == 'é'), [3], "two unknown characters may fuse");
    }
}
