//! `coolfusion.Segmenter` and `coolfusion.Segment`.

use super::errors::raise;
use super::text::{count, id, ids, numbers, Text};
use super::tokenizer::PyTokenizer;
use crate::{Limits, Segment, Segmenter};
use pyo3::prelude::*;

#[pyclass(name = "Segment", module = "coolfusion", frozen)]
pub(super) struct PySegment(Segment);

#[pymethods]
impl PySegment {
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    #[getter]
    fn token_ids(&self) -> Vec<u32> {
        numbers(&self.0.token_ids)
    }

    #[getter]
    fn end(&self) -> bool {
        self.0.end
    }

    #[getter]
    fn valid(&self) -> bool {
        self.0.valid
    }

    #[getter]
    fn level(&self) -> &'static str {
        self.0.level.name()
    }

    fn __repr__(&self) -> String {
        let end = if self.0.end { "True" } else { "False" };
        format!("Segment({:?}, token_ids={:?}, end={end}, level={:?})", self.0.text, numbers(&self.0.token_ids), self.0.level.name())
    }
}

#[pyclass(name = "Segmenter", module = "coolfusion")]
pub(super) struct PySegmenter(Segmenter);

#[pymethods]
impl PySegmenter {
    #[new]
    #[pyo3(signature = (tokenizer, align_with = Vec::new(), prompt_ids = None, *, max_bytes = None), text_signature = "(tokenizer, align_with=(), prompt_ids=(), *, max_bytes=128)")]
    fn new(
        tokenizer: &PyTokenizer,
        align_with: Vec<Bound<'_, PyTokenizer>>,
        prompt_ids: Option<&Bound<'_, PyAny>>,
        max_bytes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let max_bytes = max_bytes.map_or(Ok(128), |given| count(given, "max_bytes", "at least 16 bytes"))?;
        let others = align_with.iter().map(|other| other.get().0.clone()).collect();
        let prompt_ids = prompt_ids.map(ids).transpose()?.unwrap_or_default();
        Segmenter::new(tokenizer.0.clone(), others, &prompt_ids, Limits { max_bytes }).map(Self).map_err(raise)
    }

    fn push(&mut self, py: Python<'_>, token_id: &Bound<'_, PyAny>) -> PyResult<Option<PySegment>> {
        let id = id(token_id, 0)?;
        let segmenter = &mut self.0;
        Ok(py.detach(|| segmenter.push(id)).map_err(raise)?.map(PySegment))
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Option<PySegment>> {
        let segmenter = &mut self.0;
        Ok(py.detach(|| segmenter.finish()).map_err(raise)?.map(PySegment))
    }

    fn restart(&mut self, py: Python<'_>, text: Text<'_>) -> PyResult<()> {
        let segmenter = &mut self.0;
        let utf8 = text.utf8()?;
        py.detach(|| segmenter.restart(utf8)).map_err(raise)
    }

    fn fork(&self) -> Self {
        Self(self.0.clone())
    }
}
