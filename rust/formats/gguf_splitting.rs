//! The pre-token rules that `tokenizer.ggml.pre` of a GGUF file names, as far as both the name's tokenizer and its rule are certain.
//!
//! The names are those of llama.cpp (`src/llama-vocab.cpp`); the rules are those of the `tokenizer.json` that the name was given for,
//! because llama.cpp rewrites some for its own matcher.

use serde_json::{json, Value};

use super::known_ranks::{CL100K, KIMI, O200K, QWEN};

/// Mistral's, of `tekken.json`.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_V3: [&str; 3] = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
];

/// How a byte-level model splits text.
pub(super) struct Splitting {
    pub(super) pre_tokenizer: Value,
    pub(super) normalizer: Value,
    /// A pre-token that is a token is one, whatever the merges say.
    pub(super) ignore_merges: bool,
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// One pattern.
pub(super) fn pattern(pattern: &str, ignore_merges: bool) -> Splitting {
    steps(vec![split(pattern), byte_level(false)], ignore_merges)
}

fn steps(steps: Vec<Value>, ignore_merges: bool) -> Splitting {
    Splitting { pre_tokenizer: json!({"type": "Sequence", "pretokenizers": steps}), normalizer: Value::Null, ignore_merges }
}

/// The rule with this name, if it is known.
pub(super) fn named(name: &str) -> Option<Splitting> {
    let nfc = |splitting: Splitting| Splitting { normalizer: json!({"type": "NFC"}), ..splitting };
    let digits = || steps(vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true)], false);
    Some(match name {
        "gpt-2" | "phi-2" | "roberta-bpe" => steps(vec![byte_level(true)], false),
        "llama-bpe" | "llama3" | "llama-v3" | "chatglm-bpe" | "glm4" => pattern(CL100K, true),
        "qwen2" | "deepseek-r1-qwen" => nfc(pattern(QWEN, false)),
        "gpt-4o" | "llama4" => pattern(O200K, true),
        "tekken" => pattern(TEKKEN, true),
        "kimi-k2" => pattern(KIMI, true),
        "starcoder" | "refact" | "smollm" => digits(),
        "command-r" => nfc(digits()),
        "deepseek-v3" => steps(DEEPSEEK_V3.iter().map(|rule| split(rule)).chain([byte_level(false)]).collect(), false),
        "falcon" => steps(
            vec![
                json!({"type": "Punctuation", "behavior": "Contiguous"}),
                byte_level(true),
                json!({"type": "Digits", "individual_digits": false}),
                split("[0-9][0-9][0-9]"),
            ],
            false,
        ),
        _ => return None,
    })
}
