#![allow(clippy::unwrap_used)]
use super::*;

fn of(json: &str) -> Spec {
    read(json.as_bytes()).unwrap().unwrap().unwrap()
}

fn error(json: &str) -> String {
    read(json.as_bytes()).unwrap().unwrap_err().to_string()
}

/// Reading and writing again gives the values of a plain JSON reader.
fn same(json: &str) -> Spec {
    let spec = of(json);
    let plain: Value = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), plain);
    assert_eq!(serde_json::to_value(Spec::from_json(plain.clone()).unwrap().unwrap()).unwrap(), plain);
    spec
}

#[test]
fn what_was_read_is_what_was_written() {
    let byte_pairs = r#"{"version": "1.0", "truncation": null, "padding": null, "post_processor": {"type": "X"},
        "added_tokens": [{"id": 9, "content": "<s>", "single_word": false, "lstrip": true, "rstrip": false,
            "normalized": true, "special": true}],
        "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": "a", "continuing_subword_prefix": null,
            "end_of_word_suffix": "</w>", "fuse_unk": true, "byte_fallback": false, "ignore_merges": true,
            "vocab": {"a": 0, "": 7, "\u00e9\n\"": 1, "aa": 4294967295, "aaaaaaaaa": 3},
            "merges": [["a", "a"], ["aa", ""], ["", "aaaaaaaaa"]]}}"#;
    let spec = same(byte_pairs);
    assert_eq!(spec.model.merges().unwrap().pairs, [(0, 0), (3, 1), (1, 4)]);
    assert_eq!((spec.pieces.find("aa"), spec.pieces.find("b"), spec.unknown_id()), (Some(u32::MAX), None, Some(0)));
    let unigram = same(
        r#"{"version": "1.0", "truncation": null, "padding": null, "post_processor": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "decoder": {"type": "Sequence", "decoders": []},
        "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": true,
            "vocab": [["a", -1.5], ["b", 0.0], ["a", -2.0]]}}"#,
    );
    assert_eq!(unigram.pieces.number("a"), Some(2), "the last of equal pieces");
    assert_eq!(([0, 1].map(|n| unigram.pieces.score(n)), unigram.unknown_id()), ([Some(-1.5), Some(0.0)], Some(1)));
}

#[test]
fn models_without_a_type_are_told_by_what_they_hold() {
    for (model, kind) in [
        (r#"{"vocab": {"a": 0}, "merges": []}"#, "BPE"),
        (r#"{"vocab": [["a", 0.0]], "unk_id": 0}"#, "Unigram"),
        (r###"{"vocab": {"a": 0}, "unk_token": "a", "continuing_subword_prefix": "##"}"###, "WordPiece"),
        (r#"{"vocab": {"a": 0}, "unk_token": "a"}"#, "WordLevel"),
    ] {
        assert_eq!(of(&format!(r#"{{"model": {model}}}"#)).model.kind(), kind);
    }
}

#[test]
fn merges_may_be_lines_and_stand_before_the_vocabulary() {
    let lines =
        r##"{"model": {"merges": ["#version: 0.2", "a b", "ab c"], "vocab": {"c": 3, "a": 0, "b": 1, "ab": 2}}}"##;
    assert_eq!(of(lines).model.merges().unwrap().pairs, [(1, 2), (3, 0)]);
}

#[test]
fn the_last_of_equal_keys_counts() {
    let twice =
        r#"{"model": 3, "model": {"vocab": {"z": 1}, "vocab": {"a": 0, "b": 1, "a": 5}}, "version": 1, "version": 2}"#;
    assert_eq!(of(twice).pieces.iter().collect::<Vec<_>>(), [(1, "b"), (5, "a")]);
}

#[test]
fn without_an_object_under_model_there_is_no_specification() {
    for model in ["null", r#"[1, {"a": 2}]"#, "\"x\"", "-1.5", "true"] {
        assert!(read(format!(r#"{{"model": {model}}}"#).as_bytes()).unwrap().unwrap().is_none(), "{model}");
    }
    assert!(read(b"{}").unwrap().unwrap().is_none());
}

#[test]
fn unknown_fields_and_wrong_types_are_refused_with_their_path() {
    for (part, words) in [
        (r#""coolfusion": {}"#, "definition, coolfusion: unknown field: expected only version, truncation"),
        (r#""added_tokens": {}"#, "added_tokens: {}: expected a list"),
        (r#""added_tokens": [{"id": 1, "content": "a"}, 7]"#, "added_tokens[1]: 7: expected an object"),
        (
            r#""added_tokens": [{"id": -1, "content": "a"}]"#,
            "added_tokens[0].id: -1: expected a whole number below 2^32",
        ),
        (r#""added_tokens": [{"id": 1}]"#, "added_tokens[0].content: missing: expected a string"),
        (r#""added_tokens": [{"id": 1, "content": "a", "lstirp": true}]"#, "added_tokens[0].lstirp: unknown field"),
        (
            r#""decoder": {"type": "Strip", "content": "ab"}"#,
            "decoder.content: \"ab\": expected a string of one character",
        ),
        (r#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "!"}"#, "normalizer.precompiled_charsmap: "),
    ] {
        let error = error(&format!(r#"{{"model": {{"vocab": {{"a": 0}}}}, {part}}}"#));
        assert!(error.contains(words), "{error}");
    }
    for (model, words) in [
        (
            r#"{"type": "BPE", "vocab": {}, "merges": [], "unk": "a"}"#,
            "model.unk: unknown field: expected only type, dropout",
        ),
        (r#"{"type": "BPE", "vocab": {}}"#, "model.merges: missing"),
        (
            r#"{"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}"#,
            "model.dropout: 0.1: ids would be drawn by chance",
        ),
        (r#"{"type": "BPE", "vocab": [["a", 0.5]], "merges": []}"#, "model.vocab: a list for the type BPE"),
        (r#"{"type": "Unigram", "vocab": {"a": 0}}"#, "model.vocab: an object of ids for the type Unigram"),
        (r#"{"type": "WordLevel", "vocab": {}, "merges": []}"#, "model.merges: unknown field of the type WordLevel"),
        (
            r#"{"type": "Nope", "vocab": {}}"#,
            "model: type \"Nope\" is unknown: expected one of BPE, Unigram, WordPiece, WordLevel",
        ),
        (
            r#"{"type": "Unigram", "vocab": [["a", 0.5]], "unk_id": -1}"#,
            "model.unk_id: -1: expected a whole number below 2^32",
        ),
    ] {
        let error = error(&format!(r#"{{"model": {model}}}"#));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_first_wrong_entry_is_named() {
    for (vocab, words) in [
        (r#"{"a": 0, "b": -1, "c": "x"}"#, "b"),
        (r#"{"a": 4294967296}"#, "a"),
        (r#"{"a": 1.0}"#, "a"),
        (r#"{"a": [1, [2]]}"#, "a"),
        (r#"{"a": {"b": {}}}"#, "a"),
        (r#"[["a", 1], "b", 3]"#, "entry 1"),
        (r#"[["a", 1], []]"#, "entry 1"),
        (r#"[["a", 1], ["b"]]"#, "entry 1"),
        (r#"[["a", 1, 2]]"#, "entry 0"),
        (r#"[["a", "b"], []]"#, "entry 0"),
        (r#"[[1, "a"]]"#, "entry 0"),
        ("3", "missing"),
        ("null", "missing"),
        ("\"a\"", "missing"),
        ("false", "missing"),
        ("-2", "missing"),
    ] {
        let error = error(&format!(r#"{{"model": {{"vocab": {vocab}}}}}"#));
        assert!(error.contains(&format!("model.vocab: {words}: expected entries with ids")), "{error}");
    }
    for (merges, words) in [
        (r#"[["a", "a"], ["a", "b"]]"#, "merge 1: \"b\" is out of vocabulary"),
        (r#"["a a", "aa"]"#, "merge 1 is no pair"),
        (r#"[["a", 1]]"#, "merge 0 is no pair"),
        (r#"[["a"], 3]"#, "merge 0 is no pair"),
        (r#"[{"a": "a"}]"#, "merge 0 is no pair"),
        (r#"[["a", "a"], ["a", "a", "a"]]"#, "merge 1 is no pair"),
        (r#"["a a", "a a a"]"#, "merge 1 is no pair"),
        (r##"["#version: 0.2", "a a", "a  a"]"##, "merge 1 is no pair"),
        (r#"[["a", "a"], "a a"]"#, "merge 1 is written in another way than those before"),
        (r#"{"a": "a"}"#, "no list"),
        (r#"null"#, "no list"),
    ] {
        let error = error(&format!(r#"{{"model": {{"vocab": {{"a": 0, "aa": 1}}, "merges": {merges}}}}}"#));
        assert!(error.contains(&format!("model.merges: {words}: expected two pieces")), "{error}");
    }
}

#[test]
fn malformed_json_is_an_error_with_its_place() {
    let whole =
        r#"{"model": {"vocab": {"a": 0, "\u00e9": 1}, "merges": [["a", "a"], "a a"]}, "b": [1, null, {"c": "d"}]}"#;
    assert!(read(whole.as_bytes()).is_ok());
    for length in 0..whole.len() {
        let error = read(&whole.as_bytes()[..length]).err().unwrap().to_string();
        assert!(error.contains("line 1 column"), "{error}");
    }
    for (json, words) in [
        (&b"{\"model\":\n {\"vocab\": {\"a\": 0,}}}"[..], "line 2 column"),
        (b"{\"model\": {\"vocab\": {\"\xff\": 0}}}", "line 1 column"),
        (b"{\"model\": {\"vocab\": {\"\\ud800\": 0}}}", "line 1 column"),
        (b"{\"model\": {\"merges\": [[\"a\", \"a\"], nul]}}", "line 1 column"),
        (b"{\"model\": {}} x", "trailing characters at line 1 column 15"),
    ] {
        let error = read(json).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}
