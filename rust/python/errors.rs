//! Core error -> exception of `coolfusion.errors`, one line a variant.

use crate::Error;
use pyo3::prelude::*;

/// The exception for `error`; the classes live in Python, where the tree is drawn.
pub(super) fn raise(error: Error) -> PyErr {
    named(class(&error), &error.to_string())
}

fn class(error: &Error) -> &'static str {
    match error {
        Error::File { .. } => "TokenizerFileError",
        Error::Definition { .. } => "UnsupportedTokenizerError",
        Error::UnknownToken { .. } | Error::NoTokenBytes { .. } => "UnknownTokenError",
        Error::Unrepresentable { .. } => "UnrepresentableTextError",
        Error::InvalidText { .. } => "TextError",
        Error::Argument { .. } => "ArgumentError",
        Error::Foreign { .. } => "TokenizerError",
        Error::NotAligned { .. } => "AlignmentError",
        Error::InEncoding { error, .. } => class(error),
    }
}

/// The exception class `name` of `coolfusion.errors` with `message`.
pub(super) fn named(name: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let class = py.import("coolfusion.errors").and_then(|module| module.getattr(name));
        match class.and_then(|class| class.call1((message,))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    })
}
