//! The extension module `coolfusion._core`, which converts values and decides nothing.
//!
//! In: Python objects. Out: calls of the core, and their results or exceptions as Python objects. May import:
//! everything. Read first: `tokenizer.rs`, the class that most users meet.

mod alignment;
mod errors;
mod numbers;
mod pickling;
mod rebuild;
mod segmenter;
mod spec;
mod streams;
mod strings;
mod text;
mod threads;
mod tokenizer;
mod wrapped;

use pyo3::prelude::*;

/// Returns GPT-2's printable characters for the 256 bytes, in the order of the bytes.
#[pyfunction]
fn _byte_alphabet() -> String {
    crate::byte_alphabet::characters().iter().collect()
}

/// Compiled core of coolfusion; import the names from `coolfusion` instead.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::_byte_alphabet;
    #[pymodule_export]
    use super::alignment::{align, PyAlignment};
    #[pymodule_export]
    use super::rebuild::{_alignment, _edit, _segment, _tokenizer, _wrapped};
    #[pymodule_export]
    use super::segmenter::{PySegment, PySegmenter};
    #[pymodule_export]
    use super::spec::PySpec;
    #[pymodule_export]
    use super::streams::{PyEdit, PyStreamDecoder, PyStreamEncoder};
    #[pymodule_export]
    use super::tokenizer::{common_boundaries, PyTokenizer};

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
