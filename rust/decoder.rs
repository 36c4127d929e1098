//! Token ids -> text that is never withdrawn, one id at a time.
//!
//! Decoding a growing list of ids again and again is slow and takes text back: the `ByteFallback` decoder turns a whole
//! run of bytes into U+FFFD when one more byte makes it ill-formed, and a text that ends inside a character shows a
//! U+FFFD that later disappears. Bytes that are final leave here, others wait.

use crate::error::Result;
use crate::token::TokenId;
use crate::tokenizer::Tokenizer;
use crate::utf8::Utf8Decoder;
use crate::vocabulary::Kind;
use std::sync::Arc;

/// An incremental decoder.
#[derive(Clone)]
pub struct StreamDecoder {
    tokenizer: Arc<Tokenizer>,
    utf8: Utf8Decoder,
    /// No text has come yet: the dummy prefix is still to be dropped.
    at_start: bool,
    pushed: usize,
}

impl StreamDecoder {
    /// A decoder that continues behind `prompt_ids` and owes only what follows.
    ///
    /// A prompt that ends inside a character leaves its last bytes here; the whole character is owed when it is complete,
    /// because nobody could show it before.
    ///
    /// # Errors
    /// `UnknownToken` for a prompt id. Complexity: O(prompt) once, to check the ids.
    pub fn new(tokenizer: Arc<Tokenizer>, prompt_ids: &[TokenId]) -> Result<Self> {
        let mut decoder = Self { tokenizer, utf8: Utf8Decoder::default(), at_start: true, pushed: 0 };
        let mut tail = Vec::new();
        let mut known = 0;
        for (position, &id) in prompt_ids.iter().enumerate().rev() {
            let bytes = decoder.tokenizer.vocabulary().bytes(id, position)?;
            decoder.at_start &= bytes.is_empty();
            // The last four bytes hold all that an unfinished character can be made of.
            if known < 4 {
                known += bytes.len();
                tail.push(bytes);
            }
        }
        let tail: Vec<u8> = tail.into_iter().rev().flatten().copied().collect();
        decoder.utf8.push(&tail, &mut String::new());
        Ok(decoder)
    }

    /// Adds one id to `text`; returns how many ill-formed parts became U+FFFD.
    ///
    /// # Errors
    /// `UnknownToken`; the stream is then as it was. Complexity: O(bytes of the token).
    pub fn push(&mut self, id: TokenId, text: &mut String) -> Result<usize> {
        let bytes = self.tokenizer.vocabulary().bytes(id, self.pushed)?;
        self.pushed += 1;
        let drops = self.at_start && self.tokenizer.drops_first_space() && bytes.first() == Some(&b' ');
        self.at_start &= bytes.is_empty();
        Ok(self.utf8.push(&bytes[usize::from(drops)..], text))
    }

    /// A decoder that stands behind some text that ended with a whole character.
    pub(crate) fn behind_text(&self) -> Self {
        Self { tokenizer: self.tokenizer.clone(), utf8: Utf8Decoder::default(), at_start: false, pushed: 0 }
    }

    /// Ends the text: bytes of an unfinished character become one U+FFFD. Returns how many were replaced.
    pub fn flush(&mut self, text: &mut String) -> usize {
        self.utf8.finish(text)
    }

    /// Whether the text so far ends with a whole character.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.utf8.held().is_empty()
    }

    /// Whether `id` is a control token of this tokenizer.
    #[must_use]
    pub fn is_control(&self, id: TokenId) -> bool {
        self.tokenizer.vocabulary().kind(id) == Kind::Control
    }
}
