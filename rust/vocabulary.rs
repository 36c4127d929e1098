//! Token id <-> bytes.

use crate::error::{Error, Result};
use crate::token::{Token, TokenId};

/// What an id of the vocabulary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Stands for bytes of text.
    Text,
    /// Directs the model (BOS, END, chat marks, padding, the unknown token): never text.
    Control,
    /// No token has this id.
    Unused,
    /// A token whose bytes nobody would tell (wrapped tokenizers only).
    Opaque,
}

/// The bytes of every token, whole from the start: decoding is concatenation.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    ends: Vec<u32>,
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
}

impl Vocabulary {
    /// A vocabulary of `entries`, in the order of their ids.
    pub fn new<B: AsRef<[u8]>>(entries: impl IntoIterator<Item = (Kind, B)>) -> Self {
        let mut vocabulary = Self::default();
        for (kind, bytes) in entries {
            vocabulary.bytes.extend_from_slice(bytes.as_ref());
            vocabulary.ends.push(vocabulary.bytes.len() as u32);
            vocabulary.kinds.push(kind);
        }
        vocabulary
    }

    /// One past the largest id.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// What `id` is; `Unused` beyond the end.
    #[must_use]
    pub fn kind(&self, id: TokenId) -> Kind {
        self.kinds.get(id.0 as usize).copied().unwrap_or(Kind::Unused)
    }

    /// The bytes of `id`, empty for a control token.
    ///
    /// # Errors
    /// `UnknownToken` (with `position`, its index in the caller's list) and `NoTokenBytes`. Complexity: O(1).
    pub fn bytes(&self, id: TokenId, position: usize) -> Result<&[u8]> {
        match self.kind(id) {
            Kind::Unused => Err(Error::UnknownToken { id: id.0, position, vocab_size: self.len() }),
            Kind::Opaque => Err(Error::NoTokenBytes {
                id: id.0,
                reason: "decoding it alone and between others gave no whole characters".into(),
            }),
            Kind::Text | Kind::Control => {
                let index = id.0 as usize;
                let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
                Ok(&self.bytes[start..self.ends[index] as usize])
            }
        }
    }

    /// Tokens with the spans that their bytes have in `text`; `None` if the bytes are not those of the text.
    ///
    /// `drops_space`: one space at the start of the bytes stands for no text.
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]. Complexity: O(text).
    pub fn spans(&self, ids: &[TokenId], text: &str, drops_space: bool) -> Result<Option<Vec<Token>>> {
        let mut rest = text.as_bytes();
        let mut drops = drops_space;
        let mut tokens = Vec::with_capacity(ids.len());
        for (position, &id) in ids.iter().enumerate() {
            let bytes = self.bytes(id, position)?;
            let dropped = usize::from(drops && bytes.first() == Some(&b' '));
            drops &= bytes.is_empty();
            let Some(behind) = rest.strip_prefix(&bytes[dropped..]) else { return Ok(None) };
            let end = text.len() - behind.len();
            tokens.push(Token { id, start: text.len() - rest.len(), end, word: 0 });
            rest = behind;
        }
        Ok(rest.is_empty().then_some(tokens))
    }

    /// The ids of one kind, ascending.
    pub fn ids(&self, kind: Kind) -> impl Iterator<Item = TokenId> + '_ {
        self.kinds.iter().enumerate().filter(move |(_, &k)| k == kind).map(|(id, _)| TokenId(id as u32))
    }
}
