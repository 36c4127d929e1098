//! One tokenizer, whatever its file: exact bytes, canonical tokens, settled cuts.

use crate::backends::engine::{Certificate, Engine, Resume, ResumeState, Weight, Window};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::{Error, Result};
use crate::spec::definition::Spec;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::added::AddedEntry;
use crate::vocabulary::decode_rules::{DecodeRules, Likeness};
use crate::vocabulary::table::{Kind, Vocabulary};
use serde_json::{json, Value};
use std::sync::Arc;

/// A tokenizer.
pub struct Tokenizer {
    pub(crate) name: String,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) decode_rules: DecodeRules,
    /// Control tokens that the encoder writes for text: the unknown token.
    pub(crate) unknown: Vec<TokenId>,
    pub(crate) origin: Origin,
    pub(crate) probe: Probe,
    /// For another process; an engine of the caller's own has none.
    pub(crate) spec: Option<Arc<Spec>>,
}

/// The origin of a definition, for [`Tokenizer::describe`].
pub(crate) struct Origin {
    pub(crate) family: String,
    pub(crate) model: String,
    pub(crate) split_rule: String,
    pub(crate) normalizer: String,
    pub(crate) added: Vec<AddedEntry>,
    /// Only the first section of a text between control tokens gets a dummy prefix.
    pub(crate) prefixes_once: bool,
    pub(crate) control_tokens: Vec<(String, u32)>,
    pub(crate) notes: Vec<String>,
    pub(crate) check: String,
}

/// The findings of the load probe.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe {
    /// Kinds of text that do not come back, in words.
    pub(crate) lost: Vec<String>,
    /// The same without the space mark, which every SentencePiece vocabulary loses.
    pub(crate) lost_text: Vec<String>,
    /// Whether every one of the 256 bytes has a token.
    pub(crate) every_byte: bool,
    /// The dummy prefix in words, for example "none".
    pub(crate) dummy_prefix: String,
    /// The methods that find word boundaries in plain English.
    pub(crate) methods: Vec<&'static str>,
}

impl Tokenizer {
    /// The name it was given at load.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The loaded definition, for another process: [`Spec::to_bytes`]. None where the engine is the caller's own.
    #[must_use]
    pub fn spec(&self) -> Option<&Spec> {
        self.spec.as_deref()
    }

    /// The names of control tokens, and their ids, ascending.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.control_tokens().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn control_tokens(&self) -> &[(String, u32)] {
        &self.origin.control_tokens
    }

    /// Its vocabulary.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.vocabulary().bytes(coolfusion::TokenId(257), 0)?, b"the");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The canonical tokens of `text`: no BOS or END; text that looks like a control token is text.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// let tokens = toy.encode("the cat", coolfusion::TextPosition::Start)?;
    /// assert_eq!(tokens.iter().map(|token| (token.start, token.end)).collect::<Vec<_>>(), [(0, 3), (3, 7)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Foreign` where a library or wrapped object fails. Complexity: O(text) for all known rules.
    pub fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        self.engine.encode(text, place)
    }

    /// The ids of the canonical tokens of `text`, without their spans.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn ids(&self, text: &str, place: TextPosition) -> Result<Vec<TokenId>> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.engine.ids(text, place, &mut ids)?;
        Ok(ids)
    }

    /// The ids of `text`, `None` where it holds a character that the tokenizer refuses.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn tokens_if_any(&self, text: &str, place: TextPosition) -> Result<Option<Vec<TokenId>>> {
        match self.ids(text, place) {
            Err(Error::Foreign { .. }) if self.engine.may_refuse() => Ok(None),
            ids => ids.map(Some),
        }
    }

    /// The settled cuts of `text`; see [`Engine::settled`].
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// // The last word may still grow: "sat" becomes "saturday".
    /// assert_eq!(toy.settled("the cat sat", coolfusion::TextPosition::Start)?, [3, 7]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        self.engine.settled(text, place)
    }

    /// The tokens of `text`, the end of a growing text, and some places where encoding can go on; see
    /// [`Engine::resume`].
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn resume(
        &self,
        text: &str,
        after: ResumeState,
        window: &mut Window,
        resumes: &mut Vec<Resume>,
    ) -> Result<()> {
        self.engine.resume(text, after, window, resumes)
    }

    /// Takes up a long stretch; see [`Engine::grow`].
    pub(crate) fn grow(&self, text: &str, after: ResumeState) -> Option<Growth> {
        self.proved(self.engine.grow(text, after, &self.vocabulary)?, text, after)
    }

    /// The edit of appending `text` to a long stretch; see [`Engine::grown`].
    pub(crate) fn grown(&self, growth: &mut Growth, text: &str) -> Option<Edit> {
        self.engine.grown(growth, text, &self.vocabulary)
    }

    /// The same where less may be read than there is; see [`Engine::grow_for`].
    pub(crate) fn grow_for(&self, text: &str, full: &str, after: ResumeState) -> Option<Growth> {
        self.proved(self.engine.grow_for(text, full, after, &self.vocabulary)?, full, after)
    }

    /// The stretch, unless its tokens may give back its text and this is not carried.
    fn proved(&self, growth: Growth, full: &str, after: ResumeState) -> Option<Growth> {
        let Some(ids) = growth.proof_of_loss() else { return Some(growth) };
        let likeness = self.likeness(ids.into_iter(), full.as_bytes(), after.decode_place()).ok()?;
        (likeness == Likeness::Different).then_some(growth)
    }

    /// See [`Engine::grown_for`].
    pub(crate) fn grown_for(&self, growth: &mut Growth, text: &str, more: &str) -> Option<Edit> {
        self.engine.grown_for(growth, text, more, &self.vocabulary)
    }

    /// Whether `ids` end with the tokens of a carried stretch: the window and the carried stretch must agree.
    pub(crate) fn agrees(&self, growth: &Growth, ids: &[TokenId]) -> bool {
        ids.ends_with(&self.engine.carried_ids(growth))
    }

    /// Takes a carried stretch back; see [`Engine::restore`].
    pub(crate) fn restore(&self, growth: &mut Growth, saved: &SavedGrowth) -> Option<()> {
        self.engine.restore(growth, saved, &self.vocabulary)
    }

    /// The engine, for methods that only carried stretches need.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Whether the window says itself where encoding can go on; see [`Engine::resumes`].
    pub(crate) fn resumes(&self) -> bool {
        self.engine.resumes()
    }

    /// The weight of `c` in a growing text; see [`Engine::weight`].
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
    pub(crate) fn likeness(
        &self,
        ids: impl Iterator<Item = TokenId>,
        text: &[u8],
        place: TextPosition,
    ) -> Result<Likeness> {
        self.decode_rules.likeness(&self.vocabulary, ids, text, place, |_, _| ())
    }

    /// The settled cuts of `text` before white space.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn settled_before_space(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        self.engine.settled_before_space(text, place)
    }

    /// How settled cuts are known.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.engine.certificate()
    }

    /// Added tokens that are text.
    pub(crate) fn added_text(&self) -> impl Iterator<Item = &str> {
        self.origin.added.iter().filter(|token| !token.control).map(|token| token.content.as_str())
    }

    /// The added tokens of the file, in its order, with the flags that a chat template needs.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// let token = &toy.added_tokens()[0];
    /// assert_eq!((&*token.content, token.control), ("<end>", true));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn added_tokens(&self) -> &[AddedEntry] {
        &self.origin.added
    }

    /// Whether only the first section of a text between control tokens gets a dummy prefix. Example: Mistral v0.3.
    #[must_use]
    pub fn prefixes_once(&self) -> bool {
        self.origin.prefixes_once
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
        self.decode_rules.drops_first_space()
    }

    /// How the bytes of tokens make a text.
    pub(crate) fn decode_rules(&self) -> &DecodeRules {
        &self.decode_rules
    }

    /// The bytes that `ids` stand for; control tokens stand for none.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// // One token may be a part of a character.
    /// let ids = toy.ids("\u{ef}", coolfusion::TextPosition::Start)?;
    /// assert_eq!(toy.decode_bytes(&ids[..1], coolfusion::TextPosition::Start)?, [0xC3]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `UnknownToken` and `NoTokenBytes` with the index in `ids`. Complexity: O(bytes).
    pub fn decode_bytes(&self, ids: &[TokenId], place: TextPosition) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.decode_rules.append(&self.vocabulary, ids, &mut self.decode_rules.state(place), &mut bytes)?;
        Ok(bytes)
    }

    /// The text that `ids` stand for; each ill-formed part of the bytes becomes one U+FFFD.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// let ids = toy.ids("na\u{ef}ve", coolfusion::TextPosition::Start)?;
    /// assert_eq!(toy.decode(&ids, coolfusion::TextPosition::Start)?, "na\u{ef}ve");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tokenizer::decode_bytes`]. Complexity: O(bytes).
    pub fn decode(&self, ids: &[TokenId], place: TextPosition) -> Result<String> {
        let bytes = self.decode_bytes(ids, place)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The first byte of `text` that its tokens do not give back, if there is one.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.first_loss("every text comes back", coolfusion::TextPosition::Start)?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn first_loss(&self, text: &str, place: TextPosition) -> Result<Option<usize>> {
        match self.ids(text, place) {
            Err(Error::Foreign { .. }) if self.engine.may_refuse() => Ok(Some(self.first_refused(text))),
            ids => self.loss_of_ids(&ids?, text, place),
        }
    }

    /// The first character that has no token, where a text that holds one is refused. Complexity: one encoding a
    /// character.
    fn first_refused(&self, text: &str) -> usize {
        let refused = |c: char| self.ids(c.encode_utf8(&mut [0; 4]), TextPosition::Continuation).is_err();
        text.char_indices().find(|&(_, c)| refused(c)).map_or(0, |(at, _)| at)
    }

    fn loss_of_ids(&self, ids: &[TokenId], text: &str, place: TextPosition) -> Result<Option<usize>> {
        let bytes = self.decode_bytes(ids, place)?;
        if bytes == text.as_bytes() {
            return Ok(None);
        }
        let same = bytes.iter().zip(text.as_bytes()).take_while(|(a, b)| a == b).count();
        Ok(Some((0..=same.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)))
    }

    /// Refuses a text that the tokenizer cannot say.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.require("the", coolfusion::TextPosition::Start)?, [coolfusion::TokenId(257)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Unrepresentable` with the first position that does not come back.
    pub fn require(&self, text: &str, place: TextPosition) -> Result<Vec<TokenId>> {
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

    /// The findings of the load probe, and the reasons for the methods of boundaries and windows.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.describe()["lossless"], true);
    /// # Ok(())
    /// # }
    /// ```
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
            "added_text_tokens": self.added_text().collect::<Vec<_>>(),
            "check": self.origin.check,
            "notes": self.origin.notes,
        })
    }

    /// The method that `auto` stands for, and the reason.
    #[must_use]
    pub fn method(&self) -> (&'static str, String) {
        let lost = self.probe.lost.join(", ");
        match self.certificate() {
            Certificate::None => (
                "decode",
                "nothing tells how far the rule looks (a wrapped object, or a pattern that \
                coolfusion does not read): cuts are checked by encoding the prefix again"
                    .into(),
            ),
            _ if !self.engine.exact_spans() => (
                "offsets",
                format!(
                    "the normalizer changes text (lost: {lost}), so tokens are placed by the text that \
                    each part was rewritten from"
                ),
            ),
            Certificate::PreTokens => (
                "bytes",
                "the byte map is complete and the pre-token rule says how far it \
                looked"
                    .into(),
            ),
            Certificate::Spaces => ("bytes", "the byte map is complete and every space begins a new word".into()),
            Certificate::Longest => (
                "bytes",
                "the byte map is complete and the walk for the longest token says \
                whether it saw the end"
                    .into(),
            ),
            Certificate::Pieces => (
                "bytes",
                "the byte map is complete and no piece can stand across a settled \
                cut"
                .into(),
            ),
        }
    }

    fn certificate_text(&self) -> &'static str {
        match self.certificate() {
            Certificate::PreTokens => "pre-token rule: the matcher knows how far it looked",
            Certificate::Longest => "longest token first: the walk knows whether it saw the end",
            Certificate::Pieces => "vocabulary: no piece stands across the cut",
            Certificate::Spaces => {
                "a space begins a new word: by the pre-token rule, or because no piece holds one inside"
            }
            Certificate::None => "none: the whole text is encoded again at every push",
        }
    }
}
