//! Python's `coolfusion.align`, and `coolfusion.Alignment`, which it returns.

use super::errors::{named, raise};
use super::pickling::{of_alignment, Call};
use super::text::{ids, lossy, Text};
use super::tokenizer::{place, PyTokenizer};
use crate::{Alignment, Encoding, Rules, TokenId, Tokenizer};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple};
use std::sync::Arc;

/// An alignment of several encodings of one text at the cuts that all of them share.
#[pyclass(name = "Alignment", module = "coolfusion", frozen)]
pub(super) struct PyAlignment {
    alignment: Alignment,
    // Read-only arrays, each made at its first read.
    byte_boundaries: PyOnceLock<Py<PyAny>>,
    token_boundaries: PyOnceLock<Py<PyTuple>>,
    ids: PyOnceLock<Py<PyTuple>>,
}

impl From<Alignment> for PyAlignment {
    fn from(alignment: Alignment) -> Self {
        Self {
            alignment,
            byte_boundaries: PyOnceLock::new(),
            token_boundaries: PyOnceLock::new(),
            ids: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl PyAlignment {
    /// Returns the aligned text, with U+FFFD for each ill-formed part of its bytes.
    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        lossy(py, &self.alignment.text)
    }

    /// Returns the aligned text as bytes, the unit of all positions.
    #[getter]
    fn text_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.alignment.text)
    }

    /// Returns the byte positions at which every encoding has a cut, ascending, from 0 to the end of the text.
    #[getter]
    fn byte_boundaries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made = self
            .byte_boundaries
            .get_or_try_init(py, || int64(py, &self.alignment.byte_boundaries).map(Bound::unbind))?;
        Ok(made.bind(py).clone())
    }

    /// Returns for each encoding the number of tokens before each of `byte_boundaries`, from 0 to all.
    #[getter]
    fn token_boundaries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = || -> PyResult<_> {
            let arrays =
                self.alignment.token_boundaries.iter().map(|counts| int64(py, counts)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, arrays)?.unbind())
        };
        Ok(self.token_boundaries.get_or_try_init(py, make)?.bind(py).clone())
    }

    /// Returns the ids of each encoding, as they were given or as `text` was encoded.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = || -> PyResult<_> {
            let wide = |ids: &Vec<TokenId>| int64(py, &ids.iter().map(|id| i64::from(id.0)).collect::<Vec<_>>());
            let arrays = self.alignment.ids.iter().map(wide).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, arrays)?.unbind())
        };
        Ok(self.ids.get_or_try_init(py, make)?.bind(py).clone())
    }

    /// Returns the token range of each group in one encoding: row g is (first token, one past the last).
    fn groups<'py>(&self, py: Python<'py>, encoding: isize) -> PyResult<Bound<'py, PyAny>> {
        let pairs: Vec<i64> = self.counts(encoding)?.windows(2).flatten().copied().collect();
        int64(py, &pairs)?.call_method1("reshape", (-1, 2))
    }

    /// Returns the sum of a value per token of one encoding over each group; a group without tokens has the sum 0.
    fn sum<'py>(&self, py: Python<'py>, encoding: isize, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let counts = self.counts(encoding)?;
        let values = float64(py, values)?;
        let expected = counts.last().copied().unwrap_or(0) as usize;
        if values.len() != expected {
            let message = format!(
                "values holds {} numbers: expected one for each of the {expected} tokens of encoding {encoding}",
                values.len()
            );
            return Err(named("ArgumentError", &message));
        }
        let sums: Vec<f64> =
            counts.windows(2).map(|ends| values[ends[0] as usize..ends[1] as usize].iter().sum()).collect();
        array(py, sums.len(), "float64", |at| sums[at].to_ne_bytes())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        of_alignment(py, &self.alignment)
    }

    fn __len__(&self) -> usize {
        self.alignment.byte_boundaries.len() - 1
    }

    fn __repr__(&self) -> String {
        let tokens: Vec<usize> = self.alignment.ids.iter().map(Vec::len).collect();
        format!("Alignment({} groups of {} bytes, tokens={tokens:?})", self.__len__(), self.alignment.text.len())
    }
}

impl PyAlignment {
    fn counts(&self, encoding: isize) -> PyResult<&[i64]> {
        let all = &self.alignment.token_boundaries;
        usize::try_from(encoding).ok().and_then(|number| all.get(number)).map(Vec::as_slice).ok_or_else(|| {
            named("ArgumentError", &format!("encoding is {encoding}: expected a number from 0 to {}", all.len() - 1))
        })
    }
}

/// Aligns several encodings of one text at the cuts that all of them share.
#[pyfunction]
#[pyo3(signature = (encodings, text = None, *, continues = false, characters = false))]
pub(super) fn align<'py>(
    py: Python<'py>,
    encodings: &Bound<'py, PyAny>,
    text: Option<Text<'py>>,
    continues: bool,
    characters: bool,
) -> PyResult<PyAlignment> {
    let pairs = encodings
        .try_iter()
        .map_err(|_| unpaired("encodings", encodings))?
        .map(|item| pair(&item?))
        .collect::<PyResult<Vec<_>>>()?;
    let text = match &text {
        None => None,
        Some(Text::Bytes(bytes)) => Some(bytes.as_bytes()),
        Some(text) => Some(text.utf8()?.as_bytes()),
    };
    let rules = Rules { place: place(continues), characters };
    let (tokenizers, ids): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let aligned = py.detach(|| {
        let encodings = tokenizers.iter().zip(ids).map(|(tokenizer, ids)| Encoding { tokenizer, ids }).collect();
        crate::align(encodings, text, rules)
    });
    aligned.map(PyAlignment::from).map_err(raise)
}

/// Returns the tokenizer and the ids of an item, which is a tokenizer or (tokenizer, ids).
fn pair(item: &Bound<'_, PyAny>) -> PyResult<(Arc<Tokenizer>, Option<Vec<TokenId>>)> {
    if let Ok(tokenizer) = item.cast::<PyTokenizer>() {
        return Ok((tokenizer.get().0.clone(), None));
    }
    let Ok((tokenizer, given)) = item.extract::<(Bound<'_, PyTokenizer>, Bound<'_, PyAny>)>() else {
        return Err(unpaired("an encoding", item));
    };
    Ok((tokenizer.get().0.clone(), Some(ids(&given)?)))
}

fn unpaired(what: &str, item: &Bound<'_, PyAny>) -> PyErr {
    let kind = item.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
    named("ArgumentError", &format!("{what} is of type {kind}: expected a list of (tokenizer, ids) or tokenizers"))
}

fn int64<'py>(py: Python<'py>, values: &[i64]) -> PyResult<Bound<'py, PyAny>> {
    array(py, values.len(), "int64", |at| values[at].to_ne_bytes())
}

/// Returns a read-only NumPy array of `count` numbers of eight bytes, made without an object for each number.
fn array<'py>(
    py: Python<'py>,
    count: usize,
    kind: &str,
    bytes_of: impl Fn(usize) -> [u8; 8],
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = PyBytes::new_with(py, 8 * count, |buffer| {
        buffer.chunks_exact_mut(8).enumerate().for_each(|(at, target)| target.copy_from_slice(&bytes_of(at)));
        Ok(())
    })?;
    numpy(py)?.call_method1("frombuffer", (bytes, kind))
}

fn float64(py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let wrong = |error: PyErr| named("ArgumentError", &format!("values are no numbers: {}", error.value(py)));
    let values = numpy(py)?.call_method1("require", (values, "float64", "A")).map_err(wrong)?;
    let buffer = PyBuffer::<f64>::get(&values)?;
    if buffer.dimensions() != 1 {
        let message = format!("values are an array of {} dimensions: expected one", buffer.dimensions());
        return Err(named("ArgumentError", &message));
    }
    buffer.to_vec(py)
}

fn numpy(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("numpy").map_err(|error| {
        let command = py.import("coolfusion.extras").and_then(|extras| extras.call_method1("install_command", ("hf",)));
        let command = command.map_or_else(|_| "pip install 'coolfusion[hf]'".into(), |command| command.to_string());
        let message = format!("the arrays of an alignment need numpy: {command} ({})", error.value(py));
        named("MissingPackageError", &message)
    })
}
