//! The windows of a segmenter read a bounded number of bytes of a long run at each push, whatever its length.

#![allow(clippy::unwrap_used)]

use crate::backends::byte_exact::growing_late_tests::tokenizers as marked;
use crate::streams::encoder_windows::{byte_level, bytes_with, few_characters, some_bytes, split, unigram};
use crate::streams::granularity::Granularity;
use crate::streams::segmenter::{Limits, Segmenter};
use crate::tokenizer::Tokenizer;
use crate::tokens::token::{TextPosition, TokenId};
use serde_json::{json, Value};
use std::sync::Arc;

/// The bytes that windows read from the thousandth character on, the pushes meanwhile, and the bytes of the text.
fn read(members: &[Arc<Tokenizer>], unit: &str) -> (usize, usize, usize) {
    let limits = Limits { granularity: Granularity::Word, max_bytes: 128 };
    let mut segmenter = Segmenter::new(members[0].clone(), members[1..].to_vec(), &[], None, limits).unwrap();
    let (mut before, mut pushes, mut text) = (0, 0, String::new());
    for (number, c) in "q".chars().chain(unit.chars().cycle()).take(4000).enumerate() {
        if number == 1000 {
            (before, pushes) = (segmenter.windows(), 0);
        }
        for id in members[0].ids(c.encode_utf8(&mut [0; 4]), TextPosition::Start).unwrap() {
            pushes += 1;
            text.extend(segmenter.push(id).unwrap().map(|segment| segment.text));
        }
    }
    let windows = segmenter.windows() - before;
    while let Some(segment) = segmenter.finish().unwrap() {
        text.push_str(&segment.text);
    }
    (windows, pushes, text.len())
}

#[test]
fn windows_of_a_long_run_are_short_or_few() {
    let letters = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let qwen = bytes_with(json!([split(letters), byte_level(false)]), json!({"type": "NFC"}));
    let llama = bytes_with(json!([split(letters), byte_level(false)]), Value::Null);
    let mut groups = vec![
        vec![qwen.clone()],
        vec![qwen.clone(), llama.clone()],
        vec![llama.clone(), qwen.clone()],
        vec![qwen, unigram(true, true)],
    ];
    groups.extend([few_characters(true, true), few_characters(false, true)].map(|few| vec![llama.clone(), few]));
    groups.push(vec![llama, some_bytes(json!([byte_level(true)]), Value::Null)]);
    groups.extend(marked().into_iter().map(|tokenizer| vec![tokenizer]));
    let units = [
        " ",
        "\u{301}\u{323}",
        "\u{323}\u{301}\u{5b0}",
        "\u{301}",
        "\u{1161}\u{301}",
        "\u{f71}\u{f72}",
        "a\u{301}\u{323}",
        "\u{8a9e}",
        "\u{8a9e}a",
        "\0",
    ];
    for (number, members) in groups.iter().enumerate() {
        for unit in units {
            let (windows, pushes, text) = read(members, unit);
            // Now and then a window looks for cuts in all of the run; each other one is short.
            assert!(
                windows < members.len() * (pushes * 64 + 8 * text),
                "group {number}, {unit:?}: windows of {windows} bytes for a text of {text}"
            );
        }
    }
}

#[test]
fn tokens_without_text_are_not_looked_at_again() {
    let definition = json!({
        "added_tokens": [{
            "id": 0, "content": "<c>", "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        }],
        "pre_tokenizer": byte_level(true), "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"<c>": 0, "a": 1, "\u{120}": 2}, "merges": []},
    });
    let tokenizer = Tokenizer::from_bytes(definition.to_string().as_bytes(), "control", None).unwrap();
    let limits = Limits { granularity: Granularity::Word, max_bytes: 128 };
    let mut segmenter = Segmenter::new(tokenizer, Vec::new(), &[], Some(Vec::new()), limits).unwrap();
    let mut segments = Vec::new();
    for id in [1].into_iter().chain([0; 300]).chain([2, 0, 0, 1]).chain([0; 300]).chain([2, 1]) {
        segments.extend(segmenter.push(TokenId(id)).unwrap());
        assert!(segmenter.places() <= 4);
    }
    while let Some(segment) = segmenter.finish().unwrap() {
        segments.push(segment);
    }
    let told: Vec<_> =
        segments.iter().map(|segment| (segment.text.as_str(), segment.token_ids.len(), segment.whole)).collect();
    // A token without text belongs to the next segment, if a segment ends where it is.
    assert_eq!(told, [("a", 1, true), (" a", 304, true), (" a", 302, false)]);
}
