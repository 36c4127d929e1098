//! Bytes -> text, one piece at a time, without ever taking text back.

/// An incremental UTF-8 decoder: whole characters leave as soon as their last byte is there.
///
/// Ill-formed bytes become one U+FFFD for each maximal subpart (Unicode 15, section 3.9, "U+FFFD substitution of
/// maximal subparts"), as Rust's and Python's own decoders do. Bytes that may still become a character are held.
///
/// ```
/// let (mut decoder, mut text) = (coolfusion::Utf8Decoder::default(), String::new());
/// decoder.push(b"na\xC3", &mut text);
/// assert_eq!((text.as_str(), decoder.held()), ("na", &b"\xC3"[..]));
/// decoder.push(b"\xAFve", &mut text);
/// assert_eq!(text, "na\u{ef}ve");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Utf8Decoder {
    held: [u8; 4],
    count: u8,
}

impl Utf8Decoder {
    /// Adds bytes; appends the text that is now certain to `text` and returns the number of replaced ill-formed parts.
    ///
    /// Complexity: O(bytes); at most 3 bytes are held between calls.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) -> usize {
        let mut replaced = 0;
        let mut rest = bytes;
        // Byte by byte until the character that is held is whole, or cannot become one any more.
        while self.count > 0 {
            let Some((&byte, after)) = rest.split_first() else { return replaced };
            self.held[usize::from(self.count)] = byte;
            match std::str::from_utf8(&self.held[..=usize::from(self.count)]) {
                Ok(character) => {
                    text.push_str(character);
                    self.count = 0;
                    rest = after;
                }
                Err(error) if error.error_len().is_none() => {
                    self.count += 1;
                    rest = after;
                }
                Err(_) => {
                    // The held bytes are a maximal subpart; this one begins a new one.
                    text.push(char::REPLACEMENT_CHARACTER);
                    replaced += 1;
                    self.count = 0;
                }
            }
        }
        match std::str::from_utf8(rest) {
            Ok(valid) => text.push_str(valid),
            Err(_) => {
                let whole = rest.len() - unfinished(rest);
                self.hold(&rest[whole..]);
                replaced += push_lossy(&rest[..whole], text);
            }
        }
        replaced
    }

    /// As [`Utf8Decoder::push`], for bytes that begin with those that are held. Leaves in `bytes` those that are now
    /// certain, whose ill-formed parts are still to be replaced.
    pub(crate) fn hold_back(&mut self, bytes: &mut Vec<u8>) {
        let whole = bytes.len() - unfinished(bytes);
        self.hold(&bytes[whole..]);
        bytes.truncate(whole);
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.count = bytes.len() as u8;
        self.held[..bytes.len()].copy_from_slice(bytes);
    }

    /// Ends the text: held bytes become one U+FFFD. Returns the number of replacements (0 or 1).
    pub fn finish(&mut self, text: &mut String) -> usize {
        if self.count == 0 {
            return 0;
        }
        self.count = 0;
        text.push(char::REPLACEMENT_CHARACTER);
        1
    }

    /// The bytes that are held back because they may still become a character.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.held[..usize::from(self.count)]
    }
}

/// Whether no character begins in `bytes` that may still become whole.
#[inline]
pub(crate) fn ends_whole(bytes: &[u8]) -> bool {
    bytes.last().is_none_or(u8::is_ascii) || unfinished(bytes) == 0
}

/// The number of bytes at the end (at most 3) that begin a character that may still become whole.
///
/// The bytes before do not matter: a lead byte is never part of another sequence.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(lead) = tail.iter().rposition(|byte| byte & 0xC0 != 0x80) else { return 0 };
    match std::str::from_utf8(&tail[lead..]) {
        Err(error) if error.error_len().is_none() => tail.len() - lead,
        _ => 0,
    }
}

/// Appends the text of `bytes`, U+FFFD for each ill-formed part, and counts these.
fn push_lossy(bytes: &[u8], text: &mut String) -> usize {
    let mut replaced = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            replaced += 1;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_whole_decoding_at_every_cut() {
        let cases: [&[u8]; 6] = [
            b"plain",
            "\u{5c81}x\u{1f600}".as_bytes(),
            b"\x81\xe5\xb2\x81",
            b"\xe5\xb2",
            b"\xf0\x9f\xffA\xe5",
            b"\xed\xa0\x80\xc0\x80",
        ];
        for bytes in cases {
            for cut in 0..=bytes.len() {
                let (mut decoder, mut text) = (Utf8Decoder::default(), String::new());
                decoder.push(&bytes[..cut], &mut text);
                decoder.push(&bytes[cut..], &mut text);
                decoder.finish(&mut text);
                assert_eq!(text, String::from_utf8_lossy(bytes), "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn hold_back_equals_push() {
        // All sequences of hard bytes, and where each is cut.
        let hard = [b'a', 0x80, 0x9F, 0xA0, 0xBF, 0xC3, 0xE0, 0xE5, 0xED, 0xF0, 0xF4, 0xFF];
        for number in 0..hard.len().pow(5) {
            let bytes: Vec<u8> = (0..5).map(|place| hard[number / hard.len().pow(place) % hard.len()]).collect();
            for cut in 0..bytes.len() {
                let (mut one, mut text) = (Utf8Decoder::default(), String::new());
                one.push(&bytes[..cut], &mut text);
                let (mut other, mut joined) = (one.clone(), text.clone());
                one.push(&bytes[cut..], &mut text);
                let mut held = [other.held(), &bytes[cut..]].concat();
                other.hold_back(&mut held);
                joined += &String::from_utf8_lossy(&held);
                assert_eq!((&text, one.held()), (&joined, other.held()), "{bytes:?} cut at {cut}");
                one.finish(&mut text);
                assert_eq!(text, String::from_utf8_lossy(&bytes), "{bytes:?} cut at {cut}");
            }
        }
    }
}
