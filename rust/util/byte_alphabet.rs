//! GPT-2's printable stand-ins for the 256 bytes.
//!
//! Source: Radford et al. 2019 (`bytes_to_unicode`); the vocabularies of all byte-level tokenizers are written in it.

/// The stand-in of each byte: itself where it is a visible Latin-1 character, else the next of U+0100, U+0101, ...
#[must_use]
pub fn characters() -> [char; 256] {
    let mut table = ['\0'; 256];
    let mut next = 0x100;
    for byte in 0..=255u8 {
        let visible = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        table[usize::from(byte)] = if visible {
            char::from(byte)
        } else {
            next += 1;
            char::from_u32(next - 1).unwrap_or('\0')
        };
    }
    table
}

/// The byte of `c`.
#[must_use]
pub fn byte(c: char) -> Option<u8> {
    let code = c as u32;
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The bytes of a vocabulary entry, if every character of it is of this alphabet. Example: "Ġthe" has those of " the".
///
/// ```
/// assert_eq!(coolfusion::byte_alphabet::bytes("\u{120}the"), Some(b" the".to_vec()));
/// ```
#[must_use]
pub fn bytes(entry: &str) -> Option<Vec<u8>> {
    entry.chars().map(byte).collect()
}

/// Appends the bytes of a vocabulary entry: its own where a character of it is not of this alphabet.
pub(crate) fn write(entry: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for c in entry.chars() {
        let Some(byte) = byte(c) else {
            bytes.truncate(start);
            return bytes.extend_from_slice(entry.as_bytes());
        };
        bytes.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_bijection() {
        let table = characters();
        for b in 0..=255u8 {
            assert_eq!(byte(table[usize::from(b)]), Some(b));
        }
        assert_eq!(table[usize::from(b' ')], 'Ġ');
        assert_eq!(table[usize::from(b'\n')], 'Ċ');
    }
}
