//! The windows of a stream read a bounded number of bytes of a long run at each push, whatever the length of the run.

#![allow(clippy::unwrap_used)]

use crate::backends::sentencepiece::files::{merges, scores, Flags};
use crate::normalizers::charsmap::tests::blob_of;
use crate::streams::encoder::StreamEncoder;
use crate::tokenizer::Tokenizer;
use crate::util::byte_alphabet;
use base64::Engine;
use serde_json::{json, Map, Value};
use std::sync::Arc;

pub(crate) fn bytes_with(stages: Value, normalizer: Value) -> Arc<Tokenizer> {
    bytes_and(stages, normalizer, json!([]))
}

/// The same with added tokens.
fn bytes_and(stages: Value, normalizer: Value, added: Value) -> Arc<Tokenizer> {
    let vocab: Map<String, Value> =
        byte_alphabet::characters().iter().zip(0..).map(|(c, id)| (c.to_string(), json!(id))).collect();
    let definition = json!({
        "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": {"type": "Sequence", "pretokenizers": stages},
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "bytes", None).unwrap()
}

pub(crate) fn split(rule: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": rule}, "behavior": "Isolated", "invert": false})
}

pub(crate) fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

/// Words as those of T5, or the whole text as under AI21.
pub(crate) fn unigram(words: bool, byte_fallback: bool) -> Arc<Tokenizer> {
    unigram_with(words, byte_fallback, &[("\u{fb01}", "fi"), ("e\u{301}", "\u{e9}"), ("\u{3bc}", "m")])
}

pub(crate) fn precompiled(rules: &[(&str, &str)]) -> Value {
    let blob = base64::engine::general_purpose::STANDARD.encode(blob_of(rules));
    json!({"type": "Precompiled", "precompiled_charsmap": blob})
}

fn replace(pattern: Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

pub(crate) fn unigram_with(words: bool, byte_fallback: bool, rules: &[(&str, &str)]) -> Arc<Tokenizer> {
    let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let stages = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]});
    let marks = (!words).then(|| replace(json!({"String": " "}), "\u{2581}"));
    let normalizers = std::iter::once(precompiled(rules)).chain(marks).collect();
    unigram_of(normalizers, if words { stages } else { Value::Null }, byte_fallback.then_some(|_| true), &[])
}

/// The whole text is one word, and only some bytes are pieces.
pub(crate) fn unigram_with_some_bytes() -> Arc<Tokenizer> {
    let has = |byte| "\u{8a9e}\u{301}".as_bytes().contains(&byte);
    unigram_of(vec![replace(json!({"String": " "}), "\u{2581}")], Value::Null, Some(has), &[])
}

/// As files of SentencePiece have it: spaces at the ends and in runs are dropped, and the whole text is one word.
pub(crate) fn unigram_without_spaces(rules: &[(&str, &str)], added: &[&str]) -> Arc<Tokenizer> {
    let normalizers = vec![
        precompiled(rules),
        replace(json!({"Regex": "\\A +"}), ""),
        replace(json!({"Regex": " {2,}"}), " "),
        replace(json!({"Regex": "[ \u{2581}]+\\z"}), ""),
        json!({"type": "Prepend", "prepend": "\u{2581}"}),
        replace(json!({"String": " "}), "\u{2581}"),
    ];
    unigram_of(normalizers, Value::Null, None, added)
}

/// White space at the ends is dropped. The whole text is one word, or each word has its mark, or words end at digits.
pub(crate) fn unigram_stripped(steps: &[Value], stages: Value, added: &[&str]) -> Arc<Tokenizer> {
    unigram_of(steps.to_vec(), stages, None, added)
}

pub(crate) fn strip(left: bool, right: bool) -> Value {
    json!({"type": "Strip", "strip_left": left, "strip_right": right})
}

/// Marks for spaces; `split`: the words begin with them.
pub(crate) fn metaspace(split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": split})
}

/// `bytes`: which bytes are pieces, if bytes are.
pub(crate) fn unigram_of(
    normalizers: Vec<Value>,
    stages: Value,
    bytes: Option<fn(u8) -> bool>,
    added: &[&str],
) -> Arc<Tokenizer> {
    let mut vocab = vec![
        json!(["<unk>", 0.0]),
        json!(["\u{2581}", -2.0]),
        json!(["a", -2.5]),
        json!(["fi", -3.0]),
        json!(["\u{2581}a", -3.5]),
    ];
    let pieces = (0..=255).filter(|&byte| bytes.is_some_and(|has| has(byte)));
    vocab.extend(pieces.map(|byte: u8| json!([format!("<0x{byte:02X}>"), -9.0])));
    let token = |id: usize, content: &str, special: bool| {
        json!({
            "id": id, "content": content, "special": special,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    let tokens = std::iter::once(token(0, "<unk>", true))
        .chain(added.iter().zip(vocab.len()..).map(|(content, id)| token(id, content, false)));
    let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let decoder = json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]});
    let definition = json!({
        "added_tokens": tokens.collect::<Vec<_>>(),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": stages,
        "decoder": decoder,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": bytes.is_some()},
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "unigram", None).unwrap()
}

/// A file with symbols, and pieces that overlap all the way.
fn symbols(flags: Flags<'_>) -> Arc<Tokenizer> {
    let pieces = [
        "bb",
        "bbbb",
        "ab",
        "\u{2581}a",
        "cb",
        "bc",
        "dede",
        "de",
        "bcbc",
        "\u{2581}",
        "a",
        "b",
        "c",
        "d",
        "e",
        "x",
        "xx",
        "<",
    ];
    merges(&pieces, &["\n", "\n\n", "\n\n\n", "\u{2581}\u{2581}", "\u{2581}\u{2581}\u{2581}", "aab", "<x>"], flags)
}

/// The same with scores, and a symbol that holds a space.
fn scored_symbols(flags: Flags<'_>) -> Arc<Tokenizer> {
    let pieces = [
        "bb",
        "bbbb",
        "ab",
        "\u{2581}a",
        "cb",
        "bc",
        "dede",
        "de",
        "\u{2581}",
        "\u{2581}\u{2581}",
        "a",
        "b",
        "c",
        "d",
        "e",
        "x",
    ];
    scores(&pieces, &["\n\n", "-  ", "aab", "<x>"], flags)
}

/// The bytes that windows read from the thousandth push of `unit` on, and the bytes of the text, which begins with
/// `first`. At most `most` bytes are open.
fn read(tokenizer: &Arc<Tokenizer>, first: &str, unit: &str, most: usize) -> (usize, usize) {
    let mut encoder = StreamEncoder::new(tokenizer.clone(), 4);
    encoder.push(first).unwrap();
    let mut before = 0;
    for number in 0..3000 {
        if number == 1000 {
            before = encoder.windows;
        }
        encoder.push(unit).unwrap();
        assert!(encoder.open() <= most, "{} bytes of {unit:?} are open", encoder.open());
    }
    let text = format!("{first}{}", unit.repeat(3000));
    assert_eq!(encoder.ids(), tokenizer.ids(&text, crate::tokens::token::TextPosition::Start).unwrap());
    (encoder.windows - before, encoder.text().len())
}

/// A name, a tokenizer, and the texts that are repeated.
type Run = (&'static str, Arc<Tokenizer>, Vec<&'static str>);

/// Runs for byte-level encoders.
fn byte_runs() -> Vec<Run> {
    let rule = r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let letters = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let punctuation = json!({"type": "Punctuation", "behavior": "Contiguous"});
    let digits = json!({"type": "Digits", "individual_digits": false});
    vec![
        (
            "DeepSeek",
            bytes_with(json!([split(r"\p{N}{1,3}"), split(rule), byte_level(false)]), Value::Null),
            vec!["\0", "\u{200d}", " ", "a", "7"],
        ),
        (
            "Falcon",
            bytes_with(json!([punctuation, byte_level(true), digits, split("[0-9][0-9][0-9]")]), Value::Null),
            vec!["7", "77", "a", ".", "\u{301}", "\u{ff21}", "\u{ff76}\u{ff9e}", "\u{4e5f}", "a\u{10f3b}", "\u{fc}"],
        ),
        (
            "NeoX",
            bytes_with(json!([byte_level(true)]), json!({"type": "NFC"})),
            vec!["\u{1161}", "\u{1100}\u{1161}", "a\u{301}", " ", "\u{1161}\u{301}", "\u{301}\u{9be}"],
        ),
        (
            "Qwen",
            bytes_with(json!([split(letters), byte_level(false)]), json!({"type": "NFC"})),
            vec!["a\u{301}\u{323}", "a\u{301}\u{323}7", "\u{212b}", "\u{1100}\u{1161}\u{11a8}", "e\u{301}\u{323} "],
        ),
    ]
}

/// Runs for Unigram models.
fn unigram_runs() -> Vec<Run> {
    vec![
        (
            "T5",
            unigram(true, false),
            vec!["\u{1161}", "\u{301}", "\u{1f1e9}\u{1f1ea}", "\u{1f468}\u{200d}", "e\u{301}", "\u{fb01}", "{a"],
        ),
        (
            "joiners that part words",
            unigram_with(true, false, &[("\u{200d}", " ")]),
            vec!["\u{200d}", "a\u{200d}", "\u{200d}x", "\u{1f468}\u{200d}", "a\u{2581}", "\u{2581}\u{2581}x"],
        ),
        (
            "spaces that are dropped",
            unigram_without_spaces(&[("\u{200d}", " "), ("\u{fb01}", "fi")], &[]),
            vec![
                "a\u{200d}",
                "\u{200d}x",
                "\u{1f468}\u{200d}",
                "a\u{2581}",
                "\u{2581}\u{2581}",
                "\u{200d}\u{2581}",
                " ",
                " x",
            ],
        ),
        (
            "added text",
            unigram_without_spaces(&[("\u{200d}", " ")], &["aab", "x{", "\u{2581}!"]),
            vec!["a", "x", "aa\u{200d}", "a\u{2581}"],
        ),
        (
            "some bytes",
            unigram_with_some_bytes(),
            vec!["\u{8a9e}", "\u{1f468}", "\u{8a9e}\u{1f468}", "a\u{301}", " x", "\u{301}\u{8a9e}a"],
        ),
        (
            "AI21",
            unigram(false, true),
            vec!["\u{1161}", "\u{301}", "\u{1f1e9}\u{1f1ea}", "\u{1f468}\u{200d}", "e\u{301}", "\u{fb01}", "x"],
        ),
    ]
}

/// Runs for Unigram models with white space that is dropped, between words without marks or at the ends of the text.
fn white_space_runs() -> Vec<Run> {
    let units =
        || vec![" ", "\t", "\u{3000}", "\u{a0}", "a ", "a\u{3000}", "x\t", "  \t", "x\u{301} ", "a\u{a0}\u{3000}"];
    let (nfc, digits) = (json!({"type": "NFC"}), json!({"type": "Digits", "individual_digits": true}));
    let split = json!({"type": "WhitespaceSplit"});
    vec![
        ("Strip, one word", unigram_stripped(&[strip(true, true)], metaspace(false), &[]), units()),
        ("Strip, one word and added text", unigram_stripped(&[strip(true, true)], metaspace(false), &["<x>"]), units()),
        ("Strip on the right", unigram_stripped(&[nfc.clone(), strip(false, true)], metaspace(false), &[]), units()),
        ("Strip on the left", unigram_stripped(&[strip(true, false), nfc.clone()], metaspace(false), &[]), units()),
        ("Strip, words with marks", unigram_stripped(&[strip(true, true)], metaspace(true), &[]), units()),
        ("Strip, digits", unigram_stripped(&[nfc.clone(), strip(true, true)], digits, &[]), units()),
        ("words without marks", unigram_stripped(&[], split.clone(), &[]), units()),
        ("words without marks under NFC", unigram_stripped(&[strip(true, true), nfc], split, &["<x>"]), units()),
    ]
}

/// Runs for SentencePiece files with symbols.
fn symbol_runs() -> Vec<Run> {
    vec![
        (
            "symbols",
            symbols(Flags { byte_fallback: true, ..Flags::default() }),
            vec!["b", "bc", "de", "x", "\n", "\n\n", " ", "\u{2581}", "b\u{8a9e}", "aab", "<x", " a"],
        ),
        (
            "symbols without bytes",
            symbols(Flags { dummy: true, ..Flags::default() }),
            vec!["b", "de", "\u{8a9e}", "\u{8a9e}\u{8a9e}b", "\n", " ", "\u{2581}"],
        ),
        (
            "symbols with rules and without extra spaces",
            symbols(Flags {
                byte_fallback: true,
                dummy: true,
                remove_extra: true,
                rules: &[("\u{fb01}", "bc"), ("e\u{301}", "\u{e9}")],
                ..Flags::default()
            }),
            vec!["b", "bc", "\u{fb01}", "e\u{301}", "\n", " ", "\u{2581}", " \u{2581}", "b "],
        ),
        (
            "scored symbols",
            scored_symbols(Flags { byte_fallback: true, ..Flags::default() }),
            vec!["b", "bc", "de", "x", "\n", " ", "\u{2581}", "b\u{8a9e}", "aab", "<x", " a", "- "],
        ),
        (
            "scored symbols without extra spaces",
            scored_symbols(Flags {
                dummy: true,
                remove_extra: true,
                rules: &[("\u{fb01}", "bc"), ("e\u{301}", "\u{e9}")],
                ..Flags::default()
            }),
            vec!["b", "\u{fb01}", "\u{8a9e}", "\u{8a9e}b", "e\u{301}", "\n", "\u{2581}", "b ", "-  "],
        ),
    ]
}

/// A byte-pair encoder of characters, few of which are pieces.
pub(crate) fn few_characters(unknown: bool, fuses: bool) -> Arc<Tokenizer> {
    let pieces = ["\u{2581}", "a", "b", "ab", "aa", "aaaa", "\u{2581}a", "<unk>"];
    let vocab: Map<String, Value> = pieces.iter().zip(0..).map(|(piece, id)| (piece.to_string(), json!(id))).collect();
    let mut model = json!({
        "type": "BPE", "vocab": vocab, "fuse_unk": fuses,
        "merges": [["a", "b"], ["a", "a"], ["aa", "aa"], ["\u{2581}", "a"]],
    });
    if unknown {
        model["unk_token"] = json!("<unk>");
    }
    let definition = json!({
        "added_tokens": [], "normalizer": replace(json!({"String": " "}), "\u{2581}"),
        "decoder": replace(json!({"String": "\u{2581}"}), " "), "model": model,
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "few characters", None).unwrap()
}

/// One of bytes that drops control characters and the second byte of U+4E2D.
pub(crate) fn some_bytes(stages: Value, normalizer: Value) -> Arc<Tokenizer> {
    let known = byte_alphabet::characters().into_iter().enumerate().filter(|&(byte, _)| byte >= 32 && byte != 0xb8);
    let vocab: Map<String, Value> = known.map(|(byte, c)| (c.to_string(), json!(byte))).collect();
    let definition = json!({
        "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": {"type": "Sequence", "pretokenizers": stages},
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "some bytes", None).unwrap()
}

/// Runs of characters that are unknown or dropped.
fn unknown_runs() -> Vec<Run> {
    let (unknown, dropped) =
        (vec!["\u{8a9e}", "x\u{1f468}", "\u{8a9e}x "], vec!["\u{8a9e}", "a\u{8a9e}", "ab\u{8a9e}x"]);
    let bytes = vec!["\0", "a\0", "\u{4e2d}", "a\u{4e2d}\u{301}", "\0\u{301}\u{323}"];
    let nfc = || json!({"type": "NFC"});
    vec![
        ("fused", few_characters(true, true), unknown.clone()),
        ("unknown", few_characters(true, false), unknown),
        ("dropped", few_characters(false, true), dropped),
        ("dropped bytes", some_bytes(json!([byte_level(false)]), Value::Null), bytes.clone()),
        ("dropped bytes of words", some_bytes(json!([byte_level(true)]), Value::Null), bytes.clone()),
        ("dropped bytes under NFC", some_bytes(json!([byte_level(true)]), nfc()), bytes),
    ]
}

/// WordPiece after the steps of these names.
fn word_pieces(steps: &[&str]) -> Arc<Tokenizer> {
    let pieces = ["[UNK]", "a", "##a", "=", "\u{301}", "##\u{301}", "##\u{323}", "\u{635}", "##\u{644}", "##\u{649}"];
    let vocab: Map<String, Value> = pieces.iter().zip(0..).map(|(piece, id)| (piece.to_string(), json!(id))).collect();
    let steps: Vec<Value> = steps.iter().map(|step| json!({ "type": step })).collect();
    let definition = json!({
        "added_tokens": [], "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
        "model": {
            "type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]",
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        },
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "pieces", None).unwrap()
}

/// Runs for WordPiece models.
fn word_piece_runs() -> Vec<Run> {
    let (accent, two, words) = ("\u{301}", "\u{301}\u{323}", "\u{fdfa}");
    vec![
        ("WordPiece, NFC", word_pieces(&["NFC"]), vec![accent, two, "\u{344}\u{323}", "a\u{301}"]),
        ("WordPiece, NFC without accents", word_pieces(&["NFC", "StripAccents"]), vec![accent, two, "\u{344}"]),
        ("WordPiece, NFKD", word_pieces(&["NFKD", "Lowercase"]), vec![two, words, "\u{fdfa}a\u{fdfb}"]),
    ]
}

/// A model of words as in the library's quick tour, after the steps of these names.
pub(crate) fn quick_tour(model: Value, steps: &[&str], decoder: Value) -> Arc<Tokenizer> {
    let steps: Vec<Value> = steps.iter().map(|step| json!({ "type": step })).collect();
    let unknown = json!({
        "id": 0, "content": "[UNK]", "special": true, "normalized": false,
        "lstrip": false, "rstrip": false, "single_word": false,
    });
    let definition = json!({
        "added_tokens": [unknown], "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": decoder, "model": model,
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "quick tour", None).unwrap()
}

/// Runs for words that are merged, or looked up.
fn quick_tour_runs() -> Vec<Run> {
    let vocab = json!({"[UNK]": 0, "a": 1, "b": 2, "ab": 3, "aa": 4});
    let merges = json!({"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["a", "a"]], "unk_token": "[UNK]"});
    let words = json!({"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"});
    // The library runs this one.
    let mut suffixed = merges.clone();
    suffixed["end_of_word_suffix"] = json!("</w>");
    let units = || {
        let blanks = [" ", "\t", "\u{3000}", "a ", "ab\u{3000}", "= a ", "x\u{301} "];
        [&blanks[..], &["a", "ab", "x", "=", "a\u{301}", "xa", "\u{301}"]].concat()
    };
    vec![
        ("BPE", quick_tour(merges.clone(), &[], Value::Null), units()),
        ("BPE, Fuse", quick_tour(merges.clone(), &[], json!({"type": "Fuse"})), units()),
        ("BPE, NFC", quick_tour(merges, &["NFC", "Lowercase"], Value::Null), units()),
        ("BPE with a suffix", quick_tour(suffixed, &["Lowercase"], Value::Null), vec![" ", "\t", "\u{3000}", "\n "]),
        ("WordLevel", quick_tour(words.clone(), &[], Value::Null), units()),
        ("WordLevel, NFC", quick_tour(words, &["NFC", "Lowercase"], Value::Null), units()),
    ]
}

#[test]
fn windows_of_a_long_run_are_short_or_few() {
    let (symbols, unknown, spaces) = (symbol_runs(), unknown_runs(), white_space_runs());
    let runs = [byte_runs(), unigram_runs(), spaces, symbols, unknown, word_piece_runs(), quick_tour_runs()];
    for (name, tokenizer, units) in runs.into_iter().flatten() {
        // Under WordPiece as many marks as the longest word has characters, and as many as a form may hold.
        let most = if name.starts_with("Word") || name.starts_with("BPE") { 512 } else { 32 };
        let firsts: &[&str] = if name.starts_with("Strip") { &["", "a", " a"] } else { &[""] };
        for (unit, first) in units.iter().flat_map(|unit| firsts.iter().map(move |first| (unit, first))) {
            let (windows, text) = read(&tokenizer, first, unit, most);
            // Now and then a window looks for cuts in all of the run; each other one is short.
            assert!(
                windows < 2000 * 64 + 8 * text,
                "{name}, {first:?} and {unit:?}: windows of {windows} bytes for a text of {text}"
            );
        }
    }
}

/// A byte-pair encoder with a dummy prefix before all text between added tokens, or a look-up of that text.
pub(crate) fn added_pairs(dummy: &str, added: &[&str]) -> Arc<Tokenizer> {
    let vocab = json!({
        "<unk>": 0, "\u{2581}": 1, "a": 2, "b": 3, "x": 4, "aa": 5, "\u{2581}a": 6, "\u{2581}\u{2581}": 7, "aaa": 8,
        "ab": 9, "\u{2581}aa": 10,
    });
    let tokens = added.iter().zip(11..).map(|(content, id)| {
        json!({
            "id": id, "content": content, "special": false,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    });
    let stage = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": dummy, "split": false});
    let definition = json!({
        "added_tokens": tokens.collect::<Vec<_>>(), "normalizer": null, "pre_tokenizer": stage, "decoder": stage,
        "model": {
            "type": "BPE", "vocab": vocab, "unk_token": "<unk>", "fuse_unk": true, "ignore_merges": dummy != "always",
            "merges": ["a a", "\u{2581} a", "\u{2581} \u{2581}", "a b", "\u{2581} aa"],
        },
    });
    Tokenizer::from_bytes(definition.to_string().as_bytes(), "pairs", None).unwrap()
}

#[test]
fn text_after_an_added_token_is_read_once() {
    let spaces = unigram_stripped(&[], metaspace(false), &["<x>"]);
    let starts = unigram_stripped(&[strip(true, false)], metaspace(true), &["<x>"]);
    for (name, tokenizer) in [
        ("a dummy prefix", added_pairs("always", &["<x>"])),
        ("a look-up", added_pairs("never", &["<x>"])),
        ("a lattice", spaces),
        ("a step for the start", starts),
    ] {
        for (first, unit) in
            ["<x>", "a<x>", "ab <x> b<x>"].iter().flat_map(|first| ["a", "ab", "aa", "x"].map(|u| (first, u)))
        {
            let (windows, text) = read(&tokenizer, first, unit, usize::MAX);
            assert!(
                windows < 2000 * 64 + 8 * text,
                "{name}, {first:?} and {unit:?}: windows of {windows} bytes for a text of {text}"
            );
        }
    }
}

#[test]
fn a_stream_goes_on_after_an_added_token_only_where_that_is_exact() {
    let tokenizers = [
        // One token may become the other.
        added_pairs("always", &["<x>", "<x>xx"]),
        // The dummy prefix stands at the start of the whole text alone.
        added_pairs("first", &["<x>"]),
    ];
    for tokenizer in tokenizers {
        assert!(tokenizer.engine().describe().starts_with("coolfusion's own"), "{}", tokenizer.engine().describe());
        for before in ["", "a", &"ab".repeat(300)] {
            let (mut encoder, mut text) = (StreamEncoder::new(tokenizer.clone(), 0), String::new());
            for more in [before, "<x>", "x", "x", "a", "<x>", "x", "b", &"ab".repeat(300), "x", "<x>", " ", "a", "xx"] {
                encoder.push(more).unwrap();
                text += more;
                assert_eq!(encoder.ids(), tokenizer.ids(&text, crate::tokens::token::TextPosition::Start).unwrap());
                assert_eq!(encoder.widened(), 0, "{text}");
            }
        }
    }
}

#[test]
fn marks_after_an_added_token_are_read_once() {
    let token = json!({
        "id": 256, "content": "<K>", "special": false,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
    });
    let tokenizer = bytes_and(json!([byte_level(true)]), json!({"type": "NFC"}), json!([token]));
    for (first, unit) in
        [("<K>", "\u{301}"), ("a <K>", "\u{301}"), ("<K>", "\u{301}\u{323}"), ("<\u{212a}>", "\u{316}")]
    {
        let (windows, text) = read(&tokenizer, first, unit, usize::MAX);
        assert!(windows < 8 * text, "{first:?}, {unit:?}: windows of {windows} bytes for a text of {text}");
    }
}
