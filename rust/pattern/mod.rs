//! Pre-token patterns, matched by a machine that knows how far it looked.
//!
//! A regular-expression library answers *where* a match ends. To know that a pre-token can no longer change when text is
//! appended one must also know whether the answer depended on where the text ended. [`Pattern::match_at`] tells both; it
//! is what makes a boundary *settled* (docs/design.md, "Settled cut").

mod class;
mod parse;
mod program;

pub(crate) use class::CodePoints;

use crate::error::Result;

/// Whose reading of the few ambiguous constructs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Oniguruma, Ruby syntax: the files of the `tokenizers` library.
    Oniguruma,
    /// fancy-regex: `tiktoken` (counted possessive repetitions, `$` only at the end of the text).
    Tiktoken,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    program: program::Program,
}

impl Pattern {
    /// Compiles `source`.
    ///
    /// # Errors
    /// A `Definition` error for what is broken, and for look-behind, back references and anchors, which no pre-token
    /// rule seen so far uses.
    pub fn new(source: &str, dialect: Dialect) -> Result<Self> {
        let tree = parse::parse(source, dialect)?;
        Ok(Self { source: source.into(), program: program::Program::compile(&tree) })
    }

    /// The pattern's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The end of the match that begins exactly at byte `start` of `text`, if there is one.
    ///
    /// `looked` is raised to the largest byte position that had a part in the answer; `text.len()` stands for "the text
    /// ended there". Complexity: that of backtracking; linear for all known pre-token rules.
    pub fn match_at(&self, text: &str, start: usize, looked: &mut usize) -> Option<usize> {
        self.program.match_at(text, start, looked)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn split(pattern: &str, text: &str) -> Vec<String> {
        let pattern = Pattern::new(pattern, Dialect::Oniguruma).unwrap();
        let mut at = 0;
        let mut pieces = Vec::new();
        while at < text.len() {
            let end = pattern.match_at(text, at, &mut 0).unwrap();
            pieces.push(text[at..end].to_string());
            at = end;
        }
        pieces
    }

    #[test]
    fn splits_as_the_rule_says() {
        assert_eq!(split(LLAMA3, "It's 12345 a  b\n\n c."), ["It", "'s", " ", "123", "45", " a", " ", " b", "\n\n", " c", "."]);
        assert_eq!(split(LLAMA3, "a \n  \nb"), ["a", " \n  \n", "b"]);
        assert_eq!(split(r"(?:ab)+?c|a++|(?>b|bc)|.", "ababcaabc"), ["ababc", "aa", "b", "c"]);
    }

    #[test]
    fn tells_how_far_it_looked() {
        let pattern = Pattern::new(LLAMA3, Dialect::Oniguruma).unwrap();
        let mut looked = 0;
        assert_eq!(pattern.match_at("cat dog", 0, &mut looked), Some(3));
        assert_eq!(looked, 3, "the space decides that the word is over");
        looked = 0;
        assert_eq!(pattern.match_at("cat", 0, &mut looked), Some(3));
        assert_eq!(looked, 3, "the end of the text decides");
        looked = 0;
        assert_eq!(pattern.match_at("a   ", 1, &mut looked), Some(4));
        assert_eq!(looked, 4);
    }

    #[test]
    fn refuses_what_it_cannot_run() {
        for broken in [r"(?<=a)b", r"\bfoo", "a**?+*(", "[a", "(a", "^a", r"(\s*)*", r"\1"] {
            assert!(Pattern::new(broken, Dialect::Oniguruma).is_err(), "{broken}");
        }
    }
}
