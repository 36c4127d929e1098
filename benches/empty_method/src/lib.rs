//! A method that takes an int and returns a `str`: the floor below which no call from Python can be.

use pyo3::prelude::*;

#[pyclass]
struct Empty;

#[pymethods]
impl Empty {
    #[new]
    fn new() -> Self {
        Self
    }

    /// A new `str` each time, as a decoder's answer is.
    fn push(&mut self, _token_id: u32) -> &'static str {
        " word"
    }
}

#[pymodule]
mod empty_method {
    #[pymodule_export]
    use super::Empty;
}
