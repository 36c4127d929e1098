//! The model, which makes tokens of a word, and how `tokenizer.json` writes it; its vocabulary is in `pieces`.
//!
//! In: the small fields of `model`, its vocabulary and its merges. Out: [`Model`]. May import: `fields`, `pieces`.
//! Read next: `decoder`.

use crate::error::{Error, Result};
use crate::spec::fields::Fields;
use crate::spec::pieces::Pieces;
use serde_json::{json, Map, Value};

/// A model: it makes tokens of a word.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Bpe(Bpe),
    Unigram(Unigram),
    WordPiece(WordPiece),
    /// Whole words are looked up.
    WordLevel {
        unknown: Option<String>,
    },
    /// The longest piece at each position, which no `tokenizer.json` of the library has:
    /// `crate::backends::longest_match`.
    LongestMatch,
}

/// Byte-pair encoding: pairs of pieces are merged, the best pair first. Example: `t` and `h` to `th`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bpe {
    pub(crate) merges: Merges,
    pub(crate) unknown: Option<String>,
    pub(crate) continuing_subword_prefix: Option<String>,
    pub(crate) end_of_word_suffix: Option<String>,
    /// Unknown characters that follow each other are one token.
    pub(crate) fuse_unknown: bool,
    /// Characters without a piece are byte pieces.
    pub(crate) byte_fallback: bool,
    /// A word that is a piece is one, whatever the merges say.
    pub(crate) ignore_merges: bool,
}

/// A Unigram model: it takes the pieces whose scores have the largest sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unigram {
    pub(crate) unknown: Option<u32>,
    pub(crate) byte_fallback: bool,
}

/// WordPiece: the longest piece at each position of a word, with a prefix on all but the first. Example: `walk`,
/// `##ing`.
#[derive(Debug, Clone)]
pub(crate) struct WordPiece {
    pub(crate) unknown: Option<String>,
    pub(crate) continuing_subword_prefix: String,
    /// Longer words are unknown.
    pub(crate) max_input_chars_per_word: usize,
}

/// Pairs of pieces, as numbers of pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merges {
    pub(crate) pairs: Vec<(u32, u32)>,
    /// One rank per pair, ascending; `None`: its position. Pairs that are equally good have one rank, and the leftmost
    /// wins.
    ranks: Option<Vec<u32>>,
}

impl Merges {
    /// Pairs, the best first.
    pub(crate) fn new(pairs: Vec<(u32, u32)>) -> Self {
        Self { pairs, ranks: None }
    }

    /// Pairs with their ranks, one each: a pair without a rank, or a rank without a pair, is left out.
    pub(crate) fn ranked(mut pairs: Vec<(u32, u32)>, mut ranks: Vec<u32>) -> Self {
        pairs.truncate(ranks.len());
        ranks.truncate(pairs.len());
        Self { pairs, ranks: Some(ranks) }
    }

    /// The rank of the pair at this position, which must be there.
    pub(crate) fn rank(&self, at: usize) -> u32 {
        self.ranks.as_ref().map_or(at as u32, |ranks| ranks[at])
    }

    pub(crate) fn ranks(&self) -> Option<&[u32]> {
        self.ranks.as_deref()
    }
}

const TYPES: [&str; 5] = ["BPE", "Unigram", "WordPiece", "WordLevel", "LongestMatch"];

impl Model {
    /// Its `type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Bpe(_) => "BPE",
            Self::Unigram(_) => "Unigram",
            Self::WordPiece(_) => "WordPiece",
            Self::WordLevel { .. } => "WordLevel",
            Self::LongestMatch => "LongestMatch",
        }
    }

    /// The piece for unknown text, where the model names it.
    pub(crate) fn unknown_token(&self) -> Option<&str> {
        match self {
            Self::Bpe(Bpe { unknown, .. })
            | Self::WordPiece(WordPiece { unknown, .. })
            | Self::WordLevel { unknown } => unknown.as_deref(),
            Self::Unigram(_) | Self::LongestMatch => None,
        }
    }

    /// The same model with another piece for text without one.
    pub(crate) fn with_unknown_token(mut self, name: String) -> Self {
        match &mut self {
            Self::Bpe(Bpe { unknown, .. })
            | Self::WordPiece(WordPiece { unknown, .. })
            | Self::WordLevel { unknown } => {
                *unknown = Some(name);
            }
            Self::Unigram(_) | Self::LongestMatch => {}
        }
        self
    }

    /// Whether characters without a piece are byte pieces.
    pub(crate) fn byte_fallback(&self) -> bool {
        match self {
            Self::Bpe(bpe) => bpe.byte_fallback,
            Self::Unigram(unigram) => unigram.byte_fallback,
            Self::WordPiece(_) | Self::WordLevel { .. } | Self::LongestMatch => false,
        }
    }

    /// Whether a word that is a piece is one without merging.
    pub(crate) fn looks_up_words(&self) -> bool {
        matches!(self, Self::Bpe(Bpe { ignore_merges: true, .. }))
    }

    pub(crate) fn merges(&self) -> Option<&Merges> {
        match self {
            Self::Bpe(bpe) => Some(&bpe.merges),
            Self::Unigram(_) | Self::WordPiece(_) | Self::WordLevel { .. } | Self::LongestMatch => None,
        }
    }

    /// Reads the fields of `model` but `vocab` and `merges`, which come as they were read.
    ///
    /// Old files have no `type`; their fields distinguish them.
    pub(super) fn read(rest: Map<String, Value>, pieces: &Pieces, merges: Option<Result<Merges>>) -> Result<Self> {
        let mut fields = Fields::of("model", rest.into())?;
        let kind: Option<String> = fields.get("type")?;
        let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| untyped(&fields, merges.is_some()).into());
        let has_merges = merges.is_some();
        let model = match kind.as_str() {
            "BPE" => {
                let missing = || Err(Error::definition("model.merges", "missing: expected a list of pairs of pieces"));
                Self::Bpe(Bpe::read(&mut fields, merges.unwrap_or_else(missing)?)?)
            }
            "Unigram" => {
                Self::Unigram(Unigram { unknown: fields.get("unk_id")?, byte_fallback: fields.flag("byte_fallback")? })
            }
            "WordPiece" => Self::WordPiece(WordPiece {
                unknown: fields.get("unk_token")?,
                continuing_subword_prefix: fields.get("continuing_subword_prefix")?.unwrap_or_else(|| "##".into()),
                max_input_chars_per_word: fields.get("max_input_chars_per_word")?.unwrap_or(100),
            }),
            "WordLevel" => Self::WordLevel { unknown: fields.get("unk_token")? },
            "LongestMatch" => Self::LongestMatch,
            other => {
                let reason = format!("type {other:?} is unknown: expected one of {}", TYPES[..4].join(", "));
                return Err(Error::definition("model", reason));
            }
        };
        fields.end()?;
        if has_merges && model.merges().is_none() {
            return Err(Error::definition("model.merges", format!("unknown field of the type {kind}: expected BPE")));
        }
        model.check(pieces)?;
        Ok(model)
    }

    /// Only Unigram has a list of pieces with scores.
    fn check(&self, pieces: &Pieces) -> Result<()> {
        let (found, expected) = match (self, pieces.has_scores()) {
            (Self::Unigram(_), false) => ("an object of ids", "a list of pieces with scores"),
            (Self::Unigram(_), true) | (_, false) => return Ok(()),
            (_, true) => ("a list", "an object of pieces with ids"),
        };
        Err(Error::definition("model.vocab", format!("{found} for the type {}: expected {expected}", self.kind())))
    }

    /// The fields of `model` but `vocab` and `merges`.
    pub(crate) fn write(&self) -> Value {
        let mut written = match self {
            Self::Bpe(bpe) => bpe.write(),
            Self::Unigram(unigram) => json!({"unk_id": unigram.unknown, "byte_fallback": unigram.byte_fallback}),
            Self::WordPiece(model) => json!({
                "unk_token": model.unknown,
                "continuing_subword_prefix": model.continuing_subword_prefix,
                "max_input_chars_per_word": model.max_input_chars_per_word,
            }),
            Self::WordLevel { unknown } => json!({"unk_token": unknown}),
            Self::LongestMatch => json!({}),
        };
        written["type"] = self.kind().into();
        written
    }
}

impl Bpe {
    fn read(fields: &mut Fields, merges: Merges) -> Result<Self> {
        if let Some(dropout) = fields.get::<f64>("dropout")?.filter(|&dropout| dropout > 0.0) {
            let reason = format!("{dropout}: ids would be drawn by chance, expected null");
            return Err(Error::definition("model.dropout", reason));
        }
        Ok(Self {
            merges,
            unknown: fields.get("unk_token")?,
            continuing_subword_prefix: fields.get("continuing_subword_prefix")?,
            end_of_word_suffix: fields.get("end_of_word_suffix")?,
            fuse_unknown: fields.flag("fuse_unk")?,
            byte_fallback: fields.flag("byte_fallback")?,
            ignore_merges: fields.flag("ignore_merges")?,
        })
    }

    fn write(&self) -> Value {
        json!({
            "dropout": null,
            "unk_token": self.unknown,
            "continuing_subword_prefix": self.continuing_subword_prefix,
            "end_of_word_suffix": self.end_of_word_suffix,
            "fuse_unk": self.fuse_unknown,
            "byte_fallback": self.byte_fallback,
            "ignore_merges": self.ignore_merges,
        })
    }
}

/// The type of a model that does not say it.
fn untyped(fields: &Fields, has_merges: bool) -> &'static str {
    if has_merges {
        "BPE"
    } else if fields.has("unk_id") {
        "Unigram"
    } else if fields.has("continuing_subword_prefix") {
        "WordPiece"
    } else {
        "WordLevel"
    }
}
