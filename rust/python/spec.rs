//! `coolfusion._core._Spec`: the content of a tokenizer file, to which the adapters add the declarations of a folder.

use super::errors::{named, raise};
use super::tokenizer::PyTokenizer;
use crate::formats::{vocab_merges, word_pieces};
use crate::load::registry::{key, Key};
use crate::spec::definition::{AddedIds, AddedToken, Spec};
use crate::{formats, Result, Tokenizer};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The definition in a tokenizer file, before a folder adds its declarations.
#[pyclass(name = "_Spec", module = "coolfusion._core", frozen)]
pub(super) struct PySpec {
    spec: Arc<Spec>,
    /// A hash of everything that the definition was made of, so that equal definitions share a tokenizer.
    key: Key,
}

/// An added token: (id, content, single_word, lstrip, rstrip, normalized, special).
type Token = (u32, String, bool, bool, bool, bool, bool);
/// The declarations of a GGUF file: (bos_id, eos_id, adds_bos, chat_template).
type Frame = (Option<u32>, Option<u32>, bool, Option<String>);

impl PySpec {
    fn new(py: Python<'_>, parts: &[&[u8]], read: impl FnOnce() -> Result<Spec> + Send) -> PyResult<Self> {
        let key = key(parts);
        Ok(Self { spec: Arc::new(py.detach(read).map_err(raise)?), key })
    }
}

#[pymethods]
impl PySpec {
    /// Reads the file at `path`, of any format.
    #[staticmethod]
    #[pyo3(signature = (path, *, pattern = None))]
    fn read(py: Python<'_>, path: PathBuf, pattern: Option<String>) -> PyResult<Self> {
        let content = py.detach(|| formats::Content::read(&path)).map_err(raise)?;
        let split = format!("{pattern:?}");
        let mut parts = content.parts();
        parts.push(split.as_bytes());
        Self::new(py, &parts, || content.spec(&path.display().to_string(), pattern.as_deref()))
    }

    /// Reads the text of a tokenizer.json.
    #[staticmethod]
    fn of_json(py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        Self::new(py, &[text.as_bytes()], || formats::read(text.as_bytes(), name, None))
    }

    /// Reads a vocab.json and a merges.txt.
    #[staticmethod]
    #[pyo3(signature = (vocab, merges, name, *, pattern = None, add_prefix_space = false, composes = false))]
    fn of_merges(
        py: Python<'_>,
        vocab: Vec<u8>,
        merges: Vec<u8>,
        name: &str,
        pattern: Option<String>,
        add_prefix_space: bool,
        composes: bool,
    ) -> PyResult<Self> {
        let options = vocab_merges::Options { pattern, add_prefix_space, composes };
        let shown = format!("{options:?}");
        Self::new(py, &[&vocab, &merges, shown.as_bytes()], || vocab_merges::read(&vocab, &merges, name, &options))
    }

    /// Reads a vocab.txt.
    #[staticmethod]
    #[pyo3(signature = (
        vocab, name, *, lowercase = true, strip_accents = None, part_ideographs = true, unknown = "[UNK]"
    ))]
    fn of_word_pieces(
        py: Python<'_>,
        vocab: Vec<u8>,
        name: &str,
        lowercase: bool,
        strip_accents: Option<bool>,
        part_ideographs: bool,
        unknown: &str,
    ) -> PyResult<Self> {
        let unknown = unknown.into();
        let options = word_pieces::Options {
            lowercase,
            strip_accents,
            part_ideographs,
            unknown,
            ..word_pieces::Options::default()
        };
        let shown = format!("{options:?}");
        Self::new(py, &[&vocab, shown.as_bytes()], || word_pieces::read(&vocab, name, &options))
    }

    /// Returns the format: "tokenizer.json", "gguf", "rwkv", "sentencepiece", "tekken", "tiktoken" and so on.
    #[getter]
    fn format(&self) -> &'static str {
        self.spec.origin.format.name()
    }

    /// Returns the added tokens, as tokenizer.json writes them.
    #[getter]
    fn added_tokens<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let entry = |token: &AddedToken| {
            let entry = PyDict::new(py);
            entry.set_item("id", token.id)?;
            entry.set_item("content", &token.content)?;
            let AddedToken { single_word, lstrip, rstrip, normalized, special, .. } = token;
            let flags = [("single_word", single_word), ("lstrip", lstrip), ("rstrip", rstrip)];
            for (flag, value) in flags.into_iter().chain([("normalized", normalized), ("special", special)]) {
                entry.set_item(flag, value)?;
            }
            Ok(entry)
        };
        self.spec.added_tokens.iter().map(entry).collect()
    }

    /// Returns the JSON of the post-processor, or None.
    #[getter]
    fn post_processor(&self) -> Option<String> {
        self.spec.post_processor.as_ref().map(ToString::to_string)
    }

    /// Returns the declarations of a GGUF file: BOS, EOS, whether BOS stands before a text, the chat template.
    #[getter]
    fn declared(&self) -> Option<Frame> {
        let declared = self.spec.origin.declared.clone()?;
        Some((declared.bos_id, declared.eos_id, declared.adds_bos, declared.chat_template))
    }

    /// Returns the id of a piece of the vocabulary, or None for any other text.
    fn piece_id(&self, content: &str) -> Option<u32> {
        self.spec.pieces.find(content)
    }

    /// Returns the pieces of those of `ids` that have one.
    fn pieces(&self, ids: Vec<u32>) -> BTreeMap<u32, String> {
        let wanted: FxHashSet<u32> = ids.into_iter().collect();
        let found = self.spec.pieces.iter().filter(|(id, _)| wanted.contains(id));
        found.map(|(id, piece)| (id, piece.to_owned())).collect()
    }

    /// Returns the same definition with these added tokens, whose ids a folder declares.
    fn with_added_tokens(&self, tokens: Vec<Token>) -> Self {
        let key = key(&[&self.key, format!("{tokens:?}").as_bytes()]);
        let mut spec = Spec::clone(&self.spec);
        let token = |(id, content, single_word, lstrip, rstrip, normalized, special)| AddedToken {
            id,
            content,
            single_word,
            lstrip,
            rstrip,
            normalized,
            special,
        };
        spec.added_tokens = tokens.into_iter().map(token).collect();
        if spec.added_ids == AddedIds::Counted {
            spec.added_ids = AddedIds::Declared;
        }
        Self { spec: Arc::new(spec), key }
    }

    /// Returns the text of a tokenizer.json with the same definition, as far as that format can hold it.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| serde_json::to_string(&*self.spec)).map_err(|error| named("TokenizerError", &error.to_string()))
    }

    /// Returns the tokenizer of the definition.
    fn load(&self, py: Python<'_>, name: &str) -> PyResult<PyTokenizer> {
        PyTokenizer::new(py, || Tokenizer::from_shared_spec(&self.spec, &self.key, name))
    }
}
