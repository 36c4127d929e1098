//! Byte-pair encoding of one word: merges by rank, leftmost first among equals.
//!
//! Our own rather than the `tokenizers` crate's because its symbols keep their byte spans, which is what makes offsets
//! exact inside characters; because ranks of `tiktoken` files fit in unchanged; and because it copies nothing. Equality
//! with the crate is a test on every tokenizer (tests/properties/test_encode.py).

use crate::token::{Token, TokenId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a word is cut into before the first merge.
#[derive(Debug, Clone)]
pub(crate) enum Alphabet {
    /// One symbol a byte; a byte without a token is dropped, as the `tokenizers` crate does (Falcon's control bytes).
    Bytes(Box<[Option<TokenId>; 256]>),
    /// One symbol a character, then byte pieces, then the unknown token.
    Characters { ids: FxHashMap<char, TokenId>, fallback: Option<Box<[Option<TokenId>; 256]>>, unknown: Option<TokenId>, fuse_unknown: bool },
}

/// A byte-pair encoder.
#[derive(Debug, Clone)]
pub(crate) struct Bpe {
    pub(crate) alphabet: Alphabet,
    /// (left, right) -> (rank, merged); the lowest rank merges first.
    pub(crate) merges: FxHashMap<(TokenId, TokenId), (u32, TokenId)>,
    /// Words that are one token whatever the merges say (`ignore_merges`).
    pub(crate) whole_words: Option<FxHashMap<Box<[u8]>, TokenId>>,
}

/// Above this many symbols the heap is faster than looking for the lowest rank again and again.
const SHORT: usize = 24;
const NONE: u32 = u32::MAX;

impl Bpe {
    /// Appends the tokens of `word`, whose first byte is byte `base` of the text, to `tokens`.
    ///
    /// Complexity: O(n²) for up to 24 symbols, O(n log n) above.
    pub(crate) fn encode(&self, word: &[u8], base: usize, number: u32, tokens: &mut Vec<Token>) {
        if let Some(&id) = self.whole_words.as_ref().and_then(|words| words.get(word)) {
            tokens.push(Token { id, start: base, end: base + word.len(), word: number });
            return;
        }
        let first = tokens.len();
        self.symbols(word, base, number, tokens);
        if tokens.len() - first <= SHORT {
            self.merge_short(tokens, first);
        } else {
            self.merge_long(tokens, first);
        }
    }

    fn symbols(&self, word: &[u8], base: usize, number: u32, tokens: &mut Vec<Token>) {
        let token = |id, start, end| Token { id, start: base + start, end: base + end, word: number };
        match &self.alphabet {
            Alphabet::Bytes(ids) => {
                tokens.extend(word.iter().enumerate().filter_map(|(at, &byte)| {
                    ids[usize::from(byte)].map(|id| token(id, at, at + 1))
                }));
            }
            Alphabet::Characters { ids, fallback, unknown, fuse_unknown } => {
                let mut after_unknown = false;
                for (at, c) in String::from_utf8_lossy(word).char_indices() {
                    let end = at + c.len_utf8();
                    let mut is_unknown = false;
                    if let Some(&id) = ids.get(&c) {
                        tokens.push(token(id, at, end));
                    } else if let Some(bytes) = fallback.as_ref().filter(|f| all_bytes(f, &word[at..end])) {
                        tokens.extend((at..end).filter_map(|i| Some(token(bytes[usize::from(word[i])]?, i, i + 1))));
                    } else if let Some(id) = *unknown {
                        is_unknown = true;
                        match tokens.last_mut() {
                            Some(last) if after_unknown && *fuse_unknown => last.end = base + end,
                            _ => tokens.push(token(id, at, end)),
                        }
                    }
                    after_unknown = is_unknown;
                }
            }
        }
    }

    fn rank(&self, left: TokenId, right: TokenId) -> Option<(u32, TokenId)> {
        self.merges.get(&(left, right)).copied()
    }

    fn merge_short(&self, tokens: &mut Vec<Token>, first: usize) {
        let count = tokens.len() - first;
        if count < 2 {
            return;
        }
        let mut ranks = [(NONE, TokenId(0)); SHORT];
        for i in 0..count - 1 {
            ranks[i] = self.rank(tokens[first + i].id, tokens[first + i + 1].id).unwrap_or((NONE, TokenId(0)));
        }
        let mut count = count;
        while count > 1 {
            // `min_by_key` keeps the first of equals: leftmost.
            let Some((at, &(rank, merged))) = ranks[..count - 1].iter().enumerate().min_by_key(|(_, r)| r.0) else { break };
            if rank == NONE {
                break;
            }
            tokens[first + at].id = merged;
            tokens[first + at].end = tokens[first + at + 1].end;
            tokens.remove(first + at + 1);
            ranks.copy_within(at + 1..count - 1, at);
            count -= 1;
            if at > 0 {
                ranks[at - 1] = self.rank(tokens[first + at - 1].id, merged).unwrap_or((NONE, TokenId(0)));
            }
            if at + 1 < count {
                ranks[at] = self.rank(merged, tokens[first + at + 1].id).unwrap_or((NONE, TokenId(0)));
            }
        }
    }

    fn merge_long(&self, tokens: &mut Vec<Token>, first: usize) {
        let symbols = tokens.split_off(first);
        let count = symbols.len();
        let mut symbols: Vec<Option<Token>> = symbols.into_iter().map(Some).collect();
        let mut next: Vec<usize> = (1..=count).collect();
        let mut previous: Vec<usize> = (0..count).map(|i| i.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let id_at = |symbols: &[Option<Token>], at: usize| symbols.get(at).copied().flatten().map(|t| t.id);
        let propose = |symbols: &[Option<Token>], heap: &mut BinaryHeap<_>, left: usize, right: usize| {
            if let (Some(a), Some(b)) = (id_at(symbols, left), id_at(symbols, right)) {
                if let Some((rank, merged)) = self.rank(a, b) {
                    heap.push(Reverse((rank, left, right, a, b, merged)));
                }
            }
        };
        for left in 0..count - 1 {
            propose(&symbols, &mut heap, left, left + 1);
        }
        while let Some(Reverse((_, left, right, a, b, merged))) = heap.pop() {
            // Either side may have been merged away since the proposal was made.
            let current = id_at(&symbols, left) == Some(a) && id_at(&symbols, right) == Some(b) && next[left] == right;
            let (Some(l), Some(r), true) = (symbols[left], symbols.get(right).copied().flatten(), current) else { continue };
            symbols[left] = Some(Token { id: merged, end: r.end, ..l });
            symbols[right] = None;
            next[left] = next[right];
            if next[left] < count {
                previous[next[left]] = left;
            }
            if previous[left] < count {
                propose(&symbols, &mut heap, previous[left], left);
            }
            if next[left] < count {
                propose(&symbols, &mut heap, left, next[left]);
            }
        }
        tokens.extend(symbols.into_iter().flatten());
    }
}

/// Whether every byte of a character has a piece (Gemma lacks that of the tab, which is a piece of its own).
fn all_bytes(fallback: &[Option<TokenId>; 256], character: &[u8]) -> bool {
    character.iter().all(|&byte| fallback[usize::from(byte)].is_some())
}

impl Alphabet {
    /// Whether `c` becomes the unknown token.
    pub(crate) fn is_unknown(&self, c: char) -> bool {
        match self {
            Self::Bytes(_) => false,
            Self::Characters { ids, fallback, .. } => {
                let bytes = |f: &[Option<TokenId>; 256]| all_bytes(f, c.encode_utf8(&mut [0; 4]).as_bytes());
                !ids.contains_key(&c) && !fallback.as_deref().is_some_and(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> Bpe {
        // a=0 b=1 c=2 ab=3 abc=4 aa=5 aab=6
        let mut ids: [Option<TokenId>; 256] = [None; 256];
        for (byte, id) in [(b'a', 0), (b'b', 1), (b'c', 2)] {
            ids[usize::from(byte)] = Some(TokenId(id));
        }
        let merges = [((0, 1), 3), ((3, 2), 4), ((0, 0), 5)];
        Bpe {
            alphabet: Alphabet::Bytes(Box::new(ids)),
            merges: merges.iter().enumerate().map(|(rank, &((l, r), m))| ((TokenId(l), TokenId(r)), (rank as u32, TokenId(m)))).collect(),
            whole_words: None,
        }
    }

    fn ids(bpe: &Bpe, word: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        bpe.encode(word.as_bytes(), 0, 0, &mut tokens);
        let spans: Vec<u8> = tokens.iter().flat_map(|t| word.as_bytes()[t.start..t.end].to_vec()).collect();
        assert_eq!(spans, word.as_bytes());
        tokens.iter().map(|t| t.id.0).collect()
    }

    #[test]
    fn merges_lowest_rank_first_and_leftmost_among_equals() {
        assert_eq!(ids(&toy(), "abcab"), [4, 3]);
        assert_eq!(ids(&toy(), "aaa"), [5, 0]);
        assert_eq!(ids(&toy(), "aab"), [0, 3]);
    }

    #[test]
    fn short_and_long_words_go_the_same_way() {
        let bpe = toy();
        for seed in 0..400u64 {
            let word: Vec<u8> = (0..20).map(|i| b'a' + ((seed.wrapping_mul(6364136223846793005).wrapping_add(i * 1442695040888963407) >> 33) % 3) as u8).collect();
            let (mut short, mut long) = (Vec::new(), Vec::new());
            bpe.symbols(&word, 0, 0, &mut short);
            bpe.symbols(&word, 0, 0, &mut long);
            bpe.merge_short(&mut short, 0);
            bpe.merge_long(&mut long, 0);
            assert_eq!(short, long);
        }
    }
}
