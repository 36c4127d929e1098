//! Text -> token ids of everything so far, one piece of text at a time.
//!
//! Appending text can change the last tokens ("Done." + "\n\n" is "Done", ".\n\n" for LLaMA-3), and some tokenizers look
//! far back. A window of words is encoded again at each push; it begins at a settled cut, so what stands before it
//! cannot change, and what is encoded again is compared with what is stored.

use crate::boundary::tokens_before;
use crate::engine::{Behind, Resume, Window};
use crate::error::Result;
use crate::token::TokenId;
use crate::tokenizer::Tokenizer;
use std::sync::Arc;

/// What a push changed: take `drop` ids from the end, then append `ids`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// How many ids at the end are no longer right.
    pub drop: usize,
    /// The ids that follow.
    pub ids: Vec<TokenId>,
    /// Whether the tokens of the window give back its text byte for byte.
    pub lossless: bool,
}

/// A position in the text, the number of tokens before it, and what encoding must know there of the text before it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Anchor {
    byte: usize,
    tokens: usize,
    behind: Behind,
}

const ORIGIN: Anchor = Anchor { byte: 0, tokens: 0, behind: Behind::Start };

/// An incremental encoder: after every push `ids` is the canonical encoding of the whole text.
#[derive(Clone)]
pub struct StreamEncoder {
    tokenizer: Arc<Tokenizer>,
    context_words: usize,
    text: String,
    ids: Vec<TokenId>,
    /// Where the window begins.
    anchor: Anchor,
    /// Up to here the tokens can no longer change.
    settled: Anchor,
    widened: usize,
    /// What the last push worked with; only its memory is used again.
    found: Found,
}

/// What an engine tells of a window.
#[derive(Clone, Default)]
struct Found {
    window: Window,
    resumes: Vec<Resume>,
}

impl StreamEncoder {
    /// An encoder whose window holds at least `context_words` settled stretches (words, or less where cuts are closer).
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>, context_words: usize) -> Self {
        Self {
            tokenizer,
            context_words,
            text: String::new(),
            ids: Vec::new(),
            anchor: ORIGIN,
            settled: ORIGIN,
            widened: 0,
            found: Found::default(),
        }
    }

    /// The ids of all text so far.
    #[must_use]
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How often the window proved too small and the whole text was encoded again; 0 while the certificate holds.
    #[must_use]
    pub fn widened(&self) -> usize {
        self.widened
    }

    /// How many tokens of `window`, which begins at `anchor`, are those that are stored.
    fn same(&self, anchor: Anchor, window: &Window) -> usize {
        self.ids[anchor.tokens..].iter().zip(&window.tokens).take_while(|(a, b)| **a == b.id).count()
    }

    /// Encodes `tail`, the text from the window's start on; where that contradicts what was settled, all of `whole`.
    ///
    /// The self-check: if a settled token changed, the window was too small.
    fn attempt(&self, tail: &str, whole: impl Fn() -> String, found: &mut Found) -> Result<(Anchor, Edit, bool)> {
        let mut anchor = self.anchor;
        let Found { window, resumes } = found;
        self.tokenizer.resume(tail, anchor.behind, window, resumes)?;
        let mut same = self.same(anchor, window);
        let widened = anchor.tokens + same < self.settled.tokens;
        let lossless = if widened {
            anchor = ORIGIN;
            let whole = whole();
            self.tokenizer.resume(&whole, anchor.behind, window, resumes)?;
            same = self.same(anchor, window);
            self.tokenizer.gives_back(&window.tokens, &whole, anchor.behind.place())?
        } else {
            self.tokenizer.gives_back(&window.tokens, tail, anchor.behind.place())?
        };
        let drop = self.ids.len() - anchor.tokens - same;
        Ok((anchor, Edit { drop, ids: window.tokens[same..].iter().map(|t| t.id).collect(), lossless }, widened))
    }

    /// What [`StreamEncoder::push`] would answer.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]. Complexity: O(window + text).
    pub fn peek(&self, text: &str) -> Result<Edit> {
        let tail = format!("{}{text}", &self.text[self.anchor.byte..]);
        let whole = || format!("{}{text}", self.text);
        Ok(self.attempt(&tail, whole, &mut Found::default())?.1)
    }

    /// Appends `text`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; the encoder is then as it was. Complexity: O(window + text), whatever the length of the
    /// text so far, unless the tokenizer has no certificate (`describe()["window"]["whole_text"]`).
    pub fn push(&mut self, text: &str) -> Result<Edit> {
        let length = self.text.len();
        self.text.push_str(text);
        let mut found = std::mem::take(&mut self.found);
        let done = self.attempt(&self.text[self.anchor.byte..], || self.text.clone(), &mut found);
        match done {
            Ok((anchor, edit, widened)) => {
                self.ids.truncate(self.ids.len() - edit.drop);
                self.ids.extend_from_slice(&edit.ids);
                self.widened += usize::from(widened);
                self.move_on(anchor, &found);
                self.found = found;
                Ok(edit)
            }
            Err(error) => {
                self.text.truncate(length);
                Err(error)
            }
        }
    }

    /// Takes up the cuts that were `found` in the window that begins at `start`.
    fn move_on(&mut self, start: Anchor, found: &Found) {
        let Found { window, resumes: places } = found;
        self.anchor = start;
        let resumes = self.tokenizer.resumes();
        let count = if resumes { places.len() } else { window.cuts.len() };
        let anchor = |index: usize| {
            let (at, tokens, behind) = if resumes {
                let place = places[index];
                (place.at, place.tokens, place.behind)
            } else {
                let at = window.cuts[index];
                (at, tokens_before(&window.tokens, at), Behind::Text)
            };
            Anchor { byte: start.byte + at, tokens: start.tokens + tokens, behind }
        };
        // What was settled stays so, even where this window did not look for that cut.
        if let Some(last) = count.checked_sub(1).map(anchor).filter(|last| last.byte > self.settled.byte) {
            self.settled = last;
        }
        if count > self.context_words && (resumes || self.tokenizer.restarts()) {
            self.anchor = anchor(count - 1 - self.context_words);
        }
    }
}
