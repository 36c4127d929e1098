//! The engine for definitions that are not ours to run: the `tokenizers` crate, kept as it is.
//!
//! Unigram and WordPiece models, and lossy normalizers. Control tokens are made unmatchable before loading, so that text
//! that looks like one is text; spans are the crate's offsets into the original text.

use crate::boundary::stands_before_space;
use crate::engine::{Certificate, Engine};
use crate::error::{Error, Result};
use crate::formats::charsmap::Charsmap;
use crate::normal::{Normal, METASPACE};
use crate::pieces::uncrossed;
use crate::token::{Place, Token, TokenId};
use crate::trie::PieceTrie;
use crate::vocabulary::Vocabulary;
use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

/// The engine.
pub(crate) struct Library {
    start: Tokenizer,
    /// The same without the dummy prefix, where there is one.
    inside: Option<Tokenizer>,
    /// Applied to the text first, where the library would read it differently.
    charsmap: Option<Charsmap>,
    /// Pieces in byte space.
    pieces: PieceTrie,
    /// The normalizer may change characters: certificates hold only for text that it leaves alone.
    normalizes: bool,
    spaces_begin_pieces: bool,
    /// A character without a piece becomes the unknown token, and neighbours may fuse.
    may_be_unknown: bool,
    /// A Unigram model: sums of scores, whose rounding depends on where they began.
    unigram: bool,
    /// Every space begins a pre-token.
    splits_at_spaces: bool,
    /// There are added tokens that are text.
    has_added_text: bool,
    /// The library's offsets do not count characters that this normalizer drops at the very start.
    lags: bool,
    /// Nothing is known of how far a stage looks.
    opaque: bool,
    vocabulary: Vocabulary,
    drops_first_space: bool,
    notes: String,
}

fn failed(call: &'static str) -> impl Fn(tokenizers::Error) -> Error {
    move |e| Error::Foreign { call, reason: e.to_string() }
}

/// Sets what `change` says in every stage of a normalizer or pre-tokenizer; returns whether something changed.
fn for_each_stage(stage: &mut Value, change: &dyn Fn(&mut Value) -> bool) -> bool {
    let mut changed = change(stage);
    for key in ["normalizers", "pretokenizers"] {
        if let Some(stages) = stage.get_mut(key).and_then(Value::as_array_mut) {
            for stage in stages {
                changed |= for_each_stage(stage, change);
            }
        }
    }
    changed
}

fn is(stage: &Value, kind: &str) -> bool {
    stage.get("type").and_then(Value::as_str) == Some(kind)
}

/// The definition of the same tokenizer for a text that stands after other text, if it differs.
fn inside_definition(definition: &Value) -> Option<Value> {
    let mut inside = definition.clone();
    let normalizer = for_each_stage(&mut inside["normalizer"], &|stage| {
        if is(stage, "Prepend") {
            *stage = serde_json::json!({"type": "Replace", "pattern": {"String": "\u{0}\u{0}"}, "content": "\u{0}\u{0}"});
            return true;
        }
        if is(stage, "Replace") && stage.pointer("/pattern/Regex").and_then(Value::as_str) == Some("\\A +") {
            // SentencePiece's "remove extra whitespaces" at the start of a text.
            *stage = serde_json::json!({"type": "Replace", "pattern": {"String": "\u{0}\u{0}"}, "content": "\u{0}\u{0}"});
            return true;
        }
        if is(stage, "Strip") && stage["strip_left"] == Value::Bool(true) {
            stage["strip_left"] = Value::Bool(false);
            return true;
        }
        false
    });
    // Behind WhitespaceSplit the mark stands for the space itself, on every word: it is no dummy prefix there.
    let splits_spaces = definition["pre_tokenizer"].to_string().contains("\"WhitespaceSplit\"");
    let pre_tokenizer = !splits_spaces
        && for_each_stage(&mut inside["pre_tokenizer"], &|stage| {
            if is(stage, "Metaspace") {
                stage["prepend_scheme"] = "never".into();
                stage["add_prefix_space"] = Value::Bool(false);
                return true;
            }
            if is(stage, "ByteLevel") && stage["add_prefix_space"] == Value::Bool(true) {
                stage["add_prefix_space"] = Value::Bool(false);
                return true;
            }
            false
        });
    (normalizer || pre_tokenizer).then_some(inside)
}

/// What the caller knows about the definition.
pub(crate) struct Facts {
    pub(crate) charsmap: Option<Charsmap>,
    pub(crate) pieces: PieceTrie,
    pub(crate) normalizes: bool,
    pub(crate) spaces_begin_pieces: bool,
    pub(crate) may_be_unknown: bool,
    pub(crate) unigram: bool,
    pub(crate) splits_at_spaces: bool,
    pub(crate) has_added_text: bool,
    pub(crate) opaque: bool,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) drops_first_space: bool,
    pub(crate) notes: String,
}

impl Library {
    /// Loads a definition whose control tokens have been made unmatchable already.
    pub(crate) fn new(definition: &Value, facts: Facts) -> Result<Self> {
        let load = |definition: &Value| -> Result<Tokenizer> {
            let mut tokenizer: Tokenizer = definition.to_string().parse().map_err(|e: tokenizers::Error| {
                Error::definition("tokenizers crate", e.to_string())
            })?;
            tokenizer.set_encode_special_tokens(true);
            Ok(tokenizer)
        };
        let inside = inside_definition(definition).map(|d| load(&d)).transpose()?;
        let start = load(definition)?;
        let probe = start.encode("\u{1}ab", false).map_err(failed("encode"))?;
        Ok(Self {
            lags: facts.normalizes && probe.get_offsets().last().is_some_and(|&(_, end)| end == 2),
            start,
            inside,
            charsmap: facts.charsmap,
            pieces: facts.pieces,
            normalizes: facts.normalizes,
            spaces_begin_pieces: facts.spaces_begin_pieces,
            may_be_unknown: facts.may_be_unknown,
            unigram: facts.unigram,
            splits_at_spaces: facts.splits_at_spaces,
            has_added_text: facts.has_added_text,
            opaque: facts.opaque,
            vocabulary: facts.vocabulary,
            drops_first_space: facts.drops_first_space,
            notes: facts.notes,
        })
    }

    fn at(&self, place: Place) -> &Tokenizer {
        match (place, &self.inside) {
            (Place::Inside, Some(inside)) => inside,
            _ => &self.start,
        }
    }

    /// How many bytes the library's offsets lag behind: it does not count characters that a `Precompiled` normalizer drops
    /// at the very start (tokenizers 0.23; in other places it does).
    fn dropped_at_start(&self, text: &str) -> Result<usize> {
        let Some(normalizer) = self.at(Place::Inside).get_normalizer() else { return Ok(0) };
        for (at, c) in text.char_indices() {
            // White space may be dropped too, but that the library counts; letters never are.
            if c.is_alphanumeric() || c.is_whitespace() {
                return Ok(at);
            }
            let mut normal = NormalizedString::from(c.to_string());
            normalizer.normalize(&mut normal).map_err(failed("normalize"))?;
            if !normal.is_empty() {
                return Ok(at);
            }
        }
        Ok(0)
    }

    /// The tokens placed by their bytes, where these are the text's (with plain spaces for U+2581).
    fn exact_spans_of(&self, ids: &[TokenId], text: &str, place: Place) -> Result<Option<Vec<Token>>> {
        let normal = Normal::spaced(text);
        let drops = place == Place::Start && self.drops_first_space;
        let mut tokens = self.vocabulary.spans(ids, &normal.text, drops)?;
        if tokens.is_none() && drops {
            // The text's own first space stood in for the dummy prefix.
            tokens = self.vocabulary.spans(ids, &normal.text, false)?;
        }
        let map = |t: Token| Token { start: normal.start(t.start), end: normal.end(t.end).max(normal.start(t.start)), ..t };
        Ok(tokens.map(|tokens| tokens.into_iter().map(map).collect()))
    }

    /// Whether the normalizer leaves `text` alone, apart from spaces becoming U+2581.
    fn leaves_alone(&self, text: &str) -> Result<bool> {
        if self.charsmap.as_ref().is_some_and(|charsmap| charsmap.normalize(text) != text) {
            return Ok(false);
        }
        let Some(normalizer) = self.at(Place::Inside).get_normalizer() else { return Ok(true) };
        let mut normal = NormalizedString::from(text);
        normalizer.normalize(&mut normal).map_err(failed("normalize"))?;
        Ok(normal.get().replace('\u{2581}', " ") == text)
    }
}

impl Library {
    /// Where words begin in a text that the normalizer changes: before a space behind a letter or digit.
    ///
    /// Normalizers drop control characters and accents, but no letter or digit: that one stays before the cut.
    fn word_cuts(&self, text: &str) -> Vec<usize> {
        let is_cut = |&at: &usize| {
            text.as_bytes()[at] == b' ' && stands_before_space(text, at) && text[..at].ends_with(char::is_alphanumeric)
        };
        if self.spaces_begin_pieces { (1..text.len()).filter(is_cut).collect() } else { Vec::new() }
    }

    /// The tokens of `whole` with the spans that they have when each word is encoded by itself, if that gives the same
    /// ids: the library's offsets go astray behind characters that the normalizer drops.
    fn by_words(&self, text: &str, place: Place, whole: &[Token]) -> Result<Option<Vec<Token>>> {
        let mut tokens = Vec::with_capacity(whole.len());
        let mut start = 0;
        for end in self.word_cuts(text).into_iter().chain([text.len()]) {
            let place = if start == 0 { place } else { Place::Inside };
            let word = self.encode_whole(&text[start..end], place)?;
            // However far astray, every token of the word begins in it.
            let place_in_word = |t: Token| Token { start: start + t.start.min(end - start - 1), end: start + t.end, ..t };
            tokens.extend(word.into_iter().map(place_in_word));
            start = end;
        }
        let same = tokens.len() == whole.len() && tokens.iter().zip(whole).all(|(a, b)| a.id == b.id);
        tokens.iter_mut().zip(whole).for_each(|(token, other)| token.word = other.word);
        Ok(same.then_some(tokens))
    }

    /// The tokens of `text` with the library's own offsets, mended where the bytes say more.
    fn encode_whole(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        let normal = match &self.charsmap {
            Some(charsmap) => Normal::charsmap(text, charsmap),
            None => Normal::unchanged(text),
        };
        let encoding = self.at(place).encode(normal.text.as_ref(), false).map_err(failed("encode"))?;
        let words = encoding.get_word_ids();
        let spans = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(words);
        if !self.normalizes {
            // The library's offsets are characters, and those of fused byte tokens a whole run; the bytes say more.
            let ids: Vec<TokenId> = encoding.get_ids().iter().map(|&id| TokenId(id)).collect();
            if let Some(mut tokens) = self.exact_spans_of(&ids, text, place)? {
                tokens.iter_mut().zip(words).for_each(|(token, word)| token.word = word.unwrap_or(0));
                return Ok(tokens);
            }
        }
        let dropped = if self.lags { self.dropped_at_start(&normal.text)? } else { 0 };
        let mut reached = 0;
        Ok(spans
            .map(|((&id, &(start, end)), word)| {
                // Byte-fallback tokens of one character all report the whole character: keep the order of the text.
                let start = normal.start(start + dropped).max(reached).min(text.len());
                let end = normal.end(end + dropped).max(start).min(text.len());
                reached = reached.max(start);
                Token { id: TokenId(id), start, end, word: word.unwrap_or(0) }
            })
            .collect())
    }
}

impl Engine for Library {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        let whole = self.encode_whole(text, place)?;
        if !self.normalizes || self.leaves_alone(text)? {
            return Ok(whole);
        }
        Ok(self.by_words(text, place, &whole)?.unwrap_or(whole))
    }

    fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        let bytes = text.as_bytes();
        // Behind a U+2581 a space is one of several for the library.
        let before_space = |&at: &usize| {
            matches!(bytes[at], b' ' | b'\n') && stands_before_space(text, at) && !text[..at].ends_with(METASPACE)
        };
        let mut cuts = Vec::new();
        if self.opaque {
            return Ok(cuts);
        }
        if self.unigram && self.splits_at_spaces && !self.normalizes {
            // Each word is summed up by itself; inside a word only its own start is safe from rounding.
            return Ok((1..text.len()).filter(|&at| bytes[at] == b' ').collect());
        }
        if !self.normalizes || self.leaves_alone(text)? {
            let unknown = |c: char| {
                let mut buffer = [0; 4];
                self.may_be_unknown && self.pieces.longest(c.encode_utf8(&mut buffer).as_bytes()).0 < c.len_utf8()
            };
            // A piece may begin in the dummy prefix; assuming one where there is none only blocks more cuts.
            let normal = Normal::spaced(text);
            let dummy = place == Place::Start && self.drops_first_space;
            let normal = if dummy { normal.behind_space() } else { normal };
            cuts = uncrossed(&self.pieces, &normal.text, unknown);
            cuts = cuts.into_iter().filter_map(|at| normal.cut(at)).collect();
            // Behind an added token a piece may begin in a dummy prefix that is not in the text.
            if self.normalizes || self.inside.is_some() && self.has_added_text {
                cuts.retain(before_space);
            }
        } else if self.by_words(text, place, &self.encode_whole(text, place)?)?.is_some() {
            cuts = self.word_cuts(text);
        }
        Ok(cuts)
    }

    fn restarts(&self) -> bool {
        // Without its dummy prefix the library also leaves it out behind added tokens.
        let prefixed = self.inside.is_some() && self.has_added_text;
        !self.opaque && !prefixed && (!self.unigram || self.splits_at_spaces)
    }

    fn certificate(&self) -> Certificate {
        if self.opaque {
            return Certificate::None;
        }
        match (self.normalizes, self.spaces_begin_pieces) {
            (false, _) if self.unigram && self.splits_at_spaces => Certificate::Spaces,
            (false, _) => Certificate::Pieces,
            (true, true) => Certificate::Spaces,
            (true, false) => Certificate::Pieces,
        }
    }

    fn exact_spans(&self) -> bool {
        !self.normalizes
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
