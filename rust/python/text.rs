//! Conversions of the texts and ids that Python passes.

use super::errors::{named, raise};
use super::threads::{detached_if, LONG_TEXT, MANY_IDS};
use crate::util::byte_scan::{is_ascii, word};
use crate::{for_each, Error, TokenId};
use pyo3::buffer::{Element, PyUntypedBuffer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};
use std::fmt::Display;

/// A text given as `str` or `bytes`, in whose unit positions are returned.
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
    /// Returns the text as UTF-8.
    pub(super) fn utf8(&self) -> PyResult<&str> {
        match self {
            Self::Str(text) => text.to_str().map_err(|_| surrogate(text)),
            Self::Bytes(bytes) => std::str::from_utf8(bytes.as_bytes()).map_err(|error| {
                let position = error.valid_up_to();
                let byte = bytes.as_bytes()[position];
                raise(Error::InvalidText {
                    position,
                    reason: format!("0x{byte:02X} does not belong to a whole character"),
                })
            }),
        }
    }

    /// Returns the exception for `error`, with its position in the unit of this text.
    pub(super) fn raise(&self, error: Error) -> PyErr {
        match (self, error) {
            (Self::Str(_), Error::Unrepresentable { tokenizer, position, text, reason, .. }) => {
                let characters = self.utf8().map_or(position, |utf8| utf8[..position].chars().count());
                raise(Error::Unrepresentable { tokenizer, position: characters, unit: "character", text, reason })
            }
            (_, error) => raise(error),
        }
    }

    /// Returns the unit of its positions.
    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::Str(_) => Unit::Character,
            Self::Bytes(_) => Unit::Byte,
        }
    }
}

/// The unit of positions in a text, characters for `str` and bytes for `bytes`.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Character,
    Byte,
}

impl Unit {
    /// Returns ascending byte positions of `text` in this unit.
    pub(super) fn positions(self, text: &str, at: Vec<usize>) -> Vec<usize> {
        match self {
            Self::Byte => at,
            Self::Character if text.is_ascii() => at,
            Self::Character => {
                let mut count = Characters { bytes: text.as_bytes(), words: 0, characters: 0 };
                at.into_iter().map(|byte| count.before(byte)).collect()
            }
        }
    }
}

/// A counter of the characters before ascending places of a text. It reads eight bytes at a time, because words are
/// too short to count each alone.
struct Characters<'a> {
    bytes: &'a [u8],
    /// The number of words of eight bytes that are counted.
    words: usize,
    /// The number of characters in them.
    characters: usize,
}

impl Characters<'_> {
    fn before(&mut self, at: usize) -> usize {
        while self.words < at / 8 {
            self.characters += 8 - self.inside(u64::MAX);
            self.words += 1;
        }
        let bytes = at % 8;
        self.characters + bytes - self.inside((1 << (8 * bytes)) - 1)
    }

    /// Returns the number of bytes of the next word under `mask` that begin no character, those of the form 10xxxxxx.
    #[inline]
    fn inside(&self, mask: u64) -> usize {
        let from = 8 * self.words;
        let word = word(self.bytes, from)
            .unwrap_or_else(|| self.bytes[from..].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        // Counting bits takes a dozen instructions, which a word of ASCII does not need.
        if is_ascii(word) {
            return 0;
        }
        // The two highest bits of each byte are combined in its lowest place.
        (word >> 7 & !(word >> 6) & 0x0101_0101_0101_0101 & mask).count_ones() as usize
    }
}

/// One text, or a list or tuple of texts.
pub(super) struct Texts<'py> {
    one: bool,
    texts: Vec<Text<'py>>,
}

/// The answer for one text, or a list of answers.
#[derive(IntoPyObject)]
pub(super) enum Answers<T> {
    One(T),
    Many(Vec<T>),
}

impl<'py> FromPyObject<'_, 'py> for Texts<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Self::many(&object);
        }
        Ok(Self { one: true, texts: vec![object.extract()?] })
    }
}

impl<'py> Texts<'py> {
    /// Returns the texts of any iterable.
    pub(super) fn many(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let single = object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>();
        let Some(items) = object.try_iter().ok().filter(|_| !single) else {
            let kind = object.get_type().name()?.to_string();
            return Err(named("ArgumentError", &format!("texts are of type {kind}: expected a list of str or bytes")));
        };
        let text = |(index, item): (usize, PyResult<Bound<'py, PyAny>>)| {
            item?.extract().map_err(|error| numbered(object.py(), "text", index, error))
        };
        Ok(Self { one: false, texts: items.enumerate().map(text).collect::<PyResult<_>>()? })
    }

    /// Returns the results of `work` for each text, on all cores if `threads`, while other Python threads run.
    pub(super) fn each<T: Send>(
        &self,
        py: Python<'py>,
        threads: bool,
        work: impl Fn(&str, Unit) -> crate::Result<T> + Send + Sync,
    ) -> PyResult<Answers<T>> {
        if let (true, [text]) = (self.one, self.texts.as_slice()) {
            let (utf8, unit) = (text.utf8()?, text.unit());
            let answer = detached_if(utf8.len() > LONG_TEXT, py, || work(utf8, unit));
            return answer.map(Answers::One).map_err(|error| text.raise(error));
        }
        let mut texts = Vec::with_capacity(self.texts.len());
        for (index, text) in self.texts.iter().enumerate() {
            texts.push((text.utf8().map_err(|error| numbered(py, "text", index, error))?, text.unit()));
        }
        let answers = py.detach(|| for_each(&texts, |(text, _)| text.len(), threads, |(text, unit)| work(text, *unit)));
        answers.map(Answers::Many).map_err(|(index, error)| numbered(py, "text", index, self.texts[index].raise(error)))
    }
}

/// Returns an error of this package with the number of its item in the message, and any other error unchanged.
pub(super) fn numbered(py: Python<'_>, what: &str, index: usize, error: PyErr) -> PyErr {
    let class = error.get_type(py);
    match class.module() {
        Ok(module) if module == "coolfusion.errors" => {
            match class.call1((format!("{what} {index}: {}", error.value(py)),)) {
                Ok(exception) => PyErr::from_value(exception),
                Err(failure) => failure,
            }
        }
        _ => error,
    }
}

/// Returns the error for a lone surrogate, with its position.
fn surrogate(text: &Bound<'_, PyString>) -> PyErr {
    let position = text
        .call_method1("encode", ("utf-8",))
        .err()
        .and_then(|error| error.value(text.py()).getattr("start").ok()?.extract::<usize>().ok())
        .unwrap_or(0);
    named("TextError", &format!("character {position} of the text is a lone surrogate: expected Unicode scalar values"))
}

/// Returns the token ids of a list, an array or another iterable. The error for an item that is no number of 32 bits
/// names its position.
///
/// Arrays of integers are read through the buffer protocol, without an object for each id.
pub(super) fn ids(list: &Bound<'_, PyAny>) -> PyResult<Vec<TokenId>> {
    // A copy of the list takes 6 ns for an id, not 10. It cannot change in the loop, so its items need no count.
    let copy = list.cast::<PyList>().ok().map(|list| list.to_tuple());
    if let Some(items) = copy.as_ref().or(list.cast::<PyTuple>().ok()) {
        let mut ids = Vec::with_capacity(items.len());
        for item in items.iter_borrowed() {
            ids.push(id(&item, ids.len())?);
        }
        return Ok(ids);
    }
    if let Some(ids) = array(list)? {
        return Ok(ids);
    }
    let Ok(items) = list.try_iter() else {
        let kind = list.get_type().name()?.to_string();
        return Err(named("ArgumentError", &format!("token ids are of type {kind}: expected a sequence of integers")));
    };
    items.enumerate().map(|(position, item)| id(&item?, position)).collect()
}

/// Returns the results of `work` for many lists of ids, some thousand ids at a time. Errors name the list.
pub(super) fn each_list<T>(
    object: &Bound<'_, PyAny>,
    mut work: impl FnMut(&[Vec<TokenId>]) -> std::result::Result<Vec<T>, (usize, Error)>,
) -> PyResult<Vec<T>> {
    let Ok(items) = object.try_iter() else {
        let kind = object.get_type().name()?.to_string();
        return Err(named(
            "ArgumentError",
            &format!("lists of token ids are of type {kind}: expected a list of lists"),
        ));
    };
    let numbered = |index, error| numbered(object.py(), "list", index, error);
    let mut answers = Vec::new();
    let mut pass = |lists: &[Vec<TokenId>]| -> PyResult<()> {
        let first = answers.len();
        answers.extend(work(lists).map_err(|(index, error)| numbered(first + index, raise(error)))?);
        Ok(())
    };
    let (mut lists, mut size) = (Vec::new(), 0);
    for (index, item) in items.enumerate() {
        let list = item.and_then(|item| ids(&item).map_err(|error| numbered(index, error)))?;
        size += list.len();
        lists.push(list);
        if size > MANY_IDS {
            pass(&lists)?;
            lists.clear();
            size = 0;
        }
    }
    pass(&lists)?;
    Ok(answers)
}

/// Returns the ids of a one-dimensional buffer of native integers, or None for any other object.
fn array(object: &Bound<'_, PyAny>) -> PyResult<Option<Vec<TokenId>>> {
    let Ok(buffer) = PyUntypedBuffer::get(object) else { return Ok(None) };
    let ([native] | [b'@', native]) = buffer.format().to_bytes() else { return Ok(None) };
    if buffer.dimensions() != 1 {
        let message = format!("token ids are an array of {} dimensions: expected one", buffer.dimensions());
        return Err(named("ArgumentError", &message));
    }
    let (py, width) = (object.py(), buffer.item_size());
    match (native, width) {
        (b'b', 1) => narrow::<i8>(py, buffer),
        (b'B', 1) => narrow::<u8>(py, buffer),
        (b'h', 2) => narrow::<i16>(py, buffer),
        (b'H', 2) => narrow::<u16>(py, buffer),
        (b'i' | b'l', 4) => narrow::<i32>(py, buffer),
        (b'I' | b'L', 4) => narrow::<u32>(py, buffer),
        (b'l' | b'q' | b'n', 8) => narrow::<i64>(py, buffer),
        (b'L' | b'Q' | b'N', 8) => narrow::<u64>(py, buffer),
        _ => Ok(None),
    }
}

fn narrow<T: Element + Display + TryInto<u32>>(
    py: Python<'_>,
    buffer: PyUntypedBuffer,
) -> PyResult<Option<Vec<TokenId>>> {
    // Python reads a buffer that is not aligned, as an empty one often is.
    let Ok(buffer) = buffer.into_typed::<T>() else { return Ok(None) };
    narrowed(&buffer.to_vec(py)?).map(Some)
}

/// Returns `values` as ids. All are converted before the first wrong one is looked for, because a loop without an exit
/// converts many at a time.
fn narrowed<T: Copy + Display + TryInto<u32>>(values: &[T]) -> PyResult<Vec<TokenId>> {
    let mut refused = false;
    let id = |&value: &T| {
        let id = value.try_into();
        refused |= id.is_err();
        TokenId(id.unwrap_or_default())
    };
    let ids = values.iter().map(id).collect();
    match values.iter().position(|&value| refused && value.try_into().is_err()) {
        Some(position) => Err(no_id("UnknownTokenError", &values[position].to_string(), position)),
        None => Ok(ids),
    }
}

fn no_id(class: &str, shown: &str, position: usize) -> PyErr {
    named(
        class,
        &format!("token id {shown} at position {position}: expected an integer from 0 to the end of the vocabulary"),
    )
}

/// Returns the token id of one item.
#[inline]
pub(super) fn id(item: &Bound<'_, PyAny>, position: usize) -> PyResult<TokenId> {
    match item.extract::<u32>() {
        Ok(id) => Ok(TokenId(id)),
        Err(_) => no_integer(item, position),
    }
}

#[cold]
fn no_integer(item: &Bound<'_, PyAny>, position: usize) -> PyResult<TokenId> {
    let class = if item.is_instance_of::<PyInt>() { "UnknownTokenError" } else { "ArgumentError" };
    Err(no_id(class, &item.repr()?.to_string(), position))
}

/// Returns a count, an integer of at least 0.
pub(super) fn count(item: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyResult<usize> {
    item.extract::<usize>().or_else(|_| {
        let shown = item.repr()?.to_string();
        Err(named("ArgumentError", &format!("{name} is {shown}: expected {expected}")))
    })
}

/// Returns the text of UTF-8, with U+FFFD for each ill-formed part.
pub(super) fn lossy<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    // No check is made here, because Python checks as it copies. A second check would take a third of the time of
    // decoding Japanese.
    PyString::from_bytes(py, bytes).unwrap_or_else(|_| PyString::new(py, &String::from_utf8_lossy(bytes)))
}
