//! How a text is cut into words, and how `tokenizer.json` writes it.
//!
//! In: one JSON object per stage. Out: [`PreTokenizer`]. May import: `fields`, and `normalizer` for [`Pattern`]. Read
//! next: `model`.

use crate::error::Result;
use crate::spec::fields::{unlike, Fields, Stage};
use crate::spec::normalizer::Pattern;
use serde_json::{json, Value};

/// A cut of text into words. For example, `Whitespace` makes "a", "b" and "." of "a b.".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PreTokenizer {
    /// BERT's: white space parts and goes, each punctuation character is a word.
    Bert,
    /// Each byte becomes its character of GPT-2's alphabet, after GPT-2's rule if so.
    ByteLevel {
        add_prefix_space: bool,
        use_regex: bool,
    },
    /// This character parts words and goes.
    CharDelimiterSplit {
        delimiter: char,
    },
    Digits {
        individual_digits: bool,
    },
    /// Words of a fixed number of characters.
    FixedLength {
        length: usize,
    },
    Metaspace(Metaspace),
    Punctuation {
        behavior: SplitBehavior,
    },
    Split {
        pattern: Pattern,
        behavior: SplitBehavior,
        /// The text between the matches is the separator.
        invert: bool,
    },
    UnicodeScripts,
    /// `\w+` and `[^\w\s]+` are words.
    Whitespace,
    WhitespaceSplit,
}

/// The treatment of a separator that a rule finds. For example, of "-" in "a-b".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitBehavior {
    /// "a", "b"
    Removed,
    /// "a", "-", "b"
    Isolated,
    /// "a-", "b"
    MergedWithPrevious,
    /// "a", "-b"
    MergedWithNext,
    /// As `Isolated`, but separators that follow each other are one word.
    Contiguous,
}

/// A mark for spaces, which is a stage of pre-tokenizers and of decoders. Example: "a b" becomes "▁a▁b".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metaspace {
    pub(crate) replacement: char,
    pub(crate) prepend: PrependScheme,
    /// A mark begins a word.
    pub(crate) split: bool,
}

/// The rule by which a mark is put before words that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrependScheme {
    /// Only at the start of a text.
    First,
    Never,
    /// Before each part of a text between added tokens, and before each word of earlier stages.
    Always,
}

/// The value of a field that is one of a few names.
fn named<T: Copy>(fields: &mut Fields, key: &'static str, names: &[(&'static str, T)]) -> Result<Option<T>> {
    let value = fields.value(key);
    if value.is_null() {
        return Ok(None);
    }
    let found = names.iter().find(|(name, _)| value.as_str() == Some(name));
    found.map(|(_, found)| Some(*found)).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        unlike(&fields.path_of(key), &value, &format!("one of {}", names.join(", ")))
    })
}

impl SplitBehavior {
    const NAMES: [(&'static str, Self); 5] = [
        ("Removed", Self::Removed),
        ("Isolated", Self::Isolated),
        ("MergedWithPrevious", Self::MergedWithPrevious),
        ("MergedWithNext", Self::MergedWithNext),
        ("Contiguous", Self::Contiguous),
    ];

    fn take(fields: &mut Fields) -> Result<Self> {
        Ok(named(fields, "behavior", &Self::NAMES)?.unwrap_or(Self::Isolated))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Removed => "Removed",
            Self::Isolated => "Isolated",
            Self::MergedWithPrevious => "MergedWithPrevious",
            Self::MergedWithNext => "MergedWithNext",
            Self::Contiguous => "Contiguous",
        }
    }
}

impl Metaspace {
    /// Old files have `add_prefix_space` for `prepend_scheme`, and `str_rep` beside `replacement`.
    pub(super) fn take(fields: &mut Fields) -> Result<Self> {
        let schemes =
            [("first", PrependScheme::First), ("never", PrependScheme::Never), ("always", PrependScheme::Always)];
        fields.skip(&["str_rep"]);
        let adds = fields.get("add_prefix_space")?.unwrap_or(true);
        let usual = if adds { PrependScheme::Always } else { PrependScheme::Never };
        Ok(Self {
            replacement: fields.get("replacement")?.unwrap_or('\u{2581}'),
            prepend: named(fields, "prepend_scheme", &schemes)?.unwrap_or(usual),
            split: fields.get("split")?.unwrap_or(true),
        })
    }

    pub(super) fn write(self) -> Value {
        let scheme = match self.prepend {
            PrependScheme::First => "first",
            PrependScheme::Never => "never",
            PrependScheme::Always => "always",
        };
        json!({"type": "Metaspace", "replacement": self.replacement, "prepend_scheme": scheme, "split": self.split})
    }

    /// Whether it puts a mark before some text.
    pub(crate) fn prepends(self) -> bool {
        self.prepend != PrependScheme::Never
    }

    /// Whether its mark is U+2581.
    pub(crate) fn is_usual(self) -> bool {
        self.replacement == '\u{2581}'
    }
}

impl PreTokenizer {
    /// Whether it puts a mark before the first section of a text alone.
    pub(crate) fn prefixes_once(&self) -> bool {
        matches!(self, Self::Metaspace(metaspace) if metaspace.prepend == PrependScheme::First)
    }

    /// Whether it splits at all white space, and drops it.
    pub(crate) fn drops_white_space(&self) -> bool {
        matches!(self, Self::WhitespaceSplit | Self::Whitespace | Self::Bert)
    }

    /// The split by a rule whose matches are words.
    pub(crate) fn words(rule: &str) -> Self {
        Self::Split { pattern: Pattern::Regex(rule.into()), behavior: SplitBehavior::Isolated, invert: false }
    }

    /// The rule that it runs, if any.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Split { pattern, .. } => pattern.regex(),
            _ => None,
        }
    }

    /// Its `type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Bert => "BertPreTokenizer",
            Self::ByteLevel { .. } => "ByteLevel",
            Self::CharDelimiterSplit { .. } => "CharDelimiterSplit",
            Self::Digits { .. } => "Digits",
            Self::FixedLength { .. } => "FixedLength",
            Self::Metaspace(_) => "Metaspace",
            Self::Punctuation { .. } => "Punctuation",
            Self::Split { .. } => "Split",
            Self::UnicodeScripts => "UnicodeScripts",
            Self::Whitespace => "Whitespace",
            Self::WhitespaceSplit => "WhitespaceSplit",
        }
    }
}

impl Stage for PreTokenizer {
    const LIST: &'static str = "pretokenizers";
    const KINDS: &'static [&'static str] = &[
        "BertPreTokenizer",
        "ByteLevel",
        "CharDelimiterSplit",
        "Digits",
        "FixedLength",
        "Metaspace",
        "Punctuation",
        "Split",
        "UnicodeScripts",
        "Whitespace",
        "WhitespaceSplit",
    ];

    fn read(kind: &str, fields: &mut Fields) -> Result<Option<Self>> {
        Ok(Some(match kind {
            "BertPreTokenizer" => Self::Bert,
            "ByteLevel" => {
                fields.skip(&["trim_offsets"]);
                let use_regex = fields.get("use_regex")?.unwrap_or(true);
                Self::ByteLevel { add_prefix_space: fields.flag("add_prefix_space")?, use_regex }
            }
            "CharDelimiterSplit" => Self::CharDelimiterSplit { delimiter: fields.need("delimiter")? },
            "Digits" => Self::Digits { individual_digits: fields.flag("individual_digits")? },
            "FixedLength" => Self::FixedLength { length: fields.get("length")?.unwrap_or(5) },
            "Metaspace" => Self::Metaspace(Metaspace::take(fields)?),
            "Punctuation" => Self::Punctuation { behavior: SplitBehavior::take(fields)? },
            "Split" => Self::Split {
                pattern: Pattern::take(fields)?,
                behavior: SplitBehavior::take(fields)?,
                invert: fields.flag("invert")?,
            },
            "UnicodeScripts" => Self::UnicodeScripts,
            "Whitespace" => Self::Whitespace,
            "WhitespaceSplit" => Self::WhitespaceSplit,
            _ => return Ok(None),
        }))
    }

    fn write(&self) -> Value {
        let mut written = match self {
            Self::ByteLevel { add_prefix_space, use_regex } => {
                json!({"add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": use_regex})
            }
            Self::CharDelimiterSplit { delimiter } => json!({"delimiter": delimiter}),
            Self::Digits { individual_digits } => json!({"individual_digits": individual_digits}),
            Self::FixedLength { length } => json!({"length": length}),
            Self::Metaspace(metaspace) => metaspace.write(),
            Self::Punctuation { behavior } => json!({"behavior": behavior.name()}),
            Self::Split { pattern, behavior, invert } => {
                json!({"pattern": pattern.write(), "behavior": behavior.name(), "invert": invert})
            }
            Self::Bert | Self::UnicodeScripts | Self::Whitespace | Self::WhitespaceSplit => json!({}),
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
            {"type": "BertPreTokenizer"},
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false},
            {"type": "CharDelimiterSplit", "delimiter": "|"},
            {"type": "Digits", "individual_digits": true},
            {"type": "FixedLength", "length": 3},
            {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": false},
            {"type": "Punctuation", "behavior": "Contiguous"},
            {"type": "Split", "pattern": {"String": "-"}, "behavior": "MergedWithNext", "invert": true},
            {"type": "UnicodeScripts"},
            {"type": "Whitespace"},
            {"type": "WhitespaceSplit"},
        ]);
        let sequence = json!({"type": "Sequence", "pretokenizers": all});
        let found: Vec<PreTokenizer> = stages("pre_tokenizer", sequence.clone()).unwrap();
        assert_eq!(found.iter().map(PreTokenizer::kind).collect::<Vec<_>>(), PreTokenizer::KINDS);
        assert_eq!(written(&found), sequence);
        for stage in sequence["pretokenizers"].as_array().unwrap() {
            serde_json::from_value::<tokenizers::PreTokenizerWrapper>(stage.clone()).unwrap();
        }
    }

    #[test]
    fn old_files_say_whether_a_mark_is_put_before_a_text() {
        for (fields, scheme, split) in [
            (
                json!({"replacement": "\u{2581}", "str_rep": "\u{2581}", "add_prefix_space": true}),
                PrependScheme::Always,
                true,
            ),
            (
                json!({"replacement": "\u{2581}", "add_prefix_space": false, "split": false}),
                PrependScheme::Never,
                false,
            ),
            (json!({"add_prefix_space": false, "prepend_scheme": "never"}), PrependScheme::Never, true),
            (json!({"add_prefix_space": true, "prepend_scheme": "first"}), PrependScheme::First, true),
        ] {
            let mut stage = fields;
            stage["type"] = "Metaspace".into();
            let found: Vec<PreTokenizer> = stages("pre_tokenizer", stage).unwrap();
            let expected = Metaspace { replacement: '\u{2581}', prepend: scheme, split };
            assert_eq!(found, [PreTokenizer::Metaspace(expected)]);
        }
    }
}
