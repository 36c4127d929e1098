//! Byte-pair encoding of words: a known word is looked up, another one is a piece, or is merged from its symbols.
//!
//! It is our own rather than the `tokenizers` crate's for three reasons. Its symbols keep their byte spans, so that
//! offsets are exact inside characters. Ranks of `tiktoken` files fit in unchanged, and it copies nothing. Equality
//! with the crate is a test on every tokenizer (tests/properties/test_encode.py).

use crate::models::bpe::initial_symbols::Alphabet;
use crate::models::bpe::long_pieces::LongPieces;
use crate::models::bpe::merge::{Merger, Symbol};
use crate::models::bpe::merge_barriers::MergeBarriers;
use crate::models::bpe::merge_table::PairTable;
use crate::models::bpe::whole_chars::{Characters, Fragments, Outline};
use crate::models::bpe::whole_pieces::WholePieces;
use crate::models::bpe::word_cache::{Key, Scope, WordCache, LONGEST};
use crate::tokens::token::{Sink, Token, TokenId};
use crate::util::known_words::{hash, KnownWords, Placed};
use std::iter::{Skip, Take};
use std::sync::OnceLock;

/// Longest word that is kept among the long ones, in bytes: phrases of a script without spaces are that long.
const LONG_WORD: usize = 256;

/// Long words, in about 4 MiB.
type LongWords = KnownWords<Placed, { 4 << 20 }>;

/// The result of the merges on the bytes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Itself,
    /// One other token of the same bytes.
    Another,
    /// Several tokens, or one that leaves bytes out.
    Nothing,
}

/// A byte-pair encoder. Example: with the merges `t h` and `th e` it encodes "the" as one token.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub(crate) alphabet: Alphabet,
    pub(crate) merges: PairTable,
    pub(crate) whole: WholePieces,
    pub(crate) barriers: MergeBarriers,
    /// Of an alphabet of all bytes.
    fragments: Option<Fragments>,
    /// Made when a word first grows long.
    pub(crate) long_pieces: OnceLock<LongPieces>,
}

/// The buffers of encoding, kept between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    cache: WordCache,
    long_words: LongWords,
    long_parts: LongWords,
    words: HitRate,
    parts: HitRate,
    /// The tokens of a word.
    tokens: Vec<Token>,
    /// The tokens of a part of a word.
    merged: Vec<Token>,
    merger: Merger,
    characters: Characters,
}

/// The recent rate of words that are pieces: in some languages they hardly ever are.
#[derive(Debug)]
struct HitRate {
    score: u8,
    skipped: u8,
}

impl Default for HitRate {
    fn default() -> Self {
        Self { score: Self::MOST, skipped: 0 }
    }
}

impl HitRate {
    const MOST: u8 = 12;

    /// Whether to try again: always in good times, one time in eight in bad ones.
    fn tries(&mut self) -> bool {
        self.skipped = (self.skipped + 1) % 8;
        self.score > 0 || self.skipped == 0
    }

    fn note(&mut self, found: bool) {
        self.score = if found { (self.score + 2).min(Self::MOST) } else { self.score.saturating_sub(1) };
    }
}

/// A token of a long word that begins at byte `start`.
fn placed(token: &Token, start: usize) -> Placed {
    Placed { id: token.id.0, start: (token.start - start) as u16, end: (token.end - start) as u16, word: 0 }
}

impl Scratch {
    /// Gives back the memory of a text of `length` bytes, if that was much.
    pub(crate) fn trim(&mut self, length: usize) {
        const MUCH: usize = 1 << 20;
        if length > MUCH {
            self.tokens = Vec::new();
            self.merged = Vec::new();
            self.merger.trim();
        }
    }
}

impl Bpe {
    /// The encoder of a vocabulary of `pieces`: ids, bytes, and whether each is a control token.
    ///
    /// `ignore_merges`: a whole word that is a piece, and no control token, is that token whatever the merges say.
    /// Complexity: every piece of up to 24 bytes is encoded once, to see whether the merges build it.
    pub(crate) fn new<'a>(
        alphabet: Alphabet,
        merges: PairTable,
        ignore_merges: bool,
        pieces: impl Iterator<Item = (TokenId, &'a [u8], bool)> + Clone + Send,
    ) -> Self {
        let barriers = MergeBarriers::new(pieces.clone().map(|(_, bytes, _)| bytes));
        let spelled = pieces.clone().map(|(id, bytes, _)| (id, bytes));
        let words = pieces.clone().filter(|&(.., control)| !control).map(|(id, bytes, _)| (bytes, id));
        let long = words.filter(|(bytes, _)| bytes.len() > LONGEST);
        let always = ignore_merges.then(|| long.map(|(bytes, id)| (bytes.into(), id)).collect());
        // Where words are made of characters, no word is a single byte of one.
        let bytes = matches!(alphabet, Alphabet::Bytes { .. });
        let short = pieces.filter(move |(_, piece, _)| {
            (1..=LONGEST).contains(&piece.len()) && (bytes || std::str::from_utf8(piece).is_ok())
        });
        let whole = WholePieces::with_room(short.clone().map(|(_, bytes, _)| bytes.len()), always);
        let fragments = matches!(alphabet, Alphabet::Bytes { complete: true, .. }).then(|| {
            let mut outlines = Vec::new();
            for (TokenId(id), bytes) in spelled {
                outlines.resize(outlines.len().max(id as usize + 1), Outline::default());
                outlines[id as usize] = Outline::new(bytes);
            }
            Fragments::new(&merges, &outlines)
        });
        let mut all = Self { alphabet, merges, whole, barriers, fragments, long_pieces: OnceLock::new() };
        all.try_pieces(short);
        all
    }

    /// Notes of each piece whether its bytes alone become one token; the work is divided among a few threads.
    fn try_pieces<'a>(&mut self, pieces: impl Iterator<Item = (TokenId, &'a [u8], bool)> + Clone + Send) {
        const MOST_THREADS: usize = 4;
        const FEW: usize = 1 << 12;
        let count = pieces.clone().count();
        let threads =
            if count < FEW { 1 } else { std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) };
        let share = count.div_ceil(threads).max(1);
        let this = &*self;
        let made: Vec<Vec<Made>> = std::thread::scope(|scope| {
            let parts = (0..threads).map(|part| pieces.clone().skip(part * share).take(share));
            let start = |part: Take<Skip<_>>| {
                let own = part.clone();
                std::thread::Builder::new().spawn_scoped(scope, move || this.made_from(own)).map_err(|_| part)
            };
            let running: Vec<_> = parts.skip(1).map(start).collect();
            let first = this.made_from(pieces.clone().take(share));
            let others = running.into_iter().map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or_default(),
                // There may be no more threads to have.
                Err(part) => this.made_from(part),
            });
            std::iter::once(first).chain(others).collect()
        });
        // A thread that died leaves out its part: those pieces are not known, and merged like other words.
        let made = made.into_iter().flat_map(|mut part| {
            part.resize(share, Made::Nothing);
            part
        });
        for ((id, bytes, control), made) in pieces.zip(made) {
            let key = Key::new(bytes, 0, bytes.len(), Scope::Word);
            match made {
                Made::Itself => self.whole.insert(&key, id, true),
                Made::Another if !self.whole.ignores_merges() => {
                    let (mut merger, mut characters) = (Merger::default(), Characters::default());
                    let made: Vec<TokenId> =
                        self.encoded(bytes, &mut merger, &mut characters).iter().map(|all| all.id).collect();
                    made.into_iter().for_each(|id| self.whole.insert(&key, id, true));
                }
                _ if self.whole.ignores_merges() && !control => self.whole.insert(&key, id, false),
                Made::Another | Made::Nothing => {}
            }
        }
    }

    /// The result of the merges on the bytes of each piece.
    fn made_from<'a>(&self, pieces: impl Iterator<Item = (TokenId, &'a [u8], bool)>) -> Vec<Made> {
        let (mut merger, mut characters) = (Merger::default(), Characters::default());
        let mut made = |id: TokenId, bytes: &[u8]| match self.encoded(bytes, &mut merger, &mut characters) {
            [all] if all.start > 0 || (all.end as usize) < bytes.len() => Made::Nothing,
            [all] if all.id == id => Made::Itself,
            [_] => Made::Another,
            _ => Made::Nothing,
        };
        pieces.map(|(id, bytes, _)| made(id, bytes)).collect()
    }

    /// Whether a whole word that is a piece is that token whatever the merges say.
    pub(crate) fn ignores_merges(&self) -> bool {
        self.whole.ignores_merges()
    }

    /// Passes the tokens of the word `text[start..end]` on to `sink`; `number` is the word's.
    ///
    /// Complexity: O(1) for a word of up to 24 bytes that is in the cache. Else O(n log n) for each part between
    /// barriers.
    #[inline]
    pub(crate) fn word(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        if end - start > LONGEST {
            self.long_word(text, (start, end), number, scratch, sink);
        } else if start < end {
            let key = Key::new(text, start, end, Scope::Word);
            match scratch.cache.get(&key) {
                Some(entry) if entry.len() > 0 => entry.tokens(start, number, sink),
                // It has too many tokens for an entry.
                Some(_) => self.parts(text, (start, end), number, scratch, sink),
                None => self.unknown_word(text, (start, end), number, &key, scratch, sink),
            }
        }
    }

    #[inline(never)]
    fn unknown_word(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        key: &Key,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let mut tokens = std::mem::take(&mut scratch.tokens);
        tokens.clear();
        match self.piece(key, true, &mut scratch.words) {
            Some(id) => tokens.push(Token { id, start, end, word: number }),
            None => self.parts(text, (start, end), number, scratch, &mut tokens),
        }
        scratch.cache.put(key, start, &tokens);
        tokens.iter().for_each(|&token| sink.token(token));
        scratch.tokens = tokens;
    }

    /// The token of a word, or of a part of one, if it is one token. Where that is not sure, it is looked for as long
    /// as it pays.
    fn piece(&self, key: &Key, whole: bool, hit_rate: &mut HitRate) -> Option<TokenId> {
        let must = whole && self.whole.ignores_merges();
        // Two bytes merge in less time than it takes to find them in a large table.
        if !must && (key.length() < 3 || !hit_rate.tries()) {
            return None;
        }
        let found = self.whole.get(key, whole);
        hit_rate.note(found.is_some());
        found
    }

    #[inline(never)]
    fn long_word(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let word = &text[start..end];
        let key = if word.len() <= LONG_WORD { Some(hash(word, 0)) } else { None };
        if let Some((tokens, _)) = key.and_then(|key| scratch.long_words.get(word, 0, key)) {
            return tokens.iter().for_each(|token| sink.token(token.token(start, number)));
        }
        if let Some(id) = self.whole.long(word) {
            return sink.token(Token { id, start, end, word: number });
        }
        let Some(key) = key else { return self.parts(text, (start, end), number, scratch, sink) };
        let mut tokens = std::mem::take(&mut scratch.tokens);
        tokens.clear();
        self.parts(text, (start, end), number, scratch, &mut tokens);
        scratch.long_words.insert(word, 0, key, tokens.iter().map(|token| placed(token, start)), 0);
        tokens.iter().for_each(|&token| sink.token(token));
        scratch.tokens = tokens;
    }

    /// As [`Bpe::word`] where one word is the `whole` text, or goes on in it: its parts are remembered, it is not.
    pub(crate) fn text(&self, text: &[u8], whole: bool, scratch: &mut Scratch, sink: &mut impl Sink) {
        if whole && self.whole.ignores_merges() {
            self.word(text, (0, text.len()), 0, scratch, sink);
        } else {
            self.parts(text, (0, text.len()), 0, scratch, sink);
        }
    }

    /// Passes on the tokens of a word that is not one token, part by part where it has barriers.
    pub(crate) fn parts(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let mut from = start;
        self.barriers.for_each(text, start, end, |at| {
            if !self.alphabet.fuses_at(text, at) {
                self.part(text, (from, at), number, scratch, sink);
                from = at;
            }
        });
        self.part(text, (from, end), number, scratch, sink);
    }

    /// Passes on the tokens of a stretch without barriers.
    #[inline(always)]
    fn part(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        if end - start > LONGEST {
            return self.long_part(text, (start, end), number, scratch, sink);
        }
        let key = Key::new(text, start, end, Scope::Part);
        match scratch.cache.get(&key) {
            Some(entry) if entry.len() > 0 => entry.tokens(start, number, sink),
            _ => self.unknown_part(text, (start, end), number, &key, scratch, sink),
        }
    }

    #[inline(never)]
    fn unknown_part(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        key: &Key,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        scratch.merged.clear();
        match self.piece(key, false, &mut scratch.parts) {
            Some(id) => scratch.merged.push(Token { id, start, end, word: number }),
            None => self.merged(&text[start..end], start, number, scratch),
        }
        scratch.cache.put(key, start, &scratch.merged);
        scratch.merged.iter().for_each(|&token| sink.token(token));
    }

    #[inline(never)]
    fn long_part(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        number: u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let part = &text[start..end];
        let key = if part.len() <= LONG_WORD { Some(hash(part, 0)) } else { None };
        if let Some((tokens, _)) = key.and_then(|key| scratch.long_parts.get(part, 0, key)) {
            return tokens.iter().for_each(|token| sink.token(token.token(start, number)));
        }
        scratch.merged.clear();
        self.merged(part, start, number, scratch);
        if let Some(key) = key {
            scratch.long_parts.insert(part, 0, key, scratch.merged.iter().map(|token| placed(token, start)), 0);
        }
        scratch.merged.iter().for_each(|&token| sink.token(token));
    }

    /// Appends the tokens of `word`, whose first byte is byte `base` of the text, by merges alone.
    fn merged(&self, word: &[u8], base: usize, number: u32, scratch: &mut Scratch) {
        let Scratch { merger, characters, merged, .. } = scratch;
        merged.extend(self.encoded(word, merger, characters).iter().map(|symbol| Token {
            id: symbol.id,
            start: base + symbol.start as usize,
            end: base + symbol.end as usize,
            word: number,
        }));
    }

    /// The tokens of a word by the merges alone.
    pub(crate) fn encoded<'m>(&self, word: &[u8], merger: &'m mut Merger, characters: &mut Characters) -> &'m [Symbol] {
        merger.begin(word.len());
        match (&self.fragments, &self.alphabet) {
            (Some(fragments), Alphabet::Bytes { ids, .. }) if !word.is_ascii() => match std::str::from_utf8(word) {
                Ok(word) => characters.symbols((&self.merges, fragments), ids, word, merger),
                Err(_) => self.alphabet.symbols(word, merger),
            },
            _ => self.alphabet.symbols(word, merger),
        }
        merger.merge(&self.merges)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::models::bpe::initial_symbols::Symbols;

    const PIECES: [&str; 7] = ["a", "b", "c", "ab", "abc", "aa", "ba"];

    /// The merges build all pieces but "ba".
    fn toy(ignore_merges: bool) -> Bpe {
        let mut ids: Symbols = [None; 256];
        for (byte, id) in [(b'a', 0), (b'b', 1), (b'c', 2)] {
            ids[usize::from(byte)] = Some(TokenId(id));
        }
        let merges = [((0, 1), 3), ((3, 2), 4), ((0, 0), 5)];
        let pairs = merges
            .iter()
            .zip(0..)
            .map(|(&((left, right), merged), rank)| (TokenId(left), TokenId(right), rank, TokenId(merged)));
        let alphabet = Alphabet::Bytes { ids: Box::new(ids), complete: false };
        let pieces = PIECES.iter().zip(0..).map(|(piece, id)| (TokenId(id), piece.as_bytes(), false));
        Bpe::new(alphabet, PairTable::new(pairs).unwrap(), ignore_merges, pieces)
    }

    /// The tokens of consecutive words, twice.
    fn tokens(bpe: &Bpe, words: &[&str]) -> Vec<Token> {
        let text = words.concat();
        let mut scratch = Scratch::default();
        let mut once = || -> Vec<Token> {
            let (mut tokens, mut at) = (Vec::new(), 0);
            for (number, word) in words.iter().enumerate() {
                bpe.word(text.as_bytes(), (at, at + word.len()), number as u32, &mut scratch, &mut tokens);
                at += word.len();
            }
            tokens
        };
        let (first, again) = (once(), once());
        assert_eq!(first, again, "the second time from the cache");
        let spans: Vec<u8> = first.iter().flat_map(|t| text.as_bytes()[t.start..t.end].to_vec()).collect();
        assert_eq!(spans, text.as_bytes());
        first
    }

    fn ids(bpe: &Bpe, words: &[&str]) -> Vec<(u32, u32)> {
        tokens(bpe, words).iter().map(|t| (t.word, t.id.0)).collect()
    }

    #[test]
    fn words_are_merged_or_are_pieces() {
        let words = ["abcab", "aaa", "aab", "ba", "c", "abcab"];
        let merged = [(0, 4), (0, 3), (1, 5), (1, 0), (2, 0), (2, 3), (3, 1), (3, 0), (4, 2), (5, 4), (5, 3)];
        assert_eq!(ids(&toy(false), &words), merged);
        let mut ignoring = merged.to_vec();
        ignoring.splice(6..8, [(3, 6)]);
        assert_eq!(
            ids(&toy(true), &words),
            ignoring,
            "\"ba\" is a piece, but only a whole word is one whatever the merges say"
        );
    }

    #[test]
    fn words_are_encoded_alike_alone_and_among_others_short_and_long() {
        let letter = |seed: u64, i: u64| {
            b"abc"[((seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(i.wrapping_mul(1_442_695_040_888_963_407))
                >> 33)
                % 3) as usize]
        };
        let word = |seed: u64| {
            String::from_utf8((0..1 + seed % 40 + (seed % 7) * 50).map(|i| letter(seed, i)).collect()).unwrap()
        };
        let words: Vec<String> = (0..300).map(word).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let bpe = toy(false);
        let together = tokens(&bpe, &words);
        let mut at = 0;
        for (number, word) in words.iter().enumerate() {
            // Without a cache, barriers or pieces.
            let mut merger = Merger::default();
            let alone = bpe.encoded(word.as_bytes(), &mut merger, &mut Characters::default());
            let alone: Vec<_> = alone.iter().map(|s| (s.id, at + s.start as usize, at + s.end as usize)).collect();
            let among: Vec<_> =
                together.iter().filter(|t| t.word == number as u32).map(|t| (t.id, t.start, t.end)).collect();
            assert_eq!(among, alone, "{word}");
            at += word.len();
        }
    }
}
