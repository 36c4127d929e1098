//! The rewrites of a text before it is cut into words, and how `tokenizer.json` writes them.
//!
//! In: one JSON object per stage. Out: [`Normalizer`]. May import: `fields`. Read next: `pre_tokenizer`.

use crate::error::{Error, Result};
use crate::spec::fields::{unlike, Fields, Stage};
use base64::engine::{general_purpose::STANDARD, Engine as _};
use serde_json::{json, Value};

/// A rewrite of a text. For example, `Lowercase` makes "ab" of "AB".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Normalizer {
    /// BERT's: control characters, ideographs, accents and case.
    Bert {
        clean_text: bool,
        handle_chinese_chars: bool,
        /// `None`: where it lower-cases.
        strip_accents: Option<bool>,
        lowercase: bool,
    },
    /// Each byte becomes its character of GPT-2's alphabet.
    ByteLevel,
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    /// The rules of the NMT systems for control characters and spaces.
    Nmt,
    /// SentencePiece's compiled rules; the bytes of the map.
    Precompiled(Vec<u8>),
    /// This text goes before every text that is not empty.
    Prepend(String),
    Replace {
        pattern: Pattern,
        content: String,
    },
    /// White space goes at the ends.
    Strip {
        left: bool,
        right: bool,
    },
    StripAccents,
}

/// The pattern that a stage looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    String(String),
    /// A regular expression in the dialect of Oniguruma.
    Regex(String),
}

impl Pattern {
    pub(super) fn take(fields: &mut Fields) -> Result<Self> {
        let (path, value) = (fields.path_of("pattern"), fields.value("pattern"));
        let written = value.clone();
        let mut found = Fields::of(path.clone(), value)?;
        let (string, regex) = (found.get("String")?, found.get("Regex")?);
        found.end()?;
        match (string, regex) {
            (Some(string), None) => Ok(Self::String(string)),
            (None, Some(regex)) => Ok(Self::Regex(regex)),
            _ => Err(unlike(&path, &written, "one of String and Regex")),
        }
    }

    pub(super) fn write(&self) -> Value {
        match self {
            Self::String(text) => json!({"String": text}),
            Self::Regex(rule) => json!({"Regex": rule}),
        }
    }

    pub(crate) fn literal(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Regex(_) => None,
        }
    }

    pub(crate) fn regex(&self) -> Option<&str> {
        match self {
            Self::String(_) => None,
            Self::Regex(rule) => Some(rule),
        }
    }

    /// The text or the rule as it is written.
    pub(crate) fn source(&self) -> &str {
        match self {
            Self::String(source) | Self::Regex(source) => source,
        }
    }
}

impl Normalizer {
    /// The replacement of a text by another.
    pub(crate) fn literal(pattern: &str, content: &str) -> Self {
        Self::Replace { pattern: Pattern::String(pattern.into()), content: content.into() }
    }

    /// The replacement of the matches of a rule.
    pub(crate) fn regex(rule: &str, content: &str) -> Self {
        Self::Replace { pattern: Pattern::Regex(rule.into()), content: content.into() }
    }

    /// Whether it puts U+2581 for each space.
    pub(crate) fn marks_spaces(&self) -> bool {
        matches!(self, Self::Replace { pattern, content } if pattern.literal() == Some(" ") && content == "\u{2581}")
    }

    /// The rule that it runs, if any.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Replace { pattern, .. } => pattern.regex(),
            _ => None,
        }
    }

    /// Its `type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Bert { .. } => "BertNormalizer",
            Self::ByteLevel => "ByteLevel",
            Self::Lowercase => "Lowercase",
            Self::Nfc => "NFC",
            Self::Nfd => "NFD",
            Self::Nfkc => "NFKC",
            Self::Nfkd => "NFKD",
            Self::Nmt => "Nmt",
            Self::Precompiled(_) => "Precompiled",
            Self::Prepend(_) => "Prepend",
            Self::Replace { .. } => "Replace",
            Self::Strip { .. } => "Strip",
            Self::StripAccents => "StripAccents",
        }
    }
}

/// The bytes of a charsmap, which files write in base64.
fn charsmap(fields: &mut Fields) -> Result<Vec<u8>> {
    let path = fields.path_of("precompiled_charsmap");
    let text: String = fields.get("precompiled_charsmap")?.unwrap_or_default();
    STANDARD.decode(text).map_err(|error| Error::definition(path, format!("{error}: expected base64")))
}

impl Stage for Normalizer {
    const LIST: &'static str = "normalizers";
    const KINDS: &'static [&'static str] = &[
        "BertNormalizer",
        "ByteLevel",
        "Lowercase",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Nmt",
        "Precompiled",
        "Prepend",
        "Replace",
        "Strip",
        "StripAccents",
    ];

    fn read(kind: &str, fields: &mut Fields) -> Result<Option<Self>> {
        Ok(Some(match kind {
            "BertNormalizer" => Self::Bert {
                clean_text: fields.flag("clean_text")?,
                handle_chinese_chars: fields.flag("handle_chinese_chars")?,
                strip_accents: fields.get("strip_accents")?,
                lowercase: fields.flag("lowercase")?,
            },
            "ByteLevel" => Self::ByteLevel,
            "Lowercase" => Self::Lowercase,
            "NFC" => Self::Nfc,
            "NFD" => Self::Nfd,
            "NFKC" => Self::Nfkc,
            "NFKD" => Self::Nfkd,
            "Nmt" => Self::Nmt,
            "Precompiled" => Self::Precompiled(charsmap(fields)?),
            "Prepend" => Self::Prepend(fields.need("prepend")?),
            "Replace" => {
                Self::Replace { pattern: Pattern::take(fields)?, content: fields.get("content")?.unwrap_or_default() }
            }
            "Strip" => Self::Strip { left: fields.flag("strip_left")?, right: fields.flag("strip_right")? },
            "StripAccents" => Self::StripAccents,
            _ => return Ok(None),
        }))
    }

    fn write(&self) -> Value {
        let mut written = match self {
            Self::Bert { clean_text, handle_chinese_chars, strip_accents, lowercase } => json!({
                "clean_text": clean_text, "handle_chinese_chars": handle_chinese_chars,
                "strip_accents": strip_accents, "lowercase": lowercase,
            }),
            Self::Precompiled(blob) => json!({"precompiled_charsmap": STANDARD.encode(blob)}),
            Self::Prepend(prepend) => json!({"prepend": prepend}),
            Self::Replace { pattern, content } => json!({"pattern": pattern.write(), "content": content}),
            Self::Strip { left, right } => json!({"strip_left": left, "strip_right": right}),
            Self::ByteLevel | Self::Lowercase | Self::Nfc | Self::Nfd | Self::Nfkc | Self::Nfkd => json!({}),
            Self::Nmt | Self::StripAccents => json!({}),
        };
        written["type"] = self.kind().into();
        written
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::fields::{stages, written};

    #[test]
    fn each_type_is_written_as_it_is_read() {
        let all = json!([
            {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": false, "strip_accents": null,
                "lowercase": true},
            {"type": "ByteLevel"},
            {"type": "Lowercase"},
            {"type": "NFC"},
            {"type": "NFD"},
            {"type": "NFKC"},
            {"type": "NFKD"},
            {"type": "Nmt"},
            {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAAA"},
            {"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            {"type": "Strip", "strip_left": true, "strip_right": false},
            {"type": "StripAccents"},
        ]);
        let sequence = json!({"type": "Sequence", "normalizers": all});
        let found: Vec<Normalizer> = stages("normalizer", sequence.clone()).unwrap();
        assert_eq!(found.iter().map(Normalizer::kind).collect::<Vec<_>>(), Normalizer::KINDS);
        assert_eq!(written(&found), sequence);
        serde_json::from_value::<tokenizers::NormalizerWrapper>(sequence["normalizers"][11].clone()).unwrap();
    }
}
