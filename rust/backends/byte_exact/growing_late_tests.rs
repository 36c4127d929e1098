//! Tests of marks that are put in their places late.
#![allow(clippy::unwrap_used)]

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::engine::ResumeState;
use crate::backends::stretch::Growth;
use crate::streams::encoder_windows::{byte_level, split};
use crate::tokenizer::Tokenizer;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, TokenId};
use crate::util::byte_alphabet;
use serde_json::{json, Map, Value};
use std::sync::Arc;

const ADDED: &str = "\u{308}\u{301}\u{308}\u{301}";

fn tokenizer(stage: &Value) -> Arc<Tokenizer> {
    tokenizer_with(&[stage], "")
}

/// Some of which each mark is a word or the end of one: rules of one stage and of several, and none.
pub(crate) fn tokenizers() -> Vec<Arc<Tokenizer>> {
    let rules = [r"\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+", r"[\p{L}\p{M}]+|\s+|\p{N}"].map(split);
    let others = [
        json!({"type": "Digits", "individual_digits": true}),
        split(r"\p{N}{1,3}"),
        json!({"type": "Punctuation", "behavior": "Contiguous"}),
        split(r"[\p{L}\p{M}]+"),
    ];
    let one = rules.iter().map(tokenizer);
    let several = others.iter().flat_map(|other| rules.iter().map(move |rule| tokenizer_with(&[other, rule], "")));
    one.chain(several).chain([tokenizer_with(&[], "")]).collect()
}

/// Bytes under NFC, and merges inside marks and across them. `whole` is a piece that no merge makes, for words that are
/// it.
fn tokenizer_with(stages: &[&Value], whole: &str) -> Arc<Tokenizer> {
    let characters = byte_alphabet::characters();
    let merges: [(&[u8], &[u8]); 10] = [
        (b"\xb0", b"\xcc"),
        (b"\xcc", b"\x81"),
        (b"\xa3", b"\xcc"),
        (b"\xcc\x81", b"\xcc\x81"),
        (b"\xcc", b"\x88"),
        (b"\xcc\x88", b"\xcc\x81"),
        (b"\xb0", b"\xd6"),
        (b"\xb0\xd6", b"\xb0"),
        (b"\xcc\x81\xcc\x81", b"\xcc\x88"),
        (b"\xcc\x81", b"="),
    ];
    let shown = |bytes: &[u8]| bytes.iter().map(|&byte| characters[usize::from(byte)]).collect::<String>();
    let made = merges.iter().map(|(left, right)| shown(left) + &shown(right));
    let whole = (!whole.is_empty()).then(|| shown(whole.as_bytes()));
    let ignores = whole.is_some();
    let vocab: Map<String, Value> = characters
        .iter()
        .map(char::to_string)
        .chain(made)
        .chain(whole)
        .zip(0..)
        .map(|(piece, id)| (piece, json!(id)))
        .collect();
    let merges: Vec<_> = merges.iter().map(|(left, right)| json!([shown(left), shown(right)])).collect();
    let added = json!({
        "id": vocab.len(), "content": ADDED, "special": false,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    });
    let last = byte_level(false);
    let pre_tokenizers: Vec<_> = stages.iter().copied().chain([&last]).collect();
    let definition = json!({
        "added_tokens": [added], "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": ignores},
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "marks", None).unwrap()
}

/// The number of letters that were merged; None where marks are not put in their places late.
fn letters_merged(growth: &Growth) -> Option<usize> {
    growth.of::<Growing>()?.late.as_ref().map(|late| late.merged)
}

/// Whether marks of the stretch are put in their places late.
pub(crate) fn is_late(growth: &Growth) -> bool {
    letters_merged(growth).is_some()
}

fn apply(ids: &mut Vec<TokenId>, edit: &Edit) {
    ids.truncate(ids.len() - edit.dropped());
    ids.extend_from_slice(edit.ids());
}

#[test]
fn a_mark_among_thousands_costs_a_few_letters() {
    let units = [
        "\u{308}\u{323}\u{316}",
        "\u{301}\u{323}",
        "\u{323}\u{301}\u{5b0}",
        "\u{301}\u{308}\u{5b0}\u{323}",
        "\u{344}\u{323}",
        "\u{344}",
    ];
    let tokenizers = tokenizers();
    for (rule, tokenizer, unit) in
        tokenizers.iter().enumerate().flat_map(|(rule, tokenizer)| units.map(|unit| (rule, tokenizer, unit)))
    {
        let mut text = format!("b{}", unit.repeat(150));
        let mut growth = tokenizer.grow(&text, ResumeState::Start).unwrap();
        let mut ids = tokenizer.ids(&text, TextPosition::Start).unwrap();
        let mut edits = Vec::new();
        let (mut fork, mut saved) = (None, None);
        for (number, c) in unit.chars().cycle().take(4000).enumerate() {
            text.push(c);
            edits.push(tokenizer.grown(&mut growth, c.encode_utf8(&mut [0; 4])).unwrap());
            assert!(number < 8 || letters_merged(&growth).is_some(), "{rule}, {unit:?}: mark {number}");
            if number == 2000 {
                fork = Some((growth.clone(), text.clone()));
                saved = Some((growth.save(), text.clone()));
            }
        }
        // A state that began again would count from 0, so all of it was carried.
        let merged = letters_merged(&growth).unwrap();
        assert!((4000..4000 * 24).contains(&merged), "tokenizer {rule}, {unit:?}: {merged} letters were merged");
        // Edits are read when all of them were made.
        edits.iter().for_each(|edit| apply(&mut ids, edit));
        assert!(ids == tokenizer.ids(&text, TextPosition::Start).unwrap(), "{rule}, {unit:?}");
        let (saved, before) = saved.unwrap();
        let mut back = growth.clone();
        tokenizer.restore(&mut back, &saved).unwrap();
        assert!(
            (1..merged).contains(&letters_merged(&back).unwrap_or(0)),
            "{rule}, {unit:?}: the way back reads all again"
        );
        let mut other = growth.clone();
        tokenizer.grown(&mut other, "b").unwrap();
        tokenizer.restore(&mut other, &saved).unwrap();
        for (mut growth, text) in [(growth, text), fork.unwrap(), (back, before.clone()), (other, before)] {
            let parts = ["\u{301}\u{323}\u{301}", "\u{334}", "\u{334}\u{301}", "\u{327}b", "\u{301}\u{323}\u{301}"];
            as_one_without(tokenizer, &mut growth, text, parts);
        }
    }
}

/// A stretch that computes its edits on demand, and one that does not, return the same.
fn as_one_without<'a>(
    tokenizer: &Tokenizer,
    growth: &mut Growth,
    mut text: String,
    parts: impl IntoIterator<Item = &'a str>,
) {
    let mut twin = tokenizer.grow(&text, ResumeState::Start).unwrap();
    if let (Some(growing), Some(twin)) = (growth.of::<Growing>(), twin.of_mut::<Growing>()) {
        (twin.at_once, twin.look_at, twin.over) = (true, growing.look_at, growing.over);
    }
    let mut told = [(); 2].map(|()| tokenizer.ids(&text, TextPosition::Start).unwrap());
    for part in parts {
        text.push_str(part);
        let edits = [tokenizer.grown(growth, part), tokenizer.grown(&mut twin, part)];
        let [state, expected] = [&*growth, &twin].map(|growth| (growth.is_over(), growth.is_lossless()));
        assert_eq!(state, expected, "{part:?}");
        let [Some(one), Some(other)] = &edits else {
            assert_eq!(edits, [None, None], "{part:?}");
            return;
        };
        assert_eq!(one.is_lossless(), other.is_lossless(), "{part:?}");
        for (ids, edit) in told.iter_mut().zip([one, other]) {
            apply(ids, edit);
            assert!(*ids == tokenizer.ids(&text, TextPosition::Start).unwrap(), "{part:?}");
        }
    }
}

#[test]
fn tokens_may_end_inside_the_characters_before_the_marks() {
    for tokenizer in tokenizers() {
        for letters in 0..3 {
            let mut text = format!("{}{}{}", "\u{65e5}".repeat(400), "b".repeat(letters), "\u{301}\u{323}".repeat(150));
            let Some(mut growth) = tokenizer.grow(&text, ResumeState::Start) else { continue };
            let mut ids = tokenizer.ids(&text, TextPosition::Start).unwrap();
            for part in ["\u{323}", "\u{301}", "\u{323}", "b", "\u{301}"] {
                text.push_str(part);
                apply(&mut ids, &tokenizer.grown(&mut growth, part).unwrap());
                assert!(ids == tokenizer.ids(&text, TextPosition::Start).unwrap(), "{part:?}");
            }
        }
    }
}

#[test]
fn what_is_told_late_is_what_would_be_told_at_once() {
    let tokenizer = tokenizer(&split(r"\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"));
    let sorted = format!("q{}{}", "\u{323}".repeat(150), "\u{301}".repeat(150));
    let start = |text: &str| tokenizer.grow(text, ResumeState::Start).unwrap();
    let mut growth = start(&sorted);
    assert!(growth.is_lossless());
    as_one_without(&tokenizer, &mut growth, sorted.clone(), ["\u{301}", "\u{323}", "\u{301}", "\u{323}\u{301}\u{316}"]);
    assert!(letters_merged(&growth).is_some() && !growth.is_lossless());
    let mut growth = start(&sorted);
    as_one_without(&tokenizer, &mut growth, sorted.clone(), ["\u{323}", "\u{301}"].repeat(200));
    assert!(growth.is_over(), "it is worth it to look for cuts in twice the text");
    // The characters of an added token, which is no marks to be put in their places.
    as_one_without(
        &tokenizer,
        &mut start(&sorted),
        sorted.clone(),
        ["\u{323}", "\u{308}", "\u{301}", "\u{308}", "\u{301}", "\u{323}"],
    );
    as_one_without(&tokenizer, &mut start(&sorted), sorted, ["\u{323}", "b", "\u{323}a\u{301} ", "b ", "b1", "a"]);
}

#[test]
fn marks_that_the_rule_parts_are_not_put_in_their_places_late() {
    let counted = ["q|\u{5b0}{1,160}\u{323}\\p{M}*|\u{5b0}+|\\p{M}+", "q|\\p{M}{1,460}", r"q\p{M}{484}|q|\p{M}+"];
    let told_apart = ["\u{301}+|[^\u{301}]+", "[^\u{323}]+\u{323}?|\u{323}+"];
    let mut tokenizers: Vec<_> = counted.iter().chain(&told_apart).map(|rule| tokenizer(&split(rule))).collect();
    // A word that becomes a piece.
    tokenizers.push(tokenizer_with(
        &[&split(r"[^\s]+|\s+")],
        &format!("q{}", ["\u{5b0}", "\u{323}", "\u{301}"].map(|c| c.repeat(162)).concat()),
    ));
    for (number, tokenizer) in tokenizers.iter().enumerate() {
        let mut text = format!("q{}", "\u{301}\u{323}\u{5b0}".repeat(150));
        let mut growth = tokenizer.grow(&text, ResumeState::Start).unwrap();
        let mut ids = tokenizer.ids(&text, TextPosition::Start).unwrap();
        for part in ["\u{301}", "\u{323}", "\u{5b0}"].repeat(12) {
            text.push_str(part);
            let Some(edit) = tokenizer.grown(&mut growth, part) else { break };
            apply(&mut ids, &edit);
            assert!(ids == tokenizer.ids(&text, TextPosition::Start).unwrap(), "tokenizer {number}, {part:?}");
            assert!(letters_merged(&growth).is_none(), "tokenizer {number}");
        }
    }
}

#[test]
fn a_mark_that_the_rule_parts_ends_it() {
    let word = split(r"[^\s]+|\s+");
    let stages = [split("\u{327}+|[^\u{327}]+"), split("[q\u{301}\u{323}\u{328}]+"), split("\u{327}")];
    for tokenizer in
        [tokenizer(&stages[0]), tokenizer_with(&[&stages[1], &word], ""), tokenizer_with(&[&stages[2], &word], "")]
    {
        let mut text = format!("q{}", "\u{301}\u{323}\u{328}".repeat(150));
        let mut growth = tokenizer.grow(&text, ResumeState::Start).unwrap();
        let mut ids = tokenizer.ids(&text, TextPosition::Start).unwrap();
        for (part, late) in [("\u{323}", true), ("\u{328}", true), ("\u{327}", false), ("\u{323}", false)] {
            text.push_str(part);
            // A stage cuts the stretch.
            let Some(edit) = tokenizer.grown(&mut growth, part) else { break };
            apply(&mut ids, &edit);
            assert!(ids == tokenizer.ids(&text, TextPosition::Start).unwrap(), "{part:?}");
            assert_eq!(is_late(&growth), late, "{part:?}");
        }
        assert!(text.contains('\u{327}'));
    }
}
