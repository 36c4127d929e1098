//! The content of a tokenizer file, as typed values.
//!
//! In: the files of `crate::formats::detect`, which build a [`Spec`], and [`json`](super::json), which reads and writes
//! `tokenizer.json`. Out: the builders of `crate::load::build`, which match its enums exhaustively. May import:
//! `error`, and `arena` for many strings in one buffer. Read next: [`normalizer`](super::normalizer),
//! [`pre_tokenizer`](super::pre_tokenizer), [`model`](super::model) and [`decoder`](super::decoder), in the order in
//! which text passes.
//!
//! For example, GPT-2's file becomes an empty [`Spec::normalizers`], one [`PreTokenizer::ByteLevel`], [`Model::Bpe`]
//! with its merges, and one [`Decoder::ByteLevel`].

use crate::spec::decoder::Decoder;
use crate::spec::model::Model;
use crate::spec::normalizer::Normalizer;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use crate::spec::pre_tokenizer::PreTokenizer;
use serde_json::Value;

/// The content of a tokenizer file.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let file = serde_json::json!({
///     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
///     "decoder": {"type": "ByteLevel"},
///     "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
/// });
/// let spec = coolfusion::Spec::from_json(file)?.expect("an object under `model`");
/// let tokenizer = coolfusion::Tokenizer::from_spec(spec, "two letters")?;
/// let ids = tokenizer.ids("abb", coolfusion::TextPosition::Start)?;
/// assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), [2, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Spec {
    /// Rewrites of a text, in order; those of nested sequences are in one list.
    pub(crate) normalizers: Vec<Normalizer>,
    /// Cuts of a text into words, in order.
    pub(crate) pre_tokenizers: Vec<PreTokenizer>,
    /// The model, which makes the ids of a word.
    pub(crate) model: Model,
    /// The vocabulary of the model.
    pub(crate) pieces: Pieces,
    /// Tokens beside the model, in the order of the file.
    pub(crate) added_tokens: Vec<AddedToken>,
    /// Which ids [`Spec::added_tokens`] have.
    pub(crate) added_ids: AddedIds,
    /// How tokens become text, in order; `None` puts a space between tokens.
    pub(crate) decoders: Option<Vec<Decoder>>,
    /// The template of tokens around a text, as the file writes it: only the loader of a folder reads it, no part of
    /// the core.
    pub(crate) post_processor: Option<Value>,
    /// The file, and the settings of its format that `tokenizer.json` cannot hold.
    pub(crate) origin: Origin,
}

/// A token that is found in a text before the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    pub(crate) content: String,
    /// It is found only between characters that are no part of a word.
    pub(crate) single_word: bool,
    /// It takes the white space before it.
    pub(crate) lstrip: bool,
    /// It takes the white space after it.
    pub(crate) rstrip: bool,
    /// It is found in the normal form of a text.
    pub(crate) normalized: bool,
    pub(crate) special: bool,
}

impl AddedToken {
    /// Whether no text stands for it. A token that takes the white space around it cannot be a part of a text that must
    /// come back byte for byte.
    pub(crate) fn is_control(&self) -> bool {
        self.special || self.lstrip || self.rstrip || self.single_word || self.content.is_empty()
    }

    /// A token that is found in the text as it is, and takes nothing around it.
    pub(crate) fn new(id: u32, content: &str, special: bool) -> Self {
        Self {
            id,
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special,
        }
    }
}

/// The rule for the ids of added tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum AddedIds {
    /// Those that the `tokenizers` library gives: the id of the equal piece, else the next free one.
    Counted,
    /// The id of the equal piece, else the one that is written, because a folder declares it.
    Declared,
    /// The one that is written.
    Written,
}

impl Spec {
    /// A model without any stage, for a format to fill.
    pub(crate) fn new(model: Model, pieces: Pieces, origin: Origin) -> Self {
        Self {
            normalizers: Vec::new(),
            pre_tokenizers: Vec::new(),
            model,
            pieces,
            added_tokens: Vec::new(),
            added_ids: if origin.format == Format::TokenizerJson { AddedIds::Counted } else { AddedIds::Written },
            decoders: None,
            post_processor: None,
            origin,
        }
    }

    /// The id of the token of text that has no other.
    pub(crate) fn unknown_id(&self) -> Option<u32> {
        match &self.model {
            Model::Unigram(unigram) => unigram.unknown,
            model => self.pieces.find(model.unknown_token()?),
        }
    }

    /// Whether the format of the file is the one of the `tokenizers` library, whose reading then decides.
    pub(crate) fn is_of_library(&self) -> bool {
        self.origin.format == Format::TokenizerJson
    }
}
