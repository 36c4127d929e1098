//! `vocab.json` with `merges.txt` (GPT-2's pair of files, OpenAI's `encoder.json` with `vocab.bpe`) as tokenizer definitions.
//!
//! The judge is `ByteLevelBPETokenizer` of the `tokenizers` library. One merge a line, best first; lines that begin with
//! `#version` and blank lines are skipped.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde_json::{json, Value};

use super::{added_token, splitting, text};
use crate::definition::{Definition, Merges, Pieces};
use crate::error::{Error, Result};

/// What the two files do not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The split pattern; `None` is GPT-2's.
    pub pattern: Option<String>,
    /// Whether a space is put before a text that begins without one.
    pub add_prefix_space: bool,
}

/// Entries that GPT-2, RoBERTa and their kin use as control tokens, where no merge makes them.
const CONTROLS: [&str; 7] = ["<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|padding|>"];

/// Whether the file is a vocabulary: an object of numbers.
pub(super) fn is_vocabulary(json: &[u8]) -> bool {
    // The first value decides; the whole is read, with line and column, by `definition`.
    let colon = json.iter().take(1 << 16).position(|&byte| byte == b':');
    let value = colon.map(|at| json[at + 1..].trim_ascii_start()).unwrap_or_default();
    value.first().is_some_and(|&byte| byte.is_ascii_digit() || byte == b'-')
}

/// The definition in the contents of both files; `source` names them in errors.
///
/// # Errors
/// [`Error::File`] if one of them is malformed: with line and column of the vocabulary, or the line of the merges.
/// Complexity: O(bytes).
pub fn definition(vocab: &[u8], merges: &[u8], source: &str, options: &Options) -> Result<Definition> {
    let wrong = |reason: String| Error::File { path: source.to_owned(), reason };
    let vocab = vocab.strip_prefix(b"\xef\xbb\xbf").unwrap_or(vocab);
    let entries: BTreeMap<String, u32> =
        serde_json::from_slice(vocab).map_err(|error| wrong(format!("vocabulary: {error}, expected a JSON object of token to id")))?;
    if entries.is_empty() {
        return Err(wrong("vocabulary: no entries, expected a JSON object of token to id".into()));
    }
    let mut entries: Vec<(String, u32)> = entries.into_iter().collect();
    entries.sort_unstable_by_key(|(_, id)| *id);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        return Err(wrong(format!("vocabulary: id {} for both {:?} and {:?}, expected one token an id", pair[0].1, pair[0].0, pair[1].0)));
    }
    let numbers: FxHashMap<&str, u32> = entries.iter().zip(0..).map(|((token, _), number)| (token.as_str(), number)).collect();
    let mut pairs = Vec::new();
    let mut made = rustc_hash::FxHashSet::default();
    for (index, line) in text(merges, source)?.lines().enumerate() {
        if line.starts_with("#version") || line.trim().is_empty() {
            continue;
        }
        let fault = |what: String| wrong(format!("line {} of the merges: {what}", index + 1));
        let mut words = line.split(' ');
        let (Some(left), Some(right), None) = (words.next(), words.next(), words.next()) else {
            return Err(fault(format!("{:?}, expected two tokens parted by one space", short(line))));
        };
        let number = |token: &str| {
            let unknown = || fault(format!("{:?} is not in the vocabulary, expected one of its {} tokens", short(token), entries.len()));
            numbers.get(token).copied().ok_or_else(unknown)
        };
        pairs.push((number(left)?, number(right)?));
        made.insert(number(&format!("{left}{right}"))?);
    }
    let control = |(token, _): &&(String, u32)| CONTROLS.contains(&token.as_str()) && !made.contains(&numbers[token.as_str()]);
    let added: Vec<Value> = entries.iter().filter(control).map(|(token, id)| added_token(*id as usize, token, true)).collect();
    let mut notes = vec![match &options.pattern {
        None => "the files hold no split pattern: GPT-2's is used".to_owned(),
        Some(_) => "the files hold no split pattern: the given one is used".to_owned(),
    }];
    if !added.is_empty() {
        let names: Vec<&str> = added.iter().filter_map(|token| token["content"].as_str()).collect();
        notes.push(format!("the files name no control tokens: {} are taken as such", names.join(" ")));
    }
    let frame = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": splitting(options.pattern.as_deref(), options.add_prefix_space),
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        },
        "coolfusion": {"source_format": "vocab and merges", "source": source, "notes": notes},
    });
    Ok(Definition { frame, pieces: Pieces::with_ids(entries), merges: Some(Merges::new(pairs)), ranks: None })
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(vocab: &str, merges: &str) -> std::result::Result<Value, String> {
        let read = definition(vocab.as_bytes(), merges.as_bytes(), "dir/vocab.json", &Options::default());
        read.map(|definition| serde_json::to_value(definition).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn comments_and_blank_lines_are_no_merges() {
        let read = read(r###"{"a": 0, "#": 2, "##": 5, "<s>": 4, "a#": 3}"###, "#version: 0.2\n\n# #\r\na #\n\n").unwrap();
        assert_eq!(read["model"]["merges"], json!([["#", "#"], ["a", "#"]]));
        assert_eq!(read["model"]["vocab"]["##"], 5);
        assert_eq!(read["added_tokens"][0]["content"], "<s>");
        assert!(read["coolfusion"]["notes"][1].as_str().unwrap().contains("<s>"));
    }

    #[test]
    fn faults_name_the_place() {
        for (vocab, merges, words) in [
            ("{\"a\": 0,\n \"b\": -1}", "", "line 2 column 8"),
            ("{\"a\": 0, \"b\": 0}", "", "id 0 for both \"a\" and \"b\""),
            ("{\"a\": 1.5}", "", "expected u32 at line 1"),
            ("{\"a\": 0", "", "EOF while parsing"),
            ("{}", "", "no entries"),
            ("{\"a\": 0}", "#version\na", "line 2 of the merges: \"a\", expected two tokens"),
            ("{\"a\": 0}", "a a a", "line 1 of the merges"),
            ("{\"a\": 0}", "a b", "line 1 of the merges: \"b\" is not in the vocabulary"),
            ("{\"a\": 0}", "\na a", "line 2 of the merges: \"aa\" is not in the vocabulary"),
        ] {
            let error = read(vocab, merges).unwrap_err();
            assert!(error.starts_with("dir/vocab.json: ") && error.contains(words), "{error}");
        }
        let error = definition(b"{\"a\": 0}", b"a\n\xff a", "x", &Options::default()).unwrap_err().to_string();
        assert!(error.contains("byte 2 is not UTF-8"), "{error}");
    }
}
