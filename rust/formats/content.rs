//! The content of a path: one file, or the pair of files that one of them needs.

use crate::error::{Error, Result};
use crate::formats::{gguf_header, vocab_merges};
use crate::spec::definition::Spec;
use std::path::{Path, PathBuf};

/// The bytes that a tokenizer is read from.
#[derive(Debug)]
pub enum Content {
    /// A file that says all.
    One(Vec<u8>),
    /// `vocab.json` and `merges.txt`.
    VocabAndMerges(Vec<u8>, Vec<u8>),
}

/// Names of the two files; both have the same prefix (`roberta-vocab.json` and `roberta-merges.txt`).
const PAIRS: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

impl Content {
    /// Reads the file at `path`, and the one that belongs to it.
    ///
    /// # Errors
    /// [`Error::File`] where one of them cannot be read; it names the missing one.
    pub fn read(path: &Path) -> Result<Self> {
        if let Some(header) = gguf_header(path)? {
            return Ok(Self::One(header));
        }
        let bytes = read(path, "a tokenizer file")?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let other = |from: &str, to: &str| -> Option<PathBuf> {
            Some(path.with_file_name(format!("{}{to}", name.strip_suffix(from)?)))
        };
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii_start();
        if json.starts_with(b"{") && vocab_merges::is_vocabulary(json) {
            let merges = PAIRS
                .iter()
                .find_map(|(vocab, merges)| other(vocab, merges))
                .unwrap_or_else(|| path.with_file_name("merges.txt"));
            let merges = companion(path, &merges, "merges")?;
            return Ok(Self::VocabAndMerges(bytes, merges));
        }
        let vocab = PAIRS.iter().find_map(|(vocab, merges)| other(merges, vocab));
        if let Some(vocab) = vocab.or_else(|| bytes.starts_with(b"#version").then(|| path.with_file_name("vocab.json")))
        {
            let vocab = companion(path, &vocab, "vocabulary")?;
            return Ok(Self::VocabAndMerges(vocab, bytes));
        }
        Ok(Self::One(bytes))
    }

    /// All that a load depends on.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::One(bytes) => vec![bytes],
            Self::VocabAndMerges(vocab, merges) => vec![vocab, merges, b"vocab and merges"],
        }
    }

    /// The specification of the files; see [`crate::formats::detect::read`].
    ///
    /// # Errors
    /// As [`crate::formats::detect::read`].
    pub fn spec(&self, source: &str, pattern: Option<&str>) -> Result<Spec> {
        match self {
            Self::One(bytes) => crate::formats::detect::read(bytes, source, pattern),
            Self::VocabAndMerges(vocab, merges) => {
                let options = vocab_merges::Options { pattern: pattern.map(str::to_owned), ..Default::default() };
                vocab_merges::read(vocab, merges, source, &options)
            }
        }
    }
}

/// The header of a GGUF file; `None` of every other.
fn gguf_header(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::Read;
    let mut magic = [0; 4];
    // `read` reports a file that cannot be opened or is shorter.
    let Ok(mut file) = std::fs::File::open(path) else { return Ok(None) };
    if file.read_exact(&mut magic).is_err() || magic != *gguf_header::MAGIC {
        return Ok(None);
    }
    let length = file.metadata().map_or(u64::MAX, |data| data.len());
    gguf_header::read(magic.as_slice().chain(file), length, &path.display().to_string()).map(Some)
}

/// The file that belongs to the one at `path`.
fn companion(path: &Path, other: &Path, role: &str) -> Result<Vec<u8>> {
    std::fs::read(other).map_err(|error| Error::File {
        path: path.display().to_string(),
        reason: format!("{} cannot be read ({error}): expected the {role} of this file there", other.display()),
    })
}

fn read(path: &Path, expected: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::File {
        path: path.display().to_string(),
        reason: format!("cannot be read ({error}): expected {expected}"),
    })
}
