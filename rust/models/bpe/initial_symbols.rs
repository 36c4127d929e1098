//! The initial symbols of a word, before the first merge: bytes, or characters with byte pieces for the others.

use crate::tokens::token::TokenId;
use crate::util::char_table::CharTable;
use crate::util::text::{characters_around, code_point};

/// The alphabet of the initial symbols of a word. Example: "é" is one character, or the bytes C3 and A9.
#[derive(Debug)]
pub(crate) enum Alphabet {
    /// One symbol a byte; a byte without a token is dropped, as the `tokenizers` crate does (Falcon's control bytes).
    Bytes { ids: Box<Symbols>, complete: bool },
    /// One symbol a character, then byte pieces, then the unknown token; `complete`: every byte has a piece.
    Characters {
        ids: CharSymbols,
        fallback: Option<Box<Symbols>>,
        unknown: Option<TokenId>,
        fuse_unknown: bool,
        complete: bool,
    },
}

/// The symbol of each byte.
pub(crate) type Symbols = [Option<TokenId>; 256];

/// The symbol of each character.
#[derive(Debug, Default)]
pub(crate) struct CharSymbols(
    /// The id plus one: no token has the highest id, which would need a vocabulary of 32 GiB.
    CharTable<u32>,
);

impl CharSymbols {
    /// Notes the symbol of a character; the last one counts.
    pub(crate) fn insert(&mut self, c: char, id: TokenId) {
        self.0.insert(c, id.0.wrapping_add(1));
    }

    /// The symbol of a character, if it has one. Complexity: O(1).
    #[inline]
    pub(crate) fn get(&self, c: char) -> Option<TokenId> {
        self.0.get(c).checked_sub(1).map(TokenId)
    }
}

/// Takes the symbols of a word.
pub(crate) trait Take {
    /// The next symbol, with its place in bytes from the start of the word.
    fn symbol(&mut self, id: TokenId, start: usize, end: usize);
    /// The last symbol goes on to `end`.
    fn widen_last(&mut self, end: usize);
}

impl Alphabet {
    /// The symbols of `word`, which begins and ends with whole characters if the alphabet is one of characters.
    #[inline]
    pub(crate) fn symbols(&self, word: &[u8], to: &mut impl Take) {
        match self {
            Self::Bytes { ids, .. } => {
                for (at, &byte) in word.iter().enumerate() {
                    if let Some(id) = ids[usize::from(byte)] {
                        to.symbol(id, at, at + 1);
                    }
                }
            }
            Self::Characters { ids, fallback, unknown, fuse_unknown, .. } => {
                let mut after_unknown = false;
                let mut at = 0;
                while at < word.len() {
                    let c = if word[at] < 0x80 { char::from(word[at]) } else { code_point(word, at) };
                    let end = at + c.len_utf8();
                    let mut is_unknown = false;
                    if let Some(id) = ids.get(c) {
                        to.symbol(id, at, end);
                    } else if let Some(bytes) = fallback.as_ref().filter(|f| all_bytes(f, &word[at..end])) {
                        for at in at..end {
                            to.symbol(bytes[usize::from(word[at])].unwrap_or_default(), at, at + 1);
                        }
                    } else if let Some(id) = *unknown {
                        is_unknown = true;
                        if after_unknown && *fuse_unknown {
                            to.widen_last(end);
                        } else {
                            to.symbol(id, at, end);
                        }
                    }
                    after_unknown = is_unknown;
                    at = end;
                }
            }
        }
    }

    /// Whether the characters on both sides of byte `at` may share a token that is no piece of both, such as the
    /// unknown token.
    #[inline]
    pub(crate) fn fuses_at(&self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Bytes { complete: true, .. } | Self::Characters { complete: true, .. } => false,
            _ => {
                let (left, right) = characters_around(text, at);
                self.fuses(left, right)
            }
        }
    }

    /// Whether [`Alphabet::fuses`] is true of some character followed by `right`.
    pub(crate) fn fuses_before(&self, right: char) -> bool {
        match self {
            Self::Bytes { complete, .. } => !complete,
            Self::Characters { complete: true, .. } => false,
            Self::Characters { unknown: None, .. } => true,
            Self::Characters { fuse_unknown, .. } => *fuse_unknown && self.is_unknown(right),
        }
    }

    /// Whether two neighbours may come to share a token although no piece holds both.
    pub(crate) fn fuses(&self, left: char, right: char) -> bool {
        match self {
            Self::Bytes { complete: true, .. } | Self::Characters { complete: true, .. } => false,
            // A dropped byte brings those around it together.
            Self::Bytes { ids, .. } => {
                let dropped = |c: char| c.encode_utf8(&mut [0; 4]).bytes().any(|byte| ids[usize::from(byte)].is_none());
                dropped(left) || dropped(right)
            }
            Self::Characters { unknown: None, .. } => self.is_unknown(left) || self.is_unknown(right),
            Self::Characters { fuse_unknown, .. } => *fuse_unknown && self.is_unknown(left) && self.is_unknown(right),
        }
    }

    /// Whether each character of `text` has symbols of its own, known ones. Complexity: O(text).
    pub(crate) fn gives_all(&self, text: &[u8]) -> bool {
        match self {
            Self::Bytes { complete: true, .. } | Self::Characters { complete: true, .. } => true,
            Self::Bytes { ids, .. } => text.iter().all(|&byte| ids[usize::from(byte)].is_some()),
            Self::Characters { .. } => {
                std::str::from_utf8(text).is_ok_and(|text| !text.chars().any(|c| self.is_unknown(c)))
            }
        }
    }

    /// Whether characters or bytes without a symbol are dropped.
    pub(crate) fn drops(&self) -> bool {
        matches!(self, Self::Bytes { complete: false, .. } | Self::Characters { unknown: None, complete: false, .. })
    }

    /// The unknown token, where characters may become it.
    pub(crate) fn unknown(&self) -> Option<TokenId> {
        match self {
            Self::Bytes { .. } => None,
            Self::Characters { unknown, .. } => *unknown,
        }
    }

    /// Whether something of `text` is dropped. Complexity: O(text) where something may be.
    pub(crate) fn drops_of(&self, text: &[u8]) -> bool {
        self.drops() && !self.gives_all(text)
    }

    /// Whether `id` is the unknown token as the symbol of one character, `text`.
    pub(crate) fn is_unknown_token(&self, id: TokenId, text: &[u8]) -> bool {
        let is_unknown = |text: &str| {
            let mut characters = text.chars();
            characters.next().is_some_and(|c| self.is_unknown(c)) && characters.next().is_none()
        };
        matches!(self, Self::Characters { unknown: Some(unknown), .. } if *unknown == id)
            && std::str::from_utf8(text).is_ok_and(is_unknown)
    }

    /// Whether `c` has no symbol: it becomes the unknown token, or is dropped.
    pub(crate) fn is_unknown(&self, c: char) -> bool {
        match self {
            Self::Bytes { .. } => false,
            Self::Characters { ids, fallback, .. } => {
                let bytes = |f: &Symbols| all_bytes(f, c.encode_utf8(&mut [0; 4]).as_bytes());
                ids.get(c).is_none() && !fallback.as_deref().is_some_and(bytes)
            }
        }
    }
}

/// Whether every byte of a character has a piece (Gemma lacks that of the tab, which is a piece of its own).
fn all_bytes(fallback: &Symbols, character: &[u8]) -> bool {
    character.iter().all(|&byte| fallback[usize::from(byte)].is_some())
}
