//! The tokens and cuts of a carried stretch are those of the whole text, after each push and each way back.

#![allow(clippy::unwrap_used)]

use crate::backends::byte_exact::growing_late_tests::{is_late, tokenizers as marked};
use crate::backends::engine::ResumeState;
use crate::backends::sentencepiece::files::{merges, scores, Flags};
use crate::backends::stretch::Growth;
use crate::streams::encoder_windows::{
    added_pairs, byte_level, bytes_with, metaspace, quick_tour, split, strip, unigram, unigram_stripped, unigram_with,
    unigram_with_some_bytes, unigram_without_spaces,
};
use crate::tokenizer::Tokenizer;
use crate::tokens::cuts::TokenCuts;
use crate::tokens::token::TextPosition;
use crate::vocabulary::decode_rules::Likeness;
use serde_json::{json, Value};
use std::sync::Arc;

/// Pseudo-random numbers below the argument, the same ones each time.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |sides| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % sides
    }
}

const UNITS: [&str; 20] = [
    "a",
    "x",
    "aa",
    "\u{200d}",
    "\u{2581}",
    "\u{1f468}",
    "\u{301}",
    "\u{323}",
    "\u{327}",
    "\u{342}",
    "e\u{301}",
    "\u{fb01}",
    " ",
    "\n",
    "\u{1161}",
    "\u{915}\u{94d}",
    "\u{1f1e9}",
    "\u{600}",
    "\u{ac00}",
    "\u{e9}",
];

/// Text that a split rule leaves together, under a normal form that moves marks.
const MARKS: [&str; 10] =
    ["\u{301}", "\u{323}", "\u{327}", "\u{342}", "\u{345}", "\u{344}", ".", "\u{338}", "\u{1d165}", "="];

/// Little but marks, which stay together.
const MANY_MARKS: [&str; 12] = [
    "\u{301}",
    "\u{323}",
    "\u{308}",
    "\u{301}\u{323}",
    "\u{327}",
    "\u{344}",
    "b\u{301}",
    "\u{316}\u{301}",
    "\u{1161}",
    "a\u{301}\u{323}",
    "\u{301}=",
    "\u{301}\u{301}\u{323}",
];

/// The same, with words between.
const WORDS: [&str; 7] = ["\u{301}", "\u{323}", "\u{327}", "\u{342}", "a", "\u{301}\u{323}", "e\u{301}\u{323}"];

/// Words that end inside text that NFC changes, and a few that do not.
const OPEN: [&str; 10] = [
    "a\u{301}\u{323}",
    "e\u{323}\u{301}",
    "o\u{327}\u{301}",
    "x",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{212b}",
    "a",
    "\u{ac00}",
    "u\u{301}\u{323}",
    "7",
];

/// White space that is dropped, at the ends of the text or between words.
const WHITE: [&str; 12] =
    [" ", "\t", "\u{3000}", "\u{a0}", "  \u{3000}", "a", "x", "\u{301}", "e\u{301}", "aab", "\u{2581}", "7"];

/// Pieces, symbols, text that rules rewrite, and their prefixes.
const PARTS: [&str; 20] = [
    "a",
    "b",
    "bb",
    "ba",
    "c",
    "<x>",
    "<x",
    "<",
    "\n",
    "\n\n",
    " ",
    "  ",
    "\u{2581}",
    "\u{2581}\u{2581}",
    "e\u{301}",
    "e",
    "\u{fb01}",
    "\u{8a9e}",
    "\u{8a9e}\u{8a9e}",
    "ab",
];

/// A file with symbols, drawn at random.
fn symbols(seed: u64, scored: bool) -> Arc<Tokenizer> {
    let mut roll = dice(seed);
    let mut pieces: Vec<String> =
        ["a", "b", "c", "<", "x", "\u{2581}", "e", "f"].iter().filter(|_| roll(8) > 0).map(|&c| c.into()).collect();
    for _ in 0..6 + roll(20) {
        let longer = format!("{}{}", pieces[roll(pieces.len())], pieces[roll(pieces.len())]);
        if longer.len() < 12 && !pieces.contains(&longer) {
            pieces.insert(roll(pieces.len() + 1), longer);
        }
    }
    let all = [
        "\n",
        "\n\n",
        "\n\n\n",
        "\u{2581}\u{2581}",
        "\u{2581}\u{2581}\u{2581}",
        "<x>",
        "<x><x>",
        "ab<",
        "aab",
        "  ",
        " a",
        "\u{8a9e}\u{8a9e}",
        "bc",
    ];
    let symbols: Vec<&str> =
        all.into_iter().filter(|symbol| roll(2) > 0 && !pieces.iter().any(|piece| piece == symbol)).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let rules = [("\u{fb01}", "f i"), ("e\u{301}", "\u{e9}"), ("c", ""), ("<x", "b"), ("\u{8a9e}", "  ")];
    let rules = if roll(2) > 0 { &rules[..1 + roll(rules.len())] } else { &[] };
    let flags = Flags {
        byte_fallback: roll(2) > 0,
        dummy: roll(2) > 0,
        remove_extra: roll(2) > 0,
        literal_spaces: roll(5) == 0,
        rules,
    };
    if scored {
        // A symbol with a space brings the file to the engine for symbols.
        return scores(&pieces, &[&symbols[..], &["- "]].concat(), flags);
    }
    merges(&pieces, &symbols, flags)
}

/// Text that stays together under the rule of the quick tour, some of it unknown.
const LETTERS: [&str; 11] =
    ["a", "b", "ab", "aab", "x", "xx", "\u{301}", "e\u{301}", "\u{e9}", "\u{ac00}", "a\u{323}\u{301}"];

/// Text of which some ends with the begin of an added token.
const AFTER_ADDED: [&str; 7] = ["a", "ab", "aa", " ", "x", "<", " b"];

/// Byte pairs and WordLevel, as in the quick tour.
fn quick_tours() -> Vec<Arc<Tokenizer>> {
    let vocab = json!({
        "[UNK]": 0, "a": 1, "b": 2, "ab": 3, "aa": 4, "\u{e9}": 5, "aab": 6, "baab": 7, "abab": 8, "bb": 9,
        "b\u{e9}": 10,
    });
    let pairs = json!([["a", "b"], ["a", "a"], ["a", "ab"], ["b", "aab"], ["b", "\u{e9}"]]);
    let model = |fuses: bool, ignores: bool| {
        json!({
            "type": "BPE", "vocab": vocab, "merges": pairs, "unk_token": "[UNK]", "fuse_unk": fuses,
            "ignore_merges": ignores,
        })
    };
    let fuse = || json!({"type": "Fuse"});
    vec![
        quick_tour(model(false, false), &[], Value::Null),
        quick_tour(model(true, false), &["NFC"], Value::Null),
        quick_tour(model(true, false), &[], fuse()),
        quick_tour(model(false, true), &["NFC", "Lowercase"], fuse()),
        quick_tour(model(true, true), &["NFD"], fuse()),
        quick_tour(json!({"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}), &["NFC"], Value::Null),
    ]
}

/// Tokenizers, with units of text and the length from which they are carried.
fn tokenizers() -> Vec<(Arc<Tokenizer>, &'static [&'static str], usize)> {
    let rules = [("\u{200d}", " "), ("e\u{301}", "\u{e9}"), ("\u{fb01}", "f i")];
    let nfc = bytes_with(json!([byte_level(true)]), json!({"type": "NFC"}));
    let drawn = (0..36).map(|seed| (symbols(seed, seed >= 24), &PARTS[..], 4));
    let letters = bytes_with(
        json!([split(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+"), byte_level(false)]),
        json!({"type": "NFC"}),
    );
    let known: Vec<(Arc<Tokenizer>, &'static [&'static str], usize)> = vec![
        (unigram(true, false), &UNITS, 4),
        (unigram(false, true), &UNITS, 4),
        (unigram_with(true, false, &rules), &UNITS, 4),
        (unigram_with(true, true, &rules), &UNITS, 4),
        (unigram_without_spaces(&rules, &[]), &UNITS, 4),
        (unigram_without_spaces(&rules, &["ax\u{301}", "\u{200d}x", " aa"]), &UNITS, 4),
        (nfc.clone(), &MARKS, 300),
        (nfc, &WORDS, 300),
        (letters.clone(), &MARKS, 300),
        (letters.clone(), &WORDS, 300),
        (letters, &OPEN, 300),
        (unigram_with_some_bytes(), &UNITS, 4),
    ];
    let (nfc, whole) = (json!({"type": "NFC"}), metaspace(false));
    let white = [
        (unigram_stripped(&[strip(true, true)], whole.clone(), &[]), 4),
        (unigram_stripped(&[nfc.clone(), strip(false, true)], whole.clone(), &["a\u{3000}x"]), 4),
        (unigram_stripped(&[strip(true, false), nfc.clone()], whole, &["  a"]), 4),
        (unigram_stripped(&[strip(true, true)], metaspace(true), &[]), 4),
        (unigram_stripped(&[strip(true, true)], json!({"type": "Digits", "individual_digits": true}), &[]), 4),
        (unigram_stripped(&[nfc], json!({"type": "WhitespaceSplit"}), &[]), 4),
    ];
    let white = white.into_iter().map(|(tokenizer, least)| (tokenizer, &WHITE[..], least));
    let known = known.into_iter().chain(white);
    let marked = marked().into_iter().map(|tokenizer| (tokenizer, &MANY_MARKS[..], 300));
    let anew = ["always", "never"].map(|dummy| (added_pairs(dummy, &["<x>", " b<>"]), &AFTER_ADDED[..], 300));
    let merged = quick_tours().into_iter().map(|tokenizer| (tokenizer, &LETTERS[..], 4));
    known.chain(marked).chain(anew).chain(merged).chain(drawn).collect()
}

fn gives_back(tokenizer: &Tokenizer, text: &str, after: ResumeState) -> bool {
    let ids = tokenizer.ids(text, TextPosition::Start).unwrap();
    tokenizer.likeness(ids.into_iter(), text.as_bytes(), after.decode_place()).unwrap() == Likeness::Same
}

/// The states in which stretches are carried whose text begins as at the start.
fn states(tokenizer: &Tokenizer) -> Vec<ResumeState> {
    let added = tokenizer.added_text().next().unwrap_or_default();
    let (mut window, mut resumes) = (Default::default(), Vec::new());
    tokenizer.resume(&format!("{added}ab"), ResumeState::Start, &mut window, &mut resumes).unwrap();
    let added = resumes.iter().map(|resume| resume.after).find(|&after| after == ResumeState::Added);
    std::iter::once(ResumeState::Start).chain(added).collect()
}

#[test]
fn a_dummy_prefix_after_an_added_token_is_text() {
    for tokenizer in [added_pairs("always", &["<x>"]), unigram_stripped(&[], metaspace(false), &["<x>"])] {
        let lossless = |after| tokenizer.grow(&"a".repeat(600), after).map(|growth| growth.is_lossless());
        assert_eq!([ResumeState::Start, ResumeState::Added].map(lossless), [Some(true), Some(false)]);
    }
}

/// Compares the cuts after `from`, near the end of `text`, with those of the whole text.
fn compare(tokenizer: &Tokenizer, after: ResumeState, growth: &mut Growth, text: &str, from: usize) {
    let (engine, tokens) = (tokenizer.engine(), tokenizer.encode(text, TextPosition::Start).unwrap());
    let ids: Vec<_> = tokens.iter().map(|token| token.id).collect();
    // Words before the first open one are not carried.
    assert!(ids.ends_with(&engine.carried_ids(growth)), "{text:?}");
    let start = (0..=from.saturating_sub(64)).rev().find(|&at| text.is_char_boundary(at)).unwrap();
    let near = &text[start..];
    let settled = engine.settled(text, TextPosition::Start).unwrap();
    if let Some(found) = engine.settled_after(growth, near, from - start) {
        let expected: Vec<_> = settled.iter().filter(|&&at| at > from).map(|at| at - start).collect();
        assert_eq!(found, expected, "settled after {from} in {text:?}");
    }
    if let Some(found) = engine.token_cuts_after(growth, near, from - start) {
        let cuts = TokenCuts::new(&tokens, text.len());
        let expected: Vec<_> = (from + 1..text.len())
            .filter(|&at| text.is_char_boundary(at) && cuts.contains(at))
            .map(|at| at - start)
            .collect();
        assert_eq!(found, expected, "token cuts after {from} in {text:?}");
    }
    assert_eq!(growth.is_lossless(), gives_back(tokenizer, text, after), "{text:?}");
    assert!(settled.is_empty() || !engine.is_unsettled(growth), "{text:?}");
}

#[test]
fn carried_stretches_tell_what_the_whole_text_tells() {
    for (number, (tokenizer, units, least)) in tokenizers().into_iter().enumerate() {
        let (mut roll, mut further) = (dice(2 * number as u64 + 7), dice(2 * number as u64 + 8));
        let (mut compared, mut restored, mut late) = ([0; 2], 0, 0);
        let states = states(&tokenizer);
        for round in 0..if units == MANY_MARKS { 150 } else { 250 } {
            let after = states[round % states.len()];
            let some: Vec<&str> = (0..=roll(4)).map(|_| units[roll(units.len())]).collect();
            let mut unit = || if roll(12) == 0 { units[roll(units.len())] } else { some[roll(some.len())] };
            let mut text = String::new();
            while text.len() < least {
                text += unit();
            }
            let Some(mut growth) = tokenizer.grow(&text, after) else { continue };
            if growth.is_lossless() != gives_back(&tokenizer, &text, after) {
                continue;
            }
            let mut saved = None;
            for step in 0..40 {
                // After the last character, and after one further back.
                let back = if step % 2 == 0 { 0 } else { further(60) };
                let from = text.char_indices().rev().nth(back).map_or(0, |(at, _)| at);
                compare(&tokenizer, after, &mut growth, &text, from);
                compared[round % states.len()] += 1;
                late += usize::from(is_late(&growth));
                if step % 13 == 5 {
                    saved = Some((growth.save(), text.len()));
                }
                if let Some((saved, length)) = saved.take_if(|_| step % 13 == 9) {
                    text.truncate(length);
                    assert!(tokenizer.restore(&mut growth, &saved).is_some(), "{text:?} {states:?} {number}");
                    compare(&tokenizer, after, &mut growth, &text, length);
                    restored += 1;
                }
                let more = format!("{}{}", unit(), if step % 5 == 0 { unit() } else { "" });
                if tokenizer.grown(&mut growth, &more).is_none() {
                    break;
                }
                text += &more;
            }
        }
        // Words whose tokens may give back the text are not carried.
        let (least, ways) = if units == MANY_MARKS || units == LETTERS { (300, 20) } else { (1_000, 50) };
        let often = compared.iter().sum::<usize>() > least && compared[..states.len()].iter().all(|&count| count > 100);
        assert!(often && restored > ways, "tokenizer {number}: {compared:?} in {states:?}, {restored}");
        assert!(units != MANY_MARKS || late > 100, "tokenizer {number}: {late}");
    }
}
