//! Byte-pair encoding of one word: merges by rank, leftmost first among equals.
//!
//! Our own rather than the `tokenizers` crate's because its symbols keep their byte spans, which is what makes offsets
//! exact inside characters; because ranks of `tiktoken` files fit in unchanged; and because it copies nothing. Short words
//! are looked up in a cache, long ones are taken apart at seams first. Equality with the crate is a test on every
//! tokenizer (tests/properties/test_encode.py).

use crate::pair_table::{Merge, PairTable, Table, NO_MERGE};
use crate::piece_table::PieceTable;
use crate::seams::{characters_around, Seams};
use crate::token::{Sink, Token, TokenId};
use crate::word_cache::{Key, LongWords, Scope, WordCache, LONGEST, LONG_WORD};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a word is cut into before the first merge.
#[derive(Debug)]
pub(crate) enum Alphabet {
    /// One symbol a byte; a byte without a token is dropped, as the `tokenizers` crate does (Falcon's control bytes).
    Bytes { ids: Box<Symbols>, complete: bool },
    /// One symbol a character, then byte pieces, then the unknown token; `complete`: every byte has a piece.
    Characters { ids: FxHashMap<char, TokenId>, fallback: Option<Box<Symbols>>, unknown: Option<TokenId>, fuse_unknown: bool, complete: bool },
}

/// The symbol of each byte.
pub(crate) type Symbols = [Option<TokenId>; 256];

/// A byte-pair encoder.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub(crate) alphabet: Alphabet,
    pub(crate) merges: PairTable,
    /// Words that are one token whatever the merges say (`ignore_merges`).
    pub(crate) whole_words: Option<PieceTable>,
    pub(crate) seams: Seams,
    /// Every merge comes after all merges that make its two sides.
    pub(crate) in_order: bool,
}

/// What encoding works with; kept between calls.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    cache: WordCache,
    long_words: LongWords,
    long_parts: LongWords,
    /// The tokens of a word.
    tokens: Vec<Token>,
    /// The tokens of a part of a word.
    merged: Vec<Token>,
    long: Long,
}

impl Bench {
    /// Gives back what a text of `length` bytes may have left, if that was much.
    pub(crate) fn trim(&mut self, length: usize) {
        const MUCH: usize = 1 << 20;
        if length > MUCH {
            self.tokens = Vec::new();
            self.merged = Vec::new();
            let characters = std::mem::take(&mut self.long.characters);
            self.long = Long { characters, ..Long::default() };
        }
    }
}

/// The token of each character that is one by itself, as far as it has been asked for.
#[derive(Debug, Default)]
struct Characters {
    /// For each code point below U+10000: 0 not known yet, 1 none, else the id plus two. Empty at first.
    plane: Vec<u32>,
}

impl Characters {
    fn get(&mut self, bpe: &Bpe, ids: &Symbols, c: char) -> Option<TokenId> {
        if self.plane.is_empty() {
            self.plane = vec![0; 0x10000];
        }
        let entry = self.plane.get_mut(c as usize)?;
        if *entry == 0 {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            let mut symbols = [Symbol::default(); 4];
            for (at, &byte) in bytes.iter().enumerate() {
                symbols[at] = Symbol::new(ids[usize::from(byte)].unwrap_or_default(), at, at + 1);
            }
            let whole = bpe.merge_few(&mut symbols[..bytes.len()]) == 1;
            *entry = if whole { symbols[0].id.0.saturating_add(2) } else { 1 };
        }
        entry.checked_sub(2).map(TokenId)
    }
}

/// The arrays of [`Bpe::merged`] and [`Bpe::merge_long`].
#[derive(Debug, Default)]
struct Long {
    characters: Characters,
    /// Those of [`Bpe::merge_few`].
    few: Vec<Symbol>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// The merge of each symbol with the next one.
    merges: Vec<Merge>,
    /// (rank, position), packed: the lowest rank first, the leftmost among equals.
    heap: BinaryHeap<Reverse<u64>>,
}

/// A symbol of a short word, with its place in bytes from the start of the word.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    id: TokenId,
    start: u32,
    end: u32,
    table: Table,
    /// With the next one.
    merge: Merge,
}

impl Default for Symbol {
    fn default() -> Self {
        Self::new(TokenId(0), 0, 0)
    }
}

impl Symbol {
    #[inline]
    fn new(id: TokenId, start: usize, end: usize) -> Self {
        Self { id, start: start as u32, end: end as u32, table: Table::default(), merge: NO_MERGE }
    }
}

/// Above this many symbols the heap is faster than looking for the lowest rank again and again.
const SHORT: usize = 32;

impl Bpe {
    /// Passes the tokens of the word `text[start..end]` on to `sink`; `number` is the word's.
    ///
    /// Complexity: O(1) for a word of up to 24 bytes that is in the cache; else O(n log n) for each part between seams.
    #[inline]
    pub(crate) fn word(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        if end - start <= LONGEST {
            self.short_word(text, (start, end), number, bench, sink);
        } else {
            self.long_word(text, (start, end), number, bench, sink);
        }
    }

    #[inline(always)]
    fn short_word(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        if start == end {
            return;
        }
        let key = Key::new(text, start, end, Scope::Word);
        match bench.cache.get(&key) {
            Some(entry) => entry.tokens(start, number, sink),
            None => self.unknown_word(text, (start, end), number, &key, bench, sink),
        }
    }

    #[inline(never)]
    fn unknown_word(&self, text: &[u8], (start, end): (usize, usize), number: u32, key: &Key, bench: &mut Bench, sink: &mut impl Sink) {
        let mut tokens = std::mem::take(&mut bench.tokens);
        tokens.clear();
        let whole = self.whole_words.as_ref().filter(|_| key.scope() == Scope::Word).and_then(|words| words.get(&text[start..end]));
        match whole {
            Some(id) => tokens.push(Token { id, start, end, word: number }),
            None => self.parts(text, (start, end), number, bench, &mut tokens),
        }
        bench.cache.put(key, start, &tokens);
        tokens.iter().for_each(|&token| sink.token(token));
        bench.tokens = tokens;
    }

    #[inline(never)]
    fn long_word(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        let word = &text[start..end];
        if let Some(id) = self.whole_words.as_ref().and_then(|words| words.get(word)) {
            return sink.token(Token { id, start, end, word: number });
        }
        if word.len() > LONG_WORD {
            return self.parts(text, (start, end), number, bench, sink);
        }
        if let Some(known) = bench.long_words.get(word) {
            return known.iter().for_each(|token| sink.token(token.behind(start, number)));
        }
        let mut tokens = std::mem::take(&mut bench.tokens);
        tokens.clear();
        self.parts(text, (start, end), number, bench, &mut tokens);
        bench.long_words.put(word, start, &tokens);
        tokens.iter().for_each(|&token| sink.token(token));
        bench.tokens = tokens;
    }

    /// Passes on the tokens of a word that is no token by itself, part by part where it has seams.
    fn parts(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        let mut from = start;
        self.seams.for_each(text, start, end, |at| {
            if !self.alphabet.fuses_at(text, at) {
                self.part(text, (from, at), number, bench, sink);
                from = at;
            }
        });
        if from > start || end - start > LONG_WORD {
            return self.part(text, (from, end), number, bench, sink);
        }
        bench.merged.clear();
        self.merged(&text[from..end], from, number, &mut bench.merged, &mut bench.long);
        bench.merged.iter().for_each(|&token| sink.token(token));
    }

    /// Passes on the tokens of a stretch without seams.
    #[inline]
    fn part(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        if end - start > LONGEST {
            return self.long_part(text, (start, end), number, bench, sink);
        }
        let key = Key::new(text, start, end, Scope::Part);
        if let Some(entry) = bench.cache.get(&key) {
            return entry.tokens(start, number, sink);
        }
        bench.merged.clear();
        self.merged(&text[start..end], start, number, &mut bench.merged, &mut bench.long);
        bench.cache.put(&key, start, &bench.merged);
        bench.merged.iter().for_each(|&token| sink.token(token));
    }

    fn long_part(&self, text: &[u8], (start, end): (usize, usize), number: u32, bench: &mut Bench, sink: &mut impl Sink) {
        let part = &text[start..end];
        let short_enough = part.len() <= LONG_WORD;
        if let (true, Some(known)) = (short_enough, bench.long_parts.get(part)) {
            return known.iter().for_each(|token| sink.token(token.behind(start, number)));
        }
        bench.merged.clear();
        self.merged(part, start, number, &mut bench.merged, &mut bench.long);
        if short_enough {
            bench.long_parts.put(part, start, &bench.merged);
        }
        bench.merged.iter().for_each(|&token| sink.token(token));
    }

    /// Appends the tokens of `word`, whose first byte is byte `base` of the text, by merges alone.
    fn merged(&self, word: &[u8], base: usize, number: u32, tokens: &mut Vec<Token>, long: &mut Long) {
        long.few.clear();
        match &self.alphabet {
            // One symbol a byte: no need to write them down as tokens first.
            Alphabet::Bytes { ids, complete: true } if word.len() <= SHORT && (word.is_ascii() || !self.in_order) => {
                long.few.extend(word.iter().enumerate().map(|(at, &byte)| Symbol::new(ids[usize::from(byte)].unwrap_or_default(), at, at + 1)));
            }
            _ => {
                let first = tokens.len();
                // Known beforehand, so that a huge word does not grow by doubling.
                tokens.reserve_exact(word.len());
                if !self.whole_characters(word, base, number, tokens, &mut long.characters) {
                    self.symbols(word, base, number, tokens);
                }
                if tokens.len() - first > SHORT {
                    return self.merge_long(tokens, first, long);
                }
                long.few.extend(tokens.drain(first..).map(|token| Symbol::new(token.id, token.start - base, token.end - base)));
            }
        }
        let count = self.merge_few(&mut long.few);
        tokens.extend(long.few[..count].iter().map(|symbol| {
            Token { id: symbol.id, start: base + symbol.start as usize, end: base + symbol.end as usize, word: number }
        }));
    }

    /// Appends one symbol for each character that surely becomes a token of its own before it merges with a neighbour, and
    /// one for each byte of the others; answers false, and nothing else, where that is not known to be right.
    ///
    /// Where no piece holds a part of a character together with something of its neighbours, every merge across its borders
    /// has the whole character on its side, so it comes later in the list than all merges inside the character, which have
    /// been done by then: doing them at once changes nothing (docs/design.md, "Characters first").
    fn whole_characters(&self, word: &[u8], base: usize, number: u32, tokens: &mut Vec<Token>, known: &mut Characters) -> bool {
        let Alphabet::Bytes { ids, complete: true } = &self.alphabet else { return false };
        let (true, Ok(text)) = (self.in_order, std::str::from_utf8(word)) else { return false };
        let mut at = 0;
        let mut clean_before = true;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let end = at + c.len_utf8();
            let clean_behind = characters.peek().is_none_or(|&next| self.seams.parts_characters(c, word[end - 1], next, word[end]));
            let whole = if c.is_ascii() || !clean_before || !clean_behind { None } else { known.get(self, ids, c) };
            match whole {
                Some(id) => tokens.push(Token { id, start: base + at, end: base + end, word: number }),
                None => tokens.extend((at..end).map(|at| {
                    Token { id: ids[usize::from(word[at])].unwrap_or_default(), start: base + at, end: base + at + 1, word: number }
                })),
            }
            (at, clean_before) = (end, clean_behind);
        }
        true
    }

    fn symbols(&self, word: &[u8], base: usize, number: u32, tokens: &mut Vec<Token>) {
        let token = |id, start, end| Token { id, start: base + start, end: base + end, word: number };
        match &self.alphabet {
            Alphabet::Bytes { ids, .. } => {
                tokens.extend(word.iter().enumerate().filter_map(|(at, &byte)| {
                    ids[usize::from(byte)].map(|id| token(id, at, at + 1))
                }));
            }
            Alphabet::Characters { ids, fallback, unknown, fuse_unknown, .. } => {
                let mut after_unknown = false;
                let Ok(word_text) = std::str::from_utf8(word) else { return };
                for (at, c) in word_text.char_indices() {
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

    /// Merges the symbols of a short word; as many as it answers are left.
    fn merge_few(&self, symbols: &mut [Symbol]) -> usize {
        let mut count = symbols.len();
        if count < 2 {
            return count;
        }
        for at in 0..count {
            symbols[at].table = self.merges.of(symbols[at].id);
            if at > 0 {
                symbols[at - 1].merge = self.merges.find(symbols[at - 1].table, symbols[at].id);
            }
        }
        while count > 1 {
            let (mut at, mut lowest) = (0, symbols[0].merge.rank);
            for (index, symbol) in symbols[..count - 1].iter().enumerate().skip(1) {
                // Strictly lower: the leftmost of equals.
                if symbol.merge.rank < lowest {
                    (at, lowest) = (index, symbol.merge.rank);
                }
            }
            if lowest == NO_MERGE.rank {
                break;
            }
            let Symbol { start, merge: Merge { id, table, .. }, .. } = symbols[at];
            symbols[at] = Symbol { id, start, end: symbols[at + 1].end, table, merge: NO_MERGE };
            symbols.copy_within(at + 2..count, at + 1);
            count -= 1;
            if at + 1 < count {
                symbols[at].merge = self.merges.find(table, symbols[at + 1].id);
            }
            if at > 0 {
                symbols[at - 1].merge = self.merges.find(symbols[at - 1].table, id);
            }
        }
        count
    }

    fn merge_long(&self, tokens: &mut Vec<Token>, first: usize, long: &mut Long) {
        let symbols = &mut tokens[first..];
        let count = symbols.len();
        let Long { next, previous, merges, heap, .. } = long;
        next.clear();
        next.extend(1..=count as u32);
        previous.clear();
        previous.extend((0..count as u32).map(|at| at.wrapping_sub(1)));
        merges.clear();
        merges.extend(symbols.windows(2).map(|pair| self.merges.get(pair[0].id, pair[1].id)));
        merges.push(NO_MERGE);
        let packed = |rank: u32, at: usize| Reverse(u64::from(rank) << 32 | at as u64);
        let mut proposals = std::mem::take(heap).into_vec();
        proposals.clear();
        proposals.extend(merges.iter().enumerate().filter(|(_, m)| m.rank != NO_MERGE.rank).map(|(at, m)| packed(m.rank, at)));
        *heap = BinaryHeap::from(proposals);
        while let Some(Reverse(proposal)) = heap.pop() {
            let (rank, left) = ((proposal >> 32) as u32, proposal as u32 as usize);
            // Either side may have been merged since the proposal was made; an equal rank is the same pair again.
            if merges[left].rank != rank {
                continue;
            }
            let right = next[left] as usize;
            symbols[left] = Token { id: merges[left].id, end: symbols[right].end, ..symbols[left] };
            merges[right] = NO_MERGE;
            let behind = next[right] as usize;
            next[left] = behind as u32;
            // Marks a symbol that is gone.
            next[right] = u32::MAX;
            merges[left] = NO_MERGE;
            if behind < count {
                previous[behind] = left as u32;
                merges[left] = self.merges.get(symbols[left].id, symbols[behind].id);
                if merges[left].rank != NO_MERGE.rank {
                    heap.push(packed(merges[left].rank, left));
                }
            }
            let before = previous[left] as usize;
            if before < count {
                merges[before] = self.merges.get(symbols[before].id, symbols[left].id);
                if merges[before].rank != NO_MERGE.rank {
                    heap.push(packed(merges[before].rank, before));
                }
            }
        }
        let mut kept = 0;
        for at in 0..count {
            if next[at] != u32::MAX {
                symbols[kept] = symbols[at];
                kept += 1;
            }
        }
        tokens.truncate(first + kept);
    }
}

/// Whether every byte of a character has a piece (Gemma lacks that of the tab, which is a piece of its own).
fn all_bytes(fallback: &Symbols, character: &[u8]) -> bool {
    character.iter().all(|&byte| fallback[usize::from(byte)].is_some())
}

impl Alphabet {
    /// Whether the characters on both sides of byte `at` may come to share a token that no piece tells of.
    #[inline]
    pub(crate) fn fuses_at(&self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Bytes { complete: true, .. } | Self::Characters { complete: true, .. } => false,
            _ => {
                let (left, right) = characters_around(text, at);
                self.fuses(left, right)
            }
        }
    }

    /// Whether two neighbours may come to share a token although no piece holds both.
    pub(crate) fn fuses(&self, left: char, right: char) -> bool {
        match self {
            Self::Bytes { complete: true, .. } | Self::Characters { complete: true, .. } => false,
            // A dropped byte brings those around it together.
            Self::Bytes { ids, .. } => {
                let dropped = |c: char| c.encode_utf8(&mut [0; 4]).bytes().any(|byte| ids[usize::from(byte)].is_none());
                dropped(left) || dropped(right)
            }
            Self::Characters { unknown: None, .. } => self.is_unknown(left) || self.is_unknown(right),
            Self::Characters { fuse_unknown, .. } => *fuse_unknown && self.is_unknown(left) && self.is_unknown(right),
        }
    }

    /// Whether `c` has no symbol: it becomes the unknown token, or is dropped.
    fn is_unknown(&self, c: char) -> bool {
        match self {
            Self::Bytes { .. } => false,
            Self::Characters { ids, fallback, .. } => {
                let bytes = |f: &Symbols| all_bytes(f, c.encode_utf8(&mut [0; 4]).as_bytes());
                !ids.contains_key(&c) && !fallback.as_deref().is_some_and(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn toy() -> Bpe {
        // a=0 b=1 c=2 ab=3 abc=4 aa=5 aab=6
        let mut ids: [Option<TokenId>; 256] = [None; 256];
        for (byte, id) in [(b'a', 0), (b'b', 1), (b'c', 2)] {
            ids[usize::from(byte)] = Some(TokenId(id));
        }
        let merges = [((0, 1), 3), ((3, 2), 4), ((0, 0), 5)];
        let pairs = merges.iter().zip(0..).map(|(&((left, right), merged), rank)| (TokenId(left), TokenId(right), rank, TokenId(merged)));
        let table = PairTable::new(pairs).unwrap();
        let seams = Seams::new(["ab", "abc", "aa"].map(str::as_bytes));
        Bpe { alphabet: Alphabet::Bytes { ids: Box::new(ids), complete: false }, merges: table, whole_words: None, seams, in_order: true }
    }

    fn ids(bpe: &Bpe, word: &str) -> Vec<u32> {
        let (mut tokens, mut again): (Vec<Token>, Vec<Token>) = (Vec::new(), Vec::new());
        let mut bench = Bench::default();
        bpe.word(word.as_bytes(), (0, word.len()), 0, &mut bench, &mut tokens);
        bpe.word(word.as_bytes(), (0, word.len()), 0, &mut bench, &mut again);
        assert_eq!(tokens, again, "the second time from the cache");
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
            bpe.merged(&word, 0, 0, &mut short, &mut Long::default());
            bpe.symbols(&word, 0, 0, &mut long);
            bpe.merge_long(&mut long, 0, &mut Long::default());
            assert_eq!(short, long);
            let mut parts: Vec<Token> = Vec::new();
            bpe.long_word(&word, (0, word.len()), 0, &mut Bench::default(), &mut parts);
            assert_eq!(short, parts, "taken apart at seams");
        }
    }
}
