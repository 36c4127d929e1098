//! The load probe: a few hundred short encodings that find the kinds of text that a tokenizer loses, before it matters.

use crate::boundaries::{word_boundaries, Method};
use crate::error::Result;
use crate::tokenizer::{Probe, Tokenizer};
use crate::tokens::token::TextPosition;
use crate::util::byte_set::ByteSet;

/// Texts whose loss has a name.
const TEXTS: [(&str, &str); 20] = [
    ("plain English", "The quick brown fox, 12 boxes."),
    ("a leading space", " leading"),
    ("two leading spaces", "  two"),
    ("runs of spaces", "a  b   c"),
    ("a trailing space", "trailing "),
    ("newlines", "a\nb\n\nc"),
    ("carriage returns", "a\r\nb"),
    ("tabs", "a\tb"),
    ("no-break and ideographic spaces", "a\u{a0}b\u{3000}c"),
    ("capital letters", "ABC Def"),
    ("punctuation and brackets", "{x} [y] <z> ~`^|\\"),
    ("text that is not in NFC", "e\u{301} \u{1e9b}\u{323}"),
    ("text that is not in NFC", "a\u{30a} \u{212b}"),
    ("text that is not in NFC", "\u{1112}\u{1161}\u{11ab}"),
    ("compatibility characters", "\u{ff46}\u{ff55}\u{ff4c}\u{ff4c} \u{fb01} \u{2460}"),
    ("accents", "na\u{ef}ve caf\u{e9}"),
    (
        "Chinese, Hindi and Thai",
        "\u{4f60}\u{597d} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947} \u{e2a}\u{e27}\u{e31}\u{e2a}\u{e14}\u{e35}",
    ),
    ("emoji and rare characters", "\u{1f600} \u{1f468}\u{200d}\u{1f469} \u{13000}\u{e000}"),
    ("text that looks like a control token", "<s> </s> <unk> <|endoftext|> [CLS]"),
    ("text that spells a byte piece", "<0x41>"),
];

impl Probe {
    pub(crate) fn run(tokenizer: &Tokenizer) -> Result<Self> {
        let mut lost: Vec<String> = Vec::new();
        for (what, text) in TEXTS {
            if lost.last().is_none_or(|last| last != what) && tokenizer.first_loss(text, TextPosition::Start)?.is_some()
            {
                lost.push(what.to_string());
            }
        }
        let mut controls = Vec::new();
        for code in (0u8..0x20).chain([0x7f]).filter(|c| !matches!(c, b'\t' | b'\n' | b'\r')) {
            let text = format!("a{}b", char::from(code));
            if tokenizer.first_loss(&text, TextPosition::Start)?.is_some() {
                controls.push(format!("{code:02X}"));
            }
        }
        if !controls.is_empty() {
            lost.push(format!("control bytes {}", controls.join(" ")));
        }
        let missing = missing_bytes(tokenizer)?;
        if !missing.is_empty() {
            lost.push(format!("characters with the bytes {}", missing.join(" ")));
        }
        let around = |token: &str| tokenizer.first_loss(&format!("a{token}b"), TextPosition::Start);
        for token in tokenizer.added_text().filter(|token| !token.contains('\u{2581}')).take(4) {
            if around(token)?.is_some() {
                lost.push(format!("text around added tokens such as {token}"));
                break;
            }
        }
        let lost_text = lost.clone();
        if tokenizer.first_loss("a\u{2581}b", TextPosition::Start)?.is_some() {
            lost.push("U+2581, the vocabulary's own mark for a space".into());
        }
        let seen = single_bytes(tokenizer)?;
        let english = "It was late and the dog slept";
        let says_english = tokenizer.tokens_if_any(english, TextPosition::Start)?.is_some();
        let mut methods = Vec::new();
        for (name, method) in [
            ("bytes", Method::Bytes),
            ("word_ids", Method::WordIds),
            ("offsets", Method::Offsets),
            ("decode", Method::Decode),
        ] {
            if says_english && !word_boundaries(tokenizer, english, method)?.is_empty() {
                methods.push(name);
            }
        }
        Ok(Self { lost, lost_text, every_byte: seen == ByteSet::ALL, dummy_prefix: dummy_prefix(tokenizer)?, methods })
    }
}

/// Which bytes are tokens by themselves.
fn single_bytes(tokenizer: &Tokenizer) -> Result<ByteSet> {
    let vocabulary = tokenizer.vocabulary();
    let mut seen = ByteSet::default();
    for id in vocabulary.ids(crate::vocabulary::table::Kind::Text) {
        if let [byte] = vocabulary.bytes(id, 0)? {
            seen.insert(*byte);
        }
    }
    Ok(seen)
}

/// The bytes of characters beyond ASCII that a vocabulary of bytes lacks, and texts with them lose.
fn missing_bytes(tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let seen = single_bytes(tokenizer)?;
    let mut missing = Vec::new();
    if !(0x80..=0xFF).any(|byte| seen.contains(byte)) {
        return Ok(missing);
    }
    // All bytes that UTF-8 text can contain (RFC 3629).
    for byte in (0x80..=0xF4u8).filter(|&byte| !seen.contains(byte) && !matches!(byte, 0xC0 | 0xC1)) {
        let (first, last) = match byte {
            0x80..=0xBF => (u32::from(byte), u32::from(byte)),
            0xC2..=0xDF => (u32::from(byte - 0xC0) << 6, (u32::from(byte - 0xC0) << 6) + 0x3F),
            0xE0..=0xEF => ((u32::from(byte - 0xE0) << 12).max(0x800), (u32::from(byte - 0xE0) << 12) + 0x7FF),
            _ => ((u32::from(byte - 0xF0) << 18).max(0x10000), (u32::from(byte - 0xF0) << 18) + 0xFFFF),
        };
        for c in [first, first + (last - first) / 2, last].into_iter().filter_map(char::from_u32) {
            if tokenizer.first_loss(&format!("a{c}b"), TextPosition::Start)?.is_some() {
                missing.push(format!("{byte:02X}"));
                break;
            }
        }
    }
    Ok(missing)
}

/// The dummy prefix in words, found by comparing `word` at the start of a text with `word` after other text.
fn dummy_prefix(tokenizer: &Tokenizer) -> Result<String> {
    let ids = |text: &str, place| tokenizer.tokens_if_any(text, place);
    let (start, inside) = (ids("word", TextPosition::Start)?, ids("word", TextPosition::Continuation)?);
    let (spaced_start, spaced_inside) = (ids(" word", TextPosition::Start)?, ids(" word", TextPosition::Continuation)?);
    Ok(if start == inside && spaced_start == spaced_inside {
        "none"
    } else if spaced_start == spaced_inside {
        "a space, unless the text begins with one (a leading space is lost)"
    } else {
        "a space before every text"
    }
    .into())
}
