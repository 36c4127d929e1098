//! `coolfusion.Tokenizer` and `coolfusion.common_boundaries`.

use super::errors::{named, raise};
use super::text::{id, ids, numbers, Text};
use super::wrapped::Callables;
use crate::{formats, Kind, Method, Place, Tokenizer, Vocabulary};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use std::path::PathBuf;
use std::sync::Arc;

/// One tokenizer, whatever its file: exact bytes, canonical tokens, cuts that later text cannot move.
#[pyclass(name = "Tokenizer", module = "coolfusion", frozen)]
pub(super) struct PyTokenizer(pub(super) Arc<Tokenizer>);

impl PyTokenizer {
    fn new(py: Python<'_>, load: impl FnOnce() -> crate::Result<Tokenizer> + Send) -> PyResult<Self> {
        py.detach(load).map(|tokenizer| Self(Arc::new(tokenizer))).map_err(raise)
    }
}

fn place(continues: bool) -> Place {
    if continues { Place::Inside } else { Place::Start }
}

#[pymethods]
impl PyTokenizer {
    /// Loads a tokenizer.json, a SentencePiece .model or a .tiktoken file; the content decides which it is.
    #[classmethod]
    #[pyo3(signature = (path, *, pattern = None))]
    fn from_file(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf, pattern: Option<String>) -> PyResult<Self> {
        Self::new(py, || {
            let shown = path.display().to_string();
            let bytes = std::fs::read(&path)
                .map_err(|error| crate::Error::File { path: shown.clone(), reason: format!("cannot be read ({error}): expected a tokenizer file") })?;
            let definition = formats::definition(&bytes, &shown, pattern.as_deref())?;
            Tokenizer::from_definition(&definition, &shown)
        })
    }

    /// Loads the tokenizer of a model directory, of a tokenizer file, or of a name on the Hugging Face hub.
    #[classmethod]
    #[pyo3(signature = (name_or_path, **options))]
    fn from_pretrained<'py>(
        _class: &Bound<'py, PyType>,
        name_or_path: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, pyo3::types::PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        name_or_path.py().import("coolfusion.adapters")?.getattr("from_pretrained")?.call((name_or_path,), options)
    }

    /// Makes a tokenizer that encodes and decodes as `obj` does, without BOS and END.
    #[classmethod]
    #[pyo3(signature = (obj, *, name = None))]
    fn wrap<'py>(_class: &Bound<'py, PyType>, obj: &Bound<'py, PyAny>, name: Option<String>) -> PyResult<Bound<'py, PyAny>> {
        let options = pyo3::types::PyDict::new(obj.py());
        options.set_item("name", name)?;
        obj.py().import("coolfusion.adapters")?.getattr("wrap")?.call((obj,), Some(&options))
    }

    /// Loads the text of a tokenizer.json.
    #[staticmethod]
    fn _from_json(py: Python<'_>, json_text: &str, name: &str) -> PyResult<Self> {
        Self::new(py, || Tokenizer::from_definition(&formats::definition(json_text.as_bytes(), name, None)?, name))
    }

    /// Loads the bytes of a SentencePiece model.
    #[staticmethod]
    fn _from_sentencepiece(py: Python<'_>, model: Vec<u8>, name: &str) -> PyResult<Self> {
        Self::new(py, || Tokenizer::from_definition(&formats::sentencepiece::definition(&model, name)?, name))
    }

    /// Loads tiktoken ranks, (bytes, id) each, with their split pattern and special tokens.
    #[staticmethod]
    fn _from_ranks(
        py: Python<'_>,
        ranks: Vec<(Vec<u8>, u32)>,
        pattern: &str,
        specials: Vec<(String, u32)>,
        name: &str,
    ) -> PyResult<Self> {
        Self::new(py, || {
            let definition = formats::tiktoken::definition(&ranks, pattern, &specials, name)?;
            Tokenizer::from_definition(&definition, name)
        })
    }

    /// Uses an object through its `encode` alone; `token_table` holds the bytes of each id, None where unknown.
    #[staticmethod]
    fn _from_callables(
        encode: Py<PyAny>,
        token_table: Vec<Option<Vec<u8>>>,
        control_ids: Vec<u32>,
        name: &str,
        notes: Vec<String>,
    ) -> PyResult<Self> {
        let (engine, vocabulary, drops) = Callables::new(encode, token_table, &control_ids).map_err(raise)?;
        let tokenizer = Tokenizer::from_engine(name, vocabulary, Box::new(engine), drops, notes).map_err(raise)?;
        Ok(Self(Arc::new(tokenizer)))
    }

    /// Encodes the text only: no BOS or END is added, and text that looks like a control token is text.
    #[pyo3(signature = (text, *, continues = false, errors = "replace"))]
    fn encode(&self, py: Python<'_>, text: Text<'_>, continues: bool, errors: &str) -> PyResult<Vec<u32>> {
        let utf8 = text.utf8()?;
        let strict = match errors {
            "replace" => false,
            "strict" => true,
            _ => return Err(named("ArgumentError", &format!("errors is {errors:?}: expected \"replace\" or \"strict\""))),
        };
        let place = place(continues);
        let tokens = py.detach(|| if strict { self.0.require(utf8, place) } else { self.0.encode(utf8, place) });
        Ok(tokens.map_err(|error| text.raise(error))?.iter().map(|t| t.id.0).collect())
    }

    /// Decodes ids to the bytes that they stand for, whether these are UTF-8 or not.
    fn decode_bytes<'py>(&self, py: Python<'py>, token_ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.decode_bytes(&ids(token_ids)?, Place::Start).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Decodes ids to text; control tokens stand for nothing, each ill-formed part becomes one U+FFFD.
    fn decode(&self, token_ids: &Bound<'_, PyAny>) -> PyResult<String> {
        let bytes = self.0.decode_bytes(&ids(token_ids)?, Place::Start).map_err(raise)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Returns the bytes of one token, as it stands inside a text.
    fn token_bytes<'py>(&self, py: Python<'py>, token_id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.0.vocabulary().bytes(id(token_id, 0)?, 0).map_err(raise)?))
    }

    /// Tells whether the tokenizer can say the text: decoding its encoding gives the same bytes.
    #[pyo3(signature = (text, *, continues = false))]
    fn represents(&self, py: Python<'_>, text: Text<'_>, continues: bool) -> PyResult<bool> {
        let utf8 = text.utf8()?;
        Ok(py.detach(|| self.0.first_loss(utf8, place(continues))).map_err(raise)?.is_none())
    }

    /// Finds the cuts before white space that no later text can move.
    #[pyo3(signature = (text, method = "auto"))]
    fn word_boundaries(&self, py: Python<'_>, text: Text<'_>, method: &str) -> PyResult<Vec<usize>> {
        let method: Method = method.parse().map_err(raise)?;
        let utf8 = text.utf8()?;
        let found = py.detach(|| crate::word_boundaries(&self.0, utf8, method)).map_err(raise)?;
        Ok(text.positions(utf8, found))
    }

    /// Finds all cuts, before white space or not, that no later text can move and where encoding can start again.
    fn settled_cuts(&self, py: Python<'_>, text: Text<'_>) -> PyResult<Vec<usize>> {
        let utf8 = text.utf8()?;
        let found = py.detach(|| self.0.settled(utf8, Place::Start)).map_err(raise)?;
        Ok(text.positions(utf8, found))
    }

    /// Says what the load probe found, and how boundaries and windows are found and why.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.call_method1("loads", (self.0.describe().to_string(),))
    }

    /// One past the largest id.
    #[getter]
    fn vocab_size(&self) -> usize {
        self.0.vocabulary().len()
    }

    /// The name that errors and `describe` use: the path, or what was given to `wrap`.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The ids that stand for no text, such as BOS and END, ascending.
    #[getter]
    fn control_ids(&self) -> Vec<u32> {
        numbers(&self.0.vocabulary().ids(Kind::Control).collect::<Vec<_>>())
    }

    /// The ids below `vocab_size` that no token has, or whose bytes could not be found out, ascending.
    #[getter]
    fn unused_ids(&self) -> Vec<u32> {
        let vocabulary: &Vocabulary = self.0.vocabulary();
        let mut unused: Vec<u32> = vocabulary.ids(Kind::Unused).chain(vocabulary.ids(Kind::Opaque)).map(|id| id.0).collect();
        unused.sort_unstable();
        unused
    }

    fn __repr__(&self) -> String {
        format!("Tokenizer({:?}, vocab_size={})", self.0.name(), self.0.vocabulary().len())
    }
}

/// Finds the word boundaries that all tokenizers have; their order does not matter.
#[pyfunction]
pub(super) fn common_boundaries(py: Python<'_>, tokenizers: Vec<Bound<'_, PyTokenizer>>, text: Text<'_>) -> PyResult<Vec<usize>> {
    let tokenizers: Vec<Arc<Tokenizer>> = tokenizers.iter().map(|t| t.get().0.clone()).collect();
    let utf8 = text.utf8()?;
    let found = py.detach(|| crate::common_boundaries(tokenizers.iter().map(AsRef::as_ref), utf8)).map_err(raise)?;
    Ok(text.positions(utf8, found))
}
