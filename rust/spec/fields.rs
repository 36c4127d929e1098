//! One JSON object, read field by field: each field has a type, and those that are left over are refused with their
//! path.
//!
//! In: a JSON value and its path. Out: typed values, or an error such as `pre_tokenizer.pattern.Regx: unknown field`.
//! May import: `error`. Read next: `normalizer`, a user of it.

use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// The fields of an object.
pub(crate) struct Fields {
    path: String,
    rest: Map<String, Value>,
    asked: Vec<&'static str>,
}

/// A type of a field.
pub(super) trait FromField: Sized {
    const EXPECTED: &'static str;
    fn from_field(value: &Value) -> Option<Self>;
}

impl FromField for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_field(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromField for String {
    const EXPECTED: &'static str = "a string";
    fn from_field(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl FromField for char {
    const EXPECTED: &'static str = "a string of one character";
    fn from_field(value: &Value) -> Option<Self> {
        let mut chars = value.as_str()?.chars();
        chars.next().filter(|_| chars.next().is_none())
    }
}

impl FromField for u32 {
    const EXPECTED: &'static str = "a whole number below 2^32";
    fn from_field(value: &Value) -> Option<Self> {
        value.as_u64().and_then(|number| Self::try_from(number).ok())
    }
}

impl FromField for usize {
    const EXPECTED: &'static str = "a whole number from 0 on";
    fn from_field(value: &Value) -> Option<Self> {
        value.as_u64().and_then(|number| Self::try_from(number).ok())
    }
}

impl FromField for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_field(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

/// A JSON value in an error: its beginning.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The error of a value that is of another type.
pub(crate) fn unlike(path: &str, value: &Value, expected: &str) -> Error {
    Error::definition(path, format!("{}: expected {expected}", shown(value)))
}

impl Fields {
    /// The fields of the object at `path`.
    pub(super) fn of(path: impl Into<String>, value: Value) -> Result<Self> {
        let path = path.into();
        match value {
            Value::Object(rest) => Ok(Self { path, rest, asked: Vec::new() }),
            other => Err(unlike(&path, &other, "an object")),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.into()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of `key`; null where there is none.
    pub(super) fn value(&mut self, key: &'static str) -> Value {
        self.asked.push(key);
        self.rest.remove(key).unwrap_or_default()
    }

    /// The typed value of `key`; `None` where there is none, or null.
    pub(super) fn get<T: FromField>(&mut self, key: &'static str) -> Result<Option<T>> {
        let value = self.value(key);
        if value.is_null() {
            return Ok(None);
        }
        T::from_field(&value).map(Some).ok_or_else(|| unlike(&self.path_of(key), &value, T::EXPECTED))
    }

    /// The typed value of `key`, which must be there.
    pub(super) fn need<T: FromField>(&mut self, key: &'static str) -> Result<T> {
        let found = self.get(key)?;
        found.ok_or_else(|| Error::definition(self.path_of(key), format!("missing: expected {}", T::EXPECTED)))
    }

    /// A switch, off where it is not there.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool> {
        Ok(self.get(key)?.unwrap_or(false))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Takes fields that files have and that nothing depends on.
    pub(super) fn skip(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.value(key);
        }
    }

    /// Refuses the first field that was not asked for.
    pub(super) fn end(self) -> Result<()> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(key) => {
                let reason = format!("unknown field: expected only {}", self.asked.join(", "));
                Err(Error::definition(self.path_of(key), reason))
            }
        }
    }
}

/// A stage of a part of the file, recognized by its `type`.
pub(crate) trait Stage: Sized {
    /// The key of the list in a `Sequence`.
    const LIST: &'static str;
    /// The types that the `tokenizers` library, 0.23, knows.
    const KINDS: &'static [&'static str];
    /// The stage of this type, `None` of none.
    fn read(kind: &str, fields: &mut Fields) -> Result<Option<Self>>;
    fn write(&self) -> Value;
}

/// The stages at `path`, those of nested sequences in order.
pub(crate) fn stages<S: Stage>(path: &str, value: Value) -> Result<Vec<S>> {
    let mut found = Vec::new();
    if !value.is_null() {
        add_stages(path.into(), value, &mut found)?;
    }
    Ok(found)
}

fn add_stages<S: Stage>(path: String, value: Value, found: &mut Vec<S>) -> Result<()> {
    let mut fields = Fields::of(path, value)?;
    let kind: String = fields.get("type")?.unwrap_or_default();
    if kind == "Sequence" || kind.is_empty() && fields.has(S::LIST) {
        let path = fields.path_of(S::LIST);
        let Value::Array(list) = fields.value(S::LIST) else {
            return Err(Error::definition(path, "missing: expected a list of stages"));
        };
        fields.end()?;
        return list
            .into_iter()
            .enumerate()
            .try_for_each(|(at, stage)| add_stages(format!("{path}[{at}]"), stage, found));
    }
    let Some(stage) = S::read(&kind, &mut fields)? else {
        let reason = format!("type {kind:?} is unknown: expected one of {}", S::KINDS.join(", "));
        return Err(Error::definition(fields.path(), reason));
    };
    found.push(stage);
    fields.end()
}

/// The JSON of a part: null of no stage, a `Sequence` of several.
pub(crate) fn written<S: Stage>(stages: &[S]) -> Value {
    match stages {
        [] => Value::Null,
        [stage] => stage.write(),
        several => {
            let list = several.iter().map(Stage::write).collect();
            let fields = [("type".to_string(), "Sequence".into()), (S::LIST.to_string(), Value::Array(list))];
            Value::Object(fields.into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::normalizer::Normalizer;
    use crate::spec::pre_tokenizer::PreTokenizer;
    use serde_json::json;

    #[test]
    fn nested_sequences_are_one_list() {
        let nested =
            json!({"normalizers": [{"type": "NFC"}, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]});
        let found = stages::<Normalizer>("normalizer", nested).unwrap();
        assert_eq!(found, [Normalizer::Nfc, Normalizer::Lowercase]);
        assert_eq!(written(&found)["normalizers"], json!([{"type": "NFC"}, {"type": "Lowercase"}]));
        assert_eq!((written(&found[..1]), written(&found[..0])), (json!({"type": "NFC"}), Value::Null));
    }

    #[test]
    fn faults_name_the_path() {
        let split =
            |pattern: Value| json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
        for (stage, words) in [
            (json!(3), "pre_tokenizer.pretokenizers[1]: 3: expected an object"),
            (json!({"type": "Nope"}), "pre_tokenizer.pretokenizers[1]: type \"Nope\" is unknown: expected one of Bert"),
            (json!({"typ": "Digits"}), "pre_tokenizer.pretokenizers[1]: type \"\" is unknown"),
            (json!({"type": 3}), "pre_tokenizer.pretokenizers[1].type: 3: expected a string"),
            (json!({"type": "Sequence"}), "pre_tokenizer.pretokenizers[1].pretokenizers: missing: expected a list"),
            (
                json!({"type": "Digits", "individual": true}),
                "pretokenizers[1].individual: unknown field: expected only type, indiv",
            ),
            (
                json!({"type": "Digits", "individual_digits": "x"}),
                "pretokenizers[1].individual_digits: \"x\": expected true or false",
            ),
            (split(json!({"Regx": "x"})), "pretokenizers[1].pattern.Regx: unknown field"),
            (split(json!({"Regex": 1})), "pretokenizers[1].pattern.Regex: 1: expected a string"),
            (split(json!({})), "pretokenizers[1].pattern: {}: expected one of String and Regex"),
            (
                json!({"type": "Punctuation", "behavior": "x"}),
                "pretokenizers[1].behavior: \"x\": expected one of Removed",
            ),
            (
                json!({"type": "Metaspace", "replacement": "ab"}),
                "pretokenizers[1].replacement: \"ab\": expected a string of one",
            ),
            (
                json!({"type": "Metaspace", "prepend_scheme": "x"}),
                "pretokenizers[1].prepend_scheme: \"x\": expected one of first",
            ),
        ] {
            let all = json!({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, stage]});
            let error = stages::<PreTokenizer>("pre_tokenizer", all).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
