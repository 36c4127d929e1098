//! The end of a growing text as one tokenizer of a segmenter sees it: token cuts and settled cuts after the committed
//! text.
//!
//! A window begins at the last place where encoding can go on. Where there is none, the stretch is carried from push to
//! push (docs/proofs/segmenter-cuts.md), so a check costs only the appended text. A stretch that cannot be carried is
//! read again.

use crate::backends::engine::{Certificate, Resume, ResumeState, Window};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::Result;
use crate::tokenizer::Tokenizer;
use crate::tokens::cuts::TokenCuts;
use crate::tokens::token::TextPosition;
use crate::util::text::stands_before_space;

/// From this length on (in bytes) a window is carried.
const LONG_WINDOW: usize = 512;
/// The number of bytes before the pending text that are read where a stretch is carried.
const NEAR: usize = 64;
/// Cuts depend on a few characters before them, and so a window begins further back.
const ROOM: usize = 16;

/// A text in two parts: the segments that have been returned, and the pending text.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) context: &'a str,
    pub(crate) pending: &'a str,
}

impl Parts<'_> {
    fn length(self) -> usize {
        self.context.len() + self.pending.len()
    }

    /// The text from byte `at` on.
    fn from(self, at: usize) -> String {
        match at.checked_sub(self.context.len()) {
            Some(at) => self.pending[at..].into(),
            None => format!("{}{}", &self.context[at..], self.pending),
        }
    }
}

/// Where a window begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    byte: usize,
    after: ResumeState,
}

/// A window, and its carried state. Example: the text from the last settled cut on.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    start: Start,
    growth: Option<Growth>,
    /// The length of the text when the growth took it in.
    taken: usize,
    /// The length that a window must have before it is carried.
    try_at: usize,
    /// The bytes of all windows that were read.
    #[cfg(test)]
    pub(crate) windows: usize,
}

/// A saved state of a tail.
#[derive(Debug, Clone)]
pub(crate) struct SavedTail {
    start: Start,
    growth: Option<SavedGrowth>,
    taken: usize,
    try_at: usize,
}

impl Tail {
    pub(crate) fn new() -> Self {
        Self {
            start: Start { byte: 0, after: ResumeState::Start },
            growth: None,
            taken: 0,
            try_at: LONG_WINDOW,
            #[cfg(test)]
            windows: 0,
        }
    }

    pub(crate) fn save(&self) -> SavedTail {
        SavedTail {
            start: self.start,
            growth: self.growth.as_ref().map(Growth::save),
            taken: self.taken,
            try_at: self.try_at,
        }
    }

    /// Goes back to where the text was as long as when this was saved.
    pub(crate) fn restore(&mut self, tokenizer: &Tokenizer, saved: &SavedTail) {
        let same = self.start.byte == saved.start.byte;
        let restored = match (self.growth.as_mut().filter(|_| same), &saved.growth) {
            (Some(growth), Some(saved)) => tokenizer.restore(growth, saved).is_some(),
            _ => false,
        };
        if !restored {
            self.growth = None;
        }
        (self.start, self.taken, self.try_at) = (saved.start, saved.taken, saved.try_at);
    }

    /// The settled cuts of the pending text.
    pub(crate) fn settled(&mut self, tokenizer: &Tokenizer, text: Parts<'_>) -> Result<Vec<usize>> {
        let carried =
            |tail: &mut Self, near: &str, from| tokenizer.engine().settled_after(tail.growth.as_mut()?, near, from);
        if let Some(cuts) = self.carried(tokenizer, text, carried)? {
            return Ok(cuts);
        }
        let window = self.window(text);
        let place = self.start.after.place();
        let cuts = if tokenizer.certificate() == Certificate::None {
            checked_cuts(tokenizer, &window, place)?
        } else {
            tokenizer.settled(&window, place)?
        };
        Ok(self.of_pending(text, cuts))
    }

    /// The character boundaries of the pending text that no token crosses.
    pub(crate) fn token_cuts(&mut self, tokenizer: &Tokenizer, text: Parts<'_>) -> Result<Vec<usize>> {
        let carried =
            |tail: &mut Self, near: &str, from| tokenizer.engine().token_cuts_after(tail.growth.as_ref()?, near, from);
        if let Some(cuts) = self.carried(tokenizer, text, carried)? {
            return Ok(cuts);
        }
        let window = self.window(text);
        let tokens = match self.start.after {
            ResumeState::Start | ResumeState::Text | ResumeState::Added => {
                tokenizer.encode(&window, self.start.after.place())?
            }
            after @ (ResumeState::Word(_) | ResumeState::Torn(_)) => {
                let mut found = Window::default();
                tokenizer.resume(&window, after, &mut found, &mut Vec::new())?;
                found.tokens
            }
        };
        let cuts = TokenCuts::new(&tokens, window.len());
        Ok(self.of_pending(
            text,
            (1..window.len()).filter(|&at| window.is_char_boundary(at) && cuts.contains(at)).collect(),
        ))
    }

    /// Moves the window to the last place before the pending text where encoding can go on.
    pub(crate) fn advance(&mut self, tokenizer: &Tokenizer, text: Parts<'_>) -> Result<()> {
        if !tokenizer.restarts() && !tokenizer.resumes() {
            return Ok(());
        }
        if self.growth.is_some() && self.catch_up(tokenizer, text)? {
            // A position that is not settled in more text is not settled in less.
            if self.growth.as_mut().is_some_and(|growth| tokenizer.engine().is_unsettled(growth)) {
                return Ok(());
            }
        }
        let window = &text.context[self.start.byte..];
        #[cfg(test)]
        {
            self.windows += window.len();
        }
        let restarts = tokenizer.restarts();
        let mut found = None;
        if restarts {
            found = tokenizer.settled(window, self.start.after.place())?.last().map(|&at| (at, ResumeState::Text));
        }
        if found.is_none() && (!restarts || tokenizer.resumes() && window.len() >= LONG_WINDOW) {
            let (mut read, mut resumes) = (Window::default(), Vec::new());
            tokenizer.resume(window, self.start.after, &mut read, &mut resumes)?;
            let fits =
                |resume: &&Resume| resume.at + ROOM <= window.len() && (!restarts || resume.after != ResumeState::Text);
            found = resumes.iter().rev().find(fits).map(|resume| (resume.at, resume.after));
        }
        match found {
            Some((at, after)) => {
                self.start = Start { byte: self.start.byte + at, after };
                (self.growth, self.taken, self.try_at) = (None, 0, LONG_WINDOW);
            }
            // A stretch that is carried from here on can be taken back to here.
            None => {
                self.catch_up(tokenizer, text)?;
            }
        }
        Ok(())
    }

    /// All of the window.
    fn window(&mut self, text: Parts<'_>) -> String {
        let window = text.from(self.start.byte);
        #[cfg(test)]
        {
            self.windows += window.len();
        }
        window
    }

    /// The positions `found` in the window, as positions of the pending text.
    fn of_pending(&self, text: Parts<'_>, found: Vec<usize>) -> Vec<usize> {
        let before = text.context.len() - self.start.byte;
        found.into_iter().filter(|&at| at > before).map(|at| at - before).collect()
    }

    /// The cuts that `find` finds in the end of a carried stretch, as positions of the pending text.
    fn carried(
        &mut self,
        tokenizer: &Tokenizer,
        text: Parts<'_>,
        find: impl Fn(&mut Self, &str, usize) -> Option<Vec<usize>>,
    ) -> Result<Option<Vec<usize>>> {
        if !self.catch_up(tokenizer, text)? {
            return Ok(None);
        }
        let context = text.context.len();
        let near = (self.start.byte.max(context.saturating_sub(NEAR))..context)
            .find(|&at| text.context.is_char_boundary(at))
            .unwrap_or(context);
        let before = context - near;
        Ok(find(self, &text.from(near), before).map(|cuts| cuts.into_iter().map(|at| at - before).collect()))
    }

    /// Takes in the appended text; returns whether a stretch is carried.
    fn catch_up(&mut self, tokenizer: &Tokenizer, text: Parts<'_>) -> Result<bool> {
        let length = text.length() - self.start.byte;
        // A push that failed has taken back its text.
        self.growth.take_if(|_| self.taken > text.length());
        if let Some(growth) = &mut self.growth {
            if self.taken == text.length() || tokenizer.grown(growth, &text.from(self.taken)).is_some() {
                self.taken = text.length();
                return Ok(true);
            }
            self.growth = None;
            self.try_at = 2 * length;
        } else if length >= self.try_at {
            let window = self.window(text);
            if let Some(growth) = tokenizer.grow(&window, self.start.after) {
                let (mut found, after) = (Window::default(), self.start.after);
                tokenizer.resume(&window, after, &mut found, &mut Vec::new())?;
                let ids: Vec<_> = found.tokens.iter().map(|token| token.id).collect();
                if tokenizer.agrees(&growth, &ids) {
                    (self.growth, self.taken) = (Some(growth), text.length());
                    return Ok(true);
                }
            }
            self.try_at = 2 * length;
        }
        Ok(false)
    }
}

/// Word boundaries of a tokenizer without certificate: the prefix encodes to the same tokens.
fn checked_cuts(tokenizer: &Tokenizer, text: &str, place: TextPosition) -> Result<Vec<usize>> {
    let tokens = tokenizer.encode(text, place)?;
    let cuts = TokenCuts::new(&tokens, text.len());
    let mut checked = Vec::new();
    for at in (1..text.len()).filter(|&at| stands_before_space(text, at) && cuts.contains(at)) {
        let prefix = tokenizer.encode(&text[..at], place)?;
        if prefix.iter().zip(&tokens).all(|(a, b)| a.id == b.id) && prefix.len() <= tokens.len() {
            checked.push(at);
        }
    }
    Ok(checked)
}
