//! The state of objects that are pickled, with the declarations of a folder next to a tokenizer's definition.
//!
//! `rebuild.rs` makes the objects again.

use super::errors::{named, raise};
use crate::{Alignment, Edit, Segment, TokenId, Tokenizer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::collections::BTreeMap;

/// The declarations of a folder's configuration files: BOS, EOS, the ids before a text, chat templates by name.
#[derive(Clone, Default, FromPyObject, IntoPyObject)]
pub(super) struct Declared(
    pub(super) Option<u32>,
    pub(super) Option<u32>,
    pub(super) Vec<u32>,
    pub(super) BTreeMap<String, String>,
);

/// The parts of a tokenizer that are not in its definition.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) declared: Declared,
    /// The wrapped object, if it encodes.
    pub(super) object: Option<Py<PyAny>>,
}

/// A function and its arguments, whose call makes a pickled object again.
pub(super) type Call<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

fn call<'py>(py: Python<'py>, function: &str, arguments: Bound<'py, PyTuple>) -> PyResult<Call<'py>> {
    Ok((py.import("coolfusion._core")?.getattr(function)?, arguments))
}

fn numbers(ids: &[TokenId]) -> Vec<u32> {
    ids.iter().map(|id| id.0).collect()
}

pub(super) fn of_edit<'py>(py: Python<'py>, edit: &Edit) -> PyResult<Call<'py>> {
    call(py, "_edit", (edit.dropped(), numbers(edit.ids()), edit.is_lossless()).into_pyobject(py)?)
}

pub(super) fn of_segment<'py>(py: Python<'py>, segment: &Segment) -> PyResult<Call<'py>> {
    let parts = (
        segment.text.as_str(),
        numbers(&segment.token_ids),
        segment.end,
        segment.valid,
        segment.level.name(),
        segment.whole,
    );
    call(py, "_segment", parts.into_pyobject(py)?)
}

pub(super) fn of_alignment<'py>(py: Python<'py>, alignment: &Alignment) -> PyResult<Call<'py>> {
    let ids: Vec<Vec<u32>> = alignment.ids.iter().map(|ids| numbers(ids)).collect();
    let parts =
        (PyBytes::new(py, &alignment.text), ids, alignment.byte_boundaries.clone(), alignment.token_boundaries.clone());
    call(py, "_alignment", parts.into_pyobject(py)?)
}

pub(super) fn of_tokenizer<'py>(py: Python<'py>, core: &Tokenizer, extras: &Extras) -> PyResult<Call<'py>> {
    if let Some(spec) = core.spec() {
        let state = py.detach(|| spec.to_bytes()).map_err(raise)?;
        return call(
            py,
            "_tokenizer",
            (PyBytes::new(py, &state), core.name(), extras.declared.clone()).into_pyobject(py)?,
        );
    }
    let Some(object) = &extras.object else {
        return Err(named(
            "TransferError",
            &format!("{}: no object to send, expected one that was wrapped", core.name()),
        ));
    };
    let state = py.import("pickle")?.call_method1("dumps", (object,)).map_err(|error| {
        let kind = object.bind(py).get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        let reason = error.value(py);
        let message = format!(
            "{}: the wrapped object of type {kind} cannot be pickled ({reason}): expected one that can",
            core.name()
        );
        named("TransferError", &message)
    })?;
    call(py, "_wrapped", (state, core.name(), extras.declared.clone()).into_pyobject(py)?)
}

/// Returns the error for the pickle of an object that grows with a text.
pub(super) fn refused<'py>(kind: &str, instead: &str) -> PyResult<Call<'py>> {
    Err(named("TransferError", &format!("a {kind} belongs to its process: expected {instead} to be sent instead")))
}
