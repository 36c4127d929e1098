//! The header of a GGUF file: the keys that begin with `tokenizer.`.
//!
//! Source: <https://github.com/ggml-org/ggml>, `docs/gguf.md`: magic, version, number of tensors, number of entries,
//! and the entries, little-endian. The tensors follow and are never read.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::io::Read;

pub(super) const MAGIC: &[u8; 4] = b"GGUF";
/// Headers hold the vocabulary and small things.
const LONGEST: u64 = 1 << 28;
const DEEPEST: usize = 4;

/// The value of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Flag(bool),
    Integer(i64),
    Fraction(f64),
    Text(String),
    Integers(Vec<i64>),
    Fractions(Vec<f32>),
    Texts(Vec<String>),
    Other,
}

/// Why an entry cannot be read.
enum Fault {
    /// The bytes end inside it.
    Short,
    Wrong(String),
}

type Own<T> = std::result::Result<T, Fault>;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Of the whole file.
    length: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Own<&'a [u8]> {
        let at = self.at as u64;
        if count > self.length.saturating_sub(at) {
            return Err(Fault::Wrong(format!(
                "{count} bytes are announced, but the file ends after {} more",
                self.length.saturating_sub(at)
            )));
        }
        let end = self.at + count as usize;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Own<[u8; N]> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| Fault::Short)
    }

    fn u32(&mut self) -> Own<u32> {
        Ok(u32::from_le_bytes(self.number()?))
    }

    fn u64(&mut self) -> Own<u64> {
        Ok(u64::from_le_bytes(self.number()?))
    }

    fn text(&mut self) -> Own<&'a str> {
        let length = self.u64()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map_err(|error| Fault::Wrong(format!("byte {} of a string is not UTF-8", error.valid_up_to())))
    }

    fn scalar(&mut self, kind: u32) -> Own<Item> {
        Ok(match kind {
            0 => Item::Integer(self.number::<1>()?[0].into()),
            1 => Item::Integer(i8::from_le_bytes(self.number()?).into()),
            2 => Item::Integer(u16::from_le_bytes(self.number()?).into()),
            3 => Item::Integer(i16::from_le_bytes(self.number()?).into()),
            4 => Item::Integer(self.u32()?.into()),
            5 => Item::Integer(i32::from_le_bytes(self.number()?).into()),
            6 => Item::Fraction(f32::from_le_bytes(self.number()?).into()),
            7 => Item::Flag(self.number::<1>()?[0] != 0),
            8 => Item::Text(self.text()?.to_owned()),
            10 => i64::try_from(self.u64()?).map_or(Item::Other, Item::Integer),
            11 => Item::Integer(i64::from_le_bytes(self.number()?)),
            12 => Item::Fraction(f64::from_le_bytes(self.number()?)),
            _ => return Err(Fault::Wrong(format!("the value type {kind}, expected 0 to 12"))),
        })
    }

    /// Reads a value, or goes past it where it is not `wanted`.
    fn value(&mut self, kind: u32, wanted: bool, depth: usize) -> Own<Item> {
        if kind != 9 {
            return self.scalar(kind);
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 if depth < DEEPEST => 12,
            _ => return Err(Fault::Wrong(format!("an array of the value type {kind}, expected 0 to 12"))),
        };
        let left = self.length.saturating_sub(self.at as u64);
        if count > left / size {
            return Err(Fault::Wrong(format!("an array of {count} values, but the file ends after {left} more bytes")));
        }
        if kind != 8 && kind != 9 && !wanted {
            self.take(count * size)?;
            return Ok(Item::Other);
        }
        if count * size > (self.bytes.len() - self.at) as u64 {
            return Err(Fault::Short);
        }
        let (mut integers, mut fractions, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            match kind {
                8 => {
                    let text = self.text()?;
                    if wanted {
                        texts.push(text.to_owned());
                    }
                }
                9 => {
                    self.value(9, false, depth + 1)?;
                }
                _ => match self.scalar(kind)? {
                    Item::Integer(value) => integers.push(value),
                    Item::Flag(value) => integers.push(value.into()),
                    #[allow(clippy::cast_possible_truncation)]
                    Item::Fraction(value) => fractions.push(value as f32),
                    _ => return Err(Fault::Wrong("a number of 2^63 or more".into())),
                },
            }
        }
        Ok(match kind {
            8 => Item::Texts(texts),
            9 => Item::Other,
            6 | 12 => Item::Fractions(fractions),
            _ => Item::Integers(integers),
        })
    }

    fn entries(&mut self) -> Own<BTreeMap<String, Item>> {
        self.take(4)?;
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(Fault::Wrong(format!("version {version:#x}, expected 2 or 3, little-endian")));
        }
        let (_tensors, count) = (self.u64()?, self.u64()?);
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let key = self.text()?;
            let wanted = key.starts_with("tokenizer.");
            let kind = self.u32()?;
            let named = |fault| match fault {
                Fault::Wrong(reason) => {
                    Fault::Wrong(format!("entry {index} {:?}: {reason}", key.chars().take(60).collect::<String>()))
                }
                Fault::Short => Fault::Short,
            };
            let value = self.value(kind, wanted, 0).map_err(named)?;
            if wanted && entries.insert(key.to_owned(), value).is_some() {
                return Err(Fault::Wrong(format!("entry {index}: the key {key:?} for the second time")));
            }
        }
        Ok(entries)
    }
}

/// The entries `tokenizer.*` in the first `bytes` of a file of `length` bytes, and where they end; `None` where more
/// is needed.
fn parse(bytes: &[u8], length: u64, source: &str) -> Result<Option<(BTreeMap<String, Item>, usize)>> {
    let mut reader = Reader { bytes, at: 0, length };
    match reader.entries() {
        Ok(entries) => Ok(Some((entries, reader.at))),
        Err(Fault::Short) => Ok(None),
        Err(Fault::Wrong(reason)) => Err(Error::File {
            path: source.to_owned(),
            reason: format!("GGUF header, before byte {}: {reason}", reader.at),
        }),
    }
}

/// The entries `tokenizer.*` of a header.
///
/// # Errors
/// [`Error::File`] with the entry and the byte. Complexity: O(bytes).
pub(super) fn entries(bytes: &[u8], source: &str) -> Result<BTreeMap<String, Item>> {
    let short = || Error::File { path: source.to_owned(), reason: "the GGUF header is cut off".into() };
    parse(bytes, bytes.len() as u64, source)?.map(|(entries, _)| entries).ok_or_else(short)
}

/// The bytes of the header of a file of `length` bytes, and no more: the rest may be gigabytes.
///
/// # Errors
/// [`Error::File`] where it is malformed or longer than 256 MiB. Complexity: O(header).
pub(super) fn read(mut file: impl Read, length: u64, source: &str) -> Result<Vec<u8>> {
    let wrong = |reason: String| Error::File { path: source.to_owned(), reason };
    let (mut bytes, mut most) = (Vec::new(), 1u64 << 20);
    loop {
        let before = bytes.len() as u64;
        file.by_ref()
            .take(most - before)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(format!("cannot be read ({error}): expected a GGUF file")))?;
        if let Some((_, end)) = parse(&bytes, length, source)? {
            bytes.truncate(end);
            return Ok(bytes);
        }
        if most >= LONGEST || (bytes.len() as u64) < most {
            return Err(wrong(format!("the GGUF header does not end within {} bytes", bytes.len())));
        }
        most *= 4;
    }
}
