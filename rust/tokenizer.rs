//! One tokenizer, whatever its file: exact bytes, canonical tokens, settled cuts.

use crate::definition::{self, Definition, Loaded, Spelling};
use crate::encoder::Edit;
use crate::engine::{Behind, Certificate, Engine, Growth, Resume, Window};
use crate::error::{Error, Result};
use crate::probe::Probe;
use crate::token::{Place, Token, TokenId};
use crate::vocabulary::{Kind, Vocabulary};
use crate::{formats, shared::shared};
use serde_json::{json, Value};
use std::path::Path;
use std::sync::Arc;

/// A tokenizer.
pub struct Tokenizer {
    name: String,
    vocabulary: Vocabulary,
    engine: Box<dyn Engine>,
    drops_first_space: bool,
    /// Control tokens that the encoder writes for text: the unknown token.
    unknown: Vec<TokenId>,
    origin: Origin,
    probe: Probe,
}

/// What the definition said, for [`Tokenizer::describe`].
struct Origin {
    family: String,
    model: String,
    split_rule: String,
    normalizer: String,
    added_text: Vec<String>,
    notes: Vec<String>,
}

impl Tokenizer {
    /// The tokenizer in a file: tokenizer.json, a SentencePiece model or tiktoken ranks; the content decides which it is.
    ///
    /// As [`Tokenizer::from_bytes`], with the path as the name.
    ///
    /// # Errors
    /// `File` where it cannot be read; else as [`Tokenizer::from_bytes`].
    pub fn from_file(path: &Path, pattern: Option<&str>) -> Result<Arc<Self>> {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            Error::File { path: shown.clone(), reason: format!("cannot be read ({error}): expected a tokenizer file") }
        })?;
        Self::from_bytes(&bytes, &shown, pattern)
    }

    /// The tokenizer in the bytes of a file; `pattern` is the split pattern that tiktoken ranks do not hold.
    ///
    /// While somebody has the tokenizer, loading the same bytes under the same name again gives that very tokenizer.
    ///
    /// # Errors
    /// `File` where the bytes are malformed (with line and column of JSON), else as [`Tokenizer::from_definition`].
    /// Complexity: O(bytes); the second time a BLAKE3 hash of them.
    pub fn from_bytes(bytes: &[u8], name: &str, pattern: Option<&str>) -> Result<Arc<Self>> {
        let (given, split) = (if pattern.is_some() { "pattern" } else { "" }, pattern.unwrap_or_default());
        shared(&[bytes, name.as_bytes(), given.as_bytes(), split.as_bytes()], || {
            Self::from_definition(&formats::definition(bytes, name, pattern)?, name)
        })
    }

    /// The tokenizer in a SentencePiece model, whatever it looks like; shared as by [`Tokenizer::from_bytes`].
    ///
    /// # Errors
    /// As [`Tokenizer::from_bytes`].
    pub fn from_sentencepiece(model: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[model, name.as_bytes(), b"SentencePiece"], || {
            Self::from_definition(&formats::sentencepiece::definition(model, name)?, name)
        })
    }

    /// A tokenizer from a definition in the shape of `tokenizer.json`.
    ///
    /// # Errors
    /// `Definition` where a part is missing, broken or of a kind that cannot be run.
    pub fn from_definition(definition: &Definition, name: &str) -> Result<Self> {
        let loaded = definition::load(definition)?;
        let family = family(&loaded);
        let origin = Origin {
            family,
            model: loaded.model,
            split_rule: loaded.split_rule,
            normalizer: loaded.normalizer,
            added_text: loaded.added_text,
            notes: loaded.source_notes,
        };
        let unknown = loaded.unknown.map(TokenId).into_iter().collect();
        Self::probed(name, loaded.vocabulary, loaded.engine, loaded.drops_first_space, unknown, origin)
    }

    /// A tokenizer around an engine of the caller's own (wrapped objects).
    ///
    /// # Errors
    /// What the engine raises on the load probe's texts.
    pub fn from_engine(
        name: &str,
        vocabulary: Vocabulary,
        engine: Box<dyn Engine>,
        drops_first_space: bool,
        notes: Vec<String>,
    ) -> Result<Self> {
        let origin = Origin {
            family: "wrapped object".into(),
            model: "unknown".into(),
            split_rule: "unknown".into(),
            normalizer: "unknown".into(),
            added_text: Vec::new(),
            notes,
        };
        let unknown = unknown_of(&vocabulary, engine.as_ref())?;
        Self::probed(name, vocabulary, engine, drops_first_space, unknown, origin)
    }

    fn probed(
        name: &str,
        vocabulary: Vocabulary,
        engine: Box<dyn Engine>,
        drops_first_space: bool,
        unknown: Vec<TokenId>,
        origin: Origin,
    ) -> Result<Self> {
        if vocabulary.is_empty() {
            return Err(Error::definition("model.vocab", "it is empty: expected at least one token"));
        }
        let mut tokenizer =
            Self { name: name.into(), vocabulary, engine, drops_first_space, unknown, origin, probe: Probe::default() };
        tokenizer.probe = Probe::run(&tokenizer)?;
        Ok(tokenizer)
    }

    /// The name it was given at load.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The canonical tokens of `text`: no BOS or END; text that looks like a control token is text.
    ///
    /// # Errors
    /// `Foreign` where a library or wrapped object fails. Complexity: O(text) for all known rules.
    pub fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        self.engine.encode(text, place)
    }

    /// The ids of the canonical tokens of `text`, without their spans.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn ids(&self, text: &str, place: Place) -> Result<Vec<TokenId>> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.engine.ids(text, place, &mut ids)?;
        Ok(ids)
    }

    /// The settled cuts of `text`; see [`Engine::settled`].
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        self.engine.settled(text, place)
    }

    /// The tokens of `text`, the end of a growing text, and some places where encoding can go on; see [`Engine::resume`].
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn resume(&self, text: &str, behind: Behind, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        self.engine.resume(text, behind, window, resumes)
    }

    /// Takes up a long stretch; see [`Engine::grow`].
    pub(crate) fn grow(&self, text: &str, behind: Behind) -> Option<Growth> {
        self.engine.grow(text, behind, &self.vocabulary)
    }

    /// What `text` changes at the end of a long stretch; see [`Engine::grown`].
    pub(crate) fn grown(&self, growth: &mut Growth, text: &str) -> Option<Edit> {
        self.engine.grown(growth, text, &self.vocabulary)
    }

    /// Whether the window says itself where encoding can go on; see [`Engine::resumes`].
    pub(crate) fn resumes(&self) -> bool {
        self.engine.resumes()
    }

    /// Whether the bytes of `tokens` are those of `text`.
    ///
    /// # Errors
    /// `NoTokenBytes`. Complexity: O(text).
    pub(crate) fn gives_back(&self, tokens: &[Token], text: &str, place: Place) -> Result<bool> {
        let mut rest = text.as_bytes();
        let mut start = self.drops_first_space && place == Place::Start;
        for (position, token) in tokens.iter().enumerate() {
            let bytes = self.vocabulary.bytes(token.id, position)?;
            let dropped = usize::from(start && bytes.first() == Some(&b' '));
            start &= bytes.is_empty();
            let Some(behind) = rest.strip_prefix(&bytes[dropped..]) else { return Ok(false) };
            rest = behind;
        }
        Ok(rest.is_empty())
    }

    /// The settled cuts of `text` before white space.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn settled_before_space(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        self.engine.settled_before_space(text, place)
    }

    /// How settled cuts are known.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.engine.certificate()
    }

    /// Added tokens that are text.
    pub(crate) fn added_text(&self) -> &[String] {
        &self.origin.added_text
    }

    /// Whether encoding may start again at a settled cut; see [`Engine::restarts`].
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.engine.restarts()
    }

    /// Whether `id` is a control token that directs a model, not the one of text that has no other token.
    #[must_use]
    pub fn ends_text(&self, id: TokenId) -> bool {
        self.vocabulary.kind(id) == Kind::Control && !self.unknown.contains(&id)
    }

    /// Whether decoding drops one space at the start of a text (the dummy prefix of SentencePiece).
    #[must_use]
    pub fn drops_first_space(&self) -> bool {
        self.drops_first_space
    }

    /// The bytes that `ids` stand for; control tokens stand for none.
    ///
    /// # Errors
    /// `UnknownToken` and `NoTokenBytes` with the index in `ids`. Complexity: O(bytes).
    pub fn decode_bytes(&self, ids: &[TokenId], place: Place) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let dropped = place == Place::Start && self.drops_first_space;
        self.append_bytes(ids, dropped, &mut bytes)?;
        Ok(bytes)
    }

    /// The text that `ids` stand for; each ill-formed part of the bytes becomes one U+FFFD.
    ///
    /// # Errors
    /// As [`Tokenizer::decode_bytes`]. Complexity: O(bytes).
    pub fn decode(&self, ids: &[TokenId], place: Place) -> Result<String> {
        let bytes = self.decode_bytes(ids, place)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Appends the bytes of `ids`, without a space at their start where `drops_space`; tells whether there were any.
    ///
    /// # Errors
    /// As [`Tokenizer::decode_bytes`]; `bytes` is then not to be used.
    pub(crate) fn append_bytes(&self, ids: &[TokenId], drops_space: bool, bytes: &mut Vec<u8>) -> Result<bool> {
        let before = bytes.len();
        let mut head = 0;
        if drops_space {
            // Up to the first token with text.
            for (position, &id) in ids.iter().enumerate() {
                head = position + 1;
                let token = self.vocabulary.bytes(id, position)?;
                if !token.is_empty() {
                    bytes.extend_from_slice(token.strip_prefix(b" ").unwrap_or(token));
                    self.vocabulary.append(&ids[head..], head, bytes)?;
                    return Ok(true);
                }
            }
        }
        self.vocabulary.append(&ids[head..], head, bytes)?;
        Ok(bytes.len() > before)
    }

    /// The first byte of `text` that its tokens do not give back, if there is one.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn first_loss(&self, text: &str, place: Place) -> Result<Option<usize>> {
        self.loss_of_ids(&self.ids(text, place)?, text, place)
    }

    fn loss_of_ids(&self, ids: &[TokenId], text: &str, place: Place) -> Result<Option<usize>> {
        let bytes = self.decode_bytes(ids, place)?;
        if bytes == text.as_bytes() {
            return Ok(None);
        }
        let same = bytes.iter().zip(text.as_bytes()).take_while(|(a, b)| a == b).count();
        Ok(Some((0..=same.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)))
    }

    /// Refuses a text that the tokenizer cannot say.
    ///
    /// # Errors
    /// `Unrepresentable` with the first position that does not come back.
    pub fn require(&self, text: &str, place: Place) -> Result<Vec<TokenId>> {
        let ids = self.ids(text, place)?;
        match self.loss_of_ids(&ids, text, place)? {
            None => Ok(ids),
            Some(position) => Err(Error::Unrepresentable {
                tokenizer: self.name.clone(),
                position,
                unit: "byte",
                text: text[position..].chars().take(8).collect(),
                reason: if self.probe.lost.is_empty() {
                    "the load probe had found no loss".into()
                } else {
                    format!("the load probe found these lost: {}", self.probe.lost.join(", "))
                },
            }),
        }
    }

    /// Whether the load probe found no loss, or none but that of U+2581 where `marks_count` is false.
    #[must_use]
    pub fn is_lossless(&self, marks_count: bool) -> bool {
        if marks_count { self.probe.lost.is_empty() } else { self.probe.lost_text.is_empty() }
    }

    /// Whether several threads at a time are faster than one.
    #[must_use]
    pub fn gains_from_threads(&self) -> bool {
        self.engine.gains_from_threads()
    }

    /// What the load probe found, and why boundaries and windows are found as they are.
    #[must_use]
    pub fn describe(&self) -> Value {
        let count = |kind| self.vocabulary.ids(kind).count();
        let (method, why) = self.method();
        let opaque = count(Kind::Opaque);
        let proof = self.engine.proof();
        json!({
            "name": self.name,
            "family": self.origin.family,
            "model": self.origin.model,
            "split_rule": self.origin.split_rule,
            "normalizer": self.origin.normalizer,
            "engine": self.engine.describe(),
            "lossless": self.probe.lost.is_empty(),
            "lossless_but_for_space_mark": self.probe.lost_text.is_empty(),
            "lost": self.probe.lost,
            "byte_map": {
                "complete": opaque == 0,
                "tokens_without_bytes": opaque,
                "every_byte": self.probe.every_byte,
            },
            "dummy_prefix": self.probe.dummy_prefix,
            "decode_drops_first_space": self.drops_first_space,
            "method": method,
            "why": why,
            "methods": self.probe.methods,
            "window": {
                "certificate": self.certificate_text(),
                "exact": true,
                "default_words": 4,
                "whole_text": !self.restarts() && !self.resumes(),
                "factorises_at_word_boundaries": self.restarts(),
                "matcher": proof.matcher,
                "unit": proof.unit,
                "open": proof.open,
                "why": proof.why,
                "reach": proof.reach,
            },
            "vocab_size": self.vocabulary.len(),
            "control_tokens": count(Kind::Control),
            "unused_ids": count(Kind::Unused),
            "added_text_tokens": self.origin.added_text,
            "notes": self.origin.notes,
        })
    }

    /// The method that `auto` stands for, and the reason.
    #[must_use]
    pub fn method(&self) -> (&'static str, String) {
        let lost = self.probe.lost.join(", ");
        match self.certificate() {
            Certificate::None => ("decode", "nothing tells how far the rule looks (a wrapped object, or a pattern that coolfusion does not read): cuts are checked by encoding the prefix again".into()),
            _ if !self.engine.exact_spans() => {
                ("offsets", format!("the normalizer changes text (lost: {lost}), so tokens are placed by the text that each part was rewritten from"))
            }
            Certificate::PreTokens => ("bytes", "the byte map is complete and the pre-token rule says how far it looked".into()),
            Certificate::Spaces => ("bytes", "the byte map is complete and every space begins a new word".into()),
            Certificate::Pieces => ("bytes", "the byte map is complete and no piece can stand across a settled cut".into()),
        }
    }

    fn certificate_text(&self) -> &'static str {
        match self.certificate() {
            Certificate::PreTokens => "pre-token rule: the matcher knows how far it looked",
            Certificate::Pieces => "vocabulary: no piece stands across the cut",
            Certificate::Spaces => "a space begins a new word: by the pre-token rule, or because no piece holds one inside",
            Certificate::None => "none: the whole text is encoded again at every push",
        }
    }
}

/// The control tokens that an object writes for characters that few vocabularies hold.
fn unknown_of(vocabulary: &Vocabulary, engine: &dyn Engine) -> Result<Vec<TokenId>> {
    let mut ids = Vec::new();
    for text in ["\u{10380}", "\u{a500}", "a \u{1f9ff} b"] {
        engine.ids(text, Place::Start, &mut ids)?;
    }
    ids.retain(|&id| vocabulary.kind(id) == Kind::Control);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn family(loaded: &Loaded) -> String {
    match (loaded.model.as_str(), &loaded.spelling) {
        ("BPE", Spelling::ByteLevel) => "byte-level BPE".into(),
        ("BPE", Spelling::Metaspace { byte_fallback: true }) => "SentencePiece BPE with byte fallback".into(),
        ("BPE", Spelling::Metaspace { byte_fallback: false }) => "SentencePiece BPE".into(),
        ("Unigram", Spelling::Metaspace { byte_fallback: true }) => "Unigram with byte fallback".into(),
        (model, _) => model.into(),
    }
}
