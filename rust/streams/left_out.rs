//! Streams that leave out what vanishes: what they carry, and whether their tokens give back all of the text.

#![allow(clippy::unwrap_used)]

use crate::streams::encoder::StreamEncoder;
use crate::streams::encoder_windows::{precompiled, unigram_of};
use crate::tokenizer::Tokenizer;
use crate::tokens::token::TextPosition;
use serde_json::{json, Value};
use std::sync::Arc;

fn stage(kind: &str) -> Value {
    json!({"type": kind})
}

/// Words of a Unigram model after these stages; `bytes`: which bytes are pieces.
fn words(stages: Vec<Value>, bytes: Option<fn(u8) -> bool>) -> Arc<Tokenizer> {
    let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let rule = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]});
    unigram_of(stages, rule, bytes, &[])
}

/// Pushes `text` one character at a time, and compares each push from byte `from` on with the window that would be
/// read. The answer is the bytes that windows read, and how often the tokens give back the text.
fn pushed(tokenizer: &Arc<Tokenizer>, text: &str, from: usize) -> (usize, usize) {
    let mut encoder = StreamEncoder::new(tokenizer.clone(), 4);
    let mut given_back = 0;
    for (at, c) in text.char_indices() {
        let expected = (at >= from).then(|| encoder.peek(&text[at..at + c.len_utf8()]).unwrap().lossless);
        let edit = encoder.push(&text[at..at + c.len_utf8()]).unwrap();
        given_back += usize::from(edit.lossless);
        assert!(expected.is_none_or(|expected| edit.lossless == expected), "{:?}", &text[..at + c.len_utf8()]);
    }
    assert_eq!(encoder.ids(), tokenizer.ids(text, TextPosition::Start).unwrap());
    (encoder.windows, given_back)
}

#[test]
fn windows_are_short_where_marks_are_left_out() {
    let xlnet =
        words(vec![stage("NFKD"), stage("StripAccents"), precompiled(&[("\u{fb01}", "fi"), ("\u{bd}", "1/2")])], None);
    let composed = words(vec![stage("StripAccents"), stage("NFC")], None);
    for (name, tokenizer) in [("XLNet", xlnet), ("NFC", composed)] {
        for unit in ["\u{1161}\u{301}", "q\u{301}", "aq\u{301}", "\u{fb01}\u{301}", "a\u{301}", "\u{fb01}q\u{323}a"] {
            let text = unit.repeat(6000 / unit.chars().count());
            let (windows, _) = pushed(&tokenizer, &text, usize::MAX);
            assert!(windows < 300_000 + 8 * text.len(), "{name}, {unit:?}: windows of {windows} bytes");
        }
    }
}

#[test]
fn windows_are_short_where_a_form_keeps_marks() {
    for (before, form) in [("Nmt", "NFC"), ("Nmt", "NFKC"), ("NFKD", "NFC"), ("Lowercase", "NFD"), ("NFC", "NFKD")] {
        let tokenizer = words(vec![stage(before), stage(form)], None);
        for unit in
            ["\u{301}", "\u{344}", "\u{1161}", "\u{1161}\u{301}", "\u{9be}", "\u{301}\u{9be}", "\u{1100}\u{1161}"]
        {
            for begin in ["", "a", "e\u{323}\u{301}\u{323}"] {
                let text = begin.to_string() + &unit.repeat(3000 / unit.chars().count());
                let (windows, _) = pushed(&tokenizer, &text, text.len() - 90);
                assert!(windows < 400_000 + 8 * text.len(), "{form}, {begin:?} {unit:?}: windows of {windows} bytes");
            }
        }
    }
}

/// Marks vanish before a rule that puts them in: a text can be given back of which something was left out.
#[test]
fn tokens_that_put_in_what_was_left_out_are_told_from_others() {
    let stages = || vec![stage("StripAccents"), precompiled(&[("q", "q\u{301}"), ("x", "qq")])];
    // Unknown text has no place to begin again where some bytes are no pieces.
    let some: fn(u8) -> bool = |byte| "q\u{301}".as_bytes().contains(&byte);
    let units =
        ["q\u{301}", "qq\u{301}", "q\u{301}\u{301}", "x\u{323}", "\u{1161}\u{301}", "q\u{301}x\u{301}", "a\u{301}"];
    let mut all = 0;
    for bytes in [None, Some(some)] {
        let tokenizer = words(stages(), bytes);
        for (begin, unit) in units.iter().step_by(2).flat_map(|begin| units.iter().map(move |unit| (begin, unit))) {
            let (windows, given_back) = pushed(&tokenizer, &(begin.repeat(700) + &unit.repeat(60)), begin.len() * 640);
            assert!(windows < 1_500_000, "{begin:?} {unit:?}: windows of {windows} bytes");
            all += given_back;
        }
    }
    assert!(all > 300, "{all}");
}
