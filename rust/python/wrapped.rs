//! An engine that encodes by calls of a Python object, for an object that offers only `encode`.

use crate::{Certificate, DecodeRules, Engine, Error, Kind, Result, TextPosition, Token, TokenId, Vocabulary};
use pyo3::prelude::*;

/// An engine that calls the object, and takes spans from the bytes of the tokens.
pub(super) struct Callables {
    encode: Py<PyAny>,
    vocabulary: Vocabulary,
    decode_rules: DecodeRules,
}

/// Texts to encode before a text, so that the object does not treat it as a start. Their tokens are cut off again.
const SENTINELS: [&str; 3] = ["\n", ".", "a\n"];

impl Callables {
    /// Returns the engine, its vocabulary, and the reading of tokens as text. One space at the start of a text is
    /// removed if `drops`, or if encoding puts one there. `first` holds the tokens that have other bytes there.
    pub(super) fn new(
        encode: Py<PyAny>,
        table: Vec<Option<Vec<u8>>>,
        control_ids: &[u32],
        drops: bool,
        first: Vec<(u32, Vec<u8>)>,
    ) -> Result<(Self, Vocabulary, DecodeRules)> {
        let entries = table.into_iter().enumerate().map(|(id, bytes)| {
            if control_ids.contains(&(id as u32)) {
                (Kind::Control, Vec::new())
            } else {
                bytes.map_or((Kind::Opaque, Vec::new()), |bytes| (Kind::Text, bytes))
            }
        });
        let vocabulary = Vocabulary::new(entries);
        let mut engine = Self { encode, vocabulary: vocabulary.clone(), decode_rules: DecodeRules::default() };
        let bytes = engine.bytes(&engine.call("word")?)?;
        engine.decode_rules = DecodeRules::with_first(drops || bytes.first() == Some(&b' '), first);
        let decode_rules = engine.decode_rules.clone();
        Ok((engine, vocabulary, decode_rules))
    }

    fn call(&self, text: &str) -> Result<Vec<TokenId>> {
        Python::attach(|py| {
            let ids = self.encode.call1(py, (text,)).and_then(|ids| ids.extract::<Vec<u32>>(py));
            ids.map(|ids| ids.into_iter().map(TokenId).collect())
                .map_err(|error| Error::Foreign { call: "encode", reason: error.to_string() })
        })
    }

    fn bytes(&self, ids: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (position, &id) in ids.iter().enumerate() {
            bytes.extend_from_slice(self.vocabulary.bytes(id, position)?);
        }
        Ok(bytes)
    }

    /// Returns the ids of `text` after other text. A sentinel is encoded before it, and its tokens are taken away.
    fn inside(&self, text: &str) -> Result<Vec<TokenId>> {
        for sentinel in SENTINELS {
            let alone = self.call(sentinel)?;
            let both = self.call(&format!("{sentinel}{text}"))?;
            if both.starts_with(&alone) {
                return Ok(both[alone.len()..].to_vec());
            }
        }
        self.call(text)
    }

    /// Returns tokens with spans. If their bytes are not those of the text, no cut can be placed, so the span of each
    /// token is the whole text.
    fn spans(&self, ids: &[TokenId], text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let exact = self.decode_rules.spans(&self.vocabulary, ids, text, place)?;
        let shared = || ids.iter().map(|&id| Token { id, start: 0, end: text.len(), word: 0 }).collect();
        Ok(exact.unwrap_or_else(shared))
    }
}

impl Engine for Callables {
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let ids = if place == TextPosition::Start { self.call(text)? } else { self.inside(text)? };
        self.spans(&ids, text, place)
    }

    fn settled(&self, _text: &str, _place: TextPosition) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    fn certificate(&self) -> Certificate {
        Certificate::None
    }

    fn exact_spans(&self) -> bool {
        false
    }

    fn gains_from_threads(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "the wrapped object's own encode".into()
    }
}
