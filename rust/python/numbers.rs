//! Lists of token ids and positions for Python, which share objects because a few thousand numbers come most often.

use crate::TokenId;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};
use std::fmt;
use std::sync::Mutex;

/// A list of numbers that becomes a list of Python ints.
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

/// The ints below [`MOST`] that a list has held, one object each, kept for the life of the process.
///
/// A kept int is faster, because it takes only a count of references. A new one takes 15 ns for an allocation of 32
/// bytes and its release with the list. All kept ints take at most 10 MiB, because each number below the largest one
/// takes 8 bytes and each kept one 32.
static KNOWN: Mutex<Vec<Option<Py<PyInt>>>> = Mutex::new(Vec::new());

/// The first number that is not kept, which is above nearly all vocabularies.
const MOST: usize = 1 << 18;

impl<'py, T: Number> IntoPyObject<'py> for Numbers<T> {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let values = self.0.iter().map(|number| number.value());
        // A new list may start the garbage collector, which may run any code, this function too. So it never waits for
        // the lock.
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
