//! Word boundaries: where they are, in four ways that must agree, and which several tokenizers share.
//!
//! Definitions in docs/definitions.md: a *word boundary* is before white space, is a cut of the canonical encoding, and
//! is settled. The four methods are the paper's three and our own. They find the token cut in different ways, and share
//! the definition of a boundary.

use crate::backends::engine::Certificate;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use crate::tokens::cuts::{tokens_before, TokenCuts};
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::util::ascending::among;
use crate::util::text::{space_starts, stands_before_space};
use std::str::FromStr;

/// How the cuts of the canonical encoding are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The method that the load probe picked.
    Auto,
    /// By the bytes of the vocabulary and the pre-token rule.
    Bytes,
    /// Where the pre-token number changes (the paper's way for LLaMA-3).
    WordIds,
    /// By the offsets of the tokens (the paper's way for LLaMA-2).
    Offsets,
    /// By appending tokens until decoding and encoding again gives the same (the paper's way for others).
    Decode,
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "auto" => Self::Auto,
            "bytes" => Self::Bytes,
            "word_ids" => Self::WordIds,
            "offsets" => Self::Offsets,
            "decode" => Self::Decode,
            _ => {
                return Err(Error::Argument {
                    name: "method",
                    value: format!("{name:?}"),
                    expected: "\"auto\", \"bytes\", \"word_ids\", \"offsets\" or \"decode\"".into(),
                })
            }
        })
    }
}

/// The word boundaries of `text`: interior byte positions, ascending.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let text = "the cat sat on";
/// assert_eq!(coolfusion::word_boundaries(&toy, text, coolfusion::Method::Auto)?, [3, 7, 11]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Tokenizer::encode`]. Complexity: O(text); `Decode` encodes every prefix: O(text²), it is there to compare with.
pub fn word_boundaries(tokenizer: &Tokenizer, text: &str, method: Method) -> Result<Vec<usize>> {
    let certified = tokenizer.certificate() != Certificate::None;
    // A settled cut is a token cut, so the ways that go by bytes need no tokens; `Auto` is `Bytes` or `Offsets`.
    if certified && matches!(method, Method::Auto | Method::Bytes | Method::Offsets) {
        return tokenizer.settled_before_space(text, TextPosition::Start);
    }
    let mut candidates: Vec<usize> = space_starts(text).collect();
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let tokens = tokenizer.encode(text, TextPosition::Start)?;
    let cuts = TokenCuts::new(&tokens, text.len());
    candidates.retain(|&at| cuts.contains(at));
    match method {
        Method::Auto | Method::Bytes | Method::Offsets => {}
        Method::WordIds => candidates.retain(|&at| {
            let before = tokens_before(&tokens, at);
            before > 0 && before < tokens.len() && tokens[before - 1].word != tokens[before].word
        }),
        Method::Decode => {
            let reversible = reversible_prefixes(tokenizer, &tokens, text)?;
            let mut is_reversible = among(reversible.into_iter());
            candidates.retain(|&at| is_reversible(at));
        }
    }
    retain_stable(tokenizer, text, &tokens, &mut candidates)?;
    Ok(candidates)
}

/// Keeps the cuts that are settled; where there is no certificate, those whose prefix encodes to the same tokens.
fn retain_stable(tokenizer: &Tokenizer, text: &str, tokens: &[Token], cuts: &mut Vec<usize>) -> Result<()> {
    if tokenizer.certificate() == Certificate::None {
        let mut kept = Vec::with_capacity(cuts.len());
        for &at in cuts.iter() {
            let prefix = tokenizer.encode(&text[..at], TextPosition::Start)?;
            let same = prefix.len() <= tokens.len() && prefix.iter().zip(tokens).all(|(a, b)| a.id == b.id);
            if same && prefix.len() == tokens_before(tokens, at) {
                kept.push(at);
            }
        }
        *cuts = kept;
        return Ok(());
    }
    let settled = tokenizer.settled(text, TextPosition::Start)?;
    let mut is_settled = among(settled.into_iter());
    cuts.retain(|&at| is_settled(at));
    Ok(())
}

/// Ends of the token prefixes that decode to a prefix of the text and encode to themselves again.
fn reversible_prefixes(tokenizer: &Tokenizer, tokens: &[Token], text: &str) -> Result<Vec<usize>> {
    let ids: Vec<TokenId> = tokens.iter().map(|t| t.id).collect();
    let mut ends = Vec::new();
    for count in 1..ids.len() {
        let bytes = tokenizer.decode_bytes(&ids[..count], TextPosition::Start)?;
        let Ok(prefix) = std::str::from_utf8(&bytes) else { continue };
        if !text.starts_with(prefix) || !stands_before_space(text, prefix.len()) {
            continue;
        }
        let again = tokenizer.encode(prefix, TextPosition::Start)?;
        if again.iter().map(|t| t.id).eq(ids[..count].iter().copied()) {
            ends.push(prefix.len());
        }
    }
    ends.dedup();
    Ok(ends)
}

/// The word boundaries that all `tokenizers` have in `text`; the order of the tokenizers does not matter.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let spaced = coolfusion::Tokenizer::from_file("examples/toy/spaced.json".as_ref(), None)?;
/// // The second tokenizer has a token for two words.
/// let text = "the cat sat on the mat";
/// assert_eq!(coolfusion::common_boundaries([&*toy, &*spaced], text)?, [3, 7, 11, 18]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Argument` without tokenizers; as [`word_boundaries`].
pub fn common_boundaries<'a>(tokenizers: impl IntoIterator<Item = &'a Tokenizer>, text: &str) -> Result<Vec<usize>> {
    let mut common: Option<Vec<usize>> = None;
    for tokenizer in tokenizers {
        let own = word_boundaries(tokenizer, text, Method::Auto)?;
        common = Some(match common {
            None => own,
            Some(mut all) => {
                let mut is_own = among(own.into_iter());
                all.retain(|&at| is_own(at));
                all
            }
        });
    }
    common.ok_or_else(|| Error::Argument {
        name: "tokenizers",
        value: "[]".into(),
        expected: "at least one tokenizer".into(),
    })
}
