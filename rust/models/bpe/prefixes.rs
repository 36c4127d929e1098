//! The tokens of every prefix of a growing word, for byte-pair encoders: one byte more costs a few look-ups.
//!
//! The argument is in docs/proofs/prefix-tokens.md. A list of tokens is the encoding of a word exactly if two things
//! hold. The merges make each token from its own symbols, and they leave each pair of neighbours as it is. So the last
//! token of a prefix ends there and is made by the merges. It also leaves the last token before it as it is. At most
//! one candidate passes. Where none does, the table of candidates lacks one, and the caller encodes the whole word.

use crate::models::bpe::merge::Merger;
use crate::models::bpe::model::Bpe;
use crate::tokens::token::TokenId;
use rustc_hash::FxHashMap;

/// The last token of a prefix.
#[derive(Debug, Clone, Copy)]
struct Node {
    id: TokenId,
    /// In bytes; 0 where no symbol ends.
    length: u32,
    /// The number of tokens of the prefix.
    depth: u32,
}

/// A symbol of a word, with which the merges begin. Example: a byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter {
    pub(crate) id: TokenId,
    /// Where it ends in the word.
    pub(crate) end: u32,
}

/// A word and the tokens of its prefixes. Example: those of "t", "th" and "the" for the word "the".
#[derive(Debug, Clone, Default)]
pub(crate) struct Prefixes {
    /// For each length of a prefix, from 0.
    nodes: Vec<Node>,
    letters: Vec<Letter>,
}

/// Known results about pairs of tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs {
    /// By ids and lengths: a byte piece may be spelled out in the text as well.
    apart: FxHashMap<(TokenId, u32, TokenId, u32), bool>,
    /// The key is the last token of a prefix and the letter after it, with their lengths. The value is the last token
    /// of the prefix that is a letter longer, where that is both together, or the letter. So the key determines the
    /// text there, but for the unknown token, which merges with nothing.
    next: FxHashMap<(TokenId, u32, TokenId, u32), (TokenId, usize)>,
}

/// The number of pairs that are remembered.
const MOST_PAIRS: usize = 1 << 16;

const NOWHERE: Node = Node { id: TokenId(0), length: 0, depth: 0 };

/// The longest prefix whose tokens two prefixes begin with; `last` returns the length of the last token of a prefix.
///
/// Complexity: O(tokens that differ).
pub(crate) fn common_prefix(mut one: usize, mut other: usize, last: impl Fn(usize) -> usize) -> usize {
    while one != other {
        let longer = if one > other { &mut one } else { &mut other };
        *longer -= last(*longer);
    }
    one
}

impl Pairs {
    /// Whether the merges leave two tokens as they are, whose `letters` are these; a token without letters does not
    /// stay.
    pub(crate) fn stand_apart(
        &mut self,
        bpe: &Bpe,
        one: (TokenId, u32),
        other: (TokenId, u32),
        letters: impl FnOnce() -> Option<Vec<Letter>>,
    ) -> bool {
        let key = (one.0, one.1, other.0, other.1);
        if let Some(&known) = self.apart.get(&key) {
            return known;
        }
        let apart = letters().is_some_and(|letters| {
            bpe.merged_letters(&letters, 0, &mut Merger::default(), |made| {
                made.len() == 2 && made[0].id == one.0 && made[1].id == other.0 && made[0].end == one.1
            })
        });
        if self.apart.len() >= MOST_PAIRS {
            self.apart.clear();
        }
        self.apart.insert(key, apart);
        apart
    }
}

impl Prefixes {
    /// The bytes that are known so far.
    pub(crate) fn length(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    /// Forgets the state after the prefix of `length` bytes. Complexity: O(forgotten bytes).
    pub(crate) fn truncate(&mut self, length: usize) {
        self.nodes.truncate(length + 1);
        while self.letters.last().is_some_and(|letter| letter.end as usize > length) {
            self.letters.pop();
        }
    }

    /// Takes in `word`, which begins with the known prefix; None where the merges make tokens that no table holds.
    ///
    /// Complexity: O(new bytes · longest piece), a few look-ups each in practice.
    pub(crate) fn extend(&mut self, bpe: &Bpe, word: &[u8], pairs: &mut Pairs) -> Option<()> {
        if self.nodes.is_empty() {
            self.nodes.push(NOWHERE);
        }
        let from = self.letters.len();
        let known = self.length();
        bpe.letters(word, known, &mut self.letters)?;
        self.nodes.resize(word.len() + 1, NOWHERE);
        for index in from..self.letters.len() {
            let letter = self.letters[index];
            let node = self.last_token(bpe, word, index, pairs)?;
            self.nodes[letter.end as usize] = node;
        }
        Some(())
    }

    /// Takes in `added` bytes at `at`, where a letter ends; `word` is the word with them. None as for
    /// [`Prefixes::extend`], and the state is then of no use. Returns the number of letters for which a token was
    /// looked for.
    ///
    /// The last token of a prefix depends on the letters before it that two tokens may hold. It also depends on the
    /// last tokens of the prefixes that end there. Where both are unchanged, all tokens after them are too, except a
    /// piece that reaches further back. Complexity: O(bytes after `at`).
    pub(crate) fn insert(
        &mut self,
        bpe: &Bpe,
        word: &[u8],
        at: usize,
        added: usize,
        pairs: &mut Pairs,
    ) -> Option<usize> {
        let first = self.letters.partition_point(|letter| letter.end as usize <= at);
        let (letters, nodes) = (self.letters.split_off(first), self.nodes.split_off(at + 1));
        self.extend(bpe, &word[..at + added], pairs)?;
        let mut looked = self.letters.len() - first;
        self.nodes.resize(word.len() + 1, NOWHERE);
        // The number of bytes before here whose tokens are unchanged, and one letter more.
        let (mut same, mut begin) = (0, at);
        let room = |reach: usize| 2 * reach + 8;
        let after = |old: Node, last: Node, before: Node| Node { depth: old.depth + last.depth - before.depth, ..old };
        let (mut last, mut before) = (NOWHERE, NOWHERE);
        for (index, &letter) in letters.iter().enumerate() {
            if same >= room(bpe.longest_piece()) {
                self.letters
                    .extend(letters[index..].iter().map(|letter| Letter { end: letter.end + added as u32, ..*letter }));
                for (place, &old) in (begin + added + 1..).zip(&nodes[begin - at..]) {
                    self.nodes[place] = if old.length == 0 { NOWHERE } else { after(old, last, before) };
                }
                break;
            }
            let (old, end) = (nodes[letter.end as usize - at - 1], letter.end as usize + added);
            self.letters.push(Letter { end: end as u32, ..letter });
            let node = if same >= room(bpe.reach(&word[..end])) {
                after(old, last, before)
            } else {
                looked += 1;
                self.last_token(bpe, word, self.letters.len() - 1, pairs)?
            };
            self.nodes[end] = node;
            same = if (node.id, node.length) == (old.id, old.length) { same + letter.end as usize - begin } else { 0 };
            (begin, last, before) = (letter.end as usize, node, old);
        }
        Some(looked)
    }

    /// The last token of the prefix that ends with the letter `index`.
    fn last_token(&self, bpe: &Bpe, word: &[u8], index: usize, pairs: &mut Pairs) -> Option<Node> {
        let end = self.letters[index].end as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.letters[before].end as usize);
        let letter = (self.letters[index].id, end - start);
        let fits = |(id, length): (TokenId, usize), pairs: &mut Pairs| {
            let at = end - length;
            let before = self.nodes[at];
            if at > 0 && before.length == 0 {
                return None;
            }
            let node = Node { id, length: length as u32, depth: before.depth + 1 };
            (at == 0 || self.stand_apart(bpe, at, end, id, pairs)).then_some(node)
        };
        // One candidate passes at most, so the order in which they are tried makes no difference.
        let before = self.nodes[start];
        let key = (before.id, before.length, letter.0, letter.1 as u32);
        if let Some(node) = pairs.next.get(&key).copied().and_then(|guess| fits(guess, pairs)) {
            return Some(node);
        }
        let node = bpe
            .made_at_end(&word[..end])
            .find_map(|candidate| fits(candidate, pairs))
            .or_else(|| fits(letter, pairs))?;
        if [letter.1, letter.1 + before.length as usize].contains(&(node.length as usize)) {
            if pairs.next.len() >= MOST_PAIRS {
                pairs.next.clear();
            }
            pairs.next.insert(key, (node.id, node.length as usize));
        }
        Some(node)
    }

    /// Whether the merges leave the token that ends at `at` and `id`, from there to `end`, as they are.
    fn stand_apart(&self, bpe: &Bpe, at: usize, end: usize, id: TokenId, pairs: &mut Pairs) -> bool {
        let before = self.nodes[at];
        pairs.stand_apart(bpe, (before.id, before.length), (id, (end - at) as u32), || {
            let start = at - before.length as usize;
            let first = self.letters.partition_point(|letter| letter.end as usize <= start);
            let last = self.letters.partition_point(|letter| (letter.end as usize) <= end);
            Some(
                self.letters[first..last]
                    .iter()
                    .map(|letter| Letter { end: letter.end - start as u32, ..*letter })
                    .collect(),
            )
        })
    }

    /// The last token of the prefix of `length` bytes and its length; None where no letter ends.
    pub(crate) fn last(&self, length: usize) -> Option<(TokenId, usize)> {
        let Node { id, length, .. } = self.nodes[length];
        (length > 0).then_some((id, length as usize))
    }

    /// The number of tokens of the prefix of `length` bytes.
    pub(crate) fn count(&self, length: usize) -> usize {
        self.nodes[length].depth as usize
    }

    /// The longest prefix whose tokens both prefixes begin with.
    pub(crate) fn common(&self, one: usize, other: usize) -> usize {
        // A position where no letter ends is no prefix; those of words are.
        common_prefix(one, other, |at| self.nodes[at].length as usize)
    }

    /// The tokens after the first of two prefixes, their lengths, and their begins. The first one begins inside the
    /// first prefix where its tokens are no prefix of the second one's tokens.
    pub(crate) fn tokens(&self, from: usize, to: usize) -> Vec<(TokenId, usize, usize)> {
        let mut found = Vec::new();
        let mut at = to;
        while at > from {
            let node = self.nodes[at];
            at -= node.length as usize;
            found.push((node.id, node.length as usize, at));
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::models::bpe::initial_symbols::Alphabet;
    use crate::models::bpe::merge_table::PairTable;

    /// Bytes, and some runs of them as pieces.
    fn encoder() -> Bpe {
        let pieces: Vec<(TokenId, &[u8])> = [&b"a"[..], b"b", b"c", b"aa", b"ab", b"aab", b"bb", b"abb", b"ca"]
            .into_iter()
            .zip(0..)
            .map(|(piece, id)| (TokenId(id), piece))
            .collect();
        let id = |piece: &[u8]| pieces.iter().find(|(_, known)| *known == piece).unwrap().0;
        let merges = [(&b"a"[..], &b"b"[..]), (b"a", b"a"), (b"a", b"ab"), (b"b", b"b"), (b"a", b"bb"), (b"c", b"a")];
        let merges = merges
            .iter()
            .zip(0..)
            .map(|((left, right), rank)| (id(left), id(right), rank, id(&[*left, *right].concat())));
        let ids =
            std::array::from_fn(|byte| pieces.iter().find(|(_, piece)| *piece == [byte as u8]).map(|&(id, _)| id));
        let alphabet = Alphabet::Bytes { ids: Box::new(ids), complete: false };
        let bpe = Bpe::new(
            alphabet,
            PairTable::new(merges).unwrap(),
            false,
            pieces.iter().map(|&(id, piece)| (id, piece, false)),
        );
        bpe.prepare(pieces.iter().map(|&(_, piece)| piece));
        bpe
    }

    #[test]
    fn what_is_inserted_is_as_if_it_had_stood_there() {
        let (bpe, mut roll) = (encoder(), 1_u64);
        let mut dice = |sides: usize| {
            roll = roll.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (roll >> 33) as usize % sides
        };
        let (mut few, mut all) = (0, 0);
        for round in 0..3000 {
            let letters = 1 + dice(3);
            let mut word: Vec<u8> = (0..1 + dice(400)).map(|_| b"abc"[dice(letters)]).collect();
            let (mut prefixes, mut pairs) = (Prefixes::default(), Pairs::default());
            prefixes.extend(&bpe, &word, &mut pairs).unwrap();
            let (at, added) = (dice(word.len() + 1), 1 + dice(3));
            word.splice(at..at, (0..added).map(|_| b"abc"[dice(letters)]).collect::<Vec<_>>());
            let looked = prefixes.insert(&bpe, &word, at, added, &mut pairs).unwrap();
            let mut twin = Prefixes::default();
            twin.extend(&bpe, &word, &mut Pairs::default()).unwrap();
            let of = |prefixes: &Prefixes| {
                let nodes: Vec<_> = prefixes.nodes.iter().map(|node| (node.id, node.length, node.depth)).collect();
                (nodes, prefixes.letters.iter().map(|letter| (letter.id, letter.end)).collect::<Vec<_>>())
            };
            assert_eq!(of(&prefixes), of(&twin), "round {round}");
            few += usize::from(looked < word.len() - at);
            all += 1;
        }
        assert!(few > all / 4, "{few} of {all}");
    }
}
