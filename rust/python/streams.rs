//! `coolfusion.StreamDecoder`, `coolfusion.StreamEncoder`, `coolfusion.Edit`.

use super::errors::raise;
use super::text::{count, id, ids, numbers, Text};
use super::tokenizer::PyTokenizer;
use crate::{Edit, Error, StreamDecoder, StreamEncoder, Utf8Decoder};
use pyo3::prelude::*;

/// Turns ids into text one at a time; what it returned is never withdrawn.
#[pyclass(name = "StreamDecoder", module = "coolfusion")]
pub(super) struct PyStreamDecoder(StreamDecoder);

#[pymethods]
impl PyStreamDecoder {
    #[new]
    #[pyo3(signature = (tokenizer, prompt_ids = None), text_signature = "(tokenizer, prompt_ids=())")]
    fn new(tokenizer: &PyTokenizer, prompt_ids: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let prompt_ids = prompt_ids.map(ids).transpose()?.unwrap_or_default();
        StreamDecoder::new(tokenizer.0.clone(), &prompt_ids).map(Self).map_err(raise)
    }

    /// Adds one id and returns the text that is now certain, which may be empty.
    fn push(&mut self, token_id: &Bound<'_, PyAny>) -> PyResult<String> {
        let mut text = String::new();
        self.0.push(id(token_id, 0)?, &mut text).map_err(raise)?;
        Ok(text)
    }

    /// Ends the text: bytes of an unfinished character become one U+FFFD.
    fn flush(&mut self) -> String {
        let mut text = String::new();
        self.0.flush(&mut text);
        text
    }

    /// Returns an independent copy, for trying a continuation.
    fn fork(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a push into a `StreamEncoder` changes: take `drop` ids from the end, then append `ids`.
#[pyclass(name = "Edit", module = "coolfusion", frozen, eq)]
#[derive(PartialEq)]
pub(super) struct PyEdit(Edit);

#[pymethods]
impl PyEdit {
    /// How many ids at the end are no longer right.
    #[getter]
    fn drop(&self) -> usize {
        self.0.drop
    }

    /// The ids that follow what is left.
    #[getter]
    fn ids(&self) -> Vec<u32> {
        numbers(&self.0.ids)
    }

    /// Whether the ids of the window give back its text byte for byte.
    #[getter]
    fn lossless(&self) -> bool {
        self.0.lossless
    }

    fn __repr__(&self) -> String {
        format!("Edit(drop={}, ids={:?}, lossless={})", self.0.drop, numbers(&self.0.ids), if self.0.lossless { "True" } else { "False" })
    }
}

/// Turns text into ids piece by piece; after every push `ids` is the canonical encoding of all text so far.
#[pyclass(name = "StreamEncoder", module = "coolfusion")]
pub(super) struct PyStreamEncoder {
    encoder: StreamEncoder,
    /// Bytes of a character that is not whole yet.
    held: Utf8Decoder,
}

impl PyStreamEncoder {
    /// The text that `push(text)` adds, and the bytes it leaves for the next call.
    fn whole(&self, text: &Text<'_>) -> PyResult<(String, Utf8Decoder)> {
        let mut held = self.held.clone();
        let mut whole = String::new();
        let bytes = match text {
            Text::Bytes(bytes) => bytes.as_bytes(),
            Text::Str(_) => text.utf8()?.as_bytes(),
        };
        let before = held.held().len();
        if held.push(bytes, &mut whole) > 0 {
            let good = whole.find(char::REPLACEMENT_CHARACTER).unwrap_or(0);
            let position = self.encoder.text().len() + good;
            let reason = format!("an ill-formed sequence ({before} bytes were waiting): expected UTF-8");
            return Err(raise(Error::InvalidText { position, reason }));
        }
        Ok((whole, held))
    }
}

#[pymethods]
impl PyStreamEncoder {
    #[new]
    #[pyo3(signature = (tokenizer, context_words = None), text_signature = "(tokenizer, context_words=4)")]
    fn new(tokenizer: &PyTokenizer, context_words: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let words = context_words.map_or(Ok(4), |given| count(given, "context_words", "0 or more"))?;
        Ok(Self { encoder: StreamEncoder::new(tokenizer.0.clone(), words), held: Utf8Decoder::default() })
    }

    /// Appends text and says how `ids` changed.
    fn push(&mut self, py: Python<'_>, text: Text<'_>) -> PyResult<PyEdit> {
        let (whole, held) = self.whole(&text)?;
        let encoder = &mut self.encoder;
        let edit = py.detach(|| encoder.push(&whole)).map_err(raise)?;
        self.held = held;
        Ok(PyEdit(edit))
    }

    /// Says what `push` would answer, and changes nothing.
    fn peek(&self, py: Python<'_>, text: Text<'_>) -> PyResult<PyEdit> {
        let (whole, _) = self.whole(&text)?;
        let encoder = &self.encoder;
        py.detach(|| encoder.peek(&whole)).map(PyEdit).map_err(raise)
    }

    /// The ids of all text so far; a new list each time, O(ids).
    #[getter]
    fn ids(&self) -> Vec<u32> {
        numbers(self.encoder.ids())
    }

    /// All text so far, without the bytes of an unfinished character.
    #[getter]
    fn text(&self) -> &str {
        self.encoder.text()
    }

    /// How often the window proved too small and all text was encoded again; 0 while the certificate holds.
    #[getter]
    fn widened(&self) -> usize {
        self.encoder.widened()
    }

    fn __len__(&self) -> usize {
        self.encoder.ids().len()
    }

    /// Returns an independent copy, for trying a continuation.
    fn fork(&self) -> Self {
        Self { encoder: self.encoder.clone(), held: self.held.clone() }
    }
}
