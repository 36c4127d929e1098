//! `vocab.json` with `merges.txt` (GPT-2's pair of files, OpenAI's `encoder.json` with `vocab.bpe`) -> [`Spec`].
//!
//! The judge is `ByteLevelBPETokenizer` of the `tokenizers` library. One merge a line, best first; lines that begin
//! with `#version` and blank lines are skipped.

use crate::error::{Error, Result};
use crate::formats::parts::{controls, splitting, text};
use crate::spec::decoder::Decoder;
use crate::spec::definition::Spec;
use crate::spec::model::{Bpe, Merges, Model};
use crate::spec::normalizer::Normalizer;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Settings that the two files do not hold.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The split pattern; `None` is GPT-2's.
    pub pattern: Option<String>,
    /// Whether a space is put before a text that begins without one.
    pub add_prefix_space: bool,
    /// Whether text is composed (NFC) first.
    pub composes: bool,
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

/// The specification in the contents of both files; `source` names them in errors.
///
/// # Errors
/// [`Error::File`] if one of them is malformed: with line and column of the vocabulary, or the line of the merges.
/// Complexity: O(bytes).
pub fn read(vocab: &[u8], merges: &[u8], source: &str, options: &Options) -> Result<Spec> {
    let entries = entries(vocab).map_err(|reason| Error::File { path: source.to_owned(), reason })?;
    let numbers: FxHashMap<&str, u32> =
        entries.iter().zip(0..).map(|((token, _), number)| (token.as_str(), number)).collect();
    let mut pairs = Vec::new();
    let mut made = FxHashSet::default();
    for (index, line) in text(merges, source)?.lines().enumerate() {
        if line.starts_with("#version") || line.trim().is_empty() {
            continue;
        }
        let [left, right, whole] = merge(line, &numbers).map_err(|what| {
            let reason = format!("line {} of the merges: {what}", index + 1);
            Error::File { path: source.to_owned(), reason }
        })?;
        pairs.push((left, right));
        made.insert(whole);
    }
    let is_control =
        |(token, _): &&(String, u32)| CONTROLS.contains(&token.as_str()) && !made.contains(&numbers[token.as_str()]);
    let added = controls(entries.iter().filter(is_control).map(|(token, id)| (token, *id)));
    let mut notes = vec![match &options.pattern {
        None => "the files hold no split pattern: GPT-2's is used".to_owned(),
        Some(_) => "the files hold no split pattern: the given one is used".to_owned(),
    }];
    if !added.is_empty() {
        let names: Vec<&str> = added.iter().map(|token| token.content.as_str()).collect();
        notes.push(format!("the files name no control tokens: {} are taken as such", names.join(" ")));
    }
    let model = Model::Bpe(Bpe { merges: Merges::new(pairs), ..Bpe::default() });
    let mut spec = Spec::new(model, Pieces::with_ids(entries), Origin::new(Format::VocabAndMerges, notes));
    spec.added_tokens = added;
    spec.normalizers.extend(options.composes.then_some(Normalizer::Nfc));
    spec.pre_tokenizers = splitting(options.pattern.as_deref(), options.add_prefix_space);
    spec.decoders = Some(vec![Decoder::ByteLevel]);
    Ok(spec)
}

/// The tokens with their ids, ascending.
fn entries(vocab: &[u8]) -> std::result::Result<Vec<(String, u32)>, String> {
    let vocab = vocab.strip_prefix(b"\xef\xbb\xbf").unwrap_or(vocab);
    let entries: BTreeMap<String, u32> = serde_json::from_slice(vocab)
        .map_err(|error| format!("vocabulary: {error}, expected a JSON object of token to id"))?;
    if entries.is_empty() {
        return Err("vocabulary: no entries, expected a JSON object of token to id".into());
    }
    let mut entries: Vec<(String, u32)> = entries.into_iter().collect();
    entries.sort_unstable_by_key(|(_, id)| *id);
    match entries.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        None => Ok(entries),
        Some(pair) => {
            let (id, first, second) = (pair[0].1, &pair[0].0, &pair[1].0);
            Err(format!("vocabulary: id {id} for both {first:?} and {second:?}, expected one token an id"))
        }
    }
}

/// The numbers of both tokens of a line, and of the one that they make.
fn merge(line: &str, numbers: &FxHashMap<&str, u32>) -> std::result::Result<[u32; 3], String> {
    let mut words = line.split(' ');
    let (Some(left), Some(right), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("{:?}, expected two tokens parted by one space", short(line)));
    };
    let number = |token: &str| {
        let count = numbers.len();
        let unknown = || format!("{:?} is not in the vocabulary, expected one of its {count} tokens", short(token));
        numbers.get(token).copied().ok_or_else(unknown)
    };
    Ok([number(left)?, number(right)?, number(&format!("{left}{right}"))?])
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(vocab: &str, merges: &str) -> std::result::Result<Spec, String> {
        read(vocab.as_bytes(), merges.as_bytes(), "dir/vocab.json", &Options::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn comments_and_blank_lines_are_no_merges() {
        let spec =
            of(r###"{"a": 0, "#": 2, "##": 5, "<s>": 4, "a#": 3}"###, "#version: 0.2\n\n# #\r\na #\n\n").unwrap();
        let named = |&(left, right): &(u32, u32)| [left, right].map(|number| spec.pieces.piece(number as usize));
        let pairs: Vec<[&str; 2]> = spec.model.merges().unwrap().pairs.iter().map(named).collect();
        assert_eq!(pairs, [["#", "#"], ["a", "#"]]);
        assert_eq!((spec.pieces.find("##"), spec.added_tokens[0].content.as_str()), (Some(5), "<s>"));
        assert!(spec.origin.notes[1].contains("<s>"));
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
            let error = of(vocab, merges).unwrap_err();
            assert!(error.starts_with("dir/vocab.json: ") && error.contains(words), "{error}");
        }
        let error = read(b"{\"a\": 0}", b"a\n\xff a", "x", &Options::default()).unwrap_err().to_string();
        assert!(error.contains("byte 2 is not UTF-8"), "{error}");
    }
}
