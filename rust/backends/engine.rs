//! The trait of the backends that run a tokenizer's definition: text -> tokens with spans, and their settled cuts.

use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::Result;
use crate::models::unigram::Carried;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::util::text::retain_space_starts;
use crate::vocabulary::table::Vocabulary;

/// How an engine can prove that a cut is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// The pre-token rule itself, by how far its matcher looked.
    PreTokens,
    /// No piece of the vocabulary can cross the cut. Example: no piece holds `.` before a letter.
    Pieces,
    /// The walk for the longest token, by whether it ran into the end of the text.
    Longest,
    /// Cuts before a space only, because no piece holds a space after another character.
    Spaces,
    /// None: boundaries are checked by encoding the prefix again, windows are the whole text.
    None,
}

/// The end of a growing text: its tokens, and cuts among all settled ones.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// The canonical tokens.
    pub tokens: Vec<Token>,
    /// Settled cuts, ascending.
    pub cuts: Vec<usize>,
}

/// The state in which encoding resumes at the start of a window: the necessary facts of the text before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResumeState {
    /// There is none.
    Start,
    /// Nothing, but that there is some.
    Text,
    /// It ends with an added token, after which text begins as at the start: a dummy prefix, or a step for the start.
    Added,
    /// How a word begins that goes on in the window.
    Word(Carried),
    /// A token ends inside the first character of the window, after this number of bytes: 1 to 3.
    Torn(usize),
}

impl ResumeState {
    /// The place at which the window is encoded.
    #[must_use]
    pub fn place(self) -> TextPosition {
        match self {
            Self::Start | Self::Added => TextPosition::Start,
            Self::Text | Self::Word(_) | Self::Torn(_) => TextPosition::Continuation,
        }
    }

    /// The place at which the tokens of the window are decoded.
    #[must_use]
    pub fn decode_place(self) -> TextPosition {
        match self {
            Self::Start => TextPosition::Start,
            Self::Text | Self::Added | Self::Word(_) | Self::Torn(_) => TextPosition::Continuation,
        }
    }

    /// The number of bytes of the window before its first token.
    #[must_use]
    pub fn torn(self) -> usize {
        match self {
            Self::Torn(bytes) => bytes,
            Self::Start | Self::Text | Self::Added | Self::Word(_) => 0,
        }
    }
}

/// An interior position of a window where encoding can go on, whatever is appended: the tokens before it stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resume {
    /// In bytes.
    pub at: usize,
    /// The number of tokens of the window that stay; the others are those of the text from `at` on.
    pub tokens: usize,
    /// The state in which encoding resumes there.
    pub after: ResumeState,
}

/// The proved facts of a tokenizer at load, in words and numbers; see docs/proofs/README.md.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The matcher of the split rule.
    pub matcher: String,
    /// The unit of `open`.
    pub unit: &'static str,
    /// The number of units at the end of a text that a later text can still change: a window that begins before them is
    /// exact. `None`: no number holds for all texts, so a window begins at the last settled cut.
    pub open: Option<u32>,
    /// Why.
    pub why: String,
    /// Other rules that reach back from the end.
    pub reach: Vec<String>,
}

/// A tokenizer's encoder.
pub trait Engine: Send + Sync {
    /// The canonical tokens of `text`.
    ///
    /// # Errors
    /// `Foreign` where a library or a wrapped object fails.
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>>;

    /// Appends the ids of the canonical tokens of `text` to `ids`: the result of [`Engine::encode`] without the spans.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn ids(&self, text: &str, place: TextPosition, ids: &mut Vec<TokenId>) -> Result<()> {
        ids.extend(self.encode(text, place)?.iter().map(|t| t.id));
        Ok(())
    }

    /// The settled cuts of `text`: interior byte positions `b`, ascending, such that two things hold for every `s`. The
    /// tokens of `text + s` begin with the tokens of `text` before `b`. The rest is the encoding of `text[b..] + s` at
    /// [`TextPosition::Continuation`]. Empty where [`Engine::certificate`] is `None`.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>>;

    /// Replaces `window` by the canonical tokens of `text` and settled cuts of it, as many as cost no second look.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn window(&self, text: &str, place: TextPosition, window: &mut Window) -> Result<()> {
        window.tokens = self.encode(text, place)?;
        window.cuts = self.settled(text, place)?;
        Ok(())
    }

    /// Replaces `window.tokens` by the canonical tokens of `text`, where encoding resumes in the state `after`.
    /// Replaces `resumes` by places where encoding can go on, ascending. The same as [`Engine::window`] where not
    /// [`Engine::resumes`].
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn resume(&self, text: &str, after: ResumeState, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        resumes.clear();
        self.window(text, after.place(), window)
    }

    /// Takes up a long stretch that begins where a window may begin and goes on growing; None where that is not
    /// carried.
    fn grow(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        let _ = (text, after, vocabulary);
        None
    }

    /// The edit of appending `text` to a stretch that this engine took up; None where a window must be encoded.
    fn grown(&self, growth: &mut Growth, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        let _ = (growth, text, vocabulary);
        None
    }

    /// As [`Engine::grow`] where `text` is what is read of `full`: the stretch then tells whether its tokens give back
    /// `full`.
    fn grow_for(&self, text: &str, full: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        let _ = (text, full, after, vocabulary);
        None
    }

    /// As [`Engine::grown`] where `text`, which may be empty, is what is read when `more` is appended.
    fn grown_for(&self, growth: &mut Growth, text: &str, more: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        let _ = (growth, text, more, vocabulary);
        None
    }

    /// All tokens of a carried stretch.
    fn carried_ids(&self, growth: &Growth) -> Vec<TokenId> {
        let _ = growth;
        Vec::new()
    }

    /// The positions after `from`, ascending, that no token of a carried stretch crosses. Positions are those of
    /// `near`, the end of the stretch. None where a window must be encoded.
    fn token_cuts_after(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        let _ = (growth, near, from);
        None
    }

    /// The settled cuts of a carried stretch after `from`: those of [`Engine::settled`], as positions of `near`, its
    /// end. None where a window must be read.
    fn settled_after(&self, growth: &mut Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        let _ = (growth, near, from);
        None
    }

    /// Which long stretches are carried, so that pushing them takes linear time, and which are not; one line.
    fn carries(&self) -> String {
        let whole = !self.restarts() && !self.resumes();
        let reads = if whole { "the whole text" } else { "the text after the last cut" };
        match self.guards() {
            Some(_) => format!("runs of white space that is dropped or folded: each other push reads {reads}"),
            None => format!("nothing: each push reads {reads}"),
        }
    }

    /// Whether it is sure that no cut of a carried stretch is settled.
    fn is_unsettled(&self, growth: &mut Growth) -> bool {
        let _ = growth;
        false
    }

    /// Takes a carried stretch back to where it was `saved`; None where that fails, and the state is then of no use.
    fn restore(&self, growth: &mut Growth, saved: &SavedGrowth, vocabulary: &Vocabulary) -> Option<()> {
        let _ = (growth, saved, vocabulary);
        None
    }

    /// Whether [`Engine::resume`] returns places to go on, which may be more than the settled cuts.
    fn resumes(&self) -> bool {
        false
    }

    /// The settled cuts before white space: those of [`Engine::settled`] at these places alone.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn settled_before_space(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        let mut cuts = self.settled(text, place)?;
        retain_space_starts(text, &mut cuts);
        Ok(cuts)
    }

    /// The weight of `c` after a text that ends with `left` (None: an empty text), whatever follows. Only where
    /// [`Engine::guards`] is known.
    ///
    /// Where that is [`Weight::None`], the ids of all that goes on with `c` are the ids of it without `c`. A run of
    /// [`Weight::Blank`]s that are more than twice `guards` and two may lose all but the first ones and the last
    /// `guards`.
    fn weight(&self, _left: Option<char>, _c: char) -> Weight {
        Weight::Full
    }

    /// The number of blanks at an end of a run that may be read together with the text beside it. None where nothing
    /// may be left out.
    fn guards(&self) -> Option<usize> {
        None
    }

    /// Whether encoding may start again at a settled cut and give the very same tokens.
    ///
    /// Not for a Unigram model that reads the whole text as one word: its sums of scores run from the left. Rounding
    /// decides between equally good segmentations, and it depends on the text before.
    fn restarts(&self) -> bool {
        self.certificate() != Certificate::None
    }

    /// How [`Engine::settled`] knows.
    fn certificate(&self) -> Certificate;

    /// The proof of settled cuts, in words; computed on demand.
    fn proof(&self) -> Proof {
        let (unit, open, why) = match self.certificate() {
            Certificate::Spaces => ("words", Some(1), "every space begins a word, and words are encoded by themselves"),
            Certificate::Pieces => (
                "settled cuts",
                None,
                "no piece can stand across a settled cut; how far back the last one is depends on the text",
            ),
            Certificate::PreTokens => (
                "pre-tokens",
                None,
                "the matcher tells how far it looked; how far back the last settled cut is depends on the text",
            ),
            Certificate::Longest => (
                "settled cuts",
                None,
                "a token is the longest that fits; how far back the last settled cut is depends on the text",
            ),
            Certificate::None => ("whole text", None, "nothing tells how far the rule looks"),
        };
        Proof { matcher: "none of coolfusion's own".into(), unit, open, why: why.into(), reach: Vec::new() }
    }

    /// Whether token spans are exact by construction; else they are a library's offsets, in characters.
    fn exact_spans(&self) -> bool;

    /// Whether encoding fails for characters without a token, because there is no unknown token either.
    fn may_refuse(&self) -> bool {
        false
    }

    /// Whether several threads at a time are faster than one: not where every call waits for the same interpreter.
    fn gains_from_threads(&self) -> bool {
        true
    }

    /// The backend of the definition and the reason for it, in a few words.
    fn describe(&self) -> String;
}

/// The weight of a character after the text before it, whatever follows. Example: a dropped character is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It counts.
    Full,
    /// In a run of such characters, all between the ends makes no difference.
    Blank,
    /// It makes no difference.
    None,
}
