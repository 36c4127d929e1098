//! Mistral's `tekken.json` -> [`Spec`].
//!
//! Ranks, split pattern and special tokens in one JSON object. Source: `mistral_common`, `tokens/tokenizers/tekken.py`.
//! The special tokens have the first ids, `config.default_num_special_tokens` of them. The ids of text follow, and the
//! vocabulary is cut off at `config.default_vocab_size` ids.

use crate::error::{Error, Result};
use crate::formats::tiktoken;
use crate::spec::definition::Spec;
use crate::spec::origin::Format;
use base64::{engine::general_purpose::STANDARD, Engine};
use serde::Deserialize;
use serde_json::Value;

/// The two keys that distinguish such a file from others.
#[derive(Deserialize)]
struct Sketch {
    config: Option<Value>,
    vocab: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct File {
    config: Config,
    vocab: Vec<Rank>,
    #[serde(default)]
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: u32,
    default_num_special_tokens: u32,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Deserialize)]
struct Rank {
    rank: u32,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: u32,
    token_str: String,
}

/// Those of files of the first versions, which do not name them.
const FIRST: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];
const MOST_SPECIALS: u32 = 1 << 20;

/// The specification in the JSON object of a file; `None` where it is no such file.
///
/// # Errors
/// [`Error::File`] with line and column, or with the entry that breaks a rule. Complexity: O(bytes).
pub(super) fn read(json: &[u8], source: &str) -> Result<Option<Spec>> {
    let wrong = |reason: String| Error::File { path: source.to_owned(), reason };
    let sketch: Sketch = match serde_json::from_slice(json) {
        Ok(sketch) => sketch,
        Err(_) => return Ok(None),
    };
    if !sketch.config.is_some_and(|config| config.is_object()) || sketch.vocab.is_none() {
        return Ok(None);
    }
    let file: File = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
    let ranks = file.ranks().map_err(wrong)?;
    let names = file.names().map_err(wrong)?;
    let spec = tiktoken::from_ranks(&ranks, &file.config.pattern, &names);
    let mut spec = spec.map_err(|error| wrong(error.to_string()))?;
    spec.origin.format = Format::Tekken;
    if file.special_tokens.is_none() {
        let version = file.config.version.unwrap_or_else(|| "unknown".into());
        let note =
            format!("the file (version {version}) names no special tokens: those of the first tekken files are used");
        spec.origin.notes.push(note);
    }
    Ok(Some(spec))
}

impl File {
    /// The tokens of text with their ids.
    fn ranks(&self) -> std::result::Result<Vec<(Vec<u8>, u32)>, String> {
        let (size, specials) = (self.config.default_vocab_size, self.config.default_num_special_tokens);
        if specials > size || specials > MOST_SPECIALS {
            let expected = format!("at most config.default_vocab_size ({size}) and 2^20");
            return Err(format!("config.default_num_special_tokens is {specials}, expected {expected}"));
        }
        let (texts, count) = ((size - specials) as usize, self.vocab.len());
        if count < texts {
            let expected = format!("at least the {texts} that config.default_vocab_size asks for");
            return Err(format!("vocab has {count} entries, expected {expected}"));
        }
        let mut ranks = Vec::with_capacity(texts);
        for (index, entry) in self.vocab.iter().take(texts).enumerate() {
            if entry.rank as usize != index {
                return Err(format!("vocab[{index}] has the rank {}, expected {index}", entry.rank));
            }
            let token = STANDARD.decode(&entry.token_bytes).map_err(|error| {
                format!("vocab[{index}].token_bytes is {:?}, expected base64 ({error})", entry.token_bytes)
            })?;
            if index < 256 && token != [index as u8] {
                let shown = String::from_utf8_lossy(&token);
                return Err(format!("vocab[{index}] is {shown:?}, expected the byte {index}"));
            }
            ranks.push((token, entry.rank + specials));
        }
        Ok(ranks)
    }

    /// The special tokens with their ids; those without a name are called by their places.
    fn names(&self) -> std::result::Result<Vec<(String, u32)>, String> {
        let specials = self.config.default_num_special_tokens;
        let mut names: Vec<Option<String>> = vec![None; specials as usize];
        let named = match &self.special_tokens {
            Some(named) => named.iter().map(|special| (special.rank, special.token_str.as_str())).collect(),
            None => (0..).zip(FIRST).take(specials as usize).collect::<Vec<_>>(),
        };
        for (rank, name) in named {
            match names.get_mut(rank as usize) {
                Some(place @ None) if !name.is_empty() => *place = Some(name.to_owned()),
                _ => {
                    let expected = format!("a name, and a rank below {specials} of its own");
                    return Err(format!("special token {name:?} has the rank {rank}, expected {expected}"));
                }
            }
        }
        let shown = |(id, name): (u32, Option<String>)| (name.unwrap_or_else(|| format!("<SPECIAL_{id}>")), id);
        Ok((0..).zip(names).map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn file() -> Value {
        let entry =
            |rank: usize, token: &[u8]| json!({"rank": rank, "token_bytes": STANDARD.encode(token), "token_str": null});
        let mut vocab: Vec<Value> = (0..=255u8).map(|byte| entry(byte.into(), &[byte])).collect();
        vocab.extend([entry(256, b"ab"), entry(257, b"abc"), entry(258, b"never")]);
        json!({
            "config": {
                "pattern": "x", "default_vocab_size": 261, "default_num_special_tokens": 3,
                "num_vocab_tokens": 259, "version": "v3",
            },
            "vocab": vocab,
        })
    }

    #[test]
    fn text_follows_the_special_tokens_and_is_cut_off() {
        let spec = |file: &Value| read(file.to_string().as_bytes(), "x").unwrap().unwrap();
        let contents = |spec: &Spec| spec.added_tokens.iter().map(|token| token.content.clone()).collect::<Vec<_>>();
        let first = spec(&file());
        assert_eq!(
            (first.pieces.find("ab"), first.pieces.len(), first.origin.format),
            (Some(259), 258, Format::Tekken)
        );
        assert_eq!(contents(&first), ["<unk>", "<s>", "</s>"]);
        let mut named = file();
        named["special_tokens"] = json!([{"rank": 1, "token_str": "<b>", "is_control": true}]);
        assert_eq!(contents(&spec(&named)), ["<SPECIAL_0>", "<b>", "<SPECIAL_2>"]);
    }

    #[test]
    fn faults_name_the_place() {
        for (place, value, words) in [
            ("/vocab/7/rank", json!(8), "vocab[7] has the rank 8, expected 7"),
            ("/vocab/7/rank", json!(-8), "invalid value: integer `-8`"),
            ("/vocab/7/token_bytes", json!("!"), "vocab[7].token_bytes"),
            ("/vocab/7/token_bytes", json!("YQ=="), "vocab[7] is \"a\", expected the byte 7"),
            ("/vocab/257/token_bytes", json!("YWI="), "there twice"),
            (
                "/config/default_vocab_size",
                json!(4_000_000_000u32),
                "vocab has 259 entries, expected at least the 3999999997",
            ),
            ("/config/default_num_special_tokens", json!(262), "expected at most config.default_vocab_size"),
            ("/config/pattern", json!(1), "expected a string"),
            ("/special_tokens", json!([{"rank": 3, "token_str": "x"}]), "special token \"x\" has the rank 3"),
            (
                "/special_tokens",
                json!([{"rank": 1, "token_str": "x"}, {"rank": 1, "token_str": "y"}]),
                "special token \"y\" has the rank 1",
            ),
        ] {
            let mut file = file();
            file["special_tokens"] = Value::Null;
            *file.pointer_mut(place).unwrap() = value;
            let error = read(file.to_string().as_bytes(), "dir/tekken.json").unwrap_err().to_string();
            assert!(error.starts_with("dir/tekken.json: ") && error.contains(words), "{error}");
        }
    }
}
