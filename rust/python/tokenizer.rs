//! Python's `coolfusion.Tokenizer` and `coolfusion.common_boundaries`.

use super::errors::{named, raise};
use super::numbers::Numbers;
use super::pickling::{of_tokenizer, Call, Declared, Extras};
use super::strings::Strings;
use super::text::{each_list, id, ids, lossy, Answers, Text, Texts};
use super::threads::{detached_if, LONG_TEXT, MANY_IDS};
use super::wrapped::Callables;
use crate::vocabulary::added::AddedEntry;
use crate::{formats, Kind, Method, TextPosition, TokenId, Tokenizer, Vocabulary};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A tokenizer that gives canonical ids, exact bytes, and cuts that later text cannot move.
#[pyclass(name = "Tokenizer", module = "coolfusion", frozen)]
pub(super) struct PyTokenizer(pub(super) Arc<Tokenizer>, pub(super) Arc<Strings>, pub(super) Arc<Extras>);

impl From<Arc<Tokenizer>> for PyTokenizer {
    fn from(tokenizer: Arc<Tokenizer>) -> Self {
        let strings = Arc::new(Strings::new(tokenizer.vocabulary().len()));
        Self(tokenizer, strings, Arc::default())
    }
}

impl PyTokenizer {
    pub(super) fn new(py: Python<'_>, load: impl FnOnce() -> crate::Result<Arc<Tokenizer>> + Send) -> PyResult<Self> {
        py.detach(load).map(Self::from).map_err(raise)
    }

    /// Returns the same tokenizer with the declarations of a folder.
    pub(super) fn declaring(&self, declared: Declared) -> Self {
        let object = Python::attach(|py| self.2.object.as_ref().map(|object| object.clone_ref(py)));
        Self(self.0.clone(), self.1.clone(), Arc::new(Extras { declared, object }))
    }

    fn plain_ids(&self, text: &str, place: TextPosition, strict: bool) -> crate::Result<Numbers<TokenId>> {
        let ids = if strict { self.0.require(text, place) } else { self.0.ids(text, place) };
        ids.map(Numbers)
    }
}

fn is_strict(errors: &str) -> PyResult<bool> {
    match errors {
        "replace" => Ok(false),
        "strict" => Ok(true),
        _ => Err(named("ArgumentError", &format!("errors is {errors:?}: expected \"replace\" or \"strict\""))),
    }
}

pub(super) fn place(continues: bool) -> TextPosition {
    if continues {
        TextPosition::Continuation
    } else {
        TextPosition::Start
    }
}

#[pymethods]
impl PyTokenizer {
    /// Loads a tokenizer from a file of any known format, which is recognised by its content.
    #[classmethod]
    #[pyo3(signature = (path, *, pattern = None))]
    fn from_file(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf, pattern: Option<String>) -> PyResult<Self> {
        Self::new(py, || Tokenizer::from_file(&path, pattern.as_deref()))
    }

    /// Loads the tokenizer of a model directory, of a tokenizer file, or of a name on the Hugging Face hub.
    #[classmethod]
    #[pyo3(signature = (name_or_path, **options))]
    fn from_pretrained<'py>(
        _class: &Bound<'py, PyType>,
        name_or_path: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        name_or_path
            .py()
            .import("coolfusion.adapters.pretrained")?
            .getattr("from_pretrained")?
            .call((name_or_path,), options)
    }

    /// Returns a tokenizer that encodes and decodes as `obj` does, without BOS and END.
    #[classmethod]
    #[pyo3(signature = (obj, *, name = None))]
    fn wrap<'py>(
        _class: &Bound<'py, PyType>,
        obj: &Bound<'py, PyAny>,
        name: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = PyDict::new(obj.py());
        options.set_item("name", name)?;
        obj.py().import("coolfusion.adapters.wrap")?.getattr("wrap")?.call((obj,), Some(&options))
    }

    /// Loads a tokenizer from the text of a tokenizer.json.
    #[staticmethod]
    fn _from_json(py: Python<'_>, json_text: &str, name: &str) -> PyResult<Self> {
        Self::new(py, || Tokenizer::from_bytes(json_text.as_bytes(), name, None))
    }

    /// Returns the split pattern of a class that reads tiktoken ranks or byte-level merges, or None.
    #[staticmethod]
    fn _pattern_of_class(name: &str) -> Option<&'static str> {
        formats::known_ranks::pattern_of_class(name)
    }

    /// Loads a tokenizer from the bytes of a SentencePiece model.
    #[staticmethod]
    fn _from_sentencepiece(py: Python<'_>, model: Vec<u8>, name: &str) -> PyResult<Self> {
        Self::new(py, || Tokenizer::from_sentencepiece(&model, name))
    }

    /// Loads a tokenizer from tiktoken ranks, (bytes, id) each, with their split pattern and special tokens.
    #[staticmethod]
    fn _from_ranks(
        py: Python<'_>,
        ranks: Vec<(Vec<u8>, u32)>,
        pattern: &str,
        specials: Vec<(String, u32)>,
        name: &str,
    ) -> PyResult<Self> {
        Self::new(py, || {
            let spec = formats::tiktoken::from_ranks(&ranks, pattern, &specials)?;
            Tokenizer::from_spec(spec, name).map(Arc::new)
        })
    }

    /// Returns a tokenizer that calls an object's `encode`; `token_table` holds the bytes of each id, or None.
    ///
    /// `drops` is true if one space is dropped at the start of a text. `first` holds the ids with other bytes there.
    #[staticmethod]
    #[pyo3(signature = (
        encode, token_table, control_ids, drops, first, name, notes, *, control_tokens = Vec::new(), object = None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn _from_callables(
        encode: Py<PyAny>,
        token_table: Vec<Option<Vec<u8>>>,
        control_ids: Vec<u32>,
        drops: bool,
        first: Vec<(u32, Vec<u8>)>,
        name: &str,
        notes: Vec<String>,
        control_tokens: Vec<(String, u32)>,
        object: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let (engine, vocabulary, decode_rules) =
            Callables::new(encode, token_table, &control_ids, drops, first).map_err(raise)?;
        let tokenizer = Tokenizer::from_engine(name, vocabulary, Box::new(engine), decode_rules, control_tokens, notes)
            .map_err(raise)?;
        let made = Self::from(Arc::new(tokenizer));
        Ok(Self(made.0, made.1, Arc::new(Extras { declared: Declared::default(), object })))
    }

    /// Returns the same tokenizer with the declarations of a folder: BOS, EOS, ids before a text, chat templates.
    fn _declaring(
        &self,
        bos_id: Option<u32>,
        eos_id: Option<u32>,
        prefix_ids: Vec<u32>,
        chat_templates: BTreeMap<String, String>,
    ) -> Self {
        self.declaring(Declared(bos_id, eos_id, prefix_ids, chat_templates))
    }

    /// Encodes a text into its canonical ids, without BOS or END.
    #[pyo3(signature = (text, *, continues = false, errors = "replace"))]
    fn encode(&self, py: Python<'_>, text: Text<'_>, continues: bool, errors: &str) -> PyResult<Numbers<TokenId>> {
        let (utf8, strict, place) = (text.utf8()?, is_strict(errors)?, place(continues));
        let encoded = detached_if(utf8.len() > LONG_TEXT, py, || self.plain_ids(utf8, place, strict));
        encoded.map_err(|error| text.raise(error))
    }

    /// Encodes many texts on all cores, each as `encode` does.
    #[pyo3(signature = (texts, *, continues = false, errors = "replace"))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        continues: bool,
        errors: &str,
    ) -> PyResult<Answers<Numbers<TokenId>>> {
        let (strict, place) = (is_strict(errors)?, place(continues));
        Texts::many(texts)?.each(py, self.0.gains_from_threads(), |text, _| self.plain_ids(text, place, strict))
    }

    /// Decodes many lists of ids, each as `decode` does.
    fn decode_batch<'py>(
        &self,
        py: Python<'py>,
        list_of_ids: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<Bound<'py, PyString>>> {
        // One thread does all the work, because most of it is under the interpreter's lock. An id takes 6 ns to read
        // from a list and 2 to make a string of, both under the lock, and 3 to decode. With the decoding on two cores
        // the whole took 1.05 to 1.1 times as long, and 2.4 times on a busy machine.
        each_list(list_of_ids, |lists| {
            let many = lists.iter().map(Vec::len).sum::<usize>() > MANY_IDS;
            let decode = |(index, ids): (usize, &Vec<TokenId>)| {
                self.0.decode_bytes(ids, TextPosition::Start).map_err(|error| (index, error))
            };
            let decoded = detached_if(many, py, || {
                lists.iter().enumerate().map(decode).collect::<std::result::Result<Vec<_>, _>>()
            })?;
            Ok(decoded.iter().map(|bytes| lossy(py, bytes)).collect())
        })
    }

    /// Decodes ids to their bytes, which need not be UTF-8.
    fn decode_bytes<'py>(&self, py: Python<'py>, token_ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let ids = ids(token_ids)?;
        let bytes =
            detached_if(ids.len() > MANY_IDS, py, || self.0.decode_bytes(&ids, TextPosition::Start)).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Decodes ids to text, with one U+FFFD for each ill-formed part of their bytes.
    fn decode<'py>(&self, py: Python<'py>, token_ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let ids = ids(token_ids)?;
        let bytes =
            detached_if(ids.len() > MANY_IDS, py, || self.0.decode_bytes(&ids, TextPosition::Start)).map_err(raise)?;
        Ok(lossy(py, &bytes))
    }

    /// Returns the bytes of one token inside a text.
    fn token_bytes<'py>(&self, py: Python<'py>, token_id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.0.vocabulary().bytes(id(token_id, 0)?, 0).map_err(raise)?))
    }

    /// Returns whether the tokenizer represents a text, so that decoding the encoded text gives the same bytes.
    #[pyo3(signature = (text, *, continues = false))]
    fn represents<'py>(&self, py: Python<'py>, text: Texts<'py>, continues: bool) -> PyResult<Answers<bool>> {
        text.each(py, self.0.gains_from_threads(), |text, _| Ok(self.0.first_loss(text, place(continues))?.is_none()))
    }

    /// Returns the word boundaries of a text, the cuts before white space that no later text can move.
    #[pyo3(signature = (text, method = "auto"))]
    fn word_boundaries<'py>(
        &self,
        py: Python<'py>,
        text: Texts<'py>,
        method: &str,
    ) -> PyResult<Answers<Numbers<usize>>> {
        let method: Method = method.parse().map_err(raise)?;
        text.each(py, self.0.gains_from_threads(), |text, unit| {
            Ok(Numbers(unit.positions(text, crate::word_boundaries(&self.0, text, method)?)))
        })
    }

    /// Returns the settled cuts of a text, which no later text can move and at which encoding can start again.
    fn settled_cuts<'py>(&self, py: Python<'py>, text: Texts<'py>) -> PyResult<Answers<Numbers<usize>>> {
        text.each(py, self.0.gains_from_threads(), |text, unit| {
            Ok(Numbers(unit.positions(text, self.0.settled(text, TextPosition::Start)?)))
        })
    }

    /// Returns the facts that the load probe found, and the methods for boundaries and windows with their reasons.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.call_method1("loads", (self.0.describe().to_string(),))
    }

    /// Returns the size of the vocabulary, the largest id plus 1.
    #[getter]
    fn vocab_size(&self) -> usize {
        self.0.vocabulary().len()
    }

    /// Returns the name of the tokenizer in errors and in `describe`: its path, or the name given to `wrap`.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns the ids of control tokens in ascending order, such as BOS and END, which stand for no text.
    #[getter]
    fn control_ids(&self) -> Numbers<TokenId> {
        Numbers(self.0.vocabulary().ids(Kind::Control).collect())
    }

    /// Returns the ids of control tokens by their names.
    #[getter]
    fn control_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tokens = PyDict::new(py);
        self.0.control_tokens().iter().try_for_each(|(content, id)| tokens.set_item(content, id))?;
        Ok(tokens)
    }

    /// Returns added tokens (id, content, control, lstrip, rstrip), and whether a dummy prefix is added once.
    ///
    /// A text is read in sections between control tokens. Mistral's file adds the prefix to the first section alone.
    #[allow(clippy::type_complexity)]
    fn _sections(&self) -> (Vec<(u32, String, bool, bool, bool)>, bool) {
        let row =
            |token: &AddedEntry| (token.id.0, token.content.clone(), token.control, token.strips.0, token.strips.1);
        (self.0.added_tokens().iter().map(row).collect(), self.0.prefixes_once())
    }

    /// Returns the id that begins a text, or None if the folder declares none.
    #[getter]
    fn bos_id(&self) -> Option<u32> {
        self.2.declared.0
    }

    /// Returns the id that ends a text, or None if the folder declares none.
    #[getter]
    fn eos_id(&self) -> Option<u32> {
        self.2.declared.1
    }

    /// Returns the ids that the folder puts before every text, such as BOS; `encode` does not add them.
    #[getter]
    fn prefix_ids(&self) -> Vec<u32> {
        self.2.declared.2.clone()
    }

    /// Returns the chat templates of the folder by their names; the one without a name is "default".
    #[getter]
    fn chat_templates(&self) -> BTreeMap<String, String> {
        self.2.declared.3.clone()
    }

    /// Returns the ids below `vocab_size` that have no token or unknown bytes, in ascending order.
    #[getter]
    fn unused_ids(&self) -> Numbers<TokenId> {
        let vocabulary: &Vocabulary = self.0.vocabulary();
        let mut unused: Vec<TokenId> = vocabulary.ids(Kind::Unused).chain(vocabulary.ids(Kind::Opaque)).collect();
        unused.sort_unstable();
        Numbers(unused)
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        of_tokenizer(py, &self.0, &self.2)
    }

    fn __repr__(&self) -> String {
        format!("Tokenizer({:?}, vocab_size={})", self.0.name(), self.0.vocabulary().len())
    }
}

/// Returns the common boundaries of a text, which are word boundaries of all tokenizers.
#[pyfunction]
pub(super) fn common_boundaries<'py>(
    py: Python<'py>,
    tokenizers: Vec<Bound<'py, PyTokenizer>>,
    text: Texts<'py>,
) -> PyResult<Answers<Numbers<usize>>> {
    let tokenizers: Vec<Arc<Tokenizer>> = tokenizers.iter().map(|t| t.get().0.clone()).collect();
    let threads = tokenizers.iter().all(|tokenizer| tokenizer.gains_from_threads());
    text.each(py, threads, |text, unit| {
        Ok(Numbers(unit.positions(text, crate::common_boundaries(tokenizers.iter().map(AsRef::as_ref), text)?)))
    })
}
