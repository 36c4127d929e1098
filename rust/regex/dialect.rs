//! Whose reading of a pattern holds.

/// Whose reading of the few ambiguous constructs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Oniguruma, Ruby syntax: the files of the `tokenizers` library.
    Oniguruma,
    /// fancy-regex: `tiktoken` (counted possessive repetitions, `$` only at the end of the text).
    Tiktoken,
}
