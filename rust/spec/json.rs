//! `tokenizer.json` -> [`Spec`], and back.
//!
//! Source: the file format of the `tokenizers` library, version "1.0". In: bytes, or a JSON value. Out: a [`Spec`]; of
//! a [`Spec`] the JSON that the library reads. May import: all of `spec`. Read next: `crate::load::build`.

use crate::error::{Error, Result};
use crate::spec::decoder::Decoder;
use crate::spec::definition::{AddedToken, Spec};
use crate::spec::fields::{stages, unlike, written, Fields};
use crate::spec::lists;
use crate::spec::lists::ModelParts;
use crate::spec::model::{Merges, Model};
use crate::spec::normalizer::Normalizer;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use crate::spec::pre_tokenizer::PreTokenizer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{json, Map, Value};
use std::fmt;

/// Reads the bytes of a file; `None` where there is no object under `model`. Complexity: O(bytes).
///
/// # Errors The outer one is malformed JSON, with line and column; the inner one is a field that is unknown, missing
/// or of a wrong type, with its path.
pub(crate) fn read(json: &[u8]) -> std::result::Result<Result<Option<Spec>>, serde_json::Error> {
    serde_json::from_slice::<File>(json).map(File::spec)
}

/// The specification in a JSON value.
pub(super) fn of_value(value: Value) -> Result<Option<Spec>> {
    File::deserialize(value).map_err(|error| Error::definition("tokenizer.json", error.to_string()))?.spec()
}

/// A file with its small parts as JSON.
struct File {
    rest: Map<String, Value>,
    model: Option<ModelParts>,
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tokenizer.json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<File, A::Error> {
        let mut file = File { rest: Map::new(), model: None };
        while let Some(key) = map.next_key::<String>()? {
            if key == "model" {
                file.model = map.next_value::<lists::Model>()?.0;
            } else {
                file.rest.insert(key, map.next_value()?);
            }
        }
        Ok(file)
    }
}

impl File {
    fn spec(self) -> Result<Option<Spec>> {
        let Some(parts) = self.model else { return Ok(None) };
        let mut fields = Fields::of("", self.rest.into())?;
        let (rest, pieces, merges) = parts.resolved()?;
        let model = Model::read(rest, &pieces, merges)?;
        // Neither a longest text nor a fill of short ones changes the ids of a text.
        fields.skip(&["version", "truncation", "padding"]);
        let mut spec = Spec::new(model, pieces, Origin::new(Format::TokenizerJson, Vec::new()));
        spec.added_tokens = added_tokens(fields.value("added_tokens"))?;
        spec.normalizers = stages("normalizer", fields.value("normalizer"))?;
        spec.pre_tokenizers = stages("pre_tokenizer", fields.value("pre_tokenizer"))?;
        spec.post_processor = Some(fields.value("post_processor")).filter(|processor| !processor.is_null());
        let decoder = fields.value("decoder");
        spec.decoders = if decoder.is_null() { None } else { Some(stages("decoder", decoder)?) };
        fields.end()?;
        Ok(Some(spec))
    }
}

fn added_tokens(list: Value) -> Result<Vec<AddedToken>> {
    match list {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list.into_iter().enumerate().map(|(at, token)| added_token(at, token)).collect(),
        other => Err(unlike("added_tokens", &other, "a list")),
    }
}

fn added_token(at: usize, token: Value) -> Result<AddedToken> {
    let mut fields = Fields::of(format!("added_tokens[{at}]"), token)?;
    let token = AddedToken {
        id: fields.need("id")?,
        content: fields.need("content")?,
        single_word: fields.flag("single_word")?,
        lstrip: fields.flag("lstrip")?,
        rstrip: fields.flag("rstrip")?,
        normalized: fields.flag("normalized")?,
        special: fields.flag("special")?,
    };
    fields.end()?;
    Ok(token)
}

/// The JSON of a normalizer.
pub(crate) fn normalizer(normalizers: &[Normalizer]) -> Value {
    written(normalizers)
}

/// The JSON of a pre-tokenizer.
pub(crate) fn pre_tokenizer(pre_tokenizers: &[PreTokenizer]) -> Value {
    written(pre_tokenizers)
}

/// The JSON of a decoder; that of no stage, which joins the tokens, is not null.
pub(crate) fn decoder(decoders: Option<&[Decoder]>) -> Value {
    match decoders {
        None => Value::Null,
        Some([]) => json!({"type": "Sequence", "decoders": []}),
        Some(decoders) => written(decoders),
    }
}

fn write_added(token: &AddedToken) -> Value {
    json!({
        "id": token.id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
        "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special,
    })
}

/// As `tokenizer.json`, which the `tokenizers` library reads; settings that only [`Spec::origin`] holds are not there.
impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", "1.0")?;
        map.serialize_entry("truncation", &Value::Null)?;
        map.serialize_entry("padding", &Value::Null)?;
        map.serialize_entry("added_tokens", &self.added_tokens.iter().map(write_added).collect::<Vec<_>>())?;
        map.serialize_entry("normalizer", &normalizer(&self.normalizers))?;
        map.serialize_entry("pre_tokenizer", &pre_tokenizer(&self.pre_tokenizers))?;
        map.serialize_entry("post_processor", &self.post_processor)?;
        map.serialize_entry("decoder", &decoder(self.decoders.as_deref()))?;
        map.serialize_entry("model", &Written(self))?;
        map.end()
    }
}

/// The model with its large lists.
struct Written<'a>(&'a Spec);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields = self.0.model.write();
        // The type comes first, because readers choose by it.
        map.serialize_entry("type", self.0.model.kind())?;
        for (key, value) in fields.as_object().into_iter().flatten().filter(|(key, _)| *key != "type") {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("vocab", &self.0.pieces)?;
        if let Some(merges) = self.0.model.merges() {
            map.serialize_entry("merges", &Pairs(merges, &self.0.pieces))?;
        }
        map.end()
    }
}

struct Pairs<'a>(&'a Merges, &'a Pieces);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let piece = |number: u32| self.1.piece(number as usize);
        serializer.collect_seq(self.0.pairs.iter().map(|&(left, right)| [piece(left), piece(right)]))
    }
}

impl Spec {
    /// The specification in a JSON value of the form of `tokenizer.json`, `None` where there is no object under
    /// `model`.
    ///
    /// # Errors
    /// [`crate::Error::Definition`] with the path of the field that is unknown, missing or of a wrong type.
    pub fn from_json(value: Value) -> crate::Result<Option<Self>> {
        of_value(value)
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
