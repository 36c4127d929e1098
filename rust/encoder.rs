//! Text -> token ids of everything so far, one piece of text at a time.
//!
//! Appending text can change the last tokens ("Done." + "\n\n" is "Done", ".\n\n" for LLaMA-3), and some tokenizers look
//! far back. A window of words is encoded again at each push; it begins at a settled cut, so what stands before it
//! cannot change, and what is encoded again is compared with what is stored.

use crate::boundary::tokens_before;
use crate::error::Result;
use crate::token::{Place, Token, TokenId};
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

/// A position in the text and the number of tokens before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    byte: usize,
    tokens: usize,
}

const ORIGIN: Anchor = Anchor { byte: 0, tokens: 0 };

/// An incremental encoder: after every push `ids` is the canonical encoding of the whole text.
#[derive(Clone)]
pub struct StreamEncoder {
    tokenizer: Arc<Tokenizer>,
    context_words: usize,
    text: String,
    ids: Vec<TokenId>,
    /// Where the window begins.
    window: Anchor,
    /// Up to here the tokens can no longer change.
    settled: Anchor,
    widened: usize,
}

/// The result of encoding the window with new text behind it.
struct Attempt {
    window: Anchor,
    tokens: Vec<Token>,
    same: usize,
    widened: bool,
}

impl StreamEncoder {
    /// An encoder whose window holds at least `context_words` settled stretches (words, or less where cuts are closer).
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>, context_words: usize) -> Self {
        Self { tokenizer, context_words, text: String::new(), ids: Vec::new(), window: ORIGIN, settled: ORIGIN, widened: 0 }
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

    fn place(window: Anchor) -> Place {
        if window.byte == 0 { Place::Start } else { Place::Inside }
    }

    /// Encodes `tail`, the text from `window` on, and compares it with what is stored.
    fn attempt(&self, tail: &str, window: Anchor) -> Result<Attempt> {
        let tokens = self.tokenizer.encode(tail, Self::place(window))?;
        let stored = &self.ids[window.tokens..];
        let same = stored.iter().zip(&tokens).take_while(|(a, b)| **a == b.id).count();
        Ok(Attempt { window, tokens, same, widened: false })
    }

    /// The self-check: whether what was settled is still there. If not, the window was too small.
    fn is_sound(&self, attempt: &Attempt) -> bool {
        attempt.window.tokens + attempt.same >= self.settled.tokens
    }

    fn edit(&self, tail: &str, attempt: &Attempt) -> Result<Edit> {
        let loss = self.tokenizer.first_loss_of(&attempt.tokens, tail, Self::place(attempt.window))?;
        Ok(Edit {
            drop: self.ids.len() - attempt.window.tokens - attempt.same,
            ids: attempt.tokens[attempt.same..].iter().map(|t| t.id).collect(),
            lossless: loss.is_none(),
        })
    }

    /// What [`StreamEncoder::push`] would answer.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]. Complexity: O(window + text).
    pub fn peek(&self, text: &str) -> Result<Edit> {
        let tail = format!("{}{text}", &self.text[self.window.byte..]);
        let attempt = self.attempt(&tail, self.window)?;
        if self.is_sound(&attempt) {
            return self.edit(&tail, &attempt);
        }
        let whole = format!("{}{text}", self.text);
        self.edit(&whole, &self.attempt(&whole, ORIGIN)?)
    }

    /// Appends `text`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; the encoder is then as it was. Complexity: O(window + text), whatever the length of the
    /// text so far, unless the tokenizer has no certificate (`describe()["window"]["whole_text"]`).
    pub fn push(&mut self, text: &str) -> Result<Edit> {
        let length = self.text.len();
        self.text.push_str(text);
        let done = self.attempt(&self.text[self.window.byte..], self.window).and_then(|mut attempt| {
            if !self.is_sound(&attempt) {
                attempt = Attempt { widened: true, ..self.attempt(&self.text, ORIGIN)? };
            }
            let edit = self.edit(&self.text[attempt.window.byte..], &attempt)?;
            let cuts = self.tokenizer.settled(&self.text[attempt.window.byte..], Self::place(attempt.window))?;
            Ok((attempt, edit, cuts))
        });
        let (attempt, edit, cuts) = match done {
            Ok(done) => done,
            Err(error) => {
                self.text.truncate(length);
                return Err(error);
            }
        };
        self.widened += usize::from(attempt.widened);
        self.ids.truncate(self.ids.len() - edit.drop);
        self.ids.extend_from_slice(&edit.ids);
        let anchor = |at: usize| Anchor {
            byte: attempt.window.byte + at,
            tokens: attempt.window.tokens + tokens_before(&attempt.tokens, at),
        };
        self.window = attempt.window;
        if let Some(&last) = cuts.last() {
            self.settled = anchor(last);
        }
        if cuts.len() > self.context_words && self.tokenizer.restarts() {
            self.window = anchor(cuts[cuts.len() - 1 - self.context_words]);
        }
        Ok(edit)
    }
}
