//! The engine for specifications that are not ours to run: the `tokenizers` crate, kept as it is.
//!
//! Unigram and WordPiece models, and lossy normalizers. Control tokens are made unmatchable before loading, so that
//! text that looks like one is text; spans are the crate's offsets into the original text.

use crate::backends::engine::{Certificate, Engine, Proof, Weight};
use crate::error::{Error, Result};
use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::unicode_forms::Normal;
use crate::spec;
use crate::spec::definition::Spec;
use crate::spec::pre_tokenizer::{PreTokenizer, PrependScheme};
use crate::stability::white_space::{Blanks, SpaceCuts};
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::util::text::stands_before_space;
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::Vocabulary;
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

/// The engine that runs the `tokenizers` library, for definitions that no other engine runs.
pub(crate) struct Library {
    start: Tokenizer,
    /// The same without the dummy prefix, where there is one.
    inside: Option<Tokenizer>,
    /// Applied to the text first, where the library would read it differently.
    charsmap: Option<Charsmap>,
    /// The normalizer may change characters: certificates hold only for text that it leaves alone.
    normalizes: bool,
    /// There are added tokens that are text.
    has_added_text: bool,
    has_unknown: bool,
    /// The library's offsets do not count characters that this normalizer drops at the very start.
    lags: bool,
    /// The settled cuts; None: nothing is known of how far a stage looks.
    cuts: Option<SpaceCuts>,
    /// White space of which the middle of a long run makes no difference, if there is any.
    blanks: Option<Blanks>,
    vocabulary: Vocabulary,
    decode_rules: DecodeRules,
    notes: String,
}

thread_local! {
    /// Whether a panic of this thread is caught and becomes an error, so that the hook need not print it.
    static CAUGHT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `run` without a report of its panics on stderr; those of other threads and of other code are reported as
/// before.
fn silently<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.try_with(std::cell::Cell::get).unwrap_or(false) {
                report(panic);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    let value = run();
    CAUGHT.set(before);
    value
}

/// Runs a call of the crate, which panics on some broken definitions and where Oniguruma gives up on a pattern.
pub(crate) fn caught<T>(call: &'static str, run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    let failed = |reason: String| Error::Foreign { call, reason };
    // A panic leaves at most a cache in the crate's objects.
    let outcome = silently(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        failed(
            words
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "it panicked".into()),
        )
    })?;
    outcome.map_err(|error| failed(error.to_string()))
}

/// The specification of the same tokenizer for a text after other text, if they differ.
fn inside(mut spec: Spec) -> Option<Spec> {
    let before = (spec.normalizers.clone(), spec.pre_tokenizers.clone());
    // The second is SentencePiece's "remove extra whitespaces" at the start of a text.
    let at_start = |stage: &spec::normalizer::Normalizer| {
        matches!(stage, spec::normalizer::Normalizer::Prepend(_)) || stage.rule() == Some("\\A +")
    };
    spec.normalizers.retain(|stage| !at_start(stage));
    for stage in &mut spec.normalizers {
        if let spec::normalizer::Normalizer::Strip { left, .. } = stage {
            *left = false;
        }
    }
    // After WhitespaceSplit the mark is the space itself, on every word: it is no dummy prefix there.
    if !spec.pre_tokenizers.contains(&PreTokenizer::WhitespaceSplit) {
        for stage in &mut spec.pre_tokenizers {
            match stage {
                PreTokenizer::Metaspace(metaspace) => metaspace.prepend = PrependScheme::Never,
                PreTokenizer::ByteLevel { add_prefix_space, .. } => *add_prefix_space = false,
                _ => {}
            }
        }
    }
    (before != (spec.normalizers.clone(), spec.pre_tokenizers.clone())).then_some(spec)
}

/// The facts of the specification that the caller knows.
pub(crate) struct Facts {
    pub(crate) charsmap: Option<Charsmap>,
    pub(crate) normalizes: bool,
    pub(crate) has_added_text: bool,
    pub(crate) has_unknown: bool,
    pub(crate) cuts: Option<SpaceCuts>,
    pub(crate) blanks: Option<Blanks>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) decode_rules: DecodeRules,
    pub(crate) notes: String,
}

impl Library {
    /// Loads a specification whose control tokens have been made unmatchable already.
    pub(crate) fn new(spec: Spec, facts: Facts) -> Result<Self> {
        let load = |spec: &Spec| -> Result<Tokenizer> {
            let refused = |reason: String| Error::definition("tokenizers crate", reason);
            let json = serde_json::to_string(spec).map_err(|error| refused(error.to_string()))?;
            let mut tokenizer = caught("from_str", || json.parse::<Tokenizer>()).map_err(|error| match error {
                Error::Foreign { reason, .. } => refused(reason),
                other => other,
            })?;
            tokenizer.set_encode_special_tokens(true);
            Ok(tokenizer)
        };
        let start = load(&spec)?;
        let inside = inside(spec).map(|inside| load(&inside)).transpose()?;
        let probe = caught("encode", || start.encode("\u{1}ab", false));
        // A text may be refused where there is no unknown token.
        let last = if facts.has_unknown { probe? } else { probe.unwrap_or_default() };
        let mut engine = Self {
            lags: facts.normalizes && last.get_offsets().last().is_some_and(|&(_, end)| end == 2),
            start,
            inside,
            charsmap: facts.charsmap,
            normalizes: facts.normalizes,
            has_added_text: facts.has_added_text,
            has_unknown: facts.has_unknown,
            cuts: facts.cuts,
            blanks: facts.blanks,
            vocabulary: facts.vocabulary,
            decode_rules: facts.decode_rules,
            notes: facts.notes,
        };
        if engine.blanks.as_ref().is_some_and(|blanks| !engine.reads_alike(blanks)) {
            engine.blanks = None;
        }
        Ok(engine)
    }

    /// Whether the library itself reads long runs of the blanks as shorter ones.
    fn reads_alike(&self, blanks: &Blanks) -> bool {
        let ids = |text: &str, place: TextPosition| {
            let tokens = self.encode_whole(text, place).ok()?;
            Some(tokens.into_iter().map(|token| token.id).collect::<Vec<_>>())
        };
        blanks.alike().all(|[few, many]| {
            [TextPosition::Start, TextPosition::Continuation]
                .into_iter()
                .all(|place| ids(&few, place).is_some_and(|found| Some(found) == ids(&many, place)))
        })
    }

    fn at(&self, place: TextPosition) -> &Tokenizer {
        match (place, &self.inside) {
            (TextPosition::Continuation, Some(inside)) => inside,
            _ => &self.start,
        }
    }

    /// The number of bytes by which the library's offsets are too small. It does not count characters that a
    /// `Precompiled` normalizer drops at the very start (tokenizers 0.23; in other places it does).
    fn dropped_at_start(&self, text: &str) -> Result<usize> {
        let Some(normalizer) = self.at(TextPosition::Continuation).get_normalizer() else { return Ok(0) };
        for (at, c) in text.char_indices() {
            // White space may be dropped too, but that the library counts; letters never are.
            if c.is_alphanumeric() || c.is_whitespace() {
                return Ok(at);
            }
            let mut normal = NormalizedString::from(c.to_string());
            caught("normalize", || normalizer.normalize(&mut normal))?;
            if !normal.is_empty() {
                return Ok(at);
            }
        }
        Ok(0)
    }

    /// The tokens placed by their bytes, where these are the text's (with plain spaces for U+2581).
    fn exact_spans_of(&self, ids: &[TokenId], text: &str, place: TextPosition) -> Result<Option<Vec<Token>>> {
        let normal = Normal::spaced(text);
        let mut tokens = self.decode_rules.spans(&self.vocabulary, ids, &normal.text, place)?;
        if tokens.is_none() && place == TextPosition::Start && self.decode_rules.drops_first_space() {
            // The text's own first space took the place of the dummy prefix.
            tokens = DecodeRules::plain(false).spans(&self.vocabulary, ids, &normal.text, place)?;
        }
        let map =
            |t: Token| Token { start: normal.start(t.start), end: normal.end(t.end).max(normal.start(t.start)), ..t };
        Ok(tokens.map(|tokens| tokens.into_iter().map(map).collect()))
    }

    /// Whether the normalizer leaves `text` alone, apart from spaces becoming U+2581.
    fn leaves_alone(&self, text: &str) -> Result<bool> {
        if self.charsmap.as_ref().is_some_and(|charsmap| charsmap.normalize(text) != text) {
            return Ok(false);
        }
        let Some(normalizer) = self.at(TextPosition::Continuation).get_normalizer() else { return Ok(true) };
        let mut normal = NormalizedString::from(text);
        caught("normalize", || normalizer.normalize(&mut normal))?;
        Ok(normal.get().replace('\u{2581}', " ") == text)
    }
}

impl Library {
    /// The places where words begin in a text that the normalizer changes. If they are not known: before a space after
    /// a letter or digit, to be checked.
    fn word_cuts(&self, text: &str) -> Vec<usize> {
        let is_cut = |&at: &usize| {
            text.as_bytes()[at] == b' ' && stands_before_space(text, at) && text[..at].ends_with(char::is_alphanumeric)
        };
        match &self.cuts {
            Some(cuts) => cuts.of(text).collect(),
            None => (1..text.len()).filter(is_cut).collect(),
        }
    }

    /// The tokens of `whole` with the spans of words that are encoded alone, if that gives the same ids. The reason is
    /// that the library's offsets are wrong after characters that the normalizer drops.
    fn by_words(&self, text: &str, place: TextPosition, whole: &[Token]) -> Result<Option<Vec<Token>>> {
        let mut tokens = Vec::with_capacity(whole.len());
        let mut start = 0;
        for end in self.word_cuts(text).into_iter().chain([text.len()]) {
            let place = if start == 0 { place } else { TextPosition::Continuation };
            let word = match self.encode_whole(&text[start..end], place) {
                // The word alone may be no piece where there is no unknown token.
                Err(Error::Foreign { .. }) if !self.has_unknown => return Ok(None),
                word => word?,
            };
            // However far astray, every token of the word begins in it.
            let place_in_word =
                |t: Token| Token { start: start + t.start.min(end - start - 1), end: start + t.end, ..t };
            tokens.extend(word.into_iter().map(place_in_word));
            start = end;
        }
        let same = tokens.len() == whole.len() && tokens.iter().zip(whole).all(|(a, b)| a.id == b.id);
        tokens.iter_mut().zip(whole).for_each(|(token, other)| token.word = other.word);
        Ok(same.then_some(tokens))
    }

    /// The tokens of `text` with the library's own offsets, mended where the bytes say more.
    fn encode_whole(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let normal = match &self.charsmap {
            Some(charsmap) => Normal::charsmap(text, charsmap),
            None => Normal::unchanged(text),
        };
        let encoding = caught("encode", || self.at(place).encode(normal.text.as_ref(), false))?;
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
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let whole = self.encode_whole(text, place)?;
        if !self.normalizes || self.leaves_alone(text)? {
            return Ok(whole);
        }
        Ok(self.by_words(text, place, &whole)?.unwrap_or(whole))
    }

    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        let Some(cuts) = &self.cuts else { return Ok(Vec::new()) };
        // Tokens are distinguished by their spans, which the library's offsets give by words only.
        if !self.normalizes
            || self.leaves_alone(text)?
            || self.by_words(text, place, &self.encode_whole(text, place)?)?.is_some()
        {
            return Ok(cuts.of(text).collect());
        }
        Ok(Vec::new())
    }

    fn restarts(&self) -> bool {
        // Without its dummy prefix the library also leaves it out after added tokens.
        let prefixed = self.inside.is_some() && self.has_added_text;
        self.cuts.is_some() && !prefixed
    }

    fn certificate(&self) -> Certificate {
        if self.cuts.is_some() {
            Certificate::Spaces
        } else {
            Certificate::None
        }
    }

    fn proof(&self) -> Proof {
        let (unit, why) = match self.cuts {
            Some(_) => (
                "settled cuts",
                "every stage treats what stands before and after such white space by itself; \
                how far back the last settled cut is depends on the text",
            ),
            None => ("whole text", "not every stage is known to treat the two sides of white space by itself"),
        };
        let mut reach = Vec::new();
        if self.inside.is_some() {
            reach.push(
                "what is done at the start of the text only (a dummy prefix, stripping) is not done in a window \
                after it"
                    .into(),
            );
        }
        if self.has_added_text {
            reach.push(
                "added tokens that are text: none that is found may hold white space, else there is no settled cut"
                    .into(),
            );
        }
        Proof {
            matcher: "none of coolfusion's own: the tokenizers crate splits".into(),
            unit,
            open: None,
            why: why.into(),
            reach,
        }
    }

    fn weight(&self, _left: Option<char>, c: char) -> Weight {
        if self.blanks.as_ref().is_some_and(|blanks| blanks.contains(c)) {
            Weight::Blank
        } else {
            Weight::Full
        }
    }

    fn guards(&self) -> Option<usize> {
        self.blanks.as_ref().map(|blanks| blanks.guards)
    }

    fn may_refuse(&self) -> bool {
        !self.has_unknown
    }

    fn exact_spans(&self) -> bool {
        !self.normalizes
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
