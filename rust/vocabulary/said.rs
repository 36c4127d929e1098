//! The decoded text of the tokens of a growing text, compared with that text.

use crate::tokens::token::TokenId;
use crate::vocabulary::table::Vocabulary;
/// The decoded text of tokens, compared with the text. Example: `Begin(3)` for the token `the` in `the cat`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said {
    /// The first bytes of the text, and their number; or nothing yet, and a first space is dropped.
    Begin(u32),
    Nothing,
    /// More than the text, as far as it goes.
    More,
    /// Something else, whatever is appended.
    Other,
}

/// The relation with one more token, whose bytes are `bytes`.
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
