//! Lists of numbers for Python: token ids and positions, which are the same few thousand again and again.

use crate::TokenId;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};
use std::fmt;
use std::sync::Mutex;

/// Numbers that become a list of Python ints.
pub(super) struct Numbers<T>(pub(super) Vec<T>);

/// A token id, or a position.
pub(super) trait Number: Copy {
    fn value(self) -> usize;
}

impl Number for TokenId {
    fn value(self) -> usize {
        self.0 as usize
    }
}

impl Number for usize {
    fn value(self) -> usize {
        self
    }
}

impl<T: Number> fmt::Debug for Numbers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|number| number.value())).finish()
    }
}

/// The ints below [`MOST`] that have been asked for, one object each, for the life of the process.
///
/// An int is an allocation of 32 bytes that is freed with the list, 15 ns for both. A known one is a count of
/// references. The list holds at most 10 MiB: 8 bytes for each number below the largest seen, 32 for each one seen.
static KNOWN: Mutex<Vec<Option<Py<PyInt>>>> = Mutex::new(Vec::new());

/// Above nearly all vocabularies.
const MOST: usize = 1 << 18;

impl<'py, T: Number> IntoPyObject<'py> for Numbers<T> {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let values = self.0.iter().map(|number| number.value());
        // Making a list may start the garbage collector and so run any code, this too: never wait for the lock.
        let Ok(mut known) = KNOWN.try_lock() else { return PyList::new(py, values) };
        let most = values.clone().max().unwrap_or_default().min(MOST - 1);
        if known.len() <= most {
            known.resize_with((most + 1).next_power_of_two(), || None);
        }
        PyList::new(
            py,
            values.map(|value| match known.get_mut(value) {
                Some(Some(int)) => int.bind(py).clone(),
                Some(unseen) => unseen.insert(PyInt::new(py, value).unbind()).bind(py).clone(),
                None => PyInt::new(py, value),
            }),
        )
    }
}
