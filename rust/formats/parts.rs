//! Parts that several formats put into a definition.

use crate::error::{Error, Result};
use crate::spec::definition::AddedToken;
use crate::spec::pre_tokenizer::PreTokenizer;

/// The text in `bytes`, without a byte order mark.
pub(super) fn text<'a>(bytes: &'a [u8], source: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::File {
        path: source.to_owned(),
        reason: format!("byte {} is not UTF-8, expected a text file", error.valid_up_to()),
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The pre-tokenizer of a byte-level model; no pattern is GPT-2's.
pub(super) fn splitting(pattern: Option<&str>, add_prefix_space: bool) -> Vec<PreTokenizer> {
    let byte_level = PreTokenizer::ByteLevel { add_prefix_space, use_regex: pattern.is_none() };
    pattern.map(PreTokenizer::words).into_iter().chain([byte_level]).collect()
}

/// Control tokens with their ids.
pub(super) fn controls<S: AsRef<str>>(tokens: impl IntoIterator<Item = (S, u32)>) -> Vec<AddedToken> {
    tokens.into_iter().map(|(content, id)| AddedToken::new(id, content.as_ref(), true)).collect()
}
