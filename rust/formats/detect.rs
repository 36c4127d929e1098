//! Tokenizer files -> [`Spec`].
//!
//! In: bytes of a file, or the content of a path ([`Content`](super::content::Content)). Out: a [`Spec`]. May import:
//! `spec`, `error`, and the alphabet of bytes. Read next: [`tiktoken`], the smallest format with merges of its own.
//!
//! One module per format: add a format by a module that builds a [`Spec`], and by one line in [`read`] that knows its
//! first bytes.

use crate::error::{Error, Result};
use crate::formats::{gguf, gguf_header, rwkv, sentencepiece, tekken, tiktoken, vocab_merges, word_pieces};
use crate::spec::definition::Spec;
use crate::spec::json;

/// All kinds of files, in words.
const FORMATS: &str =
    "the JSON object of a tokenizer.json or tekken.json, a SentencePiece model, tiktoken ranks, RWKV's \
    vocabulary, a vocab.txt, or a GGUF file";

/// The specification in the bytes of any tokenizer file: `tokenizer.json`, SentencePiece `.model`, or tiktoken ranks.
///
/// The content decides, because a file called `tokenizer.model` may hold either of the last two. `source` is the path
/// as the user gave it. `pattern` is the split pattern, which a file of tiktoken ranks does not hold. It may be None
/// for the files that [`known_ranks`](crate::formats::known_ranks) knows.
///
/// # Errors
/// [`Error::File`] if the content is none of these, [`Error::Definition`] if it asks for a stage that no backend can
/// run.
pub fn read(bytes: &[u8], source: &str, pattern: Option<&str>) -> Result<Spec> {
    let file_error = |reason: String| Error::File { path: source.to_owned(), reason };
    if bytes.is_empty() {
        return Err(file_error(format!("the file is empty, expected {FORMATS}")));
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(file_error(format!("{} bytes, expected fewer than 2^32", bytes.len())));
    }
    if bytes.starts_with(gguf_header::MAGIC) {
        return gguf::read(bytes, source, pattern);
    }
    let json_text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if json_text.starts_with(b"{") {
        let read = json::read(json_text).map_err(|error| file_error(format!("broken JSON: {error}")))?;
        if let Some(spec) = read? {
            return Ok(spec);
        }
        if let Some(spec) = tekken::read(json_text, source)? {
            return Ok(spec);
        }
        if vocab_merges::is_vocabulary(json_text) {
            return Err(file_error(
                "a vocabulary without its merges, expected the files vocab.json and merges.txt side by side".into(),
            ));
        }
        return Err(file_error("a JSON object without `model`, expected a tokenizer.json".into()));
    }
    if tiktoken::looks_like_ranks(bytes) {
        return tiktoken::file(bytes, source, pattern);
    }
    if rwkv::looks_like_rwkv(bytes) {
        return rwkv::read(bytes, source);
    }
    if word_pieces::looks_like_word_pieces(bytes) {
        return word_pieces::read(bytes, source, &word_pieces::Options::default());
    }
    // A SentencePiece model begins with field 1, its first piece (wire type 2).
    if bytes.first() != Some(&0x0a) {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).into_owned();
        return Err(file_error(format!("it begins with {start:?}, expected {FORMATS}")));
    }
    sentencepiece::read(bytes, source)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::origin::Format;

    fn error(bytes: &[u8], pattern: Option<&str>) -> String {
        read(bytes, "dir/tokenizer.model", pattern).unwrap_err().to_string()
    }

    #[test]
    fn the_content_decides_which_format_it_is() {
        let format = |bytes: &[u8], pattern| read(bytes, "x", pattern).unwrap().origin.format;
        assert_eq!(format(b"\xef\xbb\xbf {\"model\": {\"vocab\": {}}}", None), Format::TokenizerJson);
        assert_eq!(format(b"YQ== 0\nYg== 1\n", Some(".")), Format::Tiktoken);
        assert_eq!(format(b"\x0a\x09\x0a\x05<unk>\x18\x02", None), Format::SentencePiece);
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
