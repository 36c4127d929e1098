//! Where a segment wants to end: after a word, a word without its punctuation, a phrase, a sentence or a line.
//!
//! A *stop* is a position that a granularity asks for. It ends a segment only if it is a settled cut of every tokenizer
//! (`segmenter.rs`). Definitions in docs/definitions.md, "granularity".

use crate::error::{Error, Result};
use crate::regex::char_class::CodePoints;
use crate::util::text::stands_before_space;
use std::str::FromStr;
use std::sync::OnceLock;

/// The unit of text that one segment is.
///
/// ```
/// use coolfusion::Granularity;
/// assert!(Granularity::Sentence.max_bytes() > Granularity::Word.max_bytes());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// A word with the punctuation that it touches: `garage,` before ` and`.
    Word,
    /// A word, or a run of punctuation: `garage` before `,`.
    PreToken,
    /// Words up to punctuation: `in the garage,` before ` and`.
    Phrase,
    /// Words up to a full stop, a question mark or an exclamation mark, or to the end of a line.
    Sentence,
    /// Words up to the end of a line.
    Line,
}

impl FromStr for Granularity {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "word" => Self::Word,
            "pre_token" => Self::PreToken,
            "phrase" => Self::Phrase,
            "sentence" => Self::Sentence,
            "line" => Self::Line,
            _ => {
                let expected = "\"word\", \"pre_token\", \"phrase\", \"sentence\" or \"line\"".into();
                return Err(Error::Argument { name: "granularity", value: format!("{name:?}"), expected });
            }
        })
    }
}

impl Granularity {
    /// The hard cap of a segment in bytes, where none is given.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        match self {
            Self::Word | Self::PreToken => 128,
            Self::Phrase => 256,
            Self::Sentence | Self::Line => 512,
        }
    }

    /// Whether a segment may hold several words.
    pub(crate) fn spans_words(self) -> bool {
        matches!(self, Self::Phrase | Self::Sentence | Self::Line)
    }

    /// Whether byte `at`, inside `text` and between characters, is a stop. Complexity: O(1), for phrases and coarser
    /// O(at).
    pub(crate) fn stops(self, text: &str, at: usize) -> bool {
        let (Some(left), Some(right)) = (text[..at].chars().next_back(), text[at..].chars().next()) else {
            return false;
        };
        match self {
            Self::Word => stands_before_space(text, at),
            Self::PreToken => Class::of(left).ends_before(Class::of(right)),
            _ => {
                let said = text[..at].trim_end();
                !said.trim_start().is_empty() && self.ends_unit(said, left, right)
            }
        }
    }

    /// Whether a unit of several words ends between `left` and `right`; `said` is the text up to there without white
    /// space.
    fn ends_unit(self, said: &str, left: char, right: char) -> bool {
        if left.is_whitespace() {
            // Some tokenizers join a full stop with the newlines after it: then the unit ends after these.
            return is_newline(left) && !right.is_whitespace();
        }
        let last = said.trim_end_matches(is_closing).chars().next_back();
        let full_width = last.is_some_and(|c| FULL_WIDTH.contains(&c)) && !is_closing(right);
        if !right.is_whitespace() && !full_width {
            return false;
        }
        is_newline(right)
            || match self {
                Self::Phrase => last.is_some_and(|c| is_terminal(c) || PAUSES.contains(&c)) || is_closing(left),
                Self::Sentence => last.is_some_and(is_terminal),
                _ => false,
            }
    }
}

/// Marks after which a phrase ends.
const PAUSES: [char; 9] = [',', ';', ':', '\u{2014}', '\u{3001}', '\u{ff0c}', '\u{ff1b}', '\u{ff1a}', '\u{60c}'];
/// Marks after which no white space is written.
const FULL_WIDTH: [char; 8] =
    ['\u{3001}', '\u{3002}', '\u{ff01}', '\u{ff0c}', '\u{ff0e}', '\u{ff1a}', '\u{ff1b}', '\u{ff1f}'];

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A mark that ends a sentence.
fn is_terminal(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '\u{2026}'
            | '\u{3002}'
            | '\u{ff01}'
            | '\u{ff0e}'
            | '\u{ff1f}'
            | '\u{964}'
            | '\u{61f}'
            | '\u{6d4}'
    )
}

/// A mark that closes an opening mark, such as `)`.
fn is_closing(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | ')' | ']' | '}' | '\u{bb}' | '\u{2019}' | '\u{201d}' | '\u{300d}' | '\u{300f}' | '\u{ff09}'
    )
}

/// Kinds of characters: a pre-token holds one of them, with white space before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// Letters, numbers, marks, joiners inside words, and characters that are no text: these do not end words.
    Word,
    /// Punctuation and symbols.
    Mark,
}

impl Class {
    fn of(c: char) -> Self {
        if c.is_whitespace() {
            Self::Space
        } else if matches!(c, '\'' | '\u{2019}' | '_' | char::REPLACEMENT_CHARACTER) || !is_mark(c) {
            Self::Word
        } else {
            Self::Mark
        }
    }

    /// Whether a pre-token ends between two characters: white space belongs to the text after it.
    fn ends_before(self, next: Self) -> bool {
        self != Self::Space && self != next
    }
}

/// Whether a character is punctuation or a symbol, by its general category.
fn is_mark(c: char) -> bool {
    static MARKS: OnceLock<CodePoints> = OnceLock::new();
    let marks = || CodePoints::parse(r"[\p{P}\p{S}]", false).unwrap_or_else(|_| CodePoints::from_ranges([]));
    MARKS.get_or_init(marks).contains(c)
}

#[cfg(test)]
mod tests {
    use crate::streams::granularity::Granularity;

    /// The parts of a text between all stops of a granularity.
    fn parts(granularity: Granularity, text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut start = 0;
        for at in (1..text.len()).filter(|&at| text.is_char_boundary(at)) {
            if granularity.stops(&text[start..], at - start) {
                found.push(&text[start..at]);
                start = at;
            }
        }
        found.push(&text[start..]);
        found
    }

    #[test]
    fn words_keep_their_punctuation_and_pre_tokens_do_not() {
        let text = " in the garage,\" he said. Don't!";
        assert_eq!(parts(Granularity::Word, text), [" in", " the", " garage,\"", " he", " said.", " Don't!"]);
        assert_eq!(
            parts(Granularity::PreToken, text),
            [" in", " the", " garage", ",\"", " he", " said", ".", " Don't", "!"]
        );
    }

    #[test]
    fn phrases_end_after_punctuation() {
        let text = " in the garage, he said (\"well\"). Then\nit rained";
        assert_eq!(
            parts(Granularity::Phrase, text),
            [" in the garage,", " he said (\"well\").", " Then", "\nit rained"]
        );
    }

    #[test]
    fn sentences_end_after_terminal_marks_and_lines() {
        let text = "He said: \"Go.\" She went, 3.5 km.\n\nWell? Yes";
        assert_eq!(parts(Granularity::Sentence, text), ["He said: \"Go.\"", " She went, 3.5 km.", "\n\nWell?", " Yes"]);
        assert_eq!(
            parts(Granularity::Sentence, "\u{4f60}\u{597d}\u{3002}\u{518d}"),
            ["\u{4f60}\u{597d}\u{3002}", "\u{518d}"]
        );
        assert_eq!(parts(Granularity::Line, text), ["He said: \"Go.\" She went, 3.5 km.", "\n\nWell? Yes"]);
    }

    #[test]
    fn a_unit_has_something_in_it() {
        for granularity in [Granularity::Phrase, Granularity::Sentence, Granularity::Line] {
            assert_eq!(parts(granularity, "\n\n  a b"), ["\n\n  a b"]);
        }
    }
}
