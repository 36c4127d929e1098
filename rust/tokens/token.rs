//! The small values that everything else passes around.

use std::fmt;

/// A number of a vocabulary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub u32);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A token and the half-open span of its text bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// First byte in the text that was encoded.
    pub start: usize,
    /// One past its last byte; equal to `start` for a token without text (a dummy prefix).
    pub end: usize,
    /// Number of the pre-token that it belongs to.
    pub word: u32,
}

/// Where tokens go: with spans, or ids alone.
pub(crate) trait Sink {
    /// Takes the next token.
    fn token(&mut self, token: Token);
}

impl Sink for Vec<Token> {
    #[inline]
    fn token(&mut self, token: Token) {
        self.push(token);
    }
}

impl Sink for Vec<TokenId> {
    #[inline]
    fn token(&mut self, token: Token) {
        self.push(token.id);
    }
}

/// The place of a text: at the start, or after other text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextPosition {
    /// At the very start: a dummy prefix is added where the tokenizer has one.
    Start,
    /// After other text.
    Continuation,
}
