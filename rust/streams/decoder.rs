//! Token ids -> text that is never withdrawn, one id at a time.
//!
//! Decoding a growing list of ids again and again is slow and takes text back. For example, the `ByteFallback` decoder
//! turns a whole run of bytes into U+FFFD when one more byte makes it ill-formed. A text that ends inside a character
//! shows a U+FFFD that later disappears. This decoder returns bytes once they are final and holds the others.

use crate::error::Result;
use crate::tokenizer::Tokenizer;
use crate::tokens::token::{TextPosition, TokenId};
use crate::util::utf8::{ends_whole, Utf8Decoder};
use crate::vocabulary::decode_rules::DecodeState;
use crate::vocabulary::table::Kind;
use std::sync::Arc;

/// An incremental decoder.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let mut decoder = coolfusion::StreamDecoder::new(toy, &[])?;
/// let mut text = String::new();
/// decoder.push(coolfusion::TokenId(0xC3), &mut text)?; // the first byte of a character
/// assert_eq!(text, "");
/// decoder.push(coolfusion::TokenId(0xAF), &mut text)?;
/// assert_eq!(text, "\u{ef}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StreamDecoder {
    tokenizer: Arc<Tokenizer>,
    utf8: Utf8Decoder,
    state: DecodeState,
    pushed: usize,
}

impl StreamDecoder {
    /// A decoder that continues after `prompt_ids` and returns only the text after them.
    ///
    /// If a prompt ends inside a character, its last bytes are held here. The whole character is returned once it is
    /// complete, because it could not be shown before.
    ///
    /// # Errors
    /// `UnknownToken` for a prompt id. Complexity: O(prompt) once, to check the ids.
    pub fn new(tokenizer: Arc<Tokenizer>, prompt_ids: &[TokenId]) -> Result<Self> {
        let state = tokenizer.decode_rules().after(tokenizer.vocabulary(), prompt_ids)?;
        let mut decoder = Self { tokenizer, utf8: Utf8Decoder::default(), state, pushed: 0 };
        let mut tail = Vec::new();
        let mut known = 0;
        for (position, &id) in prompt_ids.iter().enumerate().rev() {
            let bytes = decoder.tokenizer.vocabulary().bytes(id, position)?;
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

    /// Adds one id to `text`; returns the number of ill-formed parts that became U+FFFD.
    ///
    /// # Errors
    /// `UnknownToken`; the stream is then as it was. Complexity: O(bytes of the token).
    pub fn push(&mut self, id: TokenId, text: &mut String) -> Result<usize> {
        let tokenizer = &self.tokenizer;
        let (owed, bytes) = tokenizer.decode_rules().step(tokenizer.vocabulary(), id, self.pushed, &mut self.state)?;
        self.pushed += 1;
        let replaced = if owed { self.utf8.push(b" ", text) } else { 0 };
        Ok(replaced + self.utf8.push(bytes, text))
    }

    /// As [`StreamDecoder::push`] where the stream and the token both end with a whole character: the token's bytes,
    /// whose ill-formed parts are still to be replaced. Elsewhere nothing is changed and the answer is `None`.
    ///
    /// # Errors
    /// As [`StreamDecoder::push`].
    #[inline]
    pub fn push_whole(&mut self, id: TokenId) -> Result<Option<&[u8]>> {
        if !self.is_settled() {
            return Ok(None);
        }
        let bytes = self.tokenizer.vocabulary().bytes(id, self.pushed)?;
        if !ends_whole(bytes) {
            return Ok(None);
        }
        self.pushed += 1;
        Ok(Some(bytes))
    }

    /// Whether [`StreamDecoder::push_whole`] would now answer for every id that ends with a whole character, and leave
    /// nothing changed but the count of ids.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_whole() && self.tokenizer.decode_rules().is_settled(self.state)
    }

    /// Counts `ids` more ids, for errors that name a position.
    pub fn count(&mut self, ids: usize) {
        self.pushed += ids;
    }

    /// Adds many ids: the text that [`StreamDecoder::push`] gives for each, joined.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// let ids = toy.ids("the cat", coolfusion::TextPosition::Start)?;
    /// let mut decoder = coolfusion::StreamDecoder::new(toy, &ids[..1])?;
    /// assert_eq!(decoder.extend(&ids[1..])?, " cat");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `UnknownToken` with the index in `ids`; nothing of the call is applied then, the stream is as it was.
    /// Complexity: O(bytes of the tokens).
    pub fn extend(&mut self, ids: &[TokenId]) -> Result<String> {
        let bytes = self.extend_bytes(ids)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// As [`StreamDecoder::extend`], before ill-formed parts are replaced: no character begins here that is not whole,
    /// but for the bytes that are none.
    ///
    /// # Errors
    /// As [`StreamDecoder::extend`].
    pub fn extend_bytes(&mut self, ids: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = self.utf8.held().to_vec();
        self.tokenizer.decode_rules().append(self.tokenizer.vocabulary(), ids, &mut self.state, &mut bytes)?;
        self.pushed += ids.len();
        self.utf8.hold_back(&mut bytes);
        Ok(bytes)
    }

    /// A decoder after some text that ended with a whole character.
    pub(crate) fn after_text(&self) -> Self {
        let state = self.tokenizer.decode_rules().state(TextPosition::Continuation);
        Self { tokenizer: self.tokenizer.clone(), utf8: Utf8Decoder::default(), state, pushed: 0 }
    }

    /// Ends the text: bytes of an unfinished character become one U+FFFD. Returns the number of replacements.
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
