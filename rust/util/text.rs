//! White space and characters around a byte of a text.

/// Whether white space begins at byte `at` of `text`: Unicode `White_Space` on the right, something else on the left.
#[inline]
pub(crate) fn stands_before_space(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    if at == 0 || at >= bytes.len() || !may_be_space(bytes[at]) {
        return false;
    }
    // Nearly all kana begin as U+3000 does.
    if bytes[at] >= 0xE1 && !matches!(bytes.get(at + 1), Some(0x80 | 0x81 | 0x9A)) {
        return false;
    }
    if !text.is_char_boundary(at) {
        return false;
    }
    let (left, right) = characters_around(bytes, at);
    right.is_whitespace() && !left.is_whitespace()
}

/// Whether a character of Unicode's `White_Space` may begin with this byte.
#[inline]
fn may_be_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xC2 | 0xE1..=0xE3)
}

/// The places of `text` before white space, ascending.
pub(crate) fn space_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    (1..bytes.len()).filter(move |&at| may_be_space(bytes[at]) && stands_before_space(text, at))
}

/// The characters before and after byte `at` of well-formed UTF-8.
#[inline]
pub(crate) fn characters_around(text: &[u8], at: usize) -> (char, char) {
    let (before, after) = (text[at - 1], text[at]);
    (
        if before < 0x80 { char::from(before) } else { code_point(text, start_of_last(text, at)) },
        if after < 0x80 { char::from(after) } else { code_point(text, at) },
    )
}

/// Where the character that ends at `at` begins.
fn start_of_last(text: &[u8], at: usize) -> usize {
    let mut start = at - 1;
    while start > 0 && is_tail(text[start]) {
        start -= 1;
    }
    start
}

/// The character at byte `at` of well-formed UTF-8 that is no ASCII.
#[inline(always)]
pub(crate) fn code_point(bytes: &[u8], at: usize) -> char {
    let tail = |i: usize| u32::from(bytes[at + i] & 0x3F);
    let lead = u32::from(bytes[at]);
    let code = if lead < 0xE0 {
        (lead & 0x1F) << 6 | tail(1)
    } else if lead < 0xF0 {
        (lead & 0x0F) << 12 | tail(1) << 6 | tail(2)
    } else {
        (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3)
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The characters of well-formed UTF-8.
pub(crate) fn characters(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = *bytes.get(at)?;
        let c = if first < 0x80 { char::from(first) } else { code_point(bytes, at) };
        at += c.len_utf8();
        Some(c)
    })
}

/// Whether `byte` goes on with a character.
pub(crate) fn is_tail(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
