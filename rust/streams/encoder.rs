//! Text -> token ids of everything so far, one piece of text at a time.
//!
//! Appending text can change the last tokens ("Done." + "\n\n" is "Done", ".\n\n" for LLaMA-3), and some tokenizers
//! look far back. A window of words is encoded again at each push. It begins at a settled cut, so the tokens before it
//! cannot change. Its new tokens are compared with the stored ones.

use crate::backends::engine::{Resume, ResumeState, Window};
use crate::backends::stretch::Growth;
use crate::error::Result;
use crate::streams::folding::Folding;
use crate::tokenizer::Tokenizer;
use crate::tokens::between::Between;
use crate::tokens::cuts::tokens_before;
use crate::tokens::edit::{Change, Edit};
use crate::tokens::token::TokenId;
use crate::vocabulary::decode_rules::Likeness;
use std::borrow::Cow;
use std::sync::Arc;

/// From this length on (in bytes) a window holds no more words than it must, and growing stretches are carried.
const LONG_WINDOW: usize = 512;
/// The number of bytes after which carrying is tried again; few, because each push costs the window meanwhile.
const RETRY: usize = 64;

/// A position in the text, the number of tokens before it, and the state in which encoding resumes there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Anchor {
    byte: usize,
    tokens: usize,
    after: ResumeState,
}

const ORIGIN: Anchor = Anchor { byte: 0, tokens: 0, after: ResumeState::Start };

/// An incremental encoder: after every push `ids` is the canonical encoding of the whole text.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let mut encoder = coolfusion::StreamEncoder::new(toy.clone(), 4);
/// for piece in ["the ca", "t s", "at"] {
///     encoder.push(piece)?;
/// }
/// assert_eq!(encoder.ids(), toy.ids("the cat sat", coolfusion::TextPosition::Start)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StreamEncoder {
    tokenizer: Arc<Tokenizer>,
    context_words: usize,
    /// The text as the engine reads it: the whole text, unless characters are left out.
    text: String,
    /// The text, where something may be left out.
    folding: Option<Folding>,
    /// The ids of the text, but for those of a growing word.
    ids: Vec<TokenId>,
    /// The ids of a growing word, which are computed on demand.
    word: Option<Arc<Between>>,
    /// Where the window begins.
    anchor: Anchor,
    /// Up to here the tokens can no longer change.
    settled: Anchor,
    widened: usize,
    /// A long stretch without settled cuts that is carried from push to push.
    growth: Option<Growth>,
    /// The length that a window must have before carrying is tried again.
    try_at: usize,
    /// How the tokens of the window are to its text.
    likeness: Likeness,
    /// The buffers of the last push; only their memory is used again.
    found: Found,
    /// The bytes of all windows that were encoded.
    #[cfg(test)]
    pub(crate) windows: usize,
}

/// The result of encoding a window.
struct Attempt {
    start: Anchor,
    edit: Edit,
    /// How the tokens of the window are to its text, of which something may be left out.
    likeness: Likeness,
    widened: bool,
}

/// The tokens of a window, and the places at which encoding can resume.
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
            folding: tokenizer.guards().map(|_| Folding::default()),
            likeness: Likeness::Same,
            tokenizer,
            context_words,
            text: String::new(),
            ids: Vec::new(),
            word: None,
            anchor: ORIGIN,
            settled: ORIGIN,
            widened: 0,
            growth: None,
            try_at: LONG_WINDOW,
            found: Found::default(),
            #[cfg(test)]
            windows: 0,
        }
    }

    /// The ids of all text so far. Complexity: O(ids) at most.
    #[must_use]
    pub fn ids(&self) -> Cow<'_, [TokenId]> {
        match &self.word {
            Some(word) => Cow::Owned([self.ids.clone(), word.ids()].concat()),
            None => Cow::Borrowed(&self.ids),
        }
    }

    /// The number of these ids.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ids.len() + self.word.as_ref().map_or(0, |word| word.count())
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        self.folding.as_ref().map_or(&self.text, |folding| &folding.text)
    }

    /// The bytes that the next push reads again of a stretch that is carried.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.growth.as_ref().map_or(0, Growth::open)
    }

    /// How often the window proved too small and the whole text was encoded again; 0 while the certificate holds.
    #[must_use]
    pub fn widened(&self) -> usize {
        self.widened
    }

    /// The number of leading tokens of `window`, which begins at `anchor`, that equal those of `ids`.
    fn same(ids: &[TokenId], anchor: Anchor, window: &Window) -> usize {
        ids[anchor.tokens..].iter().zip(&window.tokens).take_while(|(a, b)| **a == b.id).count()
    }

    /// Encodes `tail`, the text from the window's start on; where that contradicts a settled token, all of `whole`.
    ///
    /// The self-check: if a settled token changed, the window was too small. Where characters are left out of the text
    /// that is read, `full` and `full_whole` are the two with them.
    fn attempt(
        &self,
        tail: &str,
        whole: impl Fn() -> String,
        full: Option<&str>,
        full_whole: impl Fn() -> String,
        found: &mut Found,
    ) -> Result<Attempt> {
        let (mut start, known) = (self.anchor, self.ids());
        let Found { window, resumes } = found;
        self.tokenizer.resume(tail, start.after, window, resumes)?;
        let mut same = Self::same(&known, start, window);
        let mut likeness = self.tokenizer.likeness(
            window.tokens.iter().map(|token| token.id),
            &tail.as_bytes()[start.after.torn()..],
            start.after.decode_place(),
        )?;
        let widened = start.tokens + same < self.settled.tokens;
        if widened {
            start = ORIGIN;
            self.tokenizer.resume(&whole(), start.after, window, resumes)?;
            same = Self::same(&known, start, window);
        }
        if widened || full.is_some() {
            let (ids, full_whole) = (window.tokens.iter().map(|token| token.id), widened.then(full_whole));
            let text = full_whole.as_deref().or(full).unwrap_or(tail);
            likeness =
                self.tokenizer.likeness(ids, &text.as_bytes()[start.after.torn()..], start.after.decode_place())?;
        }
        let drop = known.len() - start.tokens - same;
        let ids = window.tokens[same..].iter().map(|t| t.id).collect();
        Ok(Attempt { start, edit: Edit::new(drop, ids, likeness == Likeness::Same), likeness, widened })
    }

    /// The edit that [`StreamEncoder::push`] would return.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]. Complexity: O(window + text), also where a push goes on with a stretch that is
    /// carried: that state cannot be read without a change.
    pub fn peek(&self, text: &str) -> Result<Edit> {
        let Some(folding) = &self.folding else { return self.look(text, None, text) };
        let ahead = folding.advance(&self.tokenizer, self.text.len(), text);
        let full = folding.full_tail(self.anchor.byte, &ahead).map(|at| format!("{}{text}", &folding.text[at..]));
        self.look(&ahead.read, full.as_deref(), text)
    }

    /// The edit of reading `text`, which is `more` without the characters that are left out.
    fn look(&self, text: &str, full: Option<&str>, more: &str) -> Result<Edit> {
        let tail = format!("{}{text}", &self.text[self.anchor.byte..]);
        let whole = || format!("{}{text}", self.text);
        Ok(self.attempt(&tail, whole, full, || format!("{}{more}", self.text()), &mut Found::default())?.edit)
    }

    /// Appends `text`.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// let mut encoder = coolfusion::StreamEncoder::new(toy, 4);
    /// encoder.push("th")?;
    /// assert_eq!(encoder.push("e")?.dropped(), 1);
    /// assert_eq!((encoder.count(), encoder.text()), (1, "the"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; the encoder is then as it was. Complexity: O(window + text), whatever the length of
    /// the text so far, unless the tokenizer has no certificate (`describe()["window"]["whole_text"]`).
    pub fn push(&mut self, text: &str) -> Result<Edit> {
        let Some(mut folding) = self.folding.take() else { return self.read_on(text, None, None, None) };
        let length = folding.text.len();
        let ahead = folding.advance(&self.tokenizer, self.text.len(), text);
        folding.text.push_str(text);
        let full = folding.full_tail(self.anchor.byte, &ahead).map(|at| &folding.text[at..]);
        let done = if ahead.read.is_empty() {
            self.leave_out(text, full)
        } else {
            self.read_on(&ahead.read, Some(text), full, Some(&folding.text))
        };
        match done {
            Ok(_) => folding.take(ahead),
            Err(_) => folding.text.truncate(length),
        }
        self.folding = Some(folding);
        done
    }

    /// The answer where nothing of `more` is read.
    fn leave_out(&mut self, more: &str, full: Option<&str>) -> Result<Edit> {
        if let Some(edit) = self.grown("", Some(more)) {
            return Ok(edit);
        }
        // Tokens that differ from the text, or say less, do so of a longer text too.
        if matches!(self.likeness, Likeness::Same | Likeness::Longer) {
            let tail = full.unwrap_or(&self.text[self.anchor.byte..]);
            let ids = self.ids();
            self.likeness = self.tokenizer.likeness(
                ids[self.anchor.tokens..].iter().copied(),
                tail.as_bytes(),
                self.anchor.after.decode_place(),
            )?;
        }
        Ok(Edit::new(0, Vec::new(), self.likeness == Likeness::Same))
    }

    /// Appends `text`, the part of `more` that is read. `full` is the text of the window and `whole` is all text, where
    /// something is left out.
    fn read_on(&mut self, text: &str, more: Option<&str>, full: Option<&str>, whole: Option<&str>) -> Result<Edit> {
        if let Some(edit) = self.grown(text, more) {
            return Ok(edit);
        }
        let length = self.text.len();
        self.text.push_str(text);
        #[cfg(test)]
        {
            self.windows += self.text.len() - self.anchor.byte;
        }
        let mut found = std::mem::take(&mut self.found);
        let done = self.attempt(
            &self.text[self.anchor.byte..],
            || self.text.clone(),
            full,
            || whole.unwrap_or(&self.text).to_string(),
            &mut found,
        );
        match done {
            Ok(attempt) => {
                self.apply(attempt.edit.dropped(), attempt.edit.ids());
                self.widened += usize::from(attempt.widened);
                self.move_on(attempt.start, &found);
                self.found = found;
                // Of a window that begins elsewhere this is not known.
                self.likeness = if self.anchor == attempt.start { attempt.likeness } else { Likeness::Longer };
                self.take_up(&attempt, full);
                Ok(attempt.edit)
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
            let (at, tokens, after) = if resumes {
                let place = places[index];
                (place.at, place.tokens, place.after)
            } else {
                let at = window.cuts[index];
                (at, tokens_before(&window.tokens, at), ResumeState::Text)
            };
            Anchor { byte: start.byte + at, tokens: start.tokens + tokens, after }
        };
        // A settled cut stays settled, even where this window did not look for it.
        if let Some(last) = count.checked_sub(1).map(anchor).filter(|last| last.byte > self.settled.byte) {
            self.settled = last;
        }
        if count > 0 && (resumes || self.tokenizer.restarts()) {
            if let Some(first) = count.checked_sub(1 + self.context_words) {
                self.anchor = anchor(first);
            }
            // In a long window the words are long, and one is enough to be exact. Where characters are torn there are
            // none.
            let end = self.text.len();
            if end - self.anchor.byte > LONG_WINDOW || anchor(count - 1).after.torn() > 0 {
                let first = count.saturating_sub(1 + self.context_words);
                self.anchor = (first..count)
                    .map(anchor)
                    .find(|at| end - at.byte <= LONG_WINDOW)
                    .unwrap_or_else(|| anchor(count - 1));
            }
        }
    }

    /// Takes `dropped` ids from the end, then appends `ids`.
    fn apply(&mut self, dropped: usize, ids: &[TokenId]) {
        self.ids.truncate(self.ids.len() - dropped);
        self.ids.extend_from_slice(ids);
    }

    /// Ends carrying: the ids of the growing word are appended to `ids`.
    fn drop_growth(&mut self) {
        self.growth = None;
        if let Some(word) = self.word.take() {
            self.ids.extend(word.ids());
        }
    }

    /// Appends `text`, the part of `more` that is read, to a stretch that is carried, if there is one and it can be.
    fn grown(&mut self, text: &str, more: Option<&str>) -> Option<Edit> {
        let growth = self.growth.as_mut()?;
        // Of tokens that change this is not known.
        self.likeness = Likeness::Longer;
        let edit = match more {
            None => self.tokenizer.grown(growth, text),
            Some(more) => self.tokenizer.grown_for(growth, text, more),
        };
        let Some(mut edit) = edit else {
            self.drop_growth();
            self.try_at = self.text.len() - self.anchor.byte + RETRY;
            return None;
        };
        if growth.is_over() {
            self.drop_growth();
            self.try_at = LONG_WINDOW;
            // A window finds the settled cuts now.
            return None;
        }
        self.text.push_str(text);
        match &mut edit.change {
            Change::Told(dropped, ids) => {
                if let Some(word) = self.word.take() {
                    self.ids.extend(word.ids());
                }
                // Without ids that are dropped and appended again.
                let same = self.ids[self.ids.len() - *dropped..]
                    .iter()
                    .zip(&*ids)
                    .take_while(|(one, other)| one == other)
                    .count();
                *dropped -= same;
                ids.drain(..same);
                self.apply(*dropped, ids);
            }
            Change::Between(between) => {
                if self.word.is_none() {
                    self.ids.truncate(self.ids.len() - between.count_before());
                }
                self.word = Some(between.clone());
            }
        }
        Some(edit)
    }

    /// Begins to carry a stretch if the window has become long.
    fn take_up(&mut self, last: &Attempt, full: Option<&str>) {
        let length = self.text.len() - self.anchor.byte;
        if length < LONG_WINDOW {
            self.try_at = LONG_WINDOW;
        } else if length >= self.try_at {
            let (read, after) = (&self.text[self.anchor.byte..], self.anchor.after);
            let growth = match full {
                None => self.tokenizer.grow(read, after),
                // The next window begins where this one does not.
                Some(_) if self.anchor != last.start => return,
                Some(full) => self.tokenizer.grow_for(read, full, after),
            };
            self.growth = growth.filter(|growth| {
                self.tokenizer.agrees(growth, &self.ids) && growth.is_lossless() == last.edit.lossless
            });
            self.try_at = length + RETRY;
        }
    }
}
