//! A set of code points, as a pattern's `[...]`, `\p{..}` or literal means it.

use crate::error::{Error, Result};
use regex_syntax::hir::{Class, HirKind};

const PLANE_WORDS: usize = 0x10000 / 64;

/// A set of code points: a bit table for the first plane, sorted ranges above it.
///
/// Pre-token rules test one or two classes per character, so the common plane is one load and one mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodePoints {
    plane: Box<[u64]>,
    above: Vec<(u32, u32)>,
}

impl CodePoints {
    /// The set described by `ranges` (inclusive code points, in any order).
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut plane = vec![0u64; PLANE_WORDS].into_boxed_slice();
        let mut above = Vec::new();
        for (first, last) in ranges {
            for code in first..=last.min(0xFFFF) {
                plane[code as usize / 64] |= 1 << (code % 64);
            }
            if last > 0xFFFF {
                above.push((first.max(0x10000), last));
            }
        }
        above.sort_unstable();
        Self { plane, above }
    }

    /// The set of all characters for which `predicate` holds; O(number of code points), once per load.
    pub(crate) fn from_predicate(predicate: impl Fn(char) -> bool) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for c in ('\0'..=char::MAX).filter(|&c| predicate(c)) {
            let code = c as u32;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == code => *last = code,
                _ => ranges.push((code, code)),
            }
        }
        Self::from_ranges(ranges)
    }

    /// The set that `source` denotes: a bracket class, a `\p{..}` escape or one escaped or literal character.
    pub(crate) fn parse(source: &str, case_insensitive: bool) -> Result<Self> {
        let broken = |reason: String| Error::definition("pre_tokenizer", format!("character class {source}: {reason}"));
        let hir = regex_syntax::ParserBuilder::new()
            .case_insensitive(case_insensitive)
            .build()
            .parse(source)
            .map_err(|e| broken(e.to_string()))?;
        match hir.kind() {
            HirKind::Class(Class::Unicode(class)) => {
                Ok(Self::from_ranges(class.iter().map(|r| (r.start() as u32, r.end() as u32))))
            }
            HirKind::Class(Class::Bytes(class)) => {
                Ok(Self::from_ranges(class.iter().map(|r| (u32::from(r.start()), u32::from(r.end())))))
            }
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|e| broken(e.to_string()))?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Ok(Self::from_ranges([(c as u32, c as u32)])),
                    _ => Err(broken("expected one character".into())),
                }
            }
            _ => Err(broken("expected a set of characters".into())),
        }
    }

    /// Membership of the 64 code points from `64 * word` on, the lowest in bit 0.
    pub(crate) fn plane_word(&self, word: usize) -> u64 {
        self.plane[word]
    }

    /// The code points above the first plane where membership changes.
    pub(crate) fn edges_above(&self) -> impl Iterator<Item = u32> + '_ {
        self.above.iter().flat_map(|&(first, last)| [first, last + 1]).filter(|&code| code <= char::MAX as u32)
    }

    /// Whether no code point is in both sets.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let apart = |&(first, last): &(u32, u32)| other.above.iter().all(|&(f, l)| last < f || l < first);
        self.plane.iter().zip(&other.plane).all(|(a, b)| a & b == 0) && self.above.iter().all(apart)
    }

    /// Whether `c` is in the set; O(1) in the first plane, O(log ranges) above.
    #[inline]
    pub(crate) fn contains(&self, c: char) -> bool {
        let code = c as u32;
        if code < 0x10000 {
            return self.plane[code as usize / 64] >> (code % 64) & 1 == 1;
        }
        let after = self.above.partition_point(|&(first, _)| first <= code);
        after > 0 && self.above[after - 1].1 >= code
    }
}
