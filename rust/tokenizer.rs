//! One tokenizer, whatever its file: exact bytes, canonical tokens, settled cuts.

use crate::{formats, load};
use crate::backends::engine::{Behind, Certificate, Engine, Resume, Weight, Window};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::{Error, Result};
use crate::load::build::Loaded;
use crate::load::entries::Spelling;
use crate::load::probe::Probe;
use crate::load::registry::shared;
use crate::spec::definition::Spec;
use crate::tokens::edit::Edit;
use crate::tokens::token::{Place, Token, TokenId};
use crate::vocabulary::reading::{Likeness, Reading};
use crate::vocabulary::table::{Kind, Vocabulary};
use serde_json::{json, Value};
use std::path::Path;
use std::sync::Arc;

/// A tokenizer.
pub struct Tokenizer {
    name: String,
    vocabulary: Vocabulary,
    engine: Box<dyn Engine>,
    reading: Reading,
    /// Control tokens that the encoder writes for text: the unknown token.
    unknown: Vec<TokenId>,
    origin: Origin,
    probe: Probe,
    /// For another process; an engine of the caller's own has none.
    spec: Option<Arc<Spec>>,
}

/// What the file said, for [`Tokenizer::describe`].
struct Origin {
    family: String,
    model: String,
    split_rule: String,
    normalizer: String,
    added_text: Vec<String>,
    control_tokens: Vec<(String, u32)>,
    notes: Vec<String>,
    check: String,
}

impl Tokenizer {
    /// The tokenizer in a file; the content decides which of the formats of [`formats`] it is.
    ///
    /// As [`Tokenizer::from_bytes`], with the path as the name; `vocab.json` and `merges.txt` find each other, and of a
    /// GGUF file only the header is read.
    ///
    /// # Errors
    /// `File` where it cannot be read; else as [`Tokenizer::from_bytes`].
    pub fn from_file(path: &Path, pattern: Option<&str>) -> Result<Arc<Self>> {
        let name = path.display().to_string();
        Self::from_content(&formats::Content::read(path)?, &name, pattern)
    }

    fn from_content(content: &formats::Content, name: &str, pattern: Option<&str>) -> Result<Arc<Self>> {
        let (given, split) = (if pattern.is_some() { "pattern" } else { "" }, pattern.unwrap_or_default());
        let mut parts = content.parts();
        parts.extend([name.as_bytes(), given.as_bytes(), split.as_bytes()]);
        shared(&parts, || Self::from_spec(content.spec(name, pattern)?, name))
    }

    /// The tokenizer in the bytes of a file; `pattern` is the split pattern that tiktoken ranks do not hold.
    ///
    /// While somebody has the tokenizer, loading the same bytes under the same name again gives that very tokenizer.
    ///
    /// # Errors
    /// `File` where the bytes are malformed (with line and column of JSON), else as [`Tokenizer::from_spec`].
    /// Complexity: O(bytes); the second time a BLAKE3 hash of them.
    pub fn from_bytes(bytes: &[u8], name: &str, pattern: Option<&str>) -> Result<Arc<Self>> {
        let (given, split) = (if pattern.is_some() { "pattern" } else { "" }, pattern.unwrap_or_default());
        shared(&[bytes, name.as_bytes(), given.as_bytes(), split.as_bytes()], || Self::from_spec(formats::read(bytes, name, pattern)?, name))
    }

    /// The tokenizer in a SentencePiece model, whatever it looks like; shared as by [`Tokenizer::from_bytes`].
    ///
    /// # Errors
    /// As [`Tokenizer::from_bytes`].
    pub fn from_sentencepiece(model: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[model, name.as_bytes(), b"SentencePiece"], || Self::from_spec(formats::sentencepiece::read(model, name)?, name))
    }

    /// A tokenizer from what a file says.
    ///
    /// # Errors
    /// `Definition` where a part is broken or of a kind that cannot be run.
    pub fn from_spec(spec: impl Into<Arc<Spec>>, name: &str) -> Result<Self> {
        let spec = spec.into();
        let loaded = load::build::load(&spec)?;
        let family = family(&loaded);
        let origin = Origin {
            family,
            model: loaded.model,
            split_rule: loaded.split_rule,
            normalizer: loaded.normalizer,
            added_text: loaded.added_text,
            control_tokens: loaded.control_tokens,
            notes: loaded.source_notes,
            check: loaded.check,
        };
        let unknown = loaded.unknown.map(TokenId).into_iter().collect();
        let mut tokenizer = Self::probed(name, loaded.vocabulary, loaded.engine, loaded.reading, unknown, origin)?;
        tokenizer.spec = Some(spec);
        Ok(tokenizer)
    }

    /// The same for a specification that was made of what `key` is a hash of; shared as by [`Tokenizer::from_bytes`].
    #[cfg(feature = "python")]
    pub(crate) fn from_shared_spec(spec: &Arc<Spec>, key: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[key, name.as_bytes(), b"specification"], || Self::from_spec(Arc::clone(spec), name))
    }

    /// A tokenizer around an engine of the caller's own (wrapped objects).
    ///
    /// # Errors
    /// What the engine raises on the load probe's texts.
    pub fn from_engine(
        name: &str,
        vocabulary: Vocabulary,
        engine: Box<dyn Engine>,
        reading: Reading,
        control_tokens: Vec<(String, u32)>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let origin = Origin {
            family: "wrapped object".into(),
            model: "unknown".into(),
            split_rule: "unknown".into(),
            normalizer: "unknown".into(),
            added_text: Vec::new(),
            control_tokens,
            notes,
            check: "not compared with another library at load".into(),
        };
        let unknown = unknown_of(&vocabulary, engine.as_ref())?;
        Self::probed(name, vocabulary, engine, reading, unknown, origin)
    }

    fn probed(name: &str, vocabulary: Vocabulary, engine: Box<dyn Engine>, reading: Reading, unknown: Vec<TokenId>, origin: Origin) -> Result<Self> {
        if vocabulary.is_empty() {
            return Err(Error::definition("model.vocab", "it is empty: expected at least one token"));
        }
        let mut tokenizer = Self { name: name.into(), vocabulary, engine, reading, unknown, origin, probe: Probe::default(), spec: None };
        tokenizer.probe = Probe::run(&tokenizer)?;
        Ok(tokenizer)
    }

    /// The name it was given at load.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was loaded, for another process: [`Spec::to_bytes`]. None where the engine is the caller's own.
    #[must_use]
    pub fn spec(&self) -> Option<&Spec> {
        self.spec.as_deref()
    }

    /// What control tokens are called, and their ids, ascending.
    #[must_use]
    pub fn control_tokens(&self) -> &[(String, u32)] {
        &self.origin.control_tokens
    }

    /// The tokenizer in what [`Spec::to_bytes`] wrote; shared as by [`Tokenizer::from_bytes`].
    ///
    /// # Errors
    /// `Definition` for other bytes.
    pub fn from_state(state: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[state, name.as_bytes(), b"state"], || Self::from_spec(Spec::from_bytes(state)?, name))
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

    /// The ids of `text`, `None` where it holds a character that the tokenizer refuses.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn tokens_if_any(&self, text: &str, place: Place) -> Result<Option<Vec<TokenId>>> {
        match self.ids(text, place) {
            Err(Error::Foreign { .. }) if self.engine.may_refuse() => Ok(None),
            ids => ids.map(Some),
        }
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

    /// Whether `ids` end with the tokens of a carried stretch: what a window told before must be what is carried.
    pub(crate) fn agrees(&self, growth: &Growth, ids: &[TokenId]) -> bool {
        ids.ends_with(&self.engine.carried_ids(growth))
    }

    /// Takes a carried stretch back; see [`Engine::restore`].
    pub(crate) fn restore(&self, growth: &mut Growth, saved: &SavedGrowth) -> Option<()> {
        self.engine.restore(growth, saved, &self.vocabulary)
    }

    /// The engine, for what only carried stretches need.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Whether the window says itself where encoding can go on; see [`Engine::resumes`].
    pub(crate) fn resumes(&self) -> bool {
        self.engine.resumes()
    }

    /// What `c` is to a growing text; see [`Engine::weight`].
    pub(crate) fn weight(&self, left: Option<char>, c: char) -> Weight {
        self.engine.weight(left, c)
    }

    /// See [`Engine::guards`].
    pub(crate) fn guards(&self) -> Option<usize> {
        self.engine.guards()
    }

    /// How the bytes of the tokens `ids` are to `text`.
    ///
    /// # Errors
    /// `NoTokenBytes`. Complexity: O(tokens), up to the first difference.
    pub(crate) fn likeness(&self, ids: impl Iterator<Item = TokenId>, text: &[u8], place: Place) -> Result<Likeness> {
        let mut rest = text;
        let mut standing = self.reading.standing(place);
        for (position, id) in ids.enumerate() {
            let (owed, bytes) = self.reading.step(&self.vocabulary, id, position, &mut standing)?;
            for part in [if owed { &b" "[..] } else { &[] }, bytes] {
                match rest.strip_prefix(part) {
                    Some(behind) => rest = behind,
                    None if part.starts_with(rest) => return Ok(Likeness::Longer),
                    None => return Ok(Likeness::Different),
                }
            }
        }
        Ok(if rest.is_empty() { Likeness::Same } else { Likeness::Shorter })
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
        self.reading.drops_first_space()
    }

    /// How the bytes of tokens make a text.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The bytes that `ids` stand for; control tokens stand for none.
    ///
    /// # Errors
    /// `UnknownToken` and `NoTokenBytes` with the index in `ids`. Complexity: O(bytes).
    pub fn decode_bytes(&self, ids: &[TokenId], place: Place) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reading.append(&self.vocabulary, ids, &mut self.reading.standing(place), &mut bytes)?;
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

    /// The first byte of `text` that its tokens do not give back, if there is one.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn first_loss(&self, text: &str, place: Place) -> Result<Option<usize>> {
        match self.ids(text, place) {
            Err(Error::Foreign { .. }) if self.engine.may_refuse() => Ok(Some(self.first_refused(text))),
            ids => self.loss_of_ids(&ids?, text, place),
        }
    }

    /// The first character that has no token, where a text that holds one is refused. Complexity: one encoding a character.
    fn first_refused(&self, text: &str) -> usize {
        let refused = |c: char| self.ids(c.encode_utf8(&mut [0; 4]), Place::Inside).is_err();
        text.char_indices().find(|&(_, c)| refused(c)).map_or(0, |(at, _)| at)
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
        let (ids, loss) = match self.ids(text, place) {
            Err(Error::Foreign { .. }) if self.engine.may_refuse() => (Vec::new(), Some(self.first_refused(text))),
            ids => {
                let ids = ids?;
                let loss = self.loss_of_ids(&ids, text, place)?;
                (ids, loss)
            }
        };
        match loss {
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
        if marks_count {
            self.probe.lost.is_empty()
        } else {
            self.probe.lost_text.is_empty()
        }
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
            "decode_drops_first_space": self.drops_first_space(),
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
                "long_stretches": self.engine.carries(),
            },
            "vocab_size": self.vocabulary.len(),
            "control_tokens": count(Kind::Control),
            "unused_ids": count(Kind::Unused),
            "added_text_tokens": self.origin.added_text,
            "check": self.origin.check,
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
            Certificate::Longest => ("bytes", "the byte map is complete and the walk for the longest token says whether it saw the end".into()),
            Certificate::Pieces => ("bytes", "the byte map is complete and no piece can stand across a settled cut".into()),
        }
    }

    fn certificate_text(&self) -> &'static str {
        match self.certificate() {
            Certificate::PreTokens => "pre-token rule: the matcher knows how far it looked",
            Certificate::Longest => "longest token first: the walk knows whether it saw the end",
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
    match (loaded.model.as_str(), loaded.spelling, loaded.byte_fallback) {
        ("BPE", Spelling::ByteLevel, _) => "byte-level BPE".into(),
        ("BPE", Spelling::Marks, true) => "SentencePiece BPE with byte fallback".into(),
        ("BPE", Spelling::Marks, false) => "SentencePiece BPE".into(),
        ("Unigram", Spelling::Marks, true) => "Unigram with byte fallback".into(),
        (model, ..) => model.into(),
    }
}
