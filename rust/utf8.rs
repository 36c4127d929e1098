//! Bytes -> text, one piece at a time, without ever taking text back.

/// An incremental UTF-8 decoder: whole characters leave as soon as their last byte is there.
///
/// Ill-formed bytes become one U+FFFD for each maximal subpart (Unicode 15, section 3.9, "U+FFFD substitution of maximal
/// subparts"), the practice of Rust's and Python's own decoders; bytes that may still become a character are held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Utf8Decoder {
    held: Vec<u8>,
}

impl Utf8Decoder {
    /// Adds bytes; appends what is now certain to `text` and returns how many ill-formed parts were replaced.
    ///
    /// Complexity: O(bytes); at most 3 bytes are held between calls.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) -> usize {
        let joined: Vec<u8>;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.held);
            &joined
        };
        let mut replaced = 0;
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return replaced;
                }
                Err(error) => {
                    let (valid, tail) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        None => {
                            self.held = tail.to_vec();
                            return replaced;
                        }
                        Some(length) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            replaced += 1;
                            rest = &tail[length..];
                        }
                    }
                }
            }
        }
    }

    /// Ends the text: held bytes become one U+FFFD. Returns how many were replaced (0 or 1).
    pub fn finish(&mut self, text: &mut String) -> usize {
        if self.held.is_empty() {
            return 0;
        }
        self.held.clear();
        text.push(char::REPLACEMENT_CHARACTER);
        1
    }

    /// The bytes that are held back because they may still become a character.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_whole_decoding_at_every_cut() {
        let cases: [&[u8]; 6] =
            [b"plain", "\u{5c81}x\u{1f600}".as_bytes(), b"\x81\xe5\xb2\x81", b"\xe5\xb2", b"\xf0\x9f\xffA\xe5", b"\xed\xa0\x80\xc0\x80"];
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
}
