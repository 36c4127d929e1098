//! A reader of protobuf's wire format: fields of one message, in the order of the file.
//!
//! It knows only the wire types of SentencePiece models (<https://protobuf.dev/programming-guides/encoding/>): varint,
//! fixed32, fixed64 and length-delimited fields. A group (wire types 3 and 4) is refused. The cost of a field is the
//! length of its header alone, because nested messages and strings are borrowed. Broken input gives an error with the
//! byte offset from the start of the file, never a panic.

use crate::error::{Error, Result};

/// The value of one field, not yet interpreted.
pub(crate) enum Value<'a> {
    /// Wire type 0: integers, booleans, enums.
    Varint(u64),
    /// Wire type 5: floats.
    Fixed32(u32),
    /// Wire type 1; a SentencePiece model has none, so only skipped.
    Fixed64,
    /// Wire type 2: strings, bytes and nested messages; a reader that starts there.
    Bytes(Reader<'a>),
}

/// The rest of one message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the file.
    offset: usize,
    source: &'a str,
}

impl<'a> Reader<'a> {
    /// A reader over a whole file; `source` names it in errors.
    pub(super) fn new(bytes: &'a [u8], source: &'a str) -> Self {
        Self { rest: bytes, offset: 0, source }
    }

    /// The bytes that were not read yet.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at the current byte.
    pub(super) fn error(&self, reason: impl std::fmt::Display) -> Error {
        let reason = format!("byte {}: {reason}", self.offset);
        Error::File { path: self.source.to_owned(), reason }
    }

    /// The next field as (number, value), or None at the end of the message.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = *self;
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(start.error("field number 0, expected 1 or more (is this a protobuf file?)"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?.rest;
                Value::Fixed32(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
            }
            other => return Err(start.error(format!("wire type {other} of field {number}, expected 0, 1, 2 or 5"))),
        };
        Ok(Some((number, value)))
    }

    /// The rest of this message as text.
    pub(super) fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.rest).map_err(|error| self.error(format!("not UTF-8 text: {error}")))
    }

    fn varint(&mut self) -> Result<u64> {
        let start = *self;
        let mut value = 0_u64;
        // Ten groups of seven bits hold 64 bits.
        for (index, byte) in start.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.skip(index + 1);
                return Ok(value);
            }
        }
        let reason =
            if start.rest.len() < 10 { "the file ends inside a varint" } else { "a varint of more than 10 bytes" };
        Err(start.error(reason))
    }

    fn take(&mut self, length: u64) -> Result<Self> {
        let start = *self;
        match usize::try_from(length).ok().and_then(|length| start.rest.get(..length)) {
            Some(bytes) => {
                self.skip(bytes.len());
                Ok(Self { rest: bytes, ..start })
            }
            None => Err(start.error(format!("a field of {length} bytes, but only {} are left", start.rest.len()))),
        }
    }

    /// Goes on by `length` bytes, which the caller has seen to be there.
    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.offset += length;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn first(bytes: &[u8]) -> Result<Option<(u64, Value<'_>)>> {
        Reader::new(bytes, "file.model").field()
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        assert!(first(b"").unwrap().is_none());
        assert!(matches!(first(b"\x08\x96\x01").unwrap(), Some((1, Value::Varint(150)))));
        assert!(matches!(
            first(b"\x15\x00\x00\x80\x3f").unwrap(),
            Some((2, Value::Fixed32(bits))) if bits == 1_f32.to_bits()
        ));
        assert!(matches!(first(b"\x11abcdefgh").unwrap(), Some((2, Value::Fixed64))));
        assert!(
            matches!(first(b"\x0a\x02hi!").unwrap(), Some((1, Value::Bytes(text))) if text.text().unwrap() == "hi")
        );
        let largest = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert!(matches!(first(&largest).unwrap(), Some((1, Value::Varint(u64::MAX)))));
    }

    #[test]
    fn broken_input_is_an_error_with_its_offset() {
        for (bytes, words) in [
            (&b"\x08"[..], "byte 1: the file ends inside a varint"),
            (b"\x08\xff", "byte 1: the file ends inside a varint"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "byte 1: a varint of more than 10 bytes"),
            (b"\x0a\x05abc", "byte 2: a field of 5 bytes, but only 3 are left"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "byte 11: a field of 18446744073709551615 bytes"),
            (b"\x15ab", "byte 1: a field of 4 bytes"),
            (b"\x0b", "byte 0: wire type 3 of field 1"),
            (b"\x00", "byte 0: field number 0"),
        ] {
            let error = first(bytes).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with("file.model: ") && error.contains(words), "{bytes:?}: {error}");
        }
        let error = Reader::new(b"\xff", "file.model").text().unwrap_err().to_string();
        assert!(error.contains("byte 0: not UTF-8"), "{error}");
    }
}
