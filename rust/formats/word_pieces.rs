//! `vocab.txt` (BERT's `WordPiece` vocabulary) as a tokenizer definition.
//!
//! One piece a line, its id the number of the line from 0. The file says nothing of the normalizer: without other options
//! it is that of transformers' `BertTokenizer`, which lower-cases and drops accents.

use rustc_hash::FxHashMap;
use serde_json::{json, Value};

use super::{added_token, text};
use crate::definition::{Definition, Pieces};
use crate::error::{Error, Result};

/// What the file does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// Whether accents are dropped; `None`: where text is lower-cased.
    pub strip_accents: Option<bool>,
    /// Whether each ideograph is a word.
    pub part_ideographs: bool,
    /// The piece that stands for a word without pieces.
    pub unknown: String,
    /// Begins a piece that goes on with a word.
    pub prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { lowercase: true, strip_accents: None, part_ideographs: true, unknown: "[UNK]".into(), prefix: "##".into() }
    }
}

/// BERT's control tokens.
const CONTROLS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Whether the file is such a vocabulary: text with a line `[UNK]` and a line `[CLS]`.
pub(super) fn looks_like_word_pieces(bytes: &[u8]) -> bool {
    let has = |word: &[u8]| bytes.split(|&byte| byte == b'\n').any(|line| line.strip_suffix(b"\r").unwrap_or(line) == word);
    has(b"[UNK]") && has(b"[CLS]")
}

/// The definition in the content of a file; `source` names it in errors.
///
/// # Errors
/// [`Error::File`] if it is not UTF-8, or lacks the unknown piece. Complexity: O(bytes).
pub fn definition(vocab: &[u8], source: &str, options: &Options) -> Result<Definition> {
    // Python's universal newlines.
    let lines = text(vocab, source)?.replace("\r\n", "\n").replace('\r', "\n");
    let pieces = lines.strip_suffix('\n').unwrap_or(&lines).split('\n').zip(0..).filter(|(piece, _)| !piece.is_empty());
    let mut notes = vec![format!(
        "the vocabulary does not say how text is normalized: taken as {}, {}",
        if options.lowercase { "lower-cased" } else { "cased" },
        if options.strip_accents.unwrap_or(options.lowercase) { "without accents" } else { "with accents" },
    )];
    let mut definition = from_pieces(pieces, source, options)?;
    let controls = definition.frame["added_tokens"].as_array().into_iter().flatten();
    let controls: Vec<&str> = controls.filter_map(|token| token["content"].as_str()).collect();
    notes.push(format!("the vocabulary names no control tokens: {} are taken as such", controls.join(" ")));
    definition.frame["coolfusion"] = json!({"source_format": "vocab.txt", "source": source, "notes": notes});
    Ok(definition)
}

/// The definition of a vocabulary that was read already; the last id of equal pieces counts.
pub(super) fn from_pieces<S: AsRef<str>>(pieces: impl Iterator<Item = (S, u32)>, source: &str, options: &Options) -> Result<Definition> {
    let pieces: Vec<(S, u32)> = pieces.collect();
    let ids: FxHashMap<&str, u32> = pieces.iter().map(|(piece, id)| (piece.as_ref(), *id)).collect();
    if !ids.contains_key(options.unknown.as_str()) {
        let reason = format!("no piece {:?} among {}, expected the vocabulary of a WordPiece model", options.unknown, pieces.len());
        return Err(Error::File { path: source.to_owned(), reason });
    }
    let mut controls: Vec<(u32, &str)> =
        CONTROLS.iter().chain([&options.unknown.as_str()]).filter_map(|&name| Some((*ids.get(name)?, name))).collect();
    controls.sort_unstable();
    controls.dedup();
    let added: Vec<Value> = controls.iter().map(|&(id, name)| added_token(id as usize, name, true)).collect();
    let frame = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": options.part_ideographs,
            "strip_accents": options.strip_accents, "lowercase": options.lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": options.prefix, "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": options.unknown, "continuing_subword_prefix": options.prefix,
            "max_input_chars_per_word": 100,
        },
        "coolfusion": {"source": source, "notes": []},
    });
    Ok(Definition { frame, pieces: Pieces::with_ids(pieces), merges: None, ranks: None })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_numbered_from_zero() {
        let file = b"[PAD]\r\n[UNK]\r\n[CLS]\r\n\r\n##a\r\n\xe2\x80\xa8\r\n##a\r\n";
        assert!(looks_like_word_pieces(file) && !looks_like_word_pieces(b"[UNK]\nx\n"));
        let read = definition(file, "vocab.txt", &Options::default()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(read["model"]["vocab"], json!({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "##a": 6, "\u{2028}": 5}));
        assert_eq!(read["normalizer"]["lowercase"], true);
        assert!(read["coolfusion"]["notes"][0].as_str().unwrap().contains("lower-cased, without accents"));
        assert_eq!(read["added_tokens"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn faults_name_the_place() {
        for (file, words) in [(&b"a\n[CLS]"[..], "no piece \"[UNK]\" among 2"), (b"[UNK]\n\xff", "byte 6 is not UTF-8"), (b"", "no piece")] {
            let error = definition(file, "dir/vocab.txt", &Options::default()).unwrap_err().to_string();
            assert!(error.starts_with("dir/vocab.txt: ") && error.contains(words), "{error}");
        }
    }
}
