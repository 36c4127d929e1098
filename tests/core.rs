//! The core without Python, on a tokenizer small enough to check by hand.
//!
//! Byte-level, GPT-2's rule, merges th, the, at, cat, "Ġthe", "Ġcat"; ids 0..=255 are the bytes, 256.. the merges, 262
//! is the control token `<end>`.

#![allow(clippy::unwrap_used)]

use coolfusion::{
    common_boundaries, word_boundaries, Error, Granularity, Level, Limits, Method, Segmenter, Spec, StreamDecoder,
    StreamEncoder, TextPosition, TokenId, Tokenizer,
};
use serde_json::{json, Value};
use std::sync::Arc;

const MERGES: [(&str, &str); 6] = [("t", "h"), ("th", "e"), ("a", "t"), ("c", "at"), ("Ġ", "the"), ("Ġ", "cat")];
const END: TokenId = TokenId(262);

fn definition() -> Value {
    let mut vocab = serde_json::Map::new();
    for (byte, c) in coolfusion::byte_alphabet::characters().into_iter().enumerate() {
        vocab.insert(c.to_string(), json!(byte));
    }
    for (rank, (left, right)) in MERGES.iter().enumerate() {
        vocab.insert(format!("{left}{right}"), json!(256 + rank));
    }
    let merges: Vec<Value> = MERGES.iter().map(|(l, r)| json!([l, r])).collect();
    json!({
        "added_tokens": [{
            "id": 262, "content": "<end>", "special": true,
            "normalized": false, "lstrip": false, "rstrip": false, "single_word": false,
        }],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

fn read(definition: Value) -> Spec {
    Spec::from_json(definition).unwrap().unwrap()
}

fn toy() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_spec(read(definition()), "toy").unwrap())
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<TokenId> {
    tokenizer.encode(text, TextPosition::Start).unwrap().iter().map(|t| t.id).collect()
}

#[test]
fn tokens_carry_their_byte_spans() {
    let tokens = toy().encode("the é cat", TextPosition::Start).unwrap();
    let seen: Vec<(u32, usize, usize)> = tokens.iter().map(|t| (t.id.0, t.start, t.end)).collect();
    assert_eq!(seen, [(257, 0, 3), (32, 3, 4), (0xC3, 4, 5), (0xA9, 5, 6), (261, 6, 10)]);
}

#[test]
fn boundaries_stand_before_white_space_and_need_the_next_character() {
    let toy = toy();
    for method in [Method::Auto, Method::Bytes, Method::WordIds, Method::Offsets, Method::Decode] {
        assert_eq!(word_boundaries(&toy, "the cat  sat.\n", method).unwrap(), [3, 7, 13], "{method:?}");
    }
    assert_eq!(word_boundaries(&toy, "the", Method::Auto).unwrap(), Vec::<usize>::new());
    assert_eq!(common_boundaries([toy.as_ref()], "the cat").unwrap(), [3]);
    assert!(matches!(common_boundaries([], "the cat"), Err(Error::Argument { .. })));
}

#[test]
fn a_stream_of_text_has_the_ids_of_the_whole() {
    let toy = toy();
    let text = "the cat, thé ça\u{301}t  the\n\ncatthe";
    for size in 1..6 {
        let mut encoder = StreamEncoder::new(toy.clone(), 4);
        let characters: Vec<char> = text.chars().collect();
        let mut so_far = String::new();
        for piece in characters.chunks(size) {
            let piece: String = piece.iter().collect();
            so_far.push_str(&piece);
            let promised = encoder.peek(&piece).unwrap();
            assert_eq!(encoder.push(&piece).unwrap(), promised);
            assert_eq!(encoder.ids(), ids(&toy, &so_far));
        }
        assert_eq!(encoder.widened(), 0);
    }
}

#[test]
fn a_stream_of_ids_has_the_text_of_the_whole_and_never_repeats_the_prompt() {
    let toy = toy();
    let all = ids(&toy, "the 岁 cat");
    for cut in 0..=all.len() {
        let mut decoder = StreamDecoder::new(toy.clone(), &all[..cut]).unwrap();
        let mut text = String::new();
        for &id in &all[cut..] {
            decoder.push(id, &mut text).unwrap();
        }
        decoder.flush(&mut text);
        let shown = toy.decode_bytes(&all[..cut], TextPosition::Start).unwrap();
        let shown = shown.len() - std::str::from_utf8(&shown).map_or_else(|e| shown.len() - e.valid_up_to(), |_| 0);
        assert_eq!(text, &"the 岁 cat"[shown..], "cut {cut}");
    }
}

#[test]
fn segments_need_one_token_of_look_ahead_and_end_is_its_own() {
    let toy = toy();
    let mut segmenter =
        Segmenter::new(toy.clone(), vec![], &[], None, Limits { granularity: Granularity::Word, max_bytes: 128 })
            .unwrap();
    let mut segments = Vec::new();
    for id in ids(&toy, "the cat the").into_iter().chain([END]) {
        segments.extend(segmenter.push(id).unwrap());
    }
    while let Some(segment) = segmenter.finish().unwrap() {
        segments.push(segment);
    }
    let seen: Vec<(&str, bool, Level)> = segments.iter().map(|s| (s.text.as_str(), s.end, s.level)).collect();
    assert_eq!(
        seen,
        [
            ("the", false, Level::Word),
            (" cat", false, Level::Word),
            (" the", false, Level::Rest),
            ("", true, Level::End)
        ]
    );
    assert!(matches!(segmenter.push(TokenId(0)), Err(Error::Argument { .. })), "the text is over");
    segmenter.restart(" the").unwrap();
    assert_eq!(segmenter.push(TokenId(0x21)).unwrap(), None);
}

#[test]
fn what_cannot_be_is_refused_with_its_position() {
    let toy = toy();
    let unknown = toy.decode_bytes(&[TokenId(1), TokenId(999)], TextPosition::Start);
    assert_eq!(unknown, Err(Error::UnknownToken { id: 999, position: 1, vocab_size: 263 }));
    let mut lossy = definition();
    lossy["model"]["vocab"].as_object_mut().unwrap().remove("Ċ");
    let lossy = Tokenizer::from_spec(read(lossy), "lossy").unwrap();
    assert_eq!(lossy.describe()["lost"][0], "newlines");
    assert!(matches!(lossy.require("ab\nc", TextPosition::Start), Err(Error::Unrepresentable { position: 2, .. })));
}

#[test]
fn the_same_bytes_are_loaded_once_while_somebody_has_them() {
    let bytes = serde_json::to_vec(&definition()).unwrap();
    let first = Tokenizer::from_bytes(&bytes, "shared toy", None).unwrap();
    let again = Tokenizer::from_bytes(&bytes, "shared toy", None).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let named = Tokenizer::from_bytes(&bytes, "other name", None).unwrap();
    assert!(!Arc::ptr_eq(&first, &named));
    assert_eq!(named.name(), "other name");
    let patterned = Tokenizer::from_bytes(&bytes, "shared toy", Some("")).unwrap();
    assert!(!Arc::ptr_eq(&first, &patterned), "the pattern is part of what is loaded");
    let held = Arc::downgrade(&first);
    drop((first, again));
    assert!(held.upgrade().is_none(), "the table of what is loaded keeps nothing alive");
    assert_eq!(
        ids(&Tokenizer::from_bytes(&bytes, "shared toy", None).unwrap(), "the cat"),
        [TokenId(257), TokenId(261)]
    );
}

#[test]
fn threads_that_load_the_same_get_the_same() {
    let bytes = serde_json::to_vec(&definition()).unwrap();
    let loaded: Vec<Arc<Tokenizer>> = std::thread::scope(|scope| {
        let load = || Tokenizer::from_bytes(&bytes, "threaded toy", None).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(loaded.iter().all(|tokenizer| Arc::ptr_eq(tokenizer, &loaded[0])));
}
