//! Arbitrary bytes for every parser: an error or a tokenizer that works, never a panic.

use crate::examples;
use base64::Engine as _;
use coolfusion::formats;
use coolfusion::normalizers::charsmap::Charsmap;
use coolfusion::regex::{Dialect, Pattern};
use coolfusion::{Spec, StreamEncoder, TextPosition, Tokenizer};
use proptest::prelude::*;
use serde_json::{json, Value};
use std::sync::Arc;

/// A field of a protobuf message: any number, any wire type, a length that is right for the most part.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![4 => proptest::collection::vec(any::<u8>(), 0..12), 1 => piece()];
    (0u8..16, 0u8..8, payload, any::<Option<u8>>()).prop_map(|(number, wire, payload, length)| {
        let mut bytes = vec![number << 3 | wire];
        if wire == 2 {
            bytes.push(length.filter(|l| l % 4 == 0).unwrap_or(payload.len() as u8));
        }
        bytes.extend(payload);
        bytes
    })
}

/// `SentencePiece`: a text, a score, a type.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    ("[a-d▁é]{0,4}|<0x[0-9A-F]{2}>", any::<f32>(), 0u8..8).prop_map(|(text, score, kind)| {
        let mut bytes = vec![0x0a, text.len() as u8];
        bytes.extend(text.as_bytes());
        bytes.push(0x15);
        bytes.extend(score.to_le_bytes());
        bytes.extend([0x18, kind]);
        bytes
    })
}

/// A model of such pieces, with a few settings, some of them out of range.
fn model() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec(piece(), 1..20);
    let settings = proptest::collection::vec(field(), 0..3);
    (pieces, 1u8..6, any::<bool>(), settings).prop_map(|(pieces, kind, whole, settings)| {
        let unknown = b"\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02";
        let mut bytes = vec![0x0a, unknown.len() as u8];
        bytes.extend(unknown);
        for piece in pieces {
            bytes.extend([0x0a, piece.len() as u8]);
            bytes.extend(piece);
        }
        bytes.extend([0x12, 2, 0x18, kind]);
        if !whole {
            bytes.extend(settings.concat());
        }
        bytes
    })
}

/// Loads what a parser made and encodes with it; errors are fine.
fn try_out(definition: &Spec) {
    let Ok(tokenizer) = Tokenizer::from_spec(definition.clone(), "arbitrary") else { return };
    let tokenizer = Arc::new(tokenizer);
    for text in ["", "abc d\u{e9}", "\u{2581}\u{2581}a\n\u{301} <0x41>"] {
        let Ok(tokens) = tokenizer.encode(text, TextPosition::Start) else { continue };
        let mut encoder = StreamEncoder::new(tokenizer.clone(), 1);
        for c in text.chars() {
            encoder.push(c.encode_utf8(&mut [0; 4])).unwrap();
        }
        assert_eq!(encoder.ids(), tokens.iter().map(|t| t.id).collect::<Vec<_>>(), "{definition:?}");
    }
}

fn tried(bytes: &[u8]) {
    if let Ok(definition) = formats::read(bytes, "arbitrary", Some(r"\s*\S+|\s+")) {
        try_out(&definition);
    }
}

/// Any JSON value, a few levels deep, with the words of a definition as keys and strings.
fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 20] = [
        "type",
        "model",
        "vocab",
        "merges",
        "normalizer",
        "normalizers",
        "pre_tokenizer",
        "pretokenizers",
        "decoder",
        "BPE",
        "Unigram",
        "Split",
        "pattern",
        "Regex",
        "ByteLevel",
        "Metaspace",
        "Replace",
        "content",
        "Sequence",
        "a b",
    ];
    let word = proptest::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect())),
        ]
    })
}

/// A definition of which one part is any JSON value.
fn definition() -> impl Strategy<Value = Value> {
    let parts = [
        "/normalizer",
        "/pre_tokenizer",
        "/decoder",
        "/model",
        "/model/vocab",
        "/model/merges",
        "/model/unk_token",
        "/added_tokens",
        "/added_tokens/0",
        "/pre_tokenizer/pattern",
        "/post_processor",
        "/decoder/type",
        "/model/vocab/a",
    ];
    (proptest::sample::select(parts.to_vec()), any_json()).prop_map(|(part, value)| {
        let mut definition = json!({
            "added_tokens": [{
                "id": 5, "content": "<x>", "special": true,
                "normalized": false, "lstrip": false, "rstrip": false, "single_word": false,
            }],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a|b"}, "behavior": "Isolated", "invert": false},
            "decoder": {"type": "ByteLevel"},
            "model": {
                "type": "BPE", "unk_token": null,
                "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": [["a", "b"]],
            },
            "post_processor": null,
        });
        if let Some(place) = definition.pointer_mut(part) {
            *place = value;
        }
        definition
    })
}

/// A GGUF header of a few entries, with lengths, counts and types that are right for the most part.
fn gguf() -> impl Strategy<Value = Vec<u8>> {
    let keys = ["model", "pre", "tokens", "scores", "token_type", "merges", "add_space_prefix", "precompiled_charsmap"];
    let words = [
        "gpt2",
        "llama",
        "t5",
        "bert",
        "rwkv",
        "gpt-2",
        "\u{2581}a",
        "a",
        "b",
        "ab",
        "a b",
        "<0x41>",
        "\\x41",
        "[UNK]",
        "<unk>",
    ];
    let word = proptest::sample::select(words.to_vec());
    let text = |word: &str| [&(word.len() as u64).to_le_bytes()[..], word.as_bytes()].concat();
    let value =
        (0u8..14, proptest::collection::vec(word, 0..6), any::<Option<u64>>(), proptest::collection::vec(0u8..8, 0..6));
    let entry =
        (proptest::sample::select(keys.to_vec()), value).prop_map(move |(key, (shape, words, wrong, numbers))| {
            let mut bytes = text(&format!("tokenizer.ggml.{key}"));
            let count = |right: usize| wrong.filter(|wrong| wrong % 8 == 0).unwrap_or(right as u64).to_le_bytes();
            match shape {
                0..=4 => {
                    bytes.extend([9, 0, 0, 0, 8, 0, 0, 0]);
                    bytes.extend(count(words.len()));
                    words.iter().for_each(|word| bytes.extend(text(word)));
                }
                5..=7 => {
                    bytes.extend([9, 0, 0, 0, if shape == 5 { 6 } else { 5 }, 0, 0, 0]);
                    bytes.extend(count(numbers.len()));
                    numbers.iter().for_each(|number| bytes.extend([*number, 0, 0, 0]));
                }
                8..=10 => {
                    bytes.extend([8, 0, 0, 0]);
                    bytes.extend(text(words.first().copied().unwrap_or("gpt2")));
                }
                _ => bytes.extend([shape, 0, 0, 0, 1]),
            }
            bytes
        });
    (proptest::collection::vec(entry, 0..8), any::<Option<u8>>()).prop_map(|(entries, cut)| {
        let mut bytes = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend((entries.len() as u64).to_le_bytes());
        bytes.extend(entries.concat());
        let length = cut.filter(|cut| cut % 4 == 0).map_or(bytes.len(), |cut| bytes.len() * usize::from(cut) / 256);
        bytes.truncate(length);
        bytes
    })
}

proptest! {
    #![proptest_config(examples(400))]

    #[test]
    fn any_gguf_is_an_error_or_a_tokenizer(bytes in gguf()) {
        tried(&bytes);
    }

    #[test]
    fn any_rwkv_lines_are_an_error_or_a_tokenizer(
        lines in proptest::collection::vec(("-?[0-9]{1,3}", "b?['\"][a-c'\"\\\\xu0é]{0,6}['\"]?", 0usize..8), 0..6),
    ) {
        let file: String = lines.iter().map(|(id, literal, length)| format!("{id} {literal} {length}\n")).collect();
        tried(format!("1 'a' 1\n{file}").as_bytes());
        tried(file.as_bytes());
    }

    #[test]
    fn any_vocabulary_files_are_an_error_or_a_tokenizer(
        vocab in any_json(), merges in "[a-c# \n]{0,20}", pieces in "[a#\n]{0,12}", part in 0usize..4,
    ) {
        use coolfusion::formats::{vocab_merges, word_pieces};
        let entries = format!("{{\"a\": 0, \"b\": 1, \"ab\": 2, \"c\": {vocab}}}");
        for vocab in [vocab.to_string(), entries, "{\"a\": 0, \"b\": 1, \"ab\": 2, \"#\": 3, \"##\": 4}".to_owned()] {
            let options = vocab_merges::Options::default();
        if let Ok(definition) = vocab_merges::read(vocab.as_bytes(), merges.as_bytes(), "x", &options) {
                try_out(&definition);
            }
        }
        let (file, options) = (format!("[UNK]\n[CLS]\n{pieces}"), word_pieces::Options::default());
        if let Ok(definition) = word_pieces::read(file.as_bytes(), "x", &options) {
            try_out(&definition);
        }
        let mut tekken = json!({
            "config": {"pattern": ".", "default_vocab_size": 2, "default_num_special_tokens": 1},
            "vocab": [{"rank": 0, "token_bytes": "AA=="}], "special_tokens": [{"rank": 0, "token_str": "x"}],
        });
        tekken[["config", "vocab", "special_tokens", "more"][part]] = vocab;
        tried(tekken.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_tokenizer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        tried(&bytes);
        tried(&[b"\x0a", bytes.as_slice()].concat());
        tried(&[b"{", bytes.as_slice()].concat());
    }

    #[test]
    fn any_fields_are_an_error_or_a_tokenizer(fields in proptest::collection::vec(field(), 0..12)) {
        tried(&[b"\x0a\x00", fields.concat().as_slice()].concat());
    }

    #[test]
    fn any_model_is_an_error_or_a_tokenizer(model in model(), cut in any::<Option<u16>>()) {
        let end = cut.map_or(model.len(), |cut| usize::from(cut) % (model.len() + 1));
        tried(&model[..end]);
    }

    #[test]
    fn any_ranks_are_an_error_or_a_tokenizer(
        tokens in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..4), any::<Option<u32>>(), 0usize..40), 0..40
        ),
        tail in "\\PC{0,6}",
    ) {
        let mut lines = String::new();
        for (index, (token, rank, noise)) in tokens.iter().enumerate() {
            let rank = rank.filter(|_| *noise == 0).unwrap_or(index as u32);
            lines += &format!("{} {rank}\n", base64::engine::general_purpose::STANDARD.encode(token));
        }
        tried(lines.as_bytes());
        tried((lines + &tail).as_bytes());
    }

    #[test]
    fn any_charsmap_is_an_error_or_rewrites_to_an_end(
        units in proptest::collection::vec(any::<u32>(), 0..64),
        small in any::<bool>(),
        replacements in "[a-c\u{0}é]{0,12}",
        text in "[a-c é\u{301}]{0,12}",
    ) {
        // Small offsets stay inside the trie, so that matches happen.
        let units: Vec<u32> = units.iter().map(|&unit| if small { unit & 0x8001_ff7f } else { unit }).collect();
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(replacements.as_bytes());
        let charsmap = Charsmap::new(&blob).unwrap();
        charsmap.normalize(&text);
        let kept = charsmap.keeping([text.clone(), "a".into(), String::new()]);
        prop_assert!(!text.is_empty() || kept.normalize(&text).is_empty());
        for end in 0..blob.len().min(20) {
            let _ = Charsmap::new(&blob[..end]);
        }
    }

    #[test]
    fn any_definition_is_an_error_or_a_tokenizer(definition in definition()) {
        if let Ok(Some(definition)) = Spec::from_json(definition) {
            try_out(&definition);
        }
    }

    #[test]
    fn any_pattern_is_an_error_or_matches(
        source in prop_oneof!["\\PC{0,12}", r"[a-c()\[\]{}|*+?.\\^$,0-9pPsdLN:=!<>&~-]{0,16}"],
        text in "[a-c \n1é]{0,10}",
    ) {
        for dialect in [Dialect::Oniguruma, Dialect::Tiktoken] {
            // Counts are bounded here; absurd ones are the subject of tests/hostile.
            let absurd = source.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 2);
            let Some(pattern) = (!absurd).then(|| Pattern::new(&source, dialect).ok()).flatten() else { continue };
            for (at, _) in text.char_indices() {
                let mut looked = at;
                if let Some(end) = pattern.match_at(&text, at, &mut looked) {
                    prop_assert!(text.is_char_boundary(end) && end >= at && looked <= text.len());
                }
            }
        }
    }
}
