//! The RWKV world vocabulary (`rwkv_vocab_v20230424.txt`) -> [`Spec`].
//!
//! One token a line, `id literal length`: the literal is Python's, of `str` or `bytes`, the length counts bytes. Id 0
//! is the end of a text and has no line.

use crate::error::{Error, Result};
use crate::formats::parts::{controls, text};
use crate::spec::decoder::Decoder;
use crate::spec::definition::Spec;
use crate::spec::model::Model;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use crate::util::byte_alphabet;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;

/// Whether the first line is one of such a file.
pub(super) fn looks_like_rwkv(bytes: &[u8]) -> bool {
    let end = bytes.iter().take(1 << 12).position(|&byte| byte == b'\n').unwrap_or(bytes.len().min(1 << 12));
    std::str::from_utf8(&bytes[..end]).is_ok_and(|first| line(first.trim_end_matches('\r')).is_ok())
}

/// The specification in the content of a file; `source` names it in errors.
///
/// # Errors
/// [`Error::File`] with the line that is malformed, or that repeats an id or a token. Complexity: O(bytes).
pub(super) fn read(bytes: &[u8], source: &str) -> Result<Spec> {
    let mut tokens = Vec::new();
    for (index, each) in text(bytes, source)?.lines().enumerate() {
        let wrong =
            |reason: String| Error::File { path: source.to_owned(), reason: format!("line {}: {reason}", index + 1) };
        if !each.is_empty() {
            tokens.push(line(each).map_err(wrong)?);
        }
    }
    from_tokens(tokens, source)
}

/// The specification of tokens that were already read.
pub(super) fn from_tokens(tokens: Vec<(u32, Vec<u8>)>, source: &str) -> Result<Spec> {
    let alphabet = byte_alphabet::characters();
    let wrong = |reason: String| Error::File { path: source.to_owned(), reason };
    let (mut ids, mut seen) = (FxHashSet::default(), FxHashMap::default());
    for (id, token) in &tokens {
        if *id == 0 || !ids.insert(*id) {
            return Err(wrong(format!(
                "id {id} of {:?} is 0 or there twice, expected ids from 1 on",
                String::from_utf8_lossy(token)
            )));
        }
        match seen.entry(token.as_slice()) {
            Entry::Occupied(first) => {
                return Err(wrong(format!(
                    "ids {} and {id} are both {:?}",
                    first.get(),
                    String::from_utf8_lossy(token)
                )))
            }
            Entry::Vacant(place) => place.insert(id),
        };
    }
    let key = |token: &[u8]| -> String { token.iter().map(|&byte| alphabet[usize::from(byte)]).collect() };
    let pieces = Pieces::with_ids(tokens.iter().map(|(id, token)| (key(token), *id)));
    let mut spec = Spec::new(Model::LongestMatch, pieces, Origin::new(Format::Rwkv, vec!["id 0 ends a text".into()]));
    spec.added_tokens = controls([("<|endoftext|>", 0)]);
    spec.decoders = Some(vec![Decoder::ByteLevel]);
    Ok(spec)
}

/// `id literal length`.
fn line(line: &str) -> std::result::Result<(u32, Vec<u8>), String> {
    let shown = || line.chars().take(40).collect::<String>();
    let parts = line
        .split_once(' ')
        .and_then(|(id, rest)| rest.rsplit_once(' ').map(|(literal, length)| (id, literal, length)));
    let Some((id, literal, length)) = parts else {
        return Err(format!("{:?}, expected an id, a Python literal and a length", shown()));
    };
    let id = id.parse().map_err(|_| format!("{:?} has no id from 1 on", shown()))?;
    let (prefix, quoted) = match literal.strip_prefix('b') {
        Some(quoted) => (1, quoted),
        None => (0, literal),
    };
    let quote = quoted.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
    let inner = quote.and_then(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote));
    let Some((quote, inner)) = quote.zip(inner) else {
        return Err(format!("{literal:?}, expected a Python literal in quotes"));
    };
    let token = unescape(inner, prefix == 1, Some(quote))
        .map_err(|(at, reason)| format!("column {} of {literal:?}: {reason}", at + prefix + 2))?;
    let length: usize = length.parse().map_err(|_| format!("{:?} has no length", shown()))?;
    if token.len() != length || token.is_empty() {
        return Err(format!(
            "{literal:?} has {} bytes, expected the {length} that the line says, and at least one",
            token.len()
        ));
    }
    Ok((id, token))
}

/// The bytes of the inside of a Python literal; an error has the index of its character.
pub(super) fn unescape(inner: &str, bytes: bool, quote: Option<char>) -> std::result::Result<Vec<u8>, (usize, String)> {
    let chars: Vec<char> = inner.chars().collect();
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    let mut push = |code: u32, at: usize| match (bytes, u8::try_from(code), char::from_u32(code)) {
        (true, Ok(byte), _) => {
            out.push(byte);
            Ok(())
        }
        (false, _, Some(c)) => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(())
        }
        _ => Err((at, format!("U+{code:04X} is no {}", if bytes { "byte" } else { "character" }))),
    };
    while let Some(&c) = chars.get(at) {
        if Some(c) == quote {
            return Err((at, "a quote inside, expected it escaped".into()));
        }
        if c != '\\' {
            if bytes && !c.is_ascii() {
                return Err((at, format!("{c:?} in bytes, expected ASCII")));
            }
            push(c as u32, at)?;
            at += 1;
            continue;
        }
        let digits = match chars.get(at + 1) {
            Some('x') => 2,
            Some('u') if !bytes => 4,
            Some('U') if !bytes => 8,
            Some(&simple) => {
                let code = match simple {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '\\' | '\'' | '"' => simple,
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'v' => '\x0b',
                    '0' if !chars.get(at + 2).is_some_and(char::is_ascii_digit) => '\0',
                    other => return Err((at, format!("the escape \\{other} is unknown"))),
                };
                push(code as u32, at)?;
                at += 2;
                continue;
            }
            None => return Err((at, "an escape without its end".into())),
        };
        let hex: String = chars.iter().skip(at + 2).take(digits).collect();
        let code = Some(&hex).filter(|hex| hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .ok_or_else(|| (at, format!("{hex:?}, expected {digits} hexadecimal digits")))?;
        push(code, at)?;
        at += 2 + digits;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn literals_are_those_of_python() {
        for (text, id, bytes) in [
            (r"1 '\x00' 1", 1, &b"\0"[..]),
            (r"129 b'\x80' 1", 129, b"\x80"),
            (r"40 '\'' 1", 40, b"'"),
            (r#"40 "'" 1"#, 40, b"'"),
            (r"7 '\xe9' 2", 7, b"\xc3\xa9"),
            (r"7 '\u3000\t\\' 5", 7, b"\xe3\x80\x80\t\\"),
            (r"7 '\U0001f600' 4", 7, b"\xf0\x9f\x98\x80"),
            ("9 '  é' 4", 9, "  é".as_bytes()),
        ] {
            assert_eq!(line(text), Ok((id, bytes.to_vec())), "{text}");
        }
    }

    #[test]
    fn faults_name_line_and_column() {
        for (text, words) in [
            ("1 'a'", "line 1"),
            ("1 'a' 2", "has 1 bytes, expected the 2"),
            ("-1 'a' 1", "has no id"),
            ("0 'a' 1", "id 0"),
            ("1 '' 0", "at least one"),
            ("1 a 1", "expected a Python literal"),
            (r"1 'ab\x4' 3", "column 4 of"),
            (r"1 b'\u0041' 1", "the escape \\u is unknown"),
            (r"1 '\ud800' 3", "U+D800 is no character"),
            ("1 b'é' 2", "expected ASCII"),
            ("1 'a'b' 3", "a quote inside"),
            ("1 'a' 1\n2 'a' 1", "ids 1 and 2 are both"),
            ("1 'a' 1\n1 'b' 1", "id 1 of \"b\""),
            ("1 'a' 1\n2 'b' 99999999999999999999", "line 2"),
        ] {
            let error = read(text.as_bytes(), "dir/rwkv.txt").unwrap_err().to_string();
            assert!(error.starts_with("dir/rwkv.txt: ") && error.contains(words), "{error}");
        }
        assert!(looks_like_rwkv(b"1 '\\x00' 1\n") && !looks_like_rwkv(b"1 a 1\n") && !looks_like_rwkv(b"\xff 'a' 1"));
    }
}
