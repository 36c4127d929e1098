//! Files of tiktoken ranks that publishers gave the world, known by their content: split pattern and special tokens.
//!
//! A file is known by the SHA-256 of its bytes, or of its ranks in the form in which tiktoken writes them. So its name,
//! the order of its lines and its line ends do not matter. No two vocabularies share one, so recognition cannot be
//! wrong.

use crate::util::sha256;
use base64::{engine::general_purpose::STANDARD, Engine};
use std::borrow::Cow;

/// GPT-2's pattern, which r50k, p50k and the stage `ByteLevel` use
/// (<https://github.com/openai/gpt-2>, `src/encoder.py`).
pub(crate) const R50K: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// `cl100k_base` of `tiktoken_ext/openai_public.py`, in its first form without possessive quantifiers.
pub(crate) const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// `o200k_base` of `tiktoken_ext/openai_public.py`; LLaMA-4's, too (`llama_models/llama4/tokenizer.py`).
pub(crate) const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// `tokenization_qwen.py`: as `cl100k_base`, digits one by one.
pub(crate) const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// `tokenization_kimi.py`.
pub(crate) const KIMI: &str = r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The settings of a file in the publisher's own code.
#[derive(Debug)]
pub struct Known {
    /// Of the file.
    pub name: &'static str,
    /// The split pattern.
    pub pattern: &'static str,
    /// Text is composed (NFC) first.
    pub composes: bool,
    /// Special tokens that the file itself does not hold.
    specials: fn() -> Vec<(Cow<'static, str>, u32)>,
    /// A remark on uncertain settings.
    pub note: Option<&'static str>,
}

type Specials = Vec<(Cow<'static, str>, u32)>;

const fn known(name: &'static str, pattern: &'static str, specials: fn() -> Specials) -> Known {
    Known { name, pattern, composes: false, specials, note: None }
}

static FILES: [(&str, Known); 9] = [
    (
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        known("r50k_base, GPT-2's ranks", R50K, || list(50_256, &["<|endoftext|>"])),
    ),
    (
        "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        Known {
            note: Some("p50k_edit adds three special tokens from id 50281 on"),
            ..known("p50k_base", R50K, || list(50_256, &["<|endoftext|>"]))
        },
    ),
    ("223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7", known("cl100k_base", CL100K, cl100k)),
    (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        Known {
            note: Some("o200k_harmony adds special tokens from id 200000 on"),
            ..known("o200k_base", O200K, || {
                list(
                    199_999,
                    &[
                        "<|endoftext|>",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        "<|endofprompt|>",
                    ],
                )
            })
        },
    ),
    (
        "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55",
        Known {
            note: Some("special tokens have the names of LLaMA 3.2; those of LLaMA 3 call some of them reserved"),
            ..known("LLaMA 3", CL100K, llama3)
        },
    ),
    ("d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed", known("LLaMA 4", O200K, llama4)),
    (
        "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
        Known {
            composes: true,
            ..known("Qwen", QWEN, || {
                list(151_643, &["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
                    .into_iter()
                    .chain(numbered("<|extra_", 151_646, 0..205))
                    .collect()
            })
        },
    ),
    (
        "b6c497a7469b33ced9c38afb1ad6e47f03f5e5dc05f15930799210ec050c5103",
        Known {
            note: Some("special tokens have the names of their places; the model's configuration names those in use"),
            ..known("Kimi K2", KIMI, || {
                list(163_584, &["[BOS]", "[EOS]"])
                    .into_iter()
                    .chain(numbered("<|reserved_token_", 163_586, 163_586..163_840))
                    .collect()
            })
        },
    ),
    (
        "5a493598071550244b2ee7f26118f3edec2150b9dfa967929a99052ac83fe716",
        known("GLM-4", CL100K, || list(151_329, &GLM4)),
    ),
];

/// whisper's file holds an empty token, which is no rank of ours, so it has a digest of its own kind.
static WHISPER: [(&str, Known); 1] = [(
    "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126",
    Known {
        note: Some(
            "special tokens from id 50259 on (languages, tasks, times) depend on the model: large-v3 has one \
            language more",
        ),
        ..known("whisper, multilingual", R50K, || list(50_257, &["<|endoftext|>", "<|startoftranscript|>"]))
    },
)];

const GLM4: [&str; 14] = [
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
];

/// Names with ids from `first` on; an empty name is an id without a token.
fn list(first: u32, names: &[&'static str]) -> Specials {
    names
        .iter()
        .zip(first..)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, id)| (Cow::Borrowed(*name), id))
        .collect()
}

fn numbered(prefix: &str, first: u32, numbers: std::ops::Range<u32>) -> Specials {
    numbers.zip(first..).map(|(number, id)| (Cow::Owned(format!("{prefix}{number}|>")), id)).collect()
}

fn cl100k() -> Specials {
    let mut specials = list(100_257, &["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]);
    specials.push((Cow::Borrowed("<|endofprompt|>"), 100_276));
    specials
}

fn llama3() -> Specials {
    let mut specials = list(
        128_000,
        &[
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|reserved_special_token_0|>",
            "<|reserved_special_token_1|>",
            "<|finetune_right_pad_id|>",
            "<|step_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
            "<|python_tag|>",
            "<|image|>",
        ],
    );
    specials.extend(numbered("<|reserved_special_token_", 128_012, 2..246));
    specials
}

fn llama4() -> Specials {
    const POST: [&str; 14] = [
        "<|header_start|>",
        "<|header_end|>",
        "<|eom|>",
        "<|eot|>",
        "<|step|>",
        "<|text_post_train_reserved_special_token_0|>",
        "<|text_post_train_reserved_special_token_1|>",
        "<|text_post_train_reserved_special_token_2|>",
        "<|text_post_train_reserved_special_token_3|>",
        "<|text_post_train_reserved_special_token_4|>",
        "<|text_post_train_reserved_special_token_5|>",
        "<|python_start|>",
        "<|python_end|>",
        "<|finetune_right_pad|>",
    ];
    const VISION: [&str; 13] = [
        "<|image_start|>",
        "<|image_end|>",
        "<|vision_reserved_special_token_0|>",
        "<|vision_reserved_special_token_1|>",
        "<|tile_x_separator|>",
        "<|tile_y_separator|>",
        "<|vision_reserved_special_token_2|>",
        "<|vision_reserved_special_token_3|>",
        "<|vision_reserved_special_token_4|>",
        "<|vision_reserved_special_token_5|>",
        "<|image|>",
        "<|vision_reserved_special_token_6|>",
        "<|patch|>",
    ];
    let mut specials =
        list(200_000, &["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]);
    specials.extend(list(200_005, &POST));
    specials.extend(numbered("<|text_post_train_reserved_special_token_", 200_019, 8..69));
    specials.extend(list(200_080, &VISION));
    specials.extend(numbered("<|vision_reserved_special_token_", 200_093, 7..1048));
    specials.extend(numbered("<|reasoning_reserved_special_token_", 201_134, 0..8));
    specials.extend(list(201_142, &["<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"]));
    specials.extend(numbered("<|reserved_special_token_", 201_144, 0..904));
    specials
}

/// The split pattern of a class of transformers, or of remote code, that reads tiktoken ranks or byte-level merges.
#[must_use]
pub fn pattern_of_class(name: &str) -> Option<&'static str> {
    match name {
        "QWenTokenizer" | "Qwen2Tokenizer" => Some(QWEN),
        "ChatGLM4Tokenizer" => Some(CL100K),
        "TikTokenTokenizer" => Some(KIMI),
        _ => None,
    }
}

impl Known {
    /// The special tokens with their ids.
    pub(super) fn specials(&self) -> Vec<(String, u32)> {
        (self.specials)().into_iter().map(|(name, id)| (name.into_owned(), id)).collect()
    }
}

/// The known settings of the file with these bytes and these ranks. Complexity: O(bytes), two digests.
pub fn find(bytes: &[u8], ranks: &[(Vec<u8>, u32)]) -> Option<&'static Known> {
    let of = |digest: &str| FILES.iter().chain(&WHISPER).find(|(known, _)| *known == digest).map(|(_, known)| known);
    of(&sha256::hex(bytes)).or_else(|| of(&digest(ranks)))
}

/// SHA-256 of the ranks as tiktoken writes them: `base64 rank`, by rank, each line with its end.
fn digest(ranks: &[(Vec<u8>, u32)]) -> String {
    let mut sorted: Vec<&(Vec<u8>, u32)> = ranks.iter().collect();
    sorted.sort_unstable_by_key(|(_, rank)| *rank);
    let mut lines = String::new();
    for (token, rank) in sorted {
        STANDARD.encode_string(token, &mut lines);
        lines.push_str(&format!(" {rank}\n"));
    }
    sha256::hex(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_have_ids_of_their_own() {
        let expected = [1, 1, 5, 2, 256, 2048, 208, 256, 14, 2];
        for ((_, known), count) in FILES.iter().chain(&WHISPER).zip(expected) {
            let specials = known.specials();
            let ids: std::collections::BTreeSet<u32> = specials.iter().map(|(_, id)| *id).collect();
            let names: std::collections::BTreeSet<&String> = specials.iter().map(|(name, _)| name).collect();
            assert_eq!((ids.len(), names.len(), specials.len()), (count, count, count), "{}", known.name);
        }
    }

    #[test]
    fn the_digest_depends_on_the_ranks_alone() {
        let ranks = vec![(b"b".to_vec(), 1), (b"a".to_vec(), 0)];
        assert_eq!(digest(&ranks), sha256::hex(b"YQ== 0\nYg== 1\n"));
        assert!(find(b"Yg== 1\r\nYQ== 0", &ranks).is_none());
    }
}
