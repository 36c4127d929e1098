//! Functions that make pickled objects again from the state that `pickling.rs` wrote.

use super::alignment::PyAlignment;
use super::errors::{named, raise};
use super::pickling::Declared;
use super::segmenter::PySegment;
use super::streams::PyEdit;
use super::tokenizer::PyTokenizer;
use crate::{Alignment, Edit, Level, Segment, TokenId, Tokenizer};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

fn token_ids(ids: Vec<u32>) -> Vec<TokenId> {
    ids.into_iter().map(TokenId).collect()
}

/// Returns an `Edit` with the pickled state.
#[pyfunction]
pub(super) fn _edit(drop: usize, ids: Vec<u32>, lossless: bool) -> PyEdit {
    PyEdit(Edit::new(drop, token_ids(ids), lossless))
}

/// Returns a `Segment` with the pickled state.
#[pyfunction]
pub(super) fn _segment(
    text: String,
    ids: Vec<u32>,
    end: bool,
    valid: bool,
    level: &str,
    whole: bool,
) -> PyResult<PySegment> {
    let found = Level::ALL.into_iter().find(|known| known.name() == level);
    let level =
        found.ok_or_else(|| named("ArgumentError", &format!("level is {level:?}: expected the name of one")))?;
    Ok(PySegment(Segment { text, token_ids: token_ids(ids), end, valid, level, whole }))
}

/// Returns an `Alignment` with the pickled state.
#[pyfunction]
pub(super) fn _alignment(
    text: &Bound<'_, PyBytes>,
    ids: Vec<Vec<u32>>,
    byte_boundaries: Vec<i64>,
    token_boundaries: Vec<Vec<i64>>,
) -> PyResult<PyAlignment> {
    let length = byte_boundaries.len();
    if length < 2 || ids.len() != token_boundaries.len() || token_boundaries.iter().any(|counts| counts.len() != length)
    {
        return Err(named("ArgumentError", "the boundaries are of different numbers: expected those of an alignment"));
    }
    let ids = ids.into_iter().map(token_ids).collect();
    Ok(Alignment { text: text.as_bytes().to_vec(), ids, byte_boundaries, token_boundaries }.into())
}

/// Returns a `Tokenizer` with the pickled definition.
#[pyfunction]
pub(super) fn _tokenizer(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    name: &str,
    declared: Declared,
) -> PyResult<PyTokenizer> {
    let bytes = state.as_bytes();
    let loaded = py.detach(|| Tokenizer::from_state(bytes, name)).map_err(raise)?;
    Ok(PyTokenizer::from(loaded).declaring(declared))
}

/// Returns a `Tokenizer` that wraps the pickled object.
#[pyfunction]
pub(super) fn _wrapped(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    name: &str,
    declared: Declared,
) -> PyResult<PyTokenizer> {
    let object = py.import("pickle")?.call_method1("loads", (state,))?;
    let options = pyo3::types::PyDict::new(py);
    options.set_item("name", name)?;
    let wrapped = py.import("coolfusion.adapters.wrap")?.getattr("wrap")?.call((object,), Some(&options))?;
    Ok(wrapped.cast::<PyTokenizer>()?.get().declaring(declared))
}
