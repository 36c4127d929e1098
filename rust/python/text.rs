//! Texts and ids as Python passes them.

use super::errors::{named, raise};
use crate::{Error, TokenId};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

/// A text given as `str` or `bytes`; positions that go back are in its own unit.
pub(super) enum Text<'py> {
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl<'py> FromPyObject<'_, 'py> for Text<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self::Str(text.to_owned()));
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.to_owned()));
        }
        let kind = object.get_type().name()?.to_string();
        Err(named("ArgumentError", &format!("text is of type {kind}: expected str or bytes")))
    }
}

impl Text<'_> {
    /// The text as UTF-8.
    pub(super) fn utf8(&self) -> PyResult<&str> {
        match self {
            Self::Str(text) => text.to_str().map_err(|_| surrogate(text)),
            Self::Bytes(bytes) => std::str::from_utf8(bytes.as_bytes()).map_err(|error| {
                let position = error.valid_up_to();
                let byte = bytes.as_bytes()[position];
                raise(Error::InvalidText { position, reason: format!("0x{byte:02X} does not belong to a whole character") })
            }),
        }
    }

    /// The exception for `error`, its position in the unit of what was passed in.
    pub(super) fn raise(&self, error: Error) -> PyErr {
        match (self, error) {
            (Self::Str(_), Error::Unrepresentable { tokenizer, position, text, reason, .. }) => {
                let characters = self.utf8().map_or(position, |utf8| utf8[..position].chars().count());
                raise(Error::Unrepresentable { tokenizer, position: characters, unit: "character", text, reason })
            }
            (_, error) => raise(error),
        }
    }

    /// Byte positions of `text`, ascending, in the unit of what was passed in.
    pub(super) fn positions(&self, text: &str, at: Vec<usize>) -> Vec<usize> {
        match self {
            Self::Bytes(_) => at,
            Self::Str(_) if text.is_ascii() => at,
            Self::Str(_) => {
                let mut characters = 0;
                let mut reached = 0;
                at.into_iter()
                    .map(|byte| {
                        characters += text[reached..byte].chars().count();
                        reached = byte;
                        characters
                    })
                    .collect()
            }
        }
    }
}

/// The error for a lone surrogate, with its position.
fn surrogate(text: &Bound<'_, PyString>) -> PyErr {
    let position = text
        .call_method1("encode", ("utf-8",))
        .err()
        .and_then(|error| error.value(text.py()).getattr("start").ok()?.extract::<usize>().ok())
        .unwrap_or(0);
    named("TextError", &format!("character {position} of the text is a lone surrogate: expected Unicode scalar values"))
}

/// Token ids; anything that is no number of 32 bits is named with its position.
pub(super) fn ids(list: &Bound<'_, PyAny>) -> PyResult<Vec<TokenId>> {
    if let Ok(ids) = list.extract::<Vec<u32>>() {
        return Ok(ids.into_iter().map(TokenId).collect());
    }
    let Ok(items) = list.try_iter() else {
        let kind = list.get_type().name()?.to_string();
        return Err(named("ArgumentError", &format!("token ids are of type {kind}: expected a sequence of integers")));
    };
    items.enumerate().map(|(position, item)| id(&item?, position)).collect()
}

/// One token id.
pub(super) fn id(item: &Bound<'_, PyAny>, position: usize) -> PyResult<TokenId> {
    if let Ok(id) = item.extract::<u32>() {
        return Ok(TokenId(id));
    }
    let shown = item.repr()?.to_string();
    let message = format!("token id {shown} at position {position}: expected an integer from 0 to the end of the vocabulary");
    Err(named(if item.is_instance_of::<PyInt>() { "UnknownTokenError" } else { "ArgumentError" }, &message))
}

/// A number of things, zero or more.
pub(super) fn count(item: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyResult<usize> {
    item.extract::<usize>().or_else(|_| {
        let shown = item.repr()?.to_string();
        Err(named("ArgumentError", &format!("{name} is {shown}: expected {expected}")))
    })
}

/// Plain numbers for Python.
pub(super) fn numbers(ids: &[TokenId]) -> Vec<u32> {
    ids.iter().map(|id| id.0).collect()
}
