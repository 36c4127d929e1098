//! Encodings of one text side by side: the byte positions where all of them have a cut, and the tokens between.
//!
//! Definitions in docs/proofs/alignment.md. Each encoding is walked once, which compares its bytes with the text and
//! marks its cuts as bits. The common cuts are the bits that all encodings have. The number of tokens before a cut is
//! the number of bits below it.

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::table::Kind;
use unicode_categories::UnicodeCategories;

/// One encoding to align: a tokenizer and its ids, or none to encode the text with it.
pub struct Encoding<'a> {
    /// Whose ids these are.
    pub tokenizer: &'a Tokenizer,
    /// The ids, canonical or not; `None` stands for the canonical ones.
    pub ids: Option<Vec<TokenId>>,
}

/// How encodings are aligned.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The place of the text: at the start a dummy prefix is dropped.
    pub place: TextPosition,
    /// Whether cuts inside a character are left out.
    pub characters: bool,
}

/// Several encodings of one text, and where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alignment {
    /// The text; UTF-8 unless the ids were not.
    pub text: Vec<u8>,
    /// The ids of each encoding.
    pub ids: Vec<Vec<TokenId>>,
    /// The common cuts, ascending, from 0 to the length of the text; at least these two.
    pub byte_boundaries: Vec<i64>,
    /// For each encoding: the number of its tokens before each cut.
    pub token_boundaries: Vec<Vec<i64>>,
}

/// Aligns `encodings` of `text`, or of the text that they decode to.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let spaced = coolfusion::Tokenizer::from_file("examples/toy/spaced.json".as_ref(), None)?;
/// use coolfusion::{align, Encoding, TextPosition, Rules};
/// let encodings = vec![Encoding { tokenizer: &toy, ids: None }, Encoding { tokenizer: &spaced, ids: None }];
/// let rules = Rules { place: TextPosition::Start, characters: true };
/// let aligned = align(encodings, Some(b"the cat sat on the mat"), rules)?;
/// assert_eq!(aligned.byte_boundaries, [0, 3, 7, 11, 18, 22]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Argument` where there is nothing to align, or no text to encode; `UnknownToken`; `NotAligned` where an encoding is
/// not one of the text. Complexity: O(text) for each encoding, however far it is from the canonical one.
pub fn align(encodings: Vec<Encoding<'_>>, text: Option<&[u8]>, rules: Rules) -> Result<Alignment> {
    if encodings.is_empty() {
        return Err(Error::Argument { name: "encodings", value: "[]".into(), expected: "at least one".into() });
    }
    if encodings.len() > usize::from(u16::MAX) {
        let value = format!("a list of {}", encodings.len());
        return Err(Error::Argument { name: "encodings", value, expected: "at most 65,535".into() });
    }
    let tokenizers: Vec<&Tokenizer> = encodings.iter().map(|encoding| encoding.tokenizer).collect();
    let utf8 = text.map(std::str::from_utf8);
    let mut ids = Vec::with_capacity(encodings.len());
    let mut canonical = Vec::with_capacity(encodings.len());
    for encoding in encodings {
        canonical.push(encoding.ids.is_none());
        ids.push(match (encoding.ids, &utf8) {
            (Some(ids), _) => ids,
            (None, Some(Ok(text))) => {
                encoding.tokenizer.ids(text, rules.place).map_err(|error| error.in_encoding(ids.len()))?
            }
            (None, Some(Err(error))) => {
                return Err(Error::InvalidText {
                    position: error.valid_up_to(),
                    reason: "a text to encode must be UTF-8".into(),
                })
            }
            (None, None) => {
                let expected = "a text, because a tokenizer was given without ids".into();
                return Err(Error::Argument { name: "text", value: "None".into(), expected });
            }
        });
    }
    let decoded = |number: usize| {
        tokenizers[number].decode_bytes(&ids[number], rules.place).map_err(|error| error.in_encoding(number))
    };
    let spelled = |text: &[u8]| -> Vec<Option<Cuts>> {
        (0..ids.len()).map(|number| Cuts::spelled(tokenizers[number], &ids[number], text, rules.place)).collect()
    };
    // Nearly always all say the same: then no other one is decoded.
    let mut whole = text.map_or_else(|| decoded(0), |text| Ok(text.to_vec()))?;
    let mut cuts = spelled(&whole);
    if cuts.iter().any(Option::is_none) {
        let bytes = (0..ids.len()).map(decoded).collect::<Result<Vec<_>>>()?;
        if text.is_none() {
            whole = common_text(&tokenizers, &bytes)?;
            cuts = spelled(&whole);
        }
        for number in 0..ids.len() {
            if cuts[number].is_none() {
                let encoding =
                    Lossy { number, tokenizer: tokenizers[number], ids: &ids[number], bytes: &bytes[number] };
                cuts[number] = Some(Cuts::placed(encoding.spans(&whole, canonical[number], rules.place)?, whole.len()));
            }
        }
    }
    let cuts: Vec<Cuts> = cuts.into_iter().flatten().collect();
    let (byte_boundaries, token_boundaries) = common(&cuts, &whole, rules.characters);
    Ok(Alignment { text: whole, ids, byte_boundaries, token_boundaries })
}

/// The text of the ids if all decode to the same bytes; else the text of the ids of lossless tokenizers.
fn common_text(tokenizers: &[&Tokenizer], bytes: &[Vec<u8>]) -> Result<Vec<u8>> {
    let first = &bytes[0];
    if bytes.iter().all(|other| other == first) {
        return Ok(first.clone());
    }
    // Every SentencePiece vocabulary loses U+2581: it speaks for the text only where no other one can.
    let any = tokenizers.iter().any(|tokenizer| tokenizer.is_lossless(true));
    let mut lossless = (0..bytes.len()).filter(|&number| tokenizers[number].is_lossless(any));
    let Some(chosen) = lossless.next() else {
        return Err(Error::Argument {
            name: "text",
            value: "None".into(),
            expected:
                "the text, because the encodings decode to different ones and no tokenizer among them is lossless"
                    .into(),
        });
    };
    match lossless.find(|&number| bytes[number] != bytes[chosen]) {
        None => Ok(bytes[chosen].clone()),
        Some(number) => {
            let why = format!("both tokenizers are lossless, and encoding {chosen} decodes to other bytes");
            Err(not_aligned(number, tokenizers[number], &bytes[number], &bytes[chosen], why))
        }
    }
}

fn not_aligned(number: usize, tokenizer: &Tokenizer, found: &[u8], expected: &[u8], why: String) -> Error {
    let position = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let shown = |bytes: &[u8]| match bytes.get(position..) {
        None | Some([]) => "the end of the text".to_owned(),
        Some(rest) => format!("{:?}", String::from_utf8_lossy(&rest[..rest.len().min(16)])),
    };
    let (found, expected) = (shown(found), shown(expected));
    Error::NotAligned { encoding: number, tokenizer: tokenizer.name().into(), position, found, expected, why }
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// An encoding whose bytes are not those of the text.
struct Lossy<'a> {
    number: usize,
    tokenizer: &'a Tokenizer,
    ids: &'a [TokenId],
    bytes: &'a [u8],
}

impl Lossy<'_> {
    /// A span for each id, by the canonical encoding, which knows its places in the text.
    fn spans(&self, text: &[u8], canonical: bool, place: TextPosition) -> Result<Vec<Span>> {
        let refused = |why: &str| Err(not_aligned(self.number, self.tokenizer, self.bytes, text, why.into()));
        let Ok(utf8) = std::str::from_utf8(text) else {
            return refused("the text is not UTF-8, so that it has no canonical encoding to compare with");
        };
        let mut tokens = self.tokenizer.encode(utf8, place)?;
        take_marks(&mut tokens, utf8);
        if let Some(head) = if canonical { Some(0) } else { self.head(&tokens) } {
            return Ok(ordered(self.framed(&tokens, head, text.len())));
        }
        match self.through_bytes(&tokens, text.len(), place)? {
            Some(spans) => Ok(ordered(spans)),
            None => refused("nor are these the bytes that the tokenizer makes of the text"),
        }
    }

    /// The number of control tokens before the canonical ids, where all other ids are control tokens after them.
    fn head(&self, tokens: &[Token]) -> Option<usize> {
        let around = self.ids.len().checked_sub(tokens.len())?;
        let control = |id: &TokenId| self.tokenizer.vocabulary().kind(*id) == Kind::Control;
        let most = self.ids.iter().take_while(|id| control(id)).count().min(around);
        (0..=most).find(|&head| {
            let (inner, after) = self.ids[head..].split_at(tokens.len());
            after.iter().all(control) && inner.iter().eq(tokens.iter().map(|token| &token.id))
        })
    }

    fn framed(&self, tokens: &[Token], head: usize, length: usize) -> Vec<Span> {
        let mut spans = vec![Span { start: 0, end: 0 }; head];
        spans.extend(tokens.iter().map(|token| Span { start: token.start, end: token.end }));
        spans.resize(self.ids.len(), Span { start: length, end: length });
        spans
    }

    /// The spans by way of the bytes, where these are the bytes of the canonical ids. Both encodings then cut one
    /// string of bytes, and the canonical tokens give the text position of each common cut. All tokens between two such
    /// cuts share one span.
    fn through_bytes(&self, tokens: &[Token], length: usize, place: TextPosition) -> Result<Option<Vec<Span>>> {
        let canonical: Vec<TokenId> = tokens.iter().map(|token| token.id).collect();
        if self.tokenizer.decode_bytes(&canonical, place)? != self.bytes {
            return Ok(None);
        }
        let cuts = |ids| Cuts::spelled(self.tokenizer, ids, self.bytes, place);
        let (Some(own), Some(theirs)) = (cuts(self.ids), cuts(&canonical)) else { return Ok(None) };
        let (_, counts) = common(&[own, theirs], self.bytes, false);
        let mut spans = Vec::with_capacity(self.ids.len());
        let mut start = 0;
        for (own, theirs) in counts[0].windows(2).zip(counts[1].windows(2)) {
            let group = &tokens[theirs[0] as usize..theirs[1] as usize];
            let from = group.iter().map(|token| token.start).min().unwrap_or(start);
            let end = group.iter().map(|token| token.end).max().unwrap_or(from);
            // The canonical tokens may overlap: then these do, and there is no cut between.
            spans.resize(spans.len() + (own[1] - own[0]) as usize, Span { start: from, end });
            start = end.min(length);
        }
        Ok(Some(spans))
    }
}

/// Gives marks without a token to the token before them. The reason is that some normalizers drop marks or compose a
/// letter with them, and then report the place of the letter alone.
fn take_marks(tokens: &mut [Token], text: &str) {
    let mut reached = 0;
    for index in 0..tokens.len() {
        reached = reached.max(tokens[index].end);
        let next = tokens.get(index + 1).map_or(text.len(), |token| token.start);
        if let Some(gap) = text.get(reached..next).filter(|_| tokens[index].end > tokens[index].start) {
            reached += gap.chars().take_while(|&c| c.is_mark() || is_jamo(c)).map(char::len_utf8).sum::<usize>();
            tokens[index].end = tokens[index].end.max(reached);
        }
    }
}

/// Vowels and final consonants of Hangul, which join the syllable before them.
fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}')
}

/// The spans, each start lowered to the least start after it, because offsets of a library need not be in order.
fn ordered(mut spans: Vec<Span>) -> Vec<Span> {
    let mut least = usize::MAX;
    for span in spans.iter_mut().rev() {
        least = least.min(span.start);
        span.start = least;
    }
    spans
}

/// The cuts of one encoding.
struct Cuts {
    tokens: usize,
    /// A bit for each position in the text and its end: a cut of this encoding, but for the start.
    bits: Vec<u64>,
    placed: Placed,
}

/// The places of the tokens of an encoding in the text.
enum Placed {
    /// One after the other, each as long as its bytes; and the places of those without bytes, ascending.
    Bytes(Vec<usize>),
    /// The spans of the canonical encoding.
    Spans(Vec<Span>),
}

const WORD: usize = u64::BITS as usize;

impl Cuts {
    /// Those of `ids` if their bytes are `text`.
    fn spelled(tokenizer: &Tokenizer, ids: &[TokenId], text: &[u8], place: TextPosition) -> Option<Self> {
        let mut bits = vec![0; text.len() / WORD + 1];
        let mut empty = Vec::new();
        // Each word is written again for each cut in it and never read, so that no read waits for the last write.
        let (mut index, mut word) = (0, 0);
        let same = tokenizer.decode_rules().spells(tokenizer.vocabulary(), ids, text, place, |at, any| {
            word = if at / WORD == index { word } else { 0 } | 1 << (at % WORD);
            index = at / WORD;
            bits[index] = word;
            if !any {
                empty.push(at);
            }
        });
        bits[0] &= !1;
        same.then_some(Self { tokens: ids.len(), bits, placed: Placed::Bytes(empty) })
    }

    fn placed(spans: Vec<Span>, length: usize) -> Self {
        let mut bits = vec![0; length / WORD + 1];
        let mut mark = |at: usize| bits[at / WORD] |= 1 << (at % WORD);
        let mut reached = 1;
        for span in &spans {
            (reached..=span.start).for_each(&mut mark);
            reached = reached.max(span.end);
        }
        (reached..length).for_each(mark);
        Self { tokens: spans.len(), bits, placed: Placed::Spans(spans) }
    }

    /// The number of tokens before each of the cuts `common`, at `positions` without the last one. Tokens without bytes
    /// at a cut belong to the next group.
    fn counts(&self, common: &[u64], positions: &[i64]) -> Vec<i64> {
        let mut counts = Vec::with_capacity(positions.len());
        counts.push(0);
        match &self.placed {
            Placed::Bytes(empty) => {
                let mut before = 0;
                for (&common, &own) in common.iter().zip(&self.bits) {
                    let mut rest = common;
                    while rest != 0 {
                        // The cut and all bits below it.
                        counts.push(before + i64::from((own & (rest ^ (rest - 1))).count_ones()));
                        rest &= rest - 1;
                    }
                    before += i64::from(own.count_ones());
                }
                if !empty.is_empty() {
                    let mut passed = 0;
                    for (count, &position) in counts.iter_mut().zip(positions).skip(1) {
                        while empty.get(passed).is_some_and(|&at| (at as i64) < position) {
                            passed += 1;
                        }
                        *count += passed as i64;
                    }
                }
            }
            Placed::Spans(spans) => {
                let mut next = 0;
                for &at in &positions[1..positions.len() - 1] {
                    while spans.get(next).is_some_and(|span| (span.start as i64) < at) {
                        next += 1;
                    }
                    counts.push(next as i64);
                }
            }
        }
        counts.push(self.tokens as i64);
        counts
    }
}

/// The common cuts of `encodings` in `text`, and the tokens of each before them.
fn common(encodings: &[Cuts], text: &[u8], characters: bool) -> (Vec<i64>, Vec<Vec<i64>>) {
    let mut all = encodings[0].bits.clone();
    for other in &encodings[1..] {
        all.iter_mut().zip(&other.bits).for_each(|(all, other)| *all &= other);
    }
    // The end is a cut in any case.
    all[text.len() / WORD] &= (1 << (text.len() % WORD)) - 1;
    let mut positions = Vec::with_capacity(2 + all.iter().map(|word| word.count_ones() as usize).sum::<usize>());
    positions.push(0);
    for (index, word) in all.iter_mut().enumerate() {
        let mut rest = *word;
        while rest != 0 {
            let at = WORD * index + rest.trailing_zeros() as usize;
            if characters && text[at] & 0xC0 == 0x80 {
                *word &= !(rest & rest.wrapping_neg());
            } else {
                positions.push(at as i64);
            }
            rest &= rest - 1;
        }
    }
    positions.push(text.len() as i64);
    let mut counts: Vec<Vec<i64>> = encodings.iter().map(|encoding| encoding.counts(&all, &positions)).collect();
    if encodings.iter().all(|encoding| matches!(encoding.placed, Placed::Spans(_))) {
        drop_empty_groups(&mut positions, &mut counts);
    }
    (positions, counts)
}

/// Of the cuts with no token of any encoding between them the first one stays, at the end of the text the last one.
///
/// Text without tokens then goes with the tokens after it.
fn drop_empty_groups(positions: &mut Vec<i64>, counts: &mut [Vec<i64>]) {
    let last = positions.len() - 1;
    let said = |from: usize, to: usize| counts.iter().any(|counts| counts[from] != counts[to]);
    let mut kept = vec![0];
    for index in 1..last {
        if said(index - 1, index) && said(index, last) {
            kept.push(index);
        }
    }
    kept.push(last);
    for list in std::iter::once(positions).chain(counts) {
        *list = kept.iter().map(|&index| list[index]).collect();
    }
}
