//! Python's `coolfusion.StreamDecoder`, `coolfusion.StreamEncoder`, and `coolfusion.Edit`, which the encoder returns.

use super::errors::raise;
use super::numbers::Numbers;
use super::pickling::{of_edit, refused, Call};
use super::strings::Strings;
use super::text::{count, id, ids, lossy, Text};
use super::threads::{alone, detached_if, exclusive, shared, LONG_TEXT, MANY_IDS};
use super::tokenizer::PyTokenizer;
use crate::{Edit, Error, StreamDecoder, StreamEncoder, TokenId, Utf8Decoder};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A decoder that turns ids into text one at a time and never takes text back.
///
/// Most calls find the stream settled and the string of the token made. They take no lock, because they change only a
/// count. They return the same text as if they had come before or after the calls of another thread.
#[pyclass(name = "StreamDecoder", module = "coolfusion", frozen)]
pub(super) struct PyStreamDecoder {
    stream: Mutex<Stream>,
    strings: Arc<Strings>,
    /// The value of [`StreamDecoder::is_settled`], or false while a call is at work.
    settled: AtomicBool,
    /// The number of ids that the decoder has not counted yet.
    uncounted: AtomicUsize,
}

struct Stream {
    decoder: StreamDecoder,
    /// A buffer that is kept between calls, so that a push allocates nothing.
    text: String,
}

impl Stream {
    fn push<'py>(&mut self, py: Python<'py>, strings: &Strings, id: TokenId) -> crate::Result<Bound<'py, PyString>> {
        if let Some(bytes) = self.decoder.push_whole(id)? {
            let string = lossy(py, bytes);
            strings.keep(id, &string, bytes.len());
            return Ok(string);
        }
        self.text.clear();
        self.decoder.push(id, &mut self.text)?;
        Ok(PyString::new(py, &self.text))
    }
}

impl PyStreamDecoder {
    fn after(decoder: StreamDecoder, strings: Arc<Strings>) -> Self {
        let settled = AtomicBool::new(decoder.is_settled());
        Self {
            stream: Mutex::new(Stream { decoder, text: String::new() }),
            strings,
            settled,
            uncounted: AtomicUsize::new(0),
        }
    }

    /// Returns the string of `id` if a push has nothing else to do now.
    #[inline]
    fn made(&self, id: TokenId) -> Option<&Py<PyString>> {
        if !self.settled.load(Ordering::Acquire) {
            return None;
        }
        let string = self.strings.get(id)?;
        // No other thread writes in between, because the interpreter's lock is held.
        self.uncounted.store(self.uncounted.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(string)
    }

    /// Calls `work` with the stream while no other call uses it.
    fn alone<T>(slf: &Bound<'_, Self>, work: impl FnOnce(&mut Stream) -> PyResult<T>) -> PyResult<T> {
        let this = slf.get();
        let mut stream = alone(slf, &this.stream)?;
        this.settled.store(false, Ordering::Release);
        stream.decoder.count(this.uncounted.load(Ordering::Relaxed));
        this.uncounted.store(0, Ordering::Relaxed);
        let done = work(&mut stream);
        this.settled.store(stream.decoder.is_settled(), Ordering::Release);
        done
    }
}

#[pymethods]
impl PyStreamDecoder {
    #[new]
    #[pyo3(signature = (tokenizer, prompt_ids = None), text_signature = "(tokenizer, prompt_ids=())")]
    fn new(tokenizer: &PyTokenizer, prompt_ids: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let prompt_ids = prompt_ids.map(ids).transpose()?.unwrap_or_default();
        let decoder = StreamDecoder::new(tokenizer.0.clone(), &prompt_ids).map_err(raise)?;
        Ok(Self::after(decoder, tokenizer.1.clone()))
    }

    fn __repr__(&self) -> &'static str {
        match self.stream.try_lock() {
            Ok(stream) if stream.decoder.is_whole() => "StreamDecoder(pending=False)",
            Ok(_) => "StreamDecoder(pending=True)",
            Err(_) => "StreamDecoder(at work)",
        }
    }

    /// Appends one id and returns the text that is now certain, which may be empty.
    fn push<'py>(slf: &Bound<'py, Self>, token_id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let id = id(token_id, 0)?;
        if let Some(string) = slf.get().made(id) {
            return Ok(string.bind(slf.py()).clone());
        }
        Self::alone(slf, |stream| stream.push(slf.py(), &slf.get().strings, id).map_err(raise))
    }

    /// Appends many ids and returns the joined texts that `push` would return for each.
    fn extend<'py>(slf: &Bound<'py, Self>, token_ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let (py, ids) = (slf.py(), ids(token_ids)?);
        let extend = |stream: &mut Stream| {
            detached_if(ids.len() > MANY_IDS, py, || stream.decoder.extend_bytes(&ids)).map_err(raise)
        };
        Ok(lossy(py, &Self::alone(slf, extend)?))
    }

    /// Ends the text and returns its rest, one U+FFFD for the bytes of an unfinished character.
    fn flush(slf: &Bound<'_, Self>) -> PyResult<String> {
        let mut text = String::new();
        Self::alone(slf, |stream| Ok(stream.decoder.flush(&mut text)))?;
        Ok(text)
    }

    /// Returns an independent copy of the decoder, on which a continuation can be tried.
    fn fork(slf: &Bound<'_, Self>) -> PyResult<Self> {
        let decoder = Self::alone(slf, |stream| Ok(stream.decoder.clone()))?;
        Ok(Self::after(decoder, slf.get().strings.clone()))
    }

    fn __copy__(slf: &Bound<'_, Self>) -> PyResult<Self> {
        Self::fork(slf)
    }

    fn __deepcopy__(slf: &Bound<'_, Self>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::fork(slf)
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<Call<'static>> {
        refused("StreamDecoder", "its tokenizer and the ids so far")
    }
}

/// An edit that turns the ids before a push into a `StreamEncoder` into the ids after it.
#[pyclass(name = "Edit", module = "coolfusion", frozen, eq)]
#[derive(PartialEq)]
pub(super) struct PyEdit(pub(super) Edit);

#[pymethods]
impl PyEdit {
    /// Returns the number of ids to drop from the end.
    #[getter]
    fn drop(&self) -> usize {
        self.0.dropped()
    }

    /// Returns the ids to append after the drop.
    #[getter]
    fn ids(&self) -> Numbers<TokenId> {
        Numbers(self.0.ids().to_vec())
    }

    /// Returns whether the ids of the window decode to the bytes of its text.
    #[getter]
    fn lossless(&self) -> bool {
        self.0.is_lossless()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        of_edit(py, &self.0)
    }

    fn __repr__(&self) -> String {
        let lossless = if self.lossless() { "True" } else { "False" };
        format!("Edit(drop={}, ids={:?}, lossless={lossless})", self.drop(), self.ids())
    }
}

/// An encoder that turns text into ids piece by piece and keeps them canonical.
#[pyclass(name = "StreamEncoder", module = "coolfusion")]
pub(super) struct PyStreamEncoder {
    encoder: StreamEncoder,
    /// The bytes of a character that is not whole yet.
    held: Utf8Decoder,
    /// True if every push encodes all text again.
    whole_text: bool,
}

/// Returns the text that `push(text)` appends, and the bytes that wait for the next call.
fn whole(encoder: &StreamEncoder, held: &Utf8Decoder, text: &Text<'_>) -> PyResult<(String, Utf8Decoder)> {
    let mut held = held.clone();
    let mut whole = String::new();
    let bytes = match text {
        Text::Bytes(bytes) => bytes.as_bytes(),
        Text::Str(_) => text.utf8()?.as_bytes(),
    };
    let before = held.held().len();
    if held.push(bytes, &mut whole) > 0 {
        let good = whole.find(char::REPLACEMENT_CHARACTER).unwrap_or(0);
        let position = encoder.text().len() + good;
        let reason = format!("an ill-formed sequence ({before} bytes were waiting): expected UTF-8");
        return Err(raise(Error::InvalidText { position, reason }));
    }
    Ok((whole, held))
}

#[pymethods]
impl PyStreamEncoder {
    #[new]
    #[pyo3(signature = (tokenizer, context_words = None), text_signature = "(tokenizer, context_words=4)")]
    fn new(tokenizer: &PyTokenizer, context_words: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let words = context_words.map_or(Ok(4), |given| count(given, "context_words", "0 or more"))?;
        Ok(Self {
            encoder: StreamEncoder::new(tokenizer.0.clone(), words),
            held: Utf8Decoder::default(),
            whole_text: !tokenizer.0.restarts() && !tokenizer.0.resumes(),
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        match slf.try_borrow() {
            Ok(this) => format!("StreamEncoder({} ids of {} bytes)", this.encoder.count(), this.encoder.text().len()),
            Err(_) => "StreamEncoder(at work)".into(),
        }
    }

    /// Appends text and returns the change of `ids`.
    fn push(slf: &Bound<'_, Self>, text: Text<'_>) -> PyResult<PyEdit> {
        let this = &mut *exclusive(slf)?;
        let (encoder, py) = (&mut this.encoder, slf.py());
        let long = |text: &str| text.len() > LONG_TEXT || this.whole_text;
        // A word is encoded at once, because handing over the interpreter takes longer.
        if let (true, Text::Str(_)) = (this.held.held().is_empty(), &text) {
            let text = text.utf8()?;
            return detached_if(long(text), py, || encoder.push(text)).map(PyEdit).map_err(raise);
        }
        let (whole, held) = whole(encoder, &this.held, &text)?;
        let edit = detached_if(long(&whole), py, || encoder.push(&whole)).map_err(raise)?;
        this.held = held;
        Ok(PyEdit(edit))
    }

    /// Returns the edit that `push` would return, and leaves the encoder unchanged.
    fn peek(slf: &Bound<'_, Self>, text: Text<'_>) -> PyResult<PyEdit> {
        let this = &*shared(slf)?;
        let (whole, _) = whole(&this.encoder, &this.held, &text)?;
        let encoder = &this.encoder;
        slf.py().detach(|| encoder.peek(&whole)).map(PyEdit).map_err(raise)
    }

    /// Returns the ids of all text so far, in a new list each time, in O(ids).
    #[getter]
    fn ids(slf: &Bound<'_, Self>) -> PyResult<Numbers<TokenId>> {
        Ok(Numbers(shared(slf)?.encoder.ids().into_owned()))
    }

    /// Returns all text so far, without the bytes of an unfinished character.
    #[getter]
    fn text<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyString>> {
        Ok(PyString::new(slf.py(), shared(slf)?.encoder.text()))
    }

    /// Returns the number of times that a window was too small, which is 0 while the certificate holds.
    #[getter]
    fn widened(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(shared(slf)?.encoder.widened())
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(shared(slf)?.encoder.count())
    }

    /// Returns an independent copy of the encoder, on which a continuation can be tried.
    fn fork(slf: &Bound<'_, Self>) -> PyResult<Self> {
        let this = shared(slf)?;
        Ok(Self { encoder: this.encoder.clone(), held: this.held.clone(), whole_text: this.whole_text })
    }

    fn __copy__(slf: &Bound<'_, Self>) -> PyResult<Self> {
        Self::fork(slf)
    }

    fn __deepcopy__(slf: &Bound<'_, Self>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::fork(slf)
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<Call<'static>> {
        refused("StreamEncoder", "its tokenizer and its text")
    }
}
