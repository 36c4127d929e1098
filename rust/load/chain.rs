//! The decoder section, read whole and in order: the bytes that each vocabulary entry adds to a text.
//!
//! Source: `decoders/` of the `tokenizers` crate, 0.23. A decoder maps a list of strings, one a token. Most stages map
//! each string on its own; some map the first or the last one differently. `Fuse`, `ByteLevel` and the end of the
//! section join the list. Every other stage depends on several tokens and is refused by name.

use crate::error::{Error, Result};
use crate::spec::decoder::Decoder as Stage;
use crate::spec::normalizer::Pattern;
use crate::util::byte_alphabet;
use crate::vocabulary::decode_rules::Joints;
use std::borrow::Cow;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::Decoder;

/// The effect of a stage on the string of one token.
enum Op {
    /// Every occurrence of a text becomes another.
    Literal(String, String),
    /// The same with a regular expression, run by the library.
    Pattern(Box<Replace>),
    /// At most these numbers of this character are removed at the start and at the end.
    Strip(char, usize, usize),
    /// The mark is a space; in the first token it is nothing, if so.
    Mark(char, bool),
    /// The suffix is a space, in the last token nothing.
    Suffix(String),
    /// A prefix goes, or a space comes; not in the first token. Then typographic spaces go, if so.
    Words(String, bool),
}

/// The place of a token in the list.
#[derive(Clone, Copy)]
struct Spot {
    first: bool,
    last: bool,
}

/// The place of a token in a text that has begun and then ends: a space that it owes is not written.
const LATER: Spot = Spot { first: false, last: true };

/// The decoder section, such as `ByteFallback` and `Fuse`.
#[derive(Default)]
pub(crate) struct Chain {
    /// There is no decoder: one space is put between tokens.
    spaced: bool,
    ops: Vec<Op>,
    /// The number of stages after which `<0xNN>` is a byte.
    bytes_after: Option<usize>,
    byte_level: bool,
    /// Replacements in the joined text, of texts that no two tokens share.
    joined: Vec<(String, String)>,
    /// The character that is removed at the start of the joined text, and how often at most.
    strip: Option<(char, usize)>,
    notes: Vec<String>,
}

/// The rules by which the tokens of a vocabulary join.
pub(crate) struct Noted {
    pub(super) drops_first_space: bool,
    pub(super) joints: Joints,
}

/// The byte that `ByteFallback` reads in a string.
pub(crate) fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn refused<T>(stage: &str, why: &str) -> Result<T> {
    Err(Error::definition(
        "decoder",
        format!("{stage} {why}: the text of a token would depend on others, expected stages that map tokens"),
    ))
}

/// The spaces that the library takes away before punctuation and in English short forms.
fn cleaned(text: &str) -> Cow<'_, str> {
    const FORMS: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    // Nearly all words hold none of them.
    let mut spaces = text.match_indices(' ').map(|(at, _)| &text[at..]);
    if !spaces.any(|rest| FORMS.iter().any(|(from, _)| rest.starts_with(from))) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = Cow::Borrowed(text);
    for (from, to) in FORMS {
        if cleaned.contains(from) {
            cleaned = Cow::Owned(cleaned.replace(from, to));
        }
    }
    cleaned
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

impl Op {
    fn run<'a>(&self, token: Cow<'a, str>, spot: Spot) -> Result<Cow<'a, str>> {
        Ok(match self {
            Self::Literal(from, to) if token.contains(from.as_str()) => token.replace(from.as_str(), to).into(),
            Self::Literal(..) => token,
            Self::Pattern(stage) => {
                let mapped = stage.decode_chain(vec![token.into_owned()]);
                let mapped = mapped.map_err(|error| Error::definition("decoder", format!("Replace: {error}")))?;
                mapped.concat().into()
            }
            &Self::Strip(c, start, stop) => {
                let mut rest = &*token;
                (0..start).for_each(|_| rest = rest.strip_prefix(c).unwrap_or(rest));
                (0..stop).for_each(|_| rest = rest.strip_suffix(c).unwrap_or(rest));
                if rest.len() == token.len() {
                    token
                } else {
                    rest.to_string().into()
                }
            }
            &Self::Mark(mark, goes) if token.contains(mark) => {
                token.replace(mark, if goes && spot.first { "" } else { " " }).into()
            }
            Self::Mark(..) => token,
            Self::Suffix(suffix) if token.contains(suffix.as_str()) => {
                token.replace(suffix.as_str(), if spot.last { "" } else { " " }).into()
            }
            Self::Suffix(_) => token,
            Self::Words(prefix, cleans) => {
                let word = match (spot.first, token.strip_prefix(prefix.as_str())) {
                    (true, _) => token,
                    (false, Some(rest)) => rest.to_string().into(),
                    (false, None) => format!(" {token}").into(),
                };
                match if *cleans { cleaned(&word) } else { Cow::Borrowed("") } {
                    Cow::Owned(cleaned) => cleaned.into(),
                    Cow::Borrowed(_) => word,
                }
            }
        })
    }
}

impl Chain {
    /// Reads a decoder section. `has_bytes`: some entry is a byte piece; else `ByteFallback` does nothing.
    pub(super) fn new(decoders: Option<&[Stage]>, has_bytes: bool) -> Result<Self> {
        let Some(decoders) = decoders else { return Ok(Self { spaced: true, ..Self::default() }) };
        let mut chain = Self::default();
        let mut joined = false;
        for stage in decoders {
            if joined {
                chain.add_joined(stage)?;
                continue;
            }
            match stage {
                Stage::Fuse => joined = true,
                Stage::ByteLevel => {
                    if chain.bytes_after.is_some() {
                        return refused("ByteLevel", "after ByteFallback");
                    }
                    (joined, chain.byte_level) = (true, true);
                }
                Stage::ByteFallback if !has_bytes => {}
                Stage::ByteFallback if chain.bytes_after.is_some() => return refused("ByteFallback", "twice"),
                Stage::ByteFallback => chain.bytes_after = Some(chain.ops.len()),
                Stage::Ctc => return refused("CTC", "drops what comes twice"),
                Stage::Bpe { .. }
                | Stage::Metaspace(_)
                | Stage::Replace { .. }
                | Stage::Strip { .. }
                | Stage::WordPiece { .. } => chain.add_op(stage)?,
            }
        }
        if chain.knows_last() && chain.bytes_after.is_some() {
            return refused("BPEDecoder", "together with ByteFallback");
        }
        Ok(chain)
    }

    /// A stage that maps the string of each token.
    fn add_op(&mut self, stage: &Stage) -> Result<()> {
        let Some(op) = Self::op(stage)? else { return Ok(()) };
        if self.bytes_after.is_some() {
            let each = match &op {
                Op::Literal(from, _) => single(from).is_some(),
                // Byte tokens at the start are one token here, so a mark among them is removed at any place.
                Op::Mark(mark, goes) => !(*goes && mark.is_ascii()),
                _ => false,
            };
            let name = stage.kind();
            if !each {
                return refused(name, "after ByteFallback");
            }
            let note =
                format!("decoder: {name} after ByteFallback is not applied to a character that byte tokens spell");
            self.notes.push(note);
        }
        self.ops.push(op);
        Ok(())
    }

    /// The effect of a stage on the string of one token; `None` of a stage that treats the list.
    fn op(stage: &Stage) -> Result<Option<Op>> {
        Ok(Some(match stage {
            Stage::Replace { pattern: Pattern::String(from), content } if !from.is_empty() => {
                Op::Literal(from.clone(), content.clone())
            }
            Stage::Replace { pattern, content } => {
                let pattern = match pattern {
                    Pattern::String(text) => ReplacePattern::String(text.clone()),
                    Pattern::Regex(rule) => ReplacePattern::Regex(rule.clone()),
                };
                let replace = Replace::new(pattern, content.clone());
                Op::Pattern(Box::new(replace.map_err(|error| Error::definition("decoder", error.to_string()))?))
            }
            Stage::Strip { content, start, stop } => Op::Strip(*content, *start, *stop),
            Stage::Metaspace(metaspace) => Op::Mark(metaspace.replacement, metaspace.prepends()),
            Stage::Bpe { suffix } => Op::Suffix(suffix.clone()),
            Stage::WordPiece { prefix, cleanup } => Op::Words(prefix.clone(), *cleanup),
            Stage::ByteFallback | Stage::ByteLevel | Stage::Ctc | Stage::Fuse => return Ok(None),
        }))
    }

    /// A stage that sees the joined text as one token, which is the first and the last.
    fn add_joined(&mut self, stage: &Stage) -> Result<()> {
        let name = stage.kind();
        let Some(op) = Self::op(stage)? else {
            return if *stage == Stage::Fuse { Ok(()) } else { refused(name, "after a stage that joins the tokens") };
        };
        match op {
            Op::Literal(from, to) if single(&from).is_some() => self.add_replacement(name, from, to)?,
            Op::Mark(mark, goes) => self.add_replacement(name, mark.into(), if goes { "" } else { " " }.into())?,
            Op::Suffix(suffix) if single(&suffix).is_some() => self.add_replacement(name, suffix, String::new())?,
            Op::Words(_, false) | Op::Strip(_, 0, 0) => {}
            Op::Strip(content, ..) if !content.is_ascii() && (self.byte_level || self.reads_bytes()) => {
                return refused(name, "of a character that several tokens may spell");
            }
            Op::Strip(content, start, 0) => match self.strip {
                None => self.strip = Some((content, start)),
                Some((before, count)) if before == content => self.strip = Some((content, count + start)),
                Some(_) => return refused(name, "twice after a stage that joins the tokens"),
            },
            Op::Literal(..) | Op::Pattern(_) | Op::Suffix(_) | Op::Words(..) | Op::Strip(..) => {
                return refused(name, "after a stage that joins the tokens");
            }
        }
        Ok(())
    }

    fn add_replacement(&mut self, name: &str, from: String, to: String) -> Result<()> {
        if self.strip.is_some() {
            return refused(name, "after Strip of the joined text");
        }
        if self.byte_level || self.bytes_after.is_some() {
            self.notes.push(format!(
                "decoder: {name} of the joined text is not applied to a character that several tokens spell"
            ));
        }
        self.joined.push((from, to));
        Ok(())
    }

    /// Whether an entry is its spelling in GPT-2's alphabet.
    pub(super) fn is_byte_level(&self) -> bool {
        self.byte_level && self.ops.is_empty() && self.joined.is_empty()
    }

    /// Whether an entry is its text with spaces for U+2581, byte pieces being bytes as `bytes` says.
    pub(super) fn is_marked(&self, bytes: bool) -> bool {
        let mark = match self.ops.as_slice() {
            [Op::Literal(from, to)] => from == "\u{2581}" && to == " ",
            [Op::Mark(mark, _)] => *mark == '\u{2581}',
            _ => false,
        };
        mark && self.bytes_after.is_some() == bytes && !self.byte_level && self.joined.is_empty()
    }

    pub(super) fn reads_bytes(&self) -> bool {
        self.bytes_after.is_some()
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the first token of a text is decoded in another way.
    fn knows_first(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Words(..) | Op::Mark(_, true)))
    }

    fn knows_last(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Suffix(_)))
    }

    /// Appends the bytes that `token` adds at `spot`.
    fn spell(&self, token: &str, spot: Spot, bytes: &mut Vec<u8>) -> Result<()> {
        let mut decoded = Cow::Borrowed(token);
        for (index, op) in self.ops.iter().enumerate() {
            if self.bytes_after == Some(index) {
                if let Some(byte) = byte_piece(&decoded) {
                    return self.spell_byte(byte, index, spot, bytes);
                }
            }
            decoded = op.run(decoded, spot)?;
        }
        if let Some(byte) = byte_piece(&decoded).filter(|_| self.bytes_after == Some(self.ops.len())) {
            return self.spell_byte(byte, self.ops.len(), spot, bytes);
        }
        let start = bytes.len();
        if self.byte_level {
            byte_alphabet::write(&decoded, bytes)
        } else {
            bytes.extend_from_slice(decoded.as_bytes())
        }
        self.finish(start, bytes);
        Ok(())
    }

    fn spell_byte(&self, byte: u8, stage: usize, spot: Spot, bytes: &mut Vec<u8>) -> Result<()> {
        let start = bytes.len();
        if byte.is_ascii() {
            let mut decoded = Cow::Owned(char::from(byte).to_string());
            for op in &self.ops[stage..] {
                decoded = op.run(decoded, spot)?;
            }
            bytes.extend_from_slice(decoded.as_bytes());
        } else {
            bytes.push(byte);
        }
        self.finish(start, bytes);
        Ok(())
    }

    /// Applies the replacements of the joined text to `bytes` from `start` on.
    fn finish(&self, start: usize, bytes: &mut Vec<u8>) {
        for (from, to) in &self.joined {
            let from = from.as_bytes();
            let mut at = start;
            while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
                at += found;
                bytes.splice(at..at + from.len(), to.bytes());
                at += to.len();
            }
        }
    }

    /// Appends the bytes that `token` adds to a text that has begun.
    pub(super) fn write(&self, token: &str, bytes: &mut Vec<u8>) -> Result<()> {
        if self.spaced {
            bytes.push(b' ');
            bytes.extend_from_slice(token.as_bytes());
            return Ok(());
        }
        match self.ops.as_slice() {
            // Nearly all files, and vocabularies are large.
            [Op::Literal(mark, space)] if self.is_simple() => write_replaced(token, mark, space, bytes),
            [Op::Mark(mark, _)] if self.is_simple() => write_replaced(token, mark.encode_utf8(&mut [0; 4]), " ", bytes),
            _ => return self.spell(token, LATER, bytes),
        }
        Ok(())
    }

    /// The same for an added token, which is no part of a character. Where GPT-2's alphabet makes no text of it ("é"
    /// would be a byte alone), its text is its own content.
    pub(super) fn write_added(&self, token: &str, bytes: &mut Vec<u8>) -> Result<()> {
        let start = bytes.len();
        self.write(token, bytes)?;
        if self.byte_level && std::str::from_utf8(&bytes[start..]).is_err() {
            bytes.truncate(start);
            bytes.extend_from_slice(token.as_bytes());
        }
        Ok(())
    }

    fn is_simple(&self) -> bool {
        !self.byte_level && self.joined.is_empty() && self.bytes_after.is_none()
    }

    /// Records in `noted` how `token` (`id`) differs at the start and at the end of a text; `later` are its bytes
    /// elsewhere.
    fn note(&self, id: u32, token: &str, later: &[u8], noted: &mut Noted) -> Result<()> {
        let of = |spot: Spot| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            self.spell(token, spot, &mut bytes)?;
            Ok(bytes)
        };
        if self.byte_level && of(LATER)? != later {
            // An added token whose text is its content everywhere.
            return Ok(());
        }
        if self.knows_last() {
            let only = of(Spot { first: true, last: true })?;
            let (first, inner) = (of(Spot { first: true, last: false })?, of(Spot { first: false, last: false })?);
            match (inner.strip_suffix(b" ") == Some(later), first.strip_suffix(b" ") == Some(&only)) {
                (true, true) => noted.joints.owe(id),
                _ if inner == later && first == only => {}
                _ => return refused("BPEDecoder", &format!("with the suffix inside {token:?}")),
            }
        }
        if self.knows_first() {
            if let [Op::Mark(mark, true)] = self.ops.as_slice() {
                // One mark at the start, and no other space: the dropped space would be dropped anyway.
                let marks = token.matches(*mark).count();
                if marks == usize::from(token.starts_with(*mark))
                    && !token.is_empty()
                    && !(marks == 0 && later.starts_with(b" "))
                {
                    return Ok(());
                }
            }
            let first = of(Spot { first: true, last: true })?;
            // A token without text can still be the first one.
            if later.is_empty() || later.strip_prefix(b" ").unwrap_or(later) != first {
                noted.joints.first.insert(id, first.into());
            }
        }
        Ok(())
    }

    /// Whether some token may differ at the start or the end of a text.
    pub(super) fn has_joints(&self) -> bool {
        self.knows_first() || self.knows_last()
    }

    /// How `tokens` differ at the start and the end; each comes with its bytes in a text that has begun.
    pub(super) fn noted<'a>(&self, tokens: impl Iterator<Item = (u32, &'a str, &'a [u8])>) -> Result<Noted> {
        let mut noted = Noted { drops_first_space: self.spaced || self.knows_first(), joints: Joints::default() };
        match self.strip {
            None | Some((_, 0)) => {}
            // The flag counts text, not tokens: so it cannot mean both.
            Some((' ', 1)) if !self.has_joints() && !self.spaced => noted.drops_first_space = true,
            Some((content, most)) => noted.joints.strip = Some((content.to_string().into_bytes().into(), most as u32)),
        }
        if self.has_joints() {
            for (id, token, later) in tokens {
                self.note(id, token, later, &mut noted)?;
            }
        }
        Ok(noted)
    }
}

/// Appends `token` with `to` for every `from`.
fn write_replaced(token: &str, from: &str, to: &str, bytes: &mut Vec<u8>) {
    for (index, part) in token.split(from).enumerate() {
        if index > 0 {
            bytes.extend_from_slice(to.as_bytes());
        }
        bytes.extend_from_slice(part.as_bytes());
    }
}
