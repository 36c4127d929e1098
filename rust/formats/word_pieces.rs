//! `vocab.txt` (BERT's `WordPiece` vocabulary) -> [`Spec`].
//!
//! One piece a line, its id the number of the line from 0. The file says nothing of the normalizer: without other
//! options it is that of transformers' `BertTokenizer`, which lower-cases and drops accents.

use crate::error::{Error, Result};
use crate::formats::parts::{controls, text};
use crate::spec::decoder::Decoder;
use crate::spec::definition::Spec;
use crate::spec::model::{Model, WordPiece};
use crate::spec::normalizer::Normalizer;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use crate::spec::pre_tokenizer::PreTokenizer;
use rustc_hash::FxHashMap;

/// Settings that the file does not hold.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// Whether accents are dropped; `None`: where text is lower-cased.
    pub strip_accents: Option<bool>,
    /// Whether each ideograph is a word.
    pub part_ideographs: bool,
    /// The piece for a word without pieces.
    pub unknown: String,
    /// Begins a piece that goes on with a word.
    pub prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: None,
            part_ideographs: true,
            unknown: "[UNK]".into(),
            prefix: "##".into(),
        }
    }
}

/// BERT's control tokens.
const CONTROLS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Whether the file is such a vocabulary: text with a line `[UNK]` and a line `[CLS]`.
pub(super) fn looks_like_word_pieces(bytes: &[u8]) -> bool {
    let has =
        |word: &[u8]| bytes.split(|&byte| byte == b'\n').any(|line| line.strip_suffix(b"\r").unwrap_or(line) == word);
    has(b"[UNK]") && has(b"[CLS]")
}

/// The specification in the content of a file; `source` names it in errors.
///
/// # Errors
/// [`Error::File`] if it is not UTF-8, or lacks the unknown piece. Complexity: O(bytes).
pub fn read(vocab: &[u8], source: &str, options: &Options) -> Result<Spec> {
    // Python's universal newlines.
    let lines = text(vocab, source)?.replace("\r\n", "\n").replace('\r', "\n");
    let pieces = lines.strip_suffix('\n').unwrap_or(&lines).split('\n').zip(0..).filter(|(piece, _)| !piece.is_empty());
    let mut spec = from_pieces(pieces, source, options)?;
    let controls: Vec<&str> = spec.added_tokens.iter().map(|token| token.content.as_str()).collect();
    let notes = [
        format!(
            "the vocabulary does not say how text is normalized: taken as {}, {}",
            if options.lowercase { "lower-cased" } else { "cased" },
            if options.strip_accents.unwrap_or(options.lowercase) { "without accents" } else { "with accents" },
        ),
        format!("the vocabulary names no control tokens: {} are taken as such", controls.join(" ")),
    ];
    spec.origin.notes.extend(notes);
    Ok(spec)
}

/// The specification of a vocabulary that was already read; the last id of equal pieces counts.
pub(super) fn from_pieces<S: AsRef<str>>(
    pieces: impl Iterator<Item = (S, u32)>,
    source: &str,
    options: &Options,
) -> Result<Spec> {
    let pieces: Vec<(S, u32)> = pieces.collect();
    let ids: FxHashMap<&str, u32> = pieces.iter().map(|(piece, id)| (piece.as_ref(), *id)).collect();
    if !ids.contains_key(options.unknown.as_str()) {
        let count = pieces.len();
        let reason =
            format!("no piece {:?} among {count}, expected the vocabulary of a WordPiece model", options.unknown);
        return Err(Error::File { path: source.to_owned(), reason });
    }
    let names = CONTROLS.into_iter().chain([options.unknown.as_str()]);
    let mut added: Vec<(u32, &str)> = names.filter_map(|name| Some((*ids.get(name)?, name))).collect();
    added.sort_unstable();
    added.dedup();
    let added = controls(added.into_iter().map(|(id, name)| (name, id)));
    let model = Model::WordPiece(WordPiece {
        unknown: Some(options.unknown.clone()),
        continuing_subword_prefix: options.prefix.clone(),
        max_input_chars_per_word: 100,
    });
    let mut spec = Spec::new(model, Pieces::with_ids(pieces), Origin::new(Format::Vocab, Vec::new()));
    spec.added_tokens = added;
    spec.normalizers.push(Normalizer::Bert {
        clean_text: true,
        handle_chinese_chars: options.part_ideographs,
        strip_accents: options.strip_accents,
        lowercase: options.lowercase,
    });
    spec.pre_tokenizers.push(PreTokenizer::Bert);
    spec.decoders = Some(vec![Decoder::WordPiece { prefix: options.prefix.clone(), cleanup: true }]);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_numbered_from_zero() {
        let file = b"[PAD]\r\n[UNK]\r\n[CLS]\r\n\r\n##a\r\n\xe2\x80\xa8\r\n##a\r\n";
        assert!(looks_like_word_pieces(file) && !looks_like_word_pieces(b"[UNK]\nx\n"));
        let spec = read(file, "vocab.txt", &Options::default()).unwrap();
        let mut pieces: Vec<(u32, &str)> = spec.pieces.iter().collect();
        pieces.sort_unstable();
        assert_eq!(pieces, [(0, "[PAD]"), (1, "[UNK]"), (2, "[CLS]"), (5, "\u{2028}"), (6, "##a")]);
        assert!(matches!(spec.normalizers[..], [Normalizer::Bert { lowercase: true, .. }]));
        assert!(spec.origin.notes[0].contains("lower-cased, without accents"));
        assert_eq!(spec.added_tokens.len(), 3);
    }

    #[test]
    fn faults_name_the_place() {
        for (file, words) in [
            (&b"a\n[CLS]"[..], "no piece \"[UNK]\" among 2"),
            (b"[UNK]\n\xff", "byte 6 is not UTF-8"),
            (b"", "no piece"),
        ] {
            let error = read(file, "dir/vocab.txt", &Options::default()).unwrap_err().to_string();
            assert!(error.starts_with("dir/vocab.txt: ") && error.contains(words), "{error}");
        }
    }
}
