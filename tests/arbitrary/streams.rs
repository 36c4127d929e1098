//! The streams on arbitrary pieces: whatever the cuts, they end where the whole does.

use crate::examples;
use coolfusion::{
    Granularity, Limits, Segmenter, Spec, StreamDecoder, StreamEncoder, TextPosition, TokenId, Tokenizer, Utf8Decoder,
};
use proptest::prelude::*;
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// Byte-level with GPT-2's rule, NFC and an added token; ids 0..=255 are the bytes.
fn toy() -> Arc<Tokenizer> {
    static TOY: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    TOY.get_or_init(|| {
        let merges = [("t", "h"), ("th", "e"), ("a", "t"), ("Ġ", "the"), ("Ã", "©"), ("ð", "Ł")];
        let mut vocab = serde_json::Map::new();
        for (byte, c) in coolfusion::byte_alphabet::characters().into_iter().enumerate() {
            vocab.insert(c.to_string(), json!(byte));
        }
        for (rank, (left, right)) in merges.iter().enumerate() {
            vocab.insert(format!("{left}{right}"), json!(256 + rank));
        }
        let flags = |id: u32, content: &str, special: bool| {
            json!({
                "id": id, "content": content, "special": special,
                "normalized": false, "lstrip": false, "rstrip": false, "single_word": false,
            })
        };
        let definition = json!({
            "added_tokens": [flags(262, "<end>", true), flags(263, "<tool>", false)],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
            "decoder": {"type": "ByteLevel"},
            "model": {
                "type": "BPE", "vocab": vocab,
                "merges": merges.iter().map(|(l, r)| json!([l, r])).collect::<Vec<_>>(),
            },
        });
        Arc::new(Tokenizer::from_spec(Spec::from_json(definition).unwrap().unwrap(), "toy").unwrap())
    })
    .clone()
}

fn ids() -> impl Strategy<Value = Vec<TokenId>> {
    let often = vec![0xC3u32, 0xA9, 0xE5, 0xB2, 0xF0, 0x9F, 0x80, 0xED, 0xA0, 0x20, 260, 261];
    let id = prop_oneof![4 => 0u32..264, 2 => proptest::sample::select(often)];
    proptest::collection::vec(id.prop_map(TokenId), 0..24)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[thea <tool>'s\n1é\u{301}\u{323}o的😀\u{1100}\u{1161}\u{11a8}]{0,6}|\\PC{0,3}", 0..8)
}

proptest! {
    #![proptest_config(examples(600))]

    #[test]
    fn bytes_in_any_cuts_are_the_lossy_whole(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..8)
    ) {
        let (mut decoder, mut text) = (Utf8Decoder::default(), String::new());
        let mut replaced = 0;
        for part in &parts {
            replaced += decoder.push(part, &mut text);
            prop_assert!(decoder.held().len() < 4);
        }
        replaced += decoder.finish(&mut text);
        let whole = parts.concat();
        prop_assert_eq!(&text, &String::from_utf8_lossy(&whole));
        // U+FFFD in the input itself is no replacement.
        let given = whole.windows(3).filter(|w| *w == "\u{fffd}".as_bytes()).count();
        prop_assert_eq!(text.matches('\u{fffd}').count(), replaced + given);
    }

    #[test]
    fn ids_in_a_stream_are_the_lossy_whole(ids in ids(), cut in 0usize..24) {
        let cut = cut.min(ids.len());
        let mut decoder = StreamDecoder::new(toy(), &ids[..cut]).unwrap();
        let mut text = String::new();
        for &id in &ids[cut..] {
            decoder.push(id, &mut text).unwrap();
            prop_assert!(decoder.push(TokenId(5000), &mut text).is_err());
        }
        decoder.flush(&mut text);
        let whole = String::from_utf8_lossy(&toy().decode_bytes(&ids, TextPosition::Start).unwrap()).into_owned();
        let (mut shown, mut prompt) = (Utf8Decoder::default(), String::new());
        shown.push(&toy().decode_bytes(&ids[..cut], TextPosition::Start).unwrap(), &mut prompt);
        prop_assert_eq!(prompt + &text, whole);
    }

    #[test]
    fn text_in_any_parts_has_the_ids_of_the_whole(parts in texts(), words in 0usize..5) {
        let mut encoder = StreamEncoder::new(toy(), words);
        let mut so_far = String::new();
        for part in &parts {
            so_far += part;
            let promised = encoder.peek(part).unwrap();
            prop_assert_eq!(encoder.push(part).unwrap(), promised);
            let whole = toy().encode(&so_far, TextPosition::Start).unwrap();
            let whole: Vec<TokenId> = whole.iter().map(|t| t.id).collect();
            prop_assert_eq!(encoder.ids(), whole);
        }
        prop_assert_eq!(encoder.widened(), 0);
    }

    #[test]
    fn tokens_cover_the_text_in_order(parts in texts()) {
        let text = parts.concat();
        let mut reached = 0;
        for token in toy().encode(&text, TextPosition::Start).unwrap() {
            prop_assert!(token.start >= reached.min(token.start));
            prop_assert!(token.start <= token.end && token.end <= text.len());
            reached = reached.max(token.end);
        }
        prop_assert_eq!(reached, text.len());
    }

    #[test]
    fn settled_cuts_stay(text in texts(), more in texts()) {
        let (text, longer) = (text.concat(), text.concat() + &more.concat());
        let whole = |text: &str, place| -> Vec<u32> {
            toy().encode(text, place).unwrap().iter().map(|t| t.id.0).collect()
        };
        for cut in toy().settled(&text, TextPosition::Start).unwrap() {
            let rest = whole(&text[cut..], TextPosition::Continuation);
            let ids = whole(&text, TextPosition::Start);
            let head = &ids[..ids.len() - rest.len()];
            prop_assert_eq!(&ids[head.len()..], rest);
            let after = whole(&longer, TextPosition::Start);
            prop_assert_eq!(&after[..head.len()], head);
            prop_assert_eq!(&after[head.len()..], whole(&longer[cut..], TextPosition::Continuation));
        }
    }

    #[test]
    fn segments_are_what_was_generated(ids in ids()) {
        let limits = Limits { granularity: Granularity::Word, max_bytes: 16 };
        let mut segmenter = Segmenter::new(toy(), vec![], &[], None, limits).unwrap();
        let mut seen = Vec::new();
        let mut said = Vec::new();
        for &id in &ids {
            if toy().vocabulary().bytes(id, 0).unwrap().is_empty() {
                continue;
            }
            said.push(id);
            if let Some(segment) = segmenter.push(id).unwrap() {
                seen.extend(segment.token_ids);
            }
        }
        while let Some(segment) = segmenter.finish().unwrap() {
            seen.extend(segment.token_ids);
        }
        prop_assert_eq!(seen, said);
    }
}
