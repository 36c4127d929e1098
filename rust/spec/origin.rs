//! The file that a specification comes from, and the settings of its format that `tokenizer.json` cannot hold.
//!
//! In: files that `crate::formats::detect` reads. Out: [`Origin`]. May import: nothing. Read next:
//! `crate::formats::detect`.

use serde::{Deserialize, Serialize};

/// The file of a specification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) format: Format,
    /// Sentences for the user, in `describe()`.
    pub(crate) notes: Vec<String>,
    /// The rules of SentencePiece, of a model in its format.
    pub(crate) sentencepiece: Option<SentencePiece>,
    /// The tokens around a text that a GGUF file declares.
    pub(crate) declared: Option<Declared>,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    /// The `tokenizers` library reads it.
    TokenizerJson,
    Gguf,
    Rwkv,
    SentencePiece,
    Tekken,
    Tiktoken,
    VocabAndMerges,
    /// BERT's `vocab.txt`.
    Vocab,
}

/// The rules of SentencePiece's encoder beside pieces, merges and normalizers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SentencePiece {
    /// A space is put before a text.
    pub(crate) dummy_prefix: bool,
    /// Spaces at the ends of a text go, and runs of spaces become one.
    pub(crate) remove_extra_whitespaces: bool,
    /// U+2581 represents a space.
    pub(crate) escape_whitespaces: bool,
    /// Only the engine for such files runs it (`crate::backends::sentencepiece::parts`).
    pub(crate) literally: bool,
    /// Ids of user-defined symbols.
    pub(crate) symbols: Vec<u32>,
    /// Ids that text never gives, even if it spells them: control, unknown and byte pieces.
    pub(crate) unmatchable: Vec<u32>,
    /// Ids of pieces that are marked unused, which text never gives either.
    pub(crate) unused: Vec<u32>,
    /// The lowest score of the normal pieces of a Unigram model, whose sums then are in 32 bits.
    #[serde(with = "bits")]
    pub(crate) lowest_score: Option<f32>,
    /// (left, right, rank) of merges with a character that is no piece.
    pub(crate) bare_merges: Vec<(String, String, u32)>,
}

/// The tokens around a text, such as BOS, and the chat template.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) bos_id: Option<u32>,
    pub(crate) eos_id: Option<u32>,
    pub(crate) adds_bos: bool,
    pub(crate) chat_template: Option<String>,
}

impl Format {
    /// Its name.
    #[cfg(feature = "python")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokenizerJson => "tokenizer.json",
            Self::Gguf => "gguf",
            Self::Rwkv => "rwkv",
            Self::SentencePiece => "sentencepiece",
            Self::Tekken => "tekken",
            Self::Tiktoken => "tiktoken",
            Self::VocabAndMerges => "vocab and merges",
            Self::Vocab => "vocab.txt",
        }
    }
}

impl Origin {
    /// A file of this format that says no more.
    pub(crate) fn new(format: Format, notes: Vec<String>) -> Self {
        Self { format, notes, sentencepiece: None, declared: None }
    }
}

/// A fraction as its bits, because JSON readers may round it.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::ref_option)]
    pub(super) fn serialize<S: Serializer>(value: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(f32::to_bits).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
        Ok(Option::<u32>::deserialize(deserializer)?.map(f32::from_bits))
    }
}
