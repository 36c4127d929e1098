//! Tokenizer files that are not `tokenizer.json`, turned into a definition of that shape.
//!
//! Everything behind this module reads one form only, that of Hugging Face's `tokenizer.json` (`normalizer`,
//! `pre_tokenizer`, `model`, `decoder`, `added_tokens`), as a [`Definition`]. What that form cannot say stands under the key `coolfusion`,
//! which other readers ignore:
//!
//! * `source_format`: the format of the file; `notes`: sentences for the user;
//! * `merge_ranks`: one rank per entry of `model.merges`, equal where the original lets the leftmost pair win a tie
//!   (the position in the list cannot say that two merges are equally good);
//! * `bare_merges`: (left, right, rank) of merges with a character that is no piece;
//! * `symbols`: ids of user-defined symbols; `dummy`, `remove_extra`, `escape`: the flags of SentencePiece's normalizer;
//! * `literally`: the definition is one for the engine of SentencePiece files (`rust/sentencepiece/`);
//! * `unmatchable`: ids that text never gives, even if it spells them (control, unknown and byte pieces);
//! * `exact_charsmap`: the `Precompiled` normalizer replaces the longest matching prefix at each position
//!   ([`charsmap::Charsmap`]), not grapheme by grapheme as the `tokenizers` crate does, and leaves the symbols in
//!   `charsmap_keeps` alone;
//! * `lowest_score`: of the normal pieces of a Unigram model, whose sums are then those of SentencePiece, in 32 bits;
//! * `unused`: ids of a SentencePiece model that text never gives.

pub mod charsmap;
mod content;
mod gguf;
mod gguf_header;
mod gguf_splitting;
pub mod known_ranks;
mod model_proto;
mod protobuf;
mod rwkv;
pub mod sentencepiece;
mod sha256;
mod tekken;
pub mod tiktoken;
pub mod vocab_merges;
pub mod word_pieces;

pub use content::Content;

use serde_json::{json, Value};

use crate::definition::{self, Definition};
use crate::error::{Error, Result};

/// The definition in the bytes of any tokenizer file: `tokenizer.json`, SentencePiece `.model`, or tiktoken ranks.
///
/// The content decides, as a file called `tokenizer.model` may hold either of the last two. `source` is the path as the
/// user gave it; `pattern` is the split pattern that a file of tiktoken ranks does not hold, and may be None for the
/// files that [`known_ranks`] knows.
///
/// # Errors
/// [`Error::File`] if the content is none of these, [`Error::Definition`] if it asks for what nobody here can run.
pub fn definition(bytes: &[u8], source: &str, pattern: Option<&str>) -> Result<Definition> {
    let file_error = |reason: String| Error::File { path: source.to_owned(), reason };
    if bytes.is_empty() {
        return Err(file_error("the file is empty, expected a tokenizer.json, a SentencePiece model or tiktoken ranks".into()));
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(file_error(format!("{} bytes, expected fewer than 2^32", bytes.len())));
    }
    if bytes.starts_with(gguf_header::MAGIC) {
        return gguf::definition(bytes, source, pattern);
    }
    let json_text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if json_text.starts_with(b"{") {
        let read = definition::read(json_text).map_err(|error| file_error(format!("broken JSON: {error}")))?;
        if let Some(read) = read {
            return Ok(read);
        }
        if let Some(read) = tekken::definition(json_text, source)? {
            return Ok(read);
        }
        if vocab_merges::is_vocabulary(json_text) {
            return Err(file_error("a vocabulary without its merges, expected the files vocab.json and merges.txt side by side".into()));
        }
        return Err(file_error("a JSON object without `model`, expected a tokenizer.json".into()));
    }
    if tiktoken::looks_like_ranks(bytes) {
        return tiktoken::file(bytes, source, pattern);
    }
    if rwkv::looks_like_rwkv(bytes) {
        return rwkv::definition(bytes, source);
    }
    if word_pieces::looks_like_word_pieces(bytes) {
        return word_pieces::definition(bytes, source, &word_pieces::Options::default());
    }
    // A SentencePiece model begins with field 1, its first piece (wire type 2).
    if bytes.first() != Some(&0x0a) {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).into_owned();
        return Err(file_error(format!(
            "it begins with {start:?}, expected the JSON object of a tokenizer.json, a SentencePiece model or tiktoken ranks"
        )));
    }
    sentencepiece::definition(bytes, source)
}

/// The text in `bytes`, without a byte order mark.
fn text<'a>(bytes: &'a [u8], source: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::File {
        path: source.to_owned(),
        reason: format!("byte {} is not UTF-8, expected a text file", error.valid_up_to()),
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The pre-tokenizer of a byte-level model; no pattern is GPT-2's.
fn splitting(pattern: Option<&str>, add_prefix_space: bool) -> Value {
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": pattern.is_none()});
    let Some(pattern) = pattern else { return byte_level };
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level]})
}

/// One entry of `added_tokens`.
fn added_token(id: usize, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": special,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn error(bytes: &[u8], pattern: Option<&str>) -> String {
        definition(bytes, "dir/tokenizer.model", pattern).unwrap_err().to_string()
    }

    #[test]
    fn the_content_decides_which_format_it_is() {
        let json = definition(b"\xef\xbb\xbf {\"model\": {\"vocab\": {}}}", "x", None).unwrap();
        assert_eq!(serde_json::to_value(json).unwrap(), json!({"model": {"vocab": {}}}));
        let ranks = definition(b"YQ== 0\nYg== 1\n", "x", Some(".")).unwrap();
        assert_eq!(ranks.frame["coolfusion"]["source_format"], "tiktoken");
        let piece = b"\x0a\x09\x0a\x05<unk>\x18\x02";
        assert_eq!(definition(piece, "x", None).unwrap().frame["coolfusion"]["source_format"], "sentencepiece");
    }

    #[test]
    fn what_is_none_of_them_is_an_error_with_the_path() {
        for (bytes, words) in [
            (&b""[..], "the file is empty"),
            (b"{\"model\": ", "broken JSON"),
            (b"{\"added_tokens_decoder\": {}}", "without `model`"),
            (b"YQ== 0\n", "`pattern`"),
            (b"hello world, this is no tokenizer", "it begins with"),
            (b"\x80\x02}q\x00", "it begins with"),
        ] {
            let error = error(bytes, None);
            assert!(error.starts_with("dir/tokenizer.model: ") && error.contains(words), "{error}");
        }
    }
}
