//! How large a rule may be before anybody compiles it.
//!
//! A pattern of a few characters can ask for gigabytes (`(?:ab){1000000000}`) or for a stack of any depth. Such a rule
//! is no rule: it is refused by its text alone, before our own matcher, `regex-syntax` or the `tokenizers` crate sees
//! it.

use crate::error::{Error, Result};

/// Bytes of a pattern; the longest published rule has some 2,000.
const LONGEST: usize = 1 << 16;
/// The depth of nested groups, brackets and repetitions, which are read, compiled and run by recursion.
const DEEPEST: usize = 200;
/// Characters and classes once all counted repetitions are written out.
const MOST_PARTS: u64 = 100_000;

/// The size of a piece of a pattern.
#[derive(Clone, Copy, Default)]
struct Extent {
    parts: u64,
    height: usize,
}

impl Extent {
    const ONE: Self = Self { parts: 1, height: 1 };

    fn with(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_add(other.parts), height: self.height.max(other.height) }
    }

    fn times(self, count: u64) -> Self {
        Self { parts: self.parts.saturating_mul(count.max(1)), height: self.height + 1 }
    }
}

/// Refuses a pattern of `stage` that is too long, too deep, or too large when its counted repetitions are written out.
///
/// It reads no more syntax than that, so it also judges patterns that only the library can run. Complexity: O(length).
pub(crate) fn check(stage: &str, source: &str) -> Result<()> {
    let refuse = |found: String, limit: String| {
        let start: String = source.chars().take(40).collect();
        Err(Error::definition(stage, format!("pattern beginning {start:?}: {found}: expected at most {limit}")))
    };
    if source.len() > LONGEST {
        return refuse(format!("{} bytes", source.len()), format!("{LONGEST}"));
    }
    match extent(source) {
        None => refuse("groups or brackets in one another".into(), format!("{DEEPEST}")),
        Some(whole) if whole.height > DEEPEST => {
            refuse(format!("{} repetitions or groups in one another", whole.height), format!("{DEEPEST}"))
        }
        Some(whole) if whole.parts > MOST_PARTS => {
            refuse("its counted repetitions written out".into(), format!("{MOST_PARTS} characters and classes"))
        }
        Some(_) => Ok(()),
    }
}

/// The extent of a pattern; `None` if its groups or brackets are too deep.
fn extent(source: &str) -> Option<Extent> {
    let mut groups = vec![Extent::default()];
    // The last atom, which a repetition may follow.
    let mut last = Extent::default();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        let counted = if c == '{' { count(rest) } else { None };
        match (c, counted) {
            ('*' | '+' | '?', _) => last = last.times(1),
            (_, Some((times, bytes))) => {
                last = last.times(times);
                length = bytes;
            }
            _ => {
                let group = groups.last_mut()?;
                *group = group.with(last);
                last = Extent::ONE;
                match c {
                    '(' if groups.len() > DEEPEST => return None,
                    '(' => {
                        groups.push(Extent::default());
                        last = Extent::default();
                    }
                    ')' if groups.len() > 1 => last = groups.pop()?.times(1).with(Extent::ONE),
                    '|' => last = Extent::default(),
                    '\\' => length += rest[1..].chars().next().map_or(0, char::len_utf8),
                    '[' => length = bracket(rest)?,
                    _ => {}
                }
            }
        }
        rest = &rest[length..];
    }
    groups.into_iter().chain([last]).reduce(Extent::with)
}

/// The most times that the `{..}` at the start of `rest` repeats, and its length in bytes, if it counts.
fn count(rest: &str) -> Option<(u64, usize)> {
    let close = rest.find('}')?;
    let inside = &rest[1..close];
    let number = |digits: &str| match digits {
        "" => Some(0),
        _ if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    if low.is_empty() && high.is_empty() {
        return None;
    }
    Some((number(low)?.max(number(high)?), close + 1))
}

/// The length of the bracket class at the start of `rest`, to the end if it is not closed; `None` if it is too deep.
fn bracket(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' if depth == DEEPEST => return None,
            '[' => depth += 1,
            ']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(source: &str) -> bool {
        check("pre_tokenizer", source).is_ok()
    }

    #[test]
    fn each_limit_is_where_it_says() {
        let nested = |open: &str, close: &str, n: usize| format!("{}a{}", open.repeat(n), close.repeat(n));
        for (source, good) in [
            ("a".repeat(LONGEST), true),
            ("a".repeat(LONGEST + 1), false),
            (nested("(", ")", DEEPEST - 1), true),
            (nested("(", ")", DEEPEST), false),
            (nested("(?:", ")+", DEEPEST / 2 - 1), true),
            (nested("(?:", ")+", DEEPEST / 2), false),
            (nested("[", "]", DEEPEST), true),
            (nested("[", "]", DEEPEST + 1), false),
            (format!("a{}", "?".repeat(DEEPEST - 1)), true),
            (format!("a{}", "?".repeat(DEEPEST)), false),
            ("(?:ab)".repeat(300), true),
            ("[(]".repeat(300), true),
            (r"\(".repeat(300), true),
            ("a{100000}".into(), true),
            ("a{100001}".into(), false),
            ("a{,100001}".into(), false),
            ("a{99999999999999999999999}".into(), false),
            ("(?:ab){10000}".into(), true),
            ("(?:ab){50000}".into(), false),
            ("(?:(?:a){1000}){1000}".into(), false),
            ("(?:){1000}{1000}".into(), false),
            ("(?:a{60000}|b{60000})".into(), false),
            (r"\p{L}{,}{x}{".into(), true),
            ("\\".into(), true),
            (")]*+".into(), true),
        ] {
            assert_eq!(passes(&source), good, "{}", source.chars().take(60).collect::<String>());
        }
    }
}
