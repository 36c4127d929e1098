//! How tokens become text, and how `tokenizer.json` writes it.
//!
//! In: one JSON object per stage. Out: [`Decoder`]. May import: `fields`, and `normalizer` and `pre_tokenizer` for the
//! types that they share. Read next: `json`.

use crate::error::Result;
use crate::spec::fields::{Fields, Stage};
use crate::spec::normalizer::Pattern;
use crate::spec::pre_tokenizer::Metaspace;
use serde_json::{json, Value};

/// A step from the strings of tokens to a text. For example, `Fuse` makes "ab" of "a" and "b".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// The suffix is a space, in the last token nothing.
    Bpe {
        suffix: String,
    },
    /// `<0x41>` is a byte.
    ByteFallback,
    /// Characters of GPT-2's alphabet are bytes.
    ByteLevel,
    /// Equal tokens that follow each other are one; its fields are not kept, because the loader refuses it.
    Ctc,
    /// All tokens become one.
    Fuse,
    Metaspace(Metaspace),
    Replace {
        pattern: Pattern,
        content: String,
    },
    /// At most these numbers of this character are removed at the start and at the end.
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
}

impl Decoder {
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
            Self::Bpe { .. } => "BPEDecoder",
            Self::ByteFallback => "ByteFallback",
            Self::ByteLevel => "ByteLevel",
            Self::Ctc => "CTC",
            Self::Fuse => "Fuse",
            Self::Metaspace(_) => "Metaspace",
            Self::Replace { .. } => "Replace",
            Self::Strip { .. } => "Strip",
            Self::WordPiece { .. } => "WordPiece",
        }
    }
}

impl Stage for Decoder {
    const LIST: &'static str = "decoders";
    const KINDS: &'static [&'static str] =
        &["BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece"];

    fn read(kind: &str, fields: &mut Fields) -> Result<Option<Self>> {
        Ok(Some(match kind {
            "BPEDecoder" => Self::Bpe { suffix: fields.get("suffix")?.unwrap_or_default() },
            "ByteFallback" => Self::ByteFallback,
            "ByteLevel" => {
                fields.skip(&["add_prefix_space", "trim_offsets", "use_regex"]);
                Self::ByteLevel
            }
            "CTC" => {
                fields.skip(&["pad_token", "word_delimiter_token", "cleanup"]);
                Self::Ctc
            }
            "Fuse" => Self::Fuse,
            "Metaspace" => Self::Metaspace(Metaspace::take(fields)?),
            "Replace" => {
                Self::Replace { pattern: Pattern::take(fields)?, content: fields.get("content")?.unwrap_or_default() }
            }
            "Strip" => Self::Strip {
                content: fields.get("content")?.unwrap_or(' '),
                start: fields.get("start")?.unwrap_or(0),
                stop: fields.get("stop")?.unwrap_or(0),
            },
            "WordPiece" => {
                Self::WordPiece { prefix: fields.get("prefix")?.unwrap_or_default(), cleanup: fields.flag("cleanup")? }
            }
            _ => return Ok(None),
        }))
    }

    fn write(&self) -> Value {
        let mut written = match self {
            Self::Bpe { suffix } => json!({"suffix": suffix}),
            Self::ByteLevel => json!({"add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
            Self::Ctc => json!({"pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true}),
            Self::Metaspace(metaspace) => metaspace.write(),
            Self::Replace { pattern, content } => json!({"pattern": pattern.write(), "content": content}),
            Self::Strip { content, start, stop } => json!({"content": content, "start": start, "stop": stop}),
            Self::WordPiece { prefix, cleanup } => json!({"prefix": prefix, "cleanup": cleanup}),
            Self::ByteFallback | Self::Fuse => json!({}),
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
            {"type": "BPEDecoder", "suffix": "</w>"},
            {"type": "ByteFallback"},
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true},
            {"type": "Fuse"},
            {"type": "Metaspace", "replacement": "_", "prepend_scheme": "never", "split": true},
            {"type": "Replace", "pattern": {"String": "_"}, "content": " "},
            {"type": "Strip", "content": " ", "start": 1, "stop": 2},
            {"type": "WordPiece", "prefix": "##", "cleanup": false},
        ]);
        let sequence = json!({"type": "Sequence", "decoders": all});
        let found: Vec<Decoder> = stages("decoder", sequence.clone()).unwrap();
        assert_eq!(found.iter().map(Decoder::kind).collect::<Vec<_>>(), Decoder::KINDS);
        assert_eq!(written(&found), sequence);
        for stage in sequence["decoders"].as_array().unwrap() {
            serde_json::from_value::<tokenizers::DecoderWrapper>(stage.clone()).unwrap();
        }
    }
}
