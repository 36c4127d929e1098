//! Constructors of [`Tokenizer`]: from files, bytes, definitions, and engines of the caller's own.

use crate::backends::engine::Engine;
use crate::error::{Error, Result};
use crate::formats;
use crate::load::build;
use crate::load::entries::Spelling;
use crate::load::loaded::Loaded;
use crate::load::registry::shared;
use crate::spec::definition::Spec;
use crate::tokenizer::{Origin, Probe, Tokenizer};
use crate::tokens::token::{TextPosition, TokenId};
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::{Kind, Vocabulary};
use std::path::Path;
use std::sync::Arc;

impl Tokenizer {
    /// The tokenizer in a file; the content decides which of the formats of [`formats`] it is.
    ///
    /// As [`Tokenizer::from_bytes`], with the path as the name; `vocab.json` and `merges.txt` find each other, and of a
    /// GGUF file only the header is read.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// assert_eq!(toy.name(), "examples/toy/plain.json");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `File` where it cannot be read; else as [`Tokenizer::from_bytes`].
    pub fn from_file(path: &Path, pattern: Option<&str>) -> Result<Arc<Self>> {
        let name = path.display().to_string();
        Self::from_content(&formats::Content::read(path)?, &name, pattern)
    }

    fn from_content(content: &formats::Content, name: &str, pattern: Option<&str>) -> Result<Arc<Self>> {
        let (given, split) = (if pattern.is_some() { "pattern" } else { "" }, pattern.unwrap_or_default());
        let mut parts = content.parts();
        parts.extend([name.as_bytes(), given.as_bytes(), split.as_bytes()]);
        shared(&parts, || Self::from_spec(content.spec(name, pattern)?, name))
    }

    /// The tokenizer in the bytes of a file; `pattern` is the split pattern that tiktoken ranks do not hold.
    ///
    /// While the tokenizer is alive, loading the same bytes under the same name again gives that very tokenizer.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let file = std::fs::read("examples/toy/plain.json").unwrap_or_default();
    /// let toy = coolfusion::Tokenizer::from_bytes(&file, "toy", None)?;
    /// assert_eq!(toy.name(), "toy");
    /// assert!(coolfusion::Tokenizer::from_bytes(b"{}", "empty", None).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `File` where the bytes are malformed (with line and column of JSON), else as [`Tokenizer::from_spec`].
    /// Complexity: O(bytes); the second time a BLAKE3 hash of them.
    pub fn from_bytes(bytes: &[u8], name: &str, pattern: Option<&str>) -> Result<Arc<Self>> {
        let (given, split) = (if pattern.is_some() { "pattern" } else { "" }, pattern.unwrap_or_default());
        shared(&[bytes, name.as_bytes(), given.as_bytes(), split.as_bytes()], || {
            Self::from_spec(formats::read(bytes, name, pattern)?, name)
        })
    }

    /// The tokenizer in a SentencePiece model, whatever it looks like; shared as by [`Tokenizer::from_bytes`].
    ///
    /// # Errors
    /// As [`Tokenizer::from_bytes`].
    pub fn from_sentencepiece(model: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[model, name.as_bytes(), b"SentencePiece"], || {
            Self::from_spec(formats::sentencepiece::read(model, name)?, name)
        })
    }

    /// A tokenizer from the specification in a file.
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let file = serde_json::json!({
    ///     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    ///     "decoder": {"type": "ByteLevel"},
    ///     "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    /// });
    /// let spec = coolfusion::Spec::from_json(file)?.unwrap_or_else(|| unreachable!("the object holds a model"));
    /// let tokenizer = coolfusion::Tokenizer::from_spec(spec, "two letters")?;
    /// assert_eq!(tokenizer.vocabulary().len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Definition` where a part is broken or of a kind that cannot be run.
    pub fn from_spec(spec: impl Into<Arc<Spec>>, name: &str) -> Result<Self> {
        let spec = spec.into();
        let loaded = build::load(&spec)?;
        let family = family(&loaded);
        let origin = Origin {
            family,
            model: loaded.model,
            split_rule: loaded.split_rule,
            normalizer: loaded.normalizer,
            added: loaded.added,
            prefixes_once: loaded.prefixes_once,
            control_tokens: loaded.control_tokens,
            notes: loaded.source_notes,
            check: loaded.check,
        };
        let unknown = loaded.unknown.map(TokenId).into_iter().collect();
        let mut tokenizer = Self::probed(name, loaded.vocabulary, loaded.engine, loaded.decode_rules, unknown, origin)?;
        tokenizer.spec = Some(spec);
        Ok(tokenizer)
    }

    /// The same for a specification that was made of content with the hash `key`; shared as by
    /// [`Tokenizer::from_bytes`].
    #[cfg(feature = "python")]
    pub(crate) fn from_shared_spec(spec: &Arc<Spec>, key: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[key, name.as_bytes(), b"specification"], || Self::from_spec(Arc::clone(spec), name))
    }

    /// A tokenizer around an engine of the caller's own (wrapped objects).
    ///
    /// # Errors
    /// The errors of the engine on the load probe's texts.
    pub fn from_engine(
        name: &str,
        vocabulary: Vocabulary,
        engine: Box<dyn Engine>,
        decode_rules: DecodeRules,
        control_tokens: Vec<(String, u32)>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let origin = Origin {
            family: "wrapped object".into(),
            model: "unknown".into(),
            split_rule: "unknown".into(),
            normalizer: "unknown".into(),
            added: Vec::new(),
            prefixes_once: false,
            control_tokens,
            notes,
            check: "not compared with another library at load".into(),
        };
        let unknown = unknown_of(&vocabulary, engine.as_ref())?;
        Self::probed(name, vocabulary, engine, decode_rules, unknown, origin)
    }

    pub(super) fn probed(
        name: &str,
        vocabulary: Vocabulary,
        engine: Box<dyn Engine>,
        decode_rules: DecodeRules,
        unknown: Vec<TokenId>,
        origin: Origin,
    ) -> Result<Self> {
        if vocabulary.is_empty() {
            return Err(Error::definition("model.vocab", "it is empty: expected at least one token"));
        }
        let mut tokenizer = Self {
            name: name.into(),
            vocabulary,
            engine,
            decode_rules,
            unknown,
            origin,
            probe: Probe::default(),
            spec: None,
        };
        tokenizer.probe = Probe::run(&tokenizer)?;
        Ok(tokenizer)
    }

    /// The tokenizer in the bytes of [`Spec::to_bytes`]; shared as by [`Tokenizer::from_bytes`].
    ///
    /// ```
    /// # fn main() -> coolfusion::Result<()> {
    /// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
    /// // Another process gets the same tokenizer without the file.
    /// let state = toy.spec().map_or_else(|| Ok(Vec::new()), coolfusion::Spec::to_bytes)?;
    /// let copy = coolfusion::Tokenizer::from_state(&state, toy.name())?;
    /// assert_eq!(copy.vocabulary().len(), toy.vocabulary().len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Definition` for other bytes.
    pub fn from_state(state: &[u8], name: &str) -> Result<Arc<Self>> {
        shared(&[state, name.as_bytes(), b"state"], || Self::from_spec(Spec::from_bytes(state)?, name))
    }
}

/// The control tokens that an object writes for characters that few vocabularies hold.
fn unknown_of(vocabulary: &Vocabulary, engine: &dyn Engine) -> Result<Vec<TokenId>> {
    let mut ids = Vec::new();
    for text in ["\u{10380}", "\u{a500}", "a \u{1f9ff} b"] {
        engine.ids(text, TextPosition::Start, &mut ids)?;
    }
    ids.retain(|&id| vocabulary.kind(id) == Kind::Control);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn family(loaded: &Loaded) -> String {
    match (loaded.model.as_str(), loaded.spelling, loaded.byte_fallback) {
        ("BPE", Spelling::ByteLevel, _) => "byte-level BPE".into(),
        ("BPE", Spelling::Marks, true) => "SentencePiece BPE with byte fallback".into(),
        ("BPE", Spelling::Marks, false) => "SentencePiece BPE".into(),
        ("Unigram", Spelling::Marks, true) => "Unigram with byte fallback".into(),
        (model, ..) => model.into(),
    }
}
