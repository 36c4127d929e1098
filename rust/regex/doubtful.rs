//! Syntax that Oniguruma and `regex-syntax` read differently: reasons to leave a rule to the library.
//!
//! Both are asked for the same code points in `tests/arbitrary/patterns.rs`; the test found all other syntax alike.

/// `\w` of Oniguruma holds no joiners and no fractions.
pub(super) const WORD: &str = r"\w, which Oniguruma reads otherwise";
/// Letters that equal one character when case does not matter: `ss` for U+00DF, `fi` for U+FB01.
pub(super) const SEVERAL: &str = "letters that Oniguruma also takes for one character when case does not matter";

/// Marks that are the second half of a folded letter, such as U+0307 in `i` and U+0307 for U+0130. U+02BC is the first
/// half of one.
const HALVES: [char; 11] = [
    '\u{2bc}', '\u{2be}', '\u{300}', '\u{301}', '\u{307}', '\u{308}', '\u{30a}', '\u{30c}', '\u{313}', '\u{331}',
    '\u{342}',
];

/// The letters `s` or `f` that may be right before the cursor, in a part of the pattern where case does not matter.
///
/// Oniguruma folds `ss`, `st`, `ff`, `fi`, `fl` (and `ffi`, `ffl`) to one character. All other foldings of several
/// characters hold one outside ASCII, and such letters are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tail {
    s: bool,
    f: bool,
}

impl Tail {
    pub(super) fn of(c: char) -> Self {
        Self { s: c.eq_ignore_ascii_case(&'s'), f: c.eq_ignore_ascii_case(&'f') }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { s: self.s || other.s, f: self.f || other.f }
    }

    pub(super) fn is_empty(self) -> bool {
        !self.s && !self.f
    }

    /// Why the letter `c` may not follow where case does not matter.
    pub(super) fn doubt(self, c: char) -> Option<&'static str> {
        let one = match c.to_ascii_lowercase() {
            's' | 't' => self.s,
            'f' | 'i' | 'l' => self.f,
            _ => is_cased(c),
        };
        one.then_some(SEVERAL)
    }
}

/// Whether `c` is outside ASCII and has another case, or is half of a character that has.
fn is_cased(c: char) -> bool {
    let changes = c.is_lowercase() || c.is_uppercase() || !c.to_lowercase().eq([c]) || !c.to_uppercase().eq([c]);
    !c.is_ascii() && (changes || HALVES.contains(&c))
}

/// Why a property is left to the library; `source` is the text after `\p` or `\P`.
pub(super) fn property(source: &str, ignore_case: bool) -> Option<&'static str> {
    let Some(name) = source.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Some(r"\p without braces, which Oniguruma does not read");
    };
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let short = name.replace('_', "").to_ascii_lowercase();
    if !plain || short.starts_with("is") || short.starts_with("bidim") {
        return Some("a property whose name Oniguruma reads otherwise");
    }
    ignore_case.then_some("a property where case does not matter")
}

/// Why the bracket class `source` is left to the library.
pub(super) fn bracket(source: &str, ignore_case: bool) -> Option<&'static str> {
    let mut rest = source;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let length = if c == '\\' { escape(rest, ignore_case) } else { Ok(c.len_utf8()) };
        let length = match length {
            Ok(length) => length,
            Err(reason) => return Some(reason),
        };
        if ["[:", "&&", "--", "~~"].iter().any(|pair| rest.starts_with(pair)) {
            return Some("a POSIX class or an operation on classes");
        }
        let next = rest[length..].chars().next();
        // A range may hold anything.
        if ignore_case && !c.is_ascii() && (is_cased(c) || before == '-' || next == Some('-')) {
            return Some("a class of letters outside ASCII where case does not matter");
        }
        before = c;
        rest = &rest[length..];
    }
    None
}

/// The length of the escape that `rest`, in a bracket class, begins with, or why it is left to the library.
fn escape(rest: &str, ignore_case: bool) -> Result<usize, &'static str> {
    let Some(kind) = rest[1..].chars().next() else { return Ok(1) };
    let braced = || rest.find('}').map_or(rest.len(), |close| close + 1);
    let is_hex = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match kind {
        'w' | 'W' => Err(WORD),
        'p' | 'P' => {
            let length = if rest[2..].starts_with('{') { braced() } else { 2 };
            property(&rest[2..length], ignore_case).map_or(Ok(length), Err)
        }
        's' | 'S' | 'd' | 'D' | 'r' | 'n' | 't' | 'f' | 'v' => Ok(2),
        'u' if !ignore_case && rest.get(2..6).is_some_and(is_hex) => Ok(6),
        'x' if !ignore_case && rest[2..].starts_with('{') && is_hex(rest[3..braced()].trim_end_matches('}')) => {
            Ok(braced())
        }
        _ if kind.is_alphanumeric() => Err("an escape in a class that Oniguruma reads otherwise"),
        _ => Ok(1 + kind.len_utf8()),
    }
}
