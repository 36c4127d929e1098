//! The pre-token rules that `tokenizer.ggml.pre` of a GGUF file names, as far as both the name's tokenizer and its
//! rule are certain.
//!
//! The names are those of llama.cpp (`src/llama-vocab.cpp`). The rules are those of the `tokenizer.json` that the name
//! was given for, because llama.cpp rewrites some for its own matcher.

use crate::formats::known_ranks::{CL100K, KIMI, O200K, QWEN};
use crate::formats::parts::splitting;
use crate::spec::normalizer::Normalizer;
use crate::spec::pre_tokenizer::{PreTokenizer, SplitBehavior};

/// Mistral's, of `tekken.json`.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_V3: [&str; 3] = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| \
        ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
];

/// The rules by which a byte-level model splits text, such as GPT-2's pattern.
pub(crate) struct Splitting {
    pub(super) pre_tokenizers: Vec<PreTokenizer>,
    pub(super) normalizers: Vec<Normalizer>,
    /// A pre-token that is a token is one, whatever the merges say.
    pub(super) ignore_merges: bool,
}

/// One pattern.
pub(super) fn pattern(pattern: &str, ignore_merges: bool) -> Splitting {
    Splitting { ignore_merges, ..steps(splitting(Some(pattern), false)) }
}

fn steps(pre_tokenizers: Vec<PreTokenizer>) -> Splitting {
    Splitting { pre_tokenizers, normalizers: Vec::new(), ignore_merges: false }
}

/// The rule with this name, if it is known.
pub(super) fn named(name: &str) -> Option<Splitting> {
    let nfc = |splitting: Splitting| Splitting { normalizers: vec![Normalizer::Nfc], ..splitting };
    let digits = |individual_digits: bool| PreTokenizer::Digits { individual_digits };
    let byte_level = |use_regex: bool| PreTokenizer::ByteLevel { add_prefix_space: false, use_regex };
    let starcoder = || steps(vec![digits(true), byte_level(true)]);
    Some(match name {
        "gpt-2" | "phi-2" | "roberta-bpe" => steps(vec![byte_level(true)]),
        "llama-bpe" | "llama3" | "llama-v3" | "chatglm-bpe" | "glm4" => pattern(CL100K, true),
        "qwen2" | "deepseek-r1-qwen" => nfc(pattern(QWEN, false)),
        "gpt-4o" | "llama4" => pattern(O200K, true),
        "tekken" => pattern(TEKKEN, true),
        "kimi-k2" => pattern(KIMI, true),
        "starcoder" | "refact" | "smollm" => starcoder(),
        "command-r" => nfc(starcoder()),
        "deepseek-v3" => steps(DEEPSEEK_V3.into_iter().map(PreTokenizer::words).chain([byte_level(false)]).collect()),
        "falcon" => steps(vec![
            PreTokenizer::Punctuation { behavior: SplitBehavior::Contiguous },
            byte_level(true),
            digits(false),
            PreTokenizer::words("[0-9][0-9][0-9]"),
        ]),
        _ => return None,
    })
}
