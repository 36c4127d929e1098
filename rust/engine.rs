//! What runs a tokenizer's definition: text -> tokens with spans, and which cuts of them are settled.

use crate::error::Result;
use crate::token::{Place, Token, TokenId};

/// How an engine can prove that a cut is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// The pre-token rule itself, by how far its matcher looked.
    PreTokens,
    /// No piece of the vocabulary can stand across the cut.
    Pieces,
    /// Cuts before a space only, because no piece holds a space behind another character.
    Spaces,
    /// None: boundaries are checked by encoding the prefix again, windows are the whole text.
    None,
}

/// A tokenizer's encoder.
pub trait Engine: Send + Sync {
    /// The canonical tokens of `text`.
    ///
    /// # Errors
    /// `Foreign` where a library or a wrapped object fails.
    fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>>;

    /// Appends the ids of the canonical tokens of `text` to `ids`: what [`Engine::encode`] tells, without the spans.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn ids(&self, text: &str, place: Place, ids: &mut Vec<TokenId>) -> Result<()> {
        ids.extend(self.encode(text, place)?.iter().map(|t| t.id));
        Ok(())
    }

    /// The settled cuts of `text`: interior byte positions `b`, ascending, such that for every `s` the tokens of
    /// `text + s` begin with the tokens of `text` before `b`, and the rest is the encoding of `text[b..] + s` as a text
    /// that stands [`Place::Inside`]. Empty where [`Engine::certificate`] is `None`.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>>;

    /// Whether encoding may start again at a settled cut and give the very same tokens.
    ///
    /// Not for a Unigram model that reads the whole text as one word: its sums of scores run from the left, so rounding
    /// decides between equally good segmentations, and rounding depends on what stands before.
    fn restarts(&self) -> bool {
        self.certificate() != Certificate::None
    }

    /// How [`Engine::settled`] knows.
    fn certificate(&self) -> Certificate;

    /// Whether token spans are exact by construction; else they are a library's offsets, in characters.
    fn exact_spans(&self) -> bool;

    /// Whether several threads at a time are faster than one: not where every call waits for the same interpreter.
    fn gains_from_threads(&self) -> bool {
        true
    }

    /// In a few words, what runs the definition and why.
    fn describe(&self) -> String;
}
