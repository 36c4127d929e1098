//! Text -> token ids of everything so far, one piece of text at a time.
//!
//! Appending text can change the last tokens ("Done." + "\n\n" is "Done", ".\n\n" for LLaMA-3), and some tokenizers look
//! far back. A window of words is encoded again at each push; it begins at a settled cut, so what stands before it
//! cannot change, and what is encoded again is compared with what is stored.

use crate::boundary::tokens_before;
use crate::engine::{Behind, Growth, Resume, Window};
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

impl Edit {
    /// This edit and `next`, which follows it.
    pub(crate) fn then(mut self, next: Self) -> Self {
        let (kept, more) = (self.ids.len().saturating_sub(next.drop), next.drop.saturating_sub(self.ids.len()));
        self.ids.truncate(kept);
        self.ids.extend(next.ids);
        Self { drop: self.drop + more, ids: self.ids, lossless: next.lossless }
    }

    /// The same for `before`, without ids that it drops and appends again.
    fn least(mut self, before: &[TokenId]) -> Self {
        let dropped = &before[before.len() - self.drop..];
        let same = dropped.iter().zip(&self.ids).take_while(|(one, other)| one == other).count();
        self.drop -= same;
        self.ids.drain(..same);
        self
    }
}

/// From this length on (in bytes) a window holds no more words than it must, and growing stretches are carried.
const LONG_WINDOW: usize = 512;

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
    /// A long stretch without settled cuts that is carried from push to push.
    growth: Option<Growth>,
    /// So long a window must be before that is tried again.
    try_at: usize,
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
            growth: None,
            try_at: LONG_WINDOW,
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
    /// As [`Tokenizer::encode`]. Complexity: O(window + text), also where a push goes on with a stretch that is carried:
    /// that state cannot be read without a change.
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
        if let Some(edit) = self.grown(text) {
            return Ok(edit);
        }
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
                self.take_up(&edit);
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
        if count > 0 && (resumes || self.tokenizer.restarts()) {
            if let Some(first) = count.checked_sub(1 + self.context_words) {
                self.anchor = anchor(first);
            }
            // In a long window the words are long, and one is enough to be exact.
            let end = self.text.len();
            if end - self.anchor.byte > LONG_WINDOW {
                let first = count.saturating_sub(1 + self.context_words);
                self.anchor = (first..count).map(anchor).find(|at| end - at.byte <= LONG_WINDOW).unwrap_or_else(|| anchor(count - 1));
            }
        }
    }

    /// Appends `text` to a stretch that is carried, if there is one and it can be.
    fn grown(&mut self, text: &str) -> Option<Edit> {
        let growth = self.growth.as_mut()?;
        let Some(edit) = self.tokenizer.grown(growth, text) else {
            self.growth = None;
            self.try_at = 2 * (self.text.len() - self.anchor.byte);
            return None;
        };
        if growth.is_over() {
            self.growth = None;
            self.try_at = LONG_WINDOW;
            // A window finds what is settled now.
            return None;
        }
        let edit = edit.least(&self.ids);
        self.text.push_str(text);
        self.ids.truncate(self.ids.len() - edit.drop);
        self.ids.extend_from_slice(&edit.ids);
        Some(edit)
    }

    /// Begins to carry a stretch if the window has become long.
    fn take_up(&mut self, last: &Edit) {
        let length = self.text.len() - self.anchor.byte;
        if length < LONG_WINDOW {
            self.try_at = LONG_WINDOW;
        } else if length >= self.try_at {
            let growth = self.tokenizer.grow(&self.text[self.anchor.byte..], self.anchor.behind);
            self.growth = growth.filter(|growth| growth.agrees(&self.ids) && growth.is_lossless() == last.lossless);
            self.try_at = 2 * length;
        }
    }
}
