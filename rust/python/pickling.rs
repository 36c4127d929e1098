//! Objects on their way to another process, and what a folder says of a tokenizer beside its definition.

use super::alignment::PyAlignment;
use super::errors::{named, raise};
use super::segmenter::PySegment;
use super::streams::PyEdit;
use super::tokenizer::PyTokenizer;
use crate::{Alignment, Edit, Level, Segment, TokenId, Tokenizer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::collections::BTreeMap;

/// What the configuration files of a folder declare: BOS, EOS, what stands before a text, chat templates by name.
#[derive(Clone, Default, FromPyObject, IntoPyObject)]
pub(super) struct Declared(pub(super) Option<u32>, pub(super) Option<u32>, pub(super) Vec<u32>, pub(super) BTreeMap<String, String>);

/// What a tokenizer has beside its definition.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) declared: Declared,
    /// The wrapped object, where it is what encodes.
    pub(super) object: Option<Py<PyAny>>,
}

/// A function and its arguments, which make an object again.
pub(super) type Call<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

fn call<'py>(py: Python<'py>, function: &str, arguments: Bound<'py, PyTuple>) -> PyResult<Call<'py>> {
    Ok((py.import("coolfusion._core")?.getattr(function)?, arguments))
}

fn numbers(ids: &[TokenId]) -> Vec<u32> {
    ids.iter().map(|id| id.0).collect()
}

fn token_ids(ids: Vec<u32>) -> Vec<TokenId> {
    ids.into_iter().map(TokenId).collect()
}

pub(super) fn of_edit<'py>(py: Python<'py>, edit: &Edit) -> PyResult<Call<'py>> {
    call(py, "_edit", (edit.dropped(), numbers(edit.ids()), edit.is_lossless()).into_pyobject(py)?)
}

/// Makes an `Edit` again.
#[pyfunction]
pub(super) fn _edit(drop: usize, ids: Vec<u32>, lossless: bool) -> PyEdit {
    PyEdit(Edit::new(drop, token_ids(ids), lossless))
}

pub(super) fn of_segment<'py>(py: Python<'py>, segment: &Segment) -> PyResult<Call<'py>> {
    let parts = (segment.text.as_str(), numbers(&segment.token_ids), segment.end, segment.valid, segment.level.name(), segment.whole);
    call(py, "_segment", parts.into_pyobject(py)?)
}

/// Makes a `Segment` again.
#[pyfunction]
pub(super) fn _segment(text: String, ids: Vec<u32>, end: bool, valid: bool, level: &str, whole: bool) -> PyResult<PySegment> {
    let found = Level::ALL.into_iter().find(|known| known.name() == level);
    let level = found.ok_or_else(|| named("ArgumentError", &format!("level is {level:?}: expected the name of one")))?;
    Ok(PySegment(Segment { text, token_ids: token_ids(ids), end, valid, level, whole }))
}

pub(super) fn of_alignment<'py>(py: Python<'py>, alignment: &Alignment) -> PyResult<Call<'py>> {
    let ids: Vec<Vec<u32>> = alignment.ids.iter().map(|ids| numbers(ids)).collect();
    let parts = (PyBytes::new(py, &alignment.text), ids, alignment.byte_boundaries.clone(), alignment.token_boundaries.clone());
    call(py, "_alignment", parts.into_pyobject(py)?)
}

/// Makes an `Alignment` again.
#[pyfunction]
pub(super) fn _alignment(
    text: &Bound<'_, PyBytes>,
    ids: Vec<Vec<u32>>,
    byte_boundaries: Vec<i64>,
    token_boundaries: Vec<Vec<i64>>,
) -> PyResult<PyAlignment> {
    let length = byte_boundaries.len();
    if length < 2 || ids.len() != token_boundaries.len() || token_boundaries.iter().any(|counts| counts.len() != length) {
        return Err(named("ArgumentError", "the boundaries are of different numbers: expected those of an alignment"));
    }
    let ids = ids.into_iter().map(token_ids).collect();
    Ok(Alignment { text: text.as_bytes().to_vec(), ids, byte_boundaries, token_boundaries }.into())
}

pub(super) fn of_tokenizer<'py>(py: Python<'py>, tokenizer: &PyTokenizer) -> PyResult<Call<'py>> {
    let (core, extras) = (&tokenizer.0, &tokenizer.2);
    if let Some(spec) = core.spec() {
        let state = py.detach(|| spec.to_bytes()).map_err(raise)?;
        return call(py, "_tokenizer", (PyBytes::new(py, &state), core.name(), extras.declared.clone()).into_pyobject(py)?);
    }
    let Some(object) = &extras.object else {
        return Err(named("TransferError", &format!("{}: no object to send, expected one that was wrapped", core.name())));
    };
    let state = py.import("pickle")?.call_method1("dumps", (object,)).map_err(|error| {
        let kind = object.bind(py).get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        let reason = error.value(py);
        let message = format!("{}: the wrapped object of type {kind} cannot be pickled ({reason}): expected one that can", core.name());
        named("TransferError", &message)
    })?;
    call(py, "_wrapped", (state, core.name(), extras.declared.clone()).into_pyobject(py)?)
}

/// Makes a `Tokenizer` again, from its definition.
#[pyfunction]
pub(super) fn _tokenizer(py: Python<'_>, state: &Bound<'_, PyBytes>, name: &str, declared: Declared) -> PyResult<PyTokenizer> {
    let bytes = state.as_bytes();
    let loaded = py.detach(|| Tokenizer::from_state(bytes, name)).map_err(raise)?;
    Ok(PyTokenizer::from(loaded).declaring(declared))
}

/// Makes a `Tokenizer` again, from the pickle of the object that it wraps.
#[pyfunction]
pub(super) fn _wrapped(py: Python<'_>, state: &Bound<'_, PyBytes>, name: &str, declared: Declared) -> PyResult<PyTokenizer> {
    let object = py.import("pickle")?.call_method1("loads", (state,))?;
    let options = pyo3::types::PyDict::new(py);
    options.set_item("name", name)?;
    let wrapped = py.import("coolfusion.adapters.wrap")?.getattr("wrap")?.call((object,), Some(&options))?;
    Ok(wrapped.cast::<PyTokenizer>()?.get().declaring(declared))
}

/// The refusal to send something that grows with a text.
pub(super) fn refused<'py>(kind: &str, instead: &str) -> PyResult<Call<'py>> {
    Err(named("TransferError", &format!("a {kind} belongs to its process: expected {instead} to be sent instead")))
}
