//! The one error type of the core: every variant says the value, the position and the expected value.

use thiserror::Error;

/// The result of every fallible call of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// The errors of the core; positions are bytes from the start of the text that was passed in.
///
/// ```
/// use coolfusion::{Error, TextPosition, TokenId, Tokenizer};
/// let toy = Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let error = toy.decode(&[TokenId(257), TokenId(999)], TextPosition::Start);
/// assert!(matches!(error, Err(Error::UnknownToken { id: 999, position: 1, .. })));
/// # Ok::<(), Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A file cannot be read, or is not of the format that its name or content promises.
    #[error("{path}: {reason}")]
    File {
        /// The path as it was given.
        path: String,
        /// The found and the expected content.
        reason: String,
    },
    /// A tokenizer definition is broken or uses a stage that no backend can run.
    #[error("tokenizer definition, {stage}: {reason}")]
    Definition {
        /// The part of the definition: `model`, `pre_tokenizer`, ...
        stage: String,
        /// The found and the expected content.
        reason: String,
    },
    /// A token id that the vocabulary does not hold.
    #[error(
        "token id {id} at position {position} is not in the vocabulary: expected one of the ids below {vocab_size} \
        that are in use"
    )]
    UnknownToken {
        /// The id.
        id: u32,
        /// Its index in the list that was passed in.
        position: usize,
        /// One past the largest id.
        vocab_size: usize,
    },
    /// A token whose bytes could not be found out (a wrapped tokenizer that shows it only inside others).
    #[error("token id {id} has no bytes of its own that this tokenizer would tell: {reason}")]
    NoTokenBytes {
        /// The id.
        id: u32,
        /// The ways that were tried.
        reason: String,
    },
    /// A text that the tokenizer cannot say: decoding its encoding gives other bytes.
    #[error(
        "the tokenizer {tokenizer} cannot represent the text: at {unit} {position} {text:?} does not come back \
        from its tokens ({reason})"
    )]
    Unrepresentable {
        /// The name of the tokenizer.
        tokenizer: String,
        /// First position that differs.
        position: usize,
        /// The unit of positions: bytes in the core, characters where a `str` was passed in.
        unit: &'static str,
        /// The text there, at most a few characters.
        text: String,
        /// The text that comes back instead.
        reason: String,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {position} of the text is not valid UTF-8: {reason}")]
    InvalidText {
        /// First offending byte.
        position: usize,
        /// The bytes there.
        reason: String,
    },
    /// An argument outside its range.
    #[error("{name} is {value}: expected {expected}")]
    Argument {
        /// Its name.
        name: &'static str,
        /// The value as it was given.
        value: String,
        /// The values that are allowed.
        expected: String,
    },
    /// An encoding that is to be aligned and is not one of the text.
    #[error(
        "encoding {encoding} ({tokenizer}) is not one of the text: at byte {position} it says {found}, expected \
        {expected} ({why})"
    )]
    NotAligned {
        /// Its index in the list that was passed in.
        encoding: usize,
        /// The name of its tokenizer.
        tokenizer: String,
        /// First byte that differs.
        position: usize,
        /// The text of the ids there.
        found: String,
        /// The text that was passed in, there.
        expected: String,
        /// Why no other way led to the text.
        why: String,
    },
    /// An error about one of several encodings.
    #[error("encoding {encoding}: {error}")]
    InEncoding {
        /// Its index in the list that was passed in.
        encoding: usize,
        /// The error.
        error: Box<Error>,
    },
    /// A wrapped tokenizer failed inside one of its own calls.
    #[error("the wrapped tokenizer failed in {call}: {reason}")]
    Foreign {
        /// The call.
        call: &'static str,
        /// Its own words.
        reason: String,
    },
}

impl Error {
    /// The same about one of several encodings.
    pub(crate) fn in_encoding(self, encoding: usize) -> Self {
        Self::InEncoding { encoding, error: Box::new(self) }
    }

    /// A definition error in a few words.
    pub fn definition(stage: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Definition { stage: stage.into(), reason: reason.into() }
    }
}
