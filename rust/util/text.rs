//! White space and characters around a byte of a text.

use crate::util::ascending::among;
use crate::util::byte_scan::{between, equal, first, is_ascii, word};

/// Whether white space begins at byte `at` of `text`: Unicode `White_Space` on the right, something else on the left.
#[inline]
pub(crate) fn stands_before_space(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    at > 0 && space_at(bytes, at) > 0 && !characters_around(bytes, at).0.is_whitespace()
}

/// The length of the character of Unicode's `White_Space` that begins at byte `at`; 0 where none does.
#[inline]
fn space_at(bytes: &[u8], at: usize) -> usize {
    let Some(character) = bytes.get(at..) else { return 0 };
    match *character {
        [b'\t'..=b'\r' | b' ', ..] => 1,
        [0xC2, 0x85 | 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

/// The bytes of the eight from `at` on where white space may begin, and few others. None without ten bytes.
///
/// The bytes after U+1680 and U+3000 are compared too, because nearly all kana and Ethiopic begin as those do.
#[inline(always)]
fn possible_spaces(bytes: &[u8], at: usize) -> Option<u64> {
    let third = word(bytes, at + 2)?;
    let (here, next) = (word(bytes, at)?, word(bytes, at + 1)?);
    let ascii = equal(here, b' ') | between(here, b'\t', b'\r');
    if is_ascii(here) {
        return Some(ascii);
    }
    let ideographic = equal(here, 0xE3) & equal(next, 0x80) & equal(third, 0x80);
    Some(ascii | equal(here, 0xC2) | equal(here, 0xE2) | equal(here, 0xE1) & equal(next, 0x9A) | ideographic)
}

/// The places of `text` before white space, ascending.
pub(crate) fn space_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    // White space before the text would be the left neighbour of its first character.
    let (mut at, mut left_end) = (0, 0);
    let mut found = possible_spaces(bytes, 0);
    std::iter::from_fn(move || loop {
        let here = match &mut found {
            Some(0) => {
                while found == Some(0) {
                    at += 8;
                    found = possible_spaces(bytes, at);
                }
                continue;
            }
            Some(places) => {
                let here = at + first(*places);
                *places &= *places - 1;
                here
            }
            None if at < bytes.len() => {
                at += 1;
                at - 1
            }
            None => return None,
        };
        let length = space_at(bytes, here);
        if length > 0 && std::mem::replace(&mut left_end, here + length) != here {
            return Some(here);
        }
    })
}

/// Keeps the places of `cuts`, which ascend, that are before white space.
pub(crate) fn retain_space_starts(text: &str, cuts: &mut Vec<usize>) {
    let mut is_start = among(space_starts(text));
    cuts.retain(|&at| is_start(at));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_that_of_unicode() {
        for c in '\0'..=char::MAX {
            let text = format!("a{c}");
            let length = if c.is_whitespace() { c.len_utf8() } else { 0 };
            assert_eq!(space_at(text.as_bytes(), 1), length, "{c:?}");
            assert_eq!(stands_before_space(&text, 1), length > 0, "{c:?}");
        }
    }

    #[test]
    fn white_space_starts_where_its_left_neighbour_is_none() {
        let parts =
            ["a", " ", "\n", "\u{a0}", "\u{e9}", "\u{85}", "\u{1680}", "\u{1200}", "\u{2003}", "\u{2014}", "\u{205f}"];
        let wide = ["\u{3000}", "\u{3001}", "\u{3042}", "\u{1f600}", "\0", "\u{200b}", "\u{b}", "\u{180e}"];
        let all: Vec<&str> = parts.into_iter().chain(wide).collect();
        let mut roll = 1_u64;
        for round in 0..4000 {
            let mut text = String::new();
            for _ in 0..round % 40 {
                roll = roll.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                text.push_str(all[(roll >> 33) as usize % all.len()]);
            }
            let slow = text
                .char_indices()
                .zip(text.chars().skip(1))
                .filter(|&((_, a), b)| !a.is_whitespace() && b.is_whitespace());
            let slow: Vec<usize> = slow.map(|((at, a), _)| at + a.len_utf8()).collect();
            assert_eq!(space_starts(&text).collect::<Vec<_>>(), slow, "{text:?}");
            let each: Vec<usize> =
                (0..=text.len()).filter(|&at| at < text.len() && stands_before_space(&text, at)).collect();
            assert_eq!(each, slow, "{text:?}");
            let mut cuts: Vec<usize> = (0..text.len()).filter(|at| at % 3 > 0).collect();
            retain_space_starts(&text, &mut cuts);
            assert_eq!(cuts, slow.into_iter().filter(|at| at % 3 > 0).collect::<Vec<_>>(), "{text:?}");
        }
    }
}
