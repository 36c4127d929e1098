//! The exception of `coolfusion.errors` for each error of the core, one line for a variant.

use crate::Error;
use pyo3::prelude::*;

/// Returns the exception for `error`, whose class is in Python because the tree is drawn there.
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

/// Returns an exception of the class `name` of `coolfusion.errors` with `message`.
pub(super) fn named(name: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let class = py.import("coolfusion.errors").and_then(|module| module.getattr(name));
        match class.and_then(|class| class.call1((message,))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    })
}
