//! What the tokens of a growing text say, beside that text.

use crate::tokens::token::TokenId;
use crate::vocabulary::table::Vocabulary;
/// What tokens say, beside the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said {
    /// The first bytes of the text, so many; or nothing yet, and a space that comes first is dropped.
    Begin(u32),
    Nothing,
    /// More than the text, as far as it goes.
    More,
    /// Something else, whatever is appended.
    Other,
}

/// What the tokens say with one more, whose bytes are `bytes`.
pub(crate) fn say(before: Said, bytes: &[u8], raw: &str) -> Said {
    let (from, bytes) = match before {
        Said::Begin(from) => (from, bytes),
        Said::Nothing if bytes.is_empty() => return before,
        Said::Nothing => (0, bytes.strip_prefix(b" ").unwrap_or(bytes)),
        Said::More | Said::Other => return before,
    };
    let rest = &raw.as_bytes()[from as usize..];
    if rest.starts_with(bytes) {
        Said::Begin(from + bytes.len() as u32)
    } else if bytes.starts_with(rest) {
        Said::More
    } else {
        Said::Other
    }
}

/// Whether a token gives back `bytes`.
pub(crate) fn says(vocabulary: &Vocabulary, id: u32, bytes: &[u8]) -> bool {
    vocabulary.bytes(TokenId(id), 0).is_ok_and(|said| said == bytes)
}
