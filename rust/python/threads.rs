//! The rules of threads: one call works on an object at a time, and long work frees the interpreter.

use super::errors::named;
use pyo3::marker::Ungil;
use pyo3::prelude::*;
use pyo3::{PyClass, PyRef, PyRefMut};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// The number of ids from which other Python threads may run, because some 20 microseconds of work outweigh the cost.
pub(super) const MANY_IDS: usize = 4096;

/// The number of bytes of text to encode from which other Python threads may run.
pub(super) const LONG_TEXT: usize = 512;

/// Runs `work`, with the interpreter free for other threads if `many`.
pub(super) fn detached_if<T: Ungil + Send>(many: bool, py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> T {
    if many {
        py.detach(work)
    } else {
        work()
    }
}

/// Returns the object for one call that changes it.
pub(super) fn exclusive<'py, T: PyClass<Frozen = pyo3::pyclass::boolean_struct::False>>(
    object: &Bound<'py, T>,
) -> PyResult<PyRefMut<'py, T>> {
    object.try_borrow_mut().map_err(|_| in_use(object))
}

/// Returns the object for one call that reads it.
pub(super) fn shared<'py, T: PyClass>(object: &Bound<'py, T>) -> PyResult<PyRef<'py, T>> {
    object.try_borrow().map_err(|_| in_use(object))
}

/// Returns the content of the object's `state` for one call.
pub(super) fn alone<'a, T: PyClass, S>(object: &Bound<'_, T>, state: &'a Mutex<S>) -> PyResult<MutexGuard<'a, S>> {
    match state.try_lock() {
        Ok(state) => Ok(state),
        Err(TryLockError::Poisoned(state)) => Ok(state.into_inner()),
        Err(TryLockError::WouldBlock) => Err(in_use(object)),
    }
}

#[cold]
fn in_use<T: PyClass>(object: &Bound<'_, T>) -> PyErr {
    let kind = object.as_any().get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
    let message =
        format!("this {kind} is at work in another call: expected one thread at a time (fork() gives each its own)");
    named("ConcurrentUseError", &message)
}
