//! Whether the tokens of growing words of byte pairs give back the text.
//!
//! A token says its piece, or a space and its piece where no decoder joins tokens, and the unknown token says nothing.
//! The argument is in docs/proofs/unigram-streams.md, *Lossless edits of byte pairs*.

use crate::backends::normalizing::growing_pieces::GrowingPieces;
use crate::backends::normalizing::growing_source::Source;
use crate::tokens::token::TokenId;
use crate::vocabulary::table::Vocabulary;

/// The spaces that the tokens of all words say, and those of the text.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaidWords {
    /// Whether a token says a space before its piece; None before the first token.
    spaced: Option<bool>,
    /// The number of spaces of the text.
    pub(super) spaces: usize,
}

impl SaidWords {
    /// Takes in text that is appended.
    pub(super) fn append(&mut self, more: &str) {
        self.spaces += more.bytes().filter(|&byte| byte == b' ').count();
    }

    /// Whether the tokens of the words give back the text after a change; None if that is unknown.
    pub(super) fn give_back(
        &mut self,
        (source, pieces): (&mut Source, &GrowingPieces),
        unknown: TokenId,
        vocabulary: &Vocabulary,
    ) -> Option<bool> {
        for &(id, start, end) in pieces.written().iter().filter(|token| token.0 != unknown) {
            let spaced = says_space(vocabulary, id, &pieces.text.as_bytes()[start..end])?;
            (*self.spaced.get_or_insert(spaced) == spaced).then_some(())?;
        }
        // After a way back there may be no such token any more.
        if self.spaced == Some(true) && pieces.known > 0 {
            // Each token but the first adds a space.
            return (pieces.known > self.spaces + 1).then_some(false);
        }
        if pieces.lost == 0 {
            return Some(source.is_same(&pieces.text));
        }
        let (text, said) = source.lengths(pieces.lost);
        (text != said).then_some(false)
    }
}

/// Whether a token says a space before its piece, `text`; None if it says something else.
fn says_space(vocabulary: &Vocabulary, id: TokenId, text: &[u8]) -> Option<bool> {
    let said = vocabulary.bytes(id, 0).ok()?;
    match said.strip_prefix(b" ") {
        _ if said == text => Some(false),
        Some(said) if said == text => Some(true),
        _ => None,
    }
}
