//! Texts that are looked for in the NFC form of another text, without that form.
//!
//! Example: `<K>` is in the NFC form of `<\u{212a}>`, because NFC replaces the Kelvin sign. It is not in that of
//! `<K>\u{338}`, because the last two characters become one.

use crate::util::text::characters;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use unicode_normalization_alignments::char::{canonical_combining_class, compose};
use unicode_normalization_alignments::UnicodeNormalization;

/// The changes that NFC makes to single characters. Example: the Kelvin sign becomes "K".
#[derive(Default)]
struct Changes {
    /// The other characters that become this one.
    equal: HashMap<char, Vec<char>>,
    /// Characters that others become together with further characters.
    parts: HashSet<char>,
    /// Characters that are composed with one after them, and whether it may be of class 0.
    firsts: HashMap<char, bool>,
    /// Characters that are composed with one before them.
    seconds: HashSet<char>,
}

impl Changes {
    fn of_all() -> Self {
        let mut found = Self::default();
        for c in '\u{c0}'..=char::MAX {
            let normal: Vec<char> = std::iter::once(c).nfc().map(|(c, _)| c).collect();
            match normal[..] {
                [only] if only != c => found.equal.entry(only).or_default().push(c),
                [_] => {}
                _ => found.parts.extend(normal),
            }
            if let Some((first, second)) = pair_of(c).filter(|&(first, second)| compose(first, second) == Some(c)) {
                *found.firsts.entry(first).or_default() |= canonical_combining_class(second) == 0;
                found.seconds.insert(second);
            }
        }
        found
    }

    fn get() -> &'static Self {
        static CHANGES: OnceLock<Changes> = OnceLock::new();
        CHANGES.get_or_init(Self::of_all)
    }
}

/// The two characters that `c` is decomposed into: the last one, and the composition of the others. None where there
/// are not two.
pub(super) fn pair_of(c: char) -> Option<(char, char)> {
    let mut all: Vec<char> = std::iter::once(c).nfd().map(|(c, _)| c).collect();
    let second = all.pop()?;
    let first: Vec<char> = all.into_iter().nfc().map(|(c, _)| c).collect();
    Some((*first.first().filter(|_| first.len() == 1)?, second))
}

/// The most texts that [`sources`] returns.
const MOST: usize = 64;

/// All texts that NFC makes into `content`, with any text before them, and unless [`is_composed`]. None where there are
/// too many, or where these do not decide.
///
/// Complexity: O(the texts), and once a look at all characters.
pub(crate) fn sources(content: &str) -> Option<Vec<String>> {
    let known = Changes::get();
    let mut found = vec![String::new()];
    for c in content.chars() {
        let is_itself = std::iter::once(c).nfd().map(|(c, _)| c).eq([c]) && canonical_combining_class(c) == 0;
        if !is_itself || known.seconds.contains(&c) || known.parts.contains(&c) || known.firsts.get(&c) == Some(&true) {
            return None;
        }
        let equal = known.equal.get(&c).map_or(&[][..], Vec::as_slice);
        found = std::iter::once(&c)
            .chain(equal)
            .flat_map(|&c| found.iter().map(move |text| format!("{text}{c}")))
            .collect();
        if found.len() > MOST {
            return None;
        }
    }
    Some(found)
}

/// The last character of the NFC form of `text`, if a mark after it may be composed with it.
pub(crate) fn open_end(text: &str) -> Option<char> {
    let last = text.chars().next_back()?;
    let last = std::iter::once(last).nfc().next().map_or(last, |(c, _)| c);
    Changes::get().firsts.contains_key(&last).then_some(last)
}

/// Whether NFC composes `last` with a mark of `text`, and whether more text could do that.
///
/// `text` is well-formed UTF-8 that follows `last`. Complexity: O(the marks that `text` begins with).
pub(crate) fn is_composed(last: char, text: &[u8]) -> (bool, bool) {
    let mut end = OpenEnd::new(last);
    for c in characters(text) {
        match end.take(c) {
            Taken::Mark => {}
            Taken::Composed => return (true, false),
            Taken::Starter => return (false, false),
        }
    }
    (false, true)
}

/// A character that a mark after it may still change, and the marks that follow it.
///
/// The first mark of each class is composed if it can be, because no mark of its class is between.
#[derive(Debug, Clone)]
pub(crate) struct OpenEnd {
    last: char,
    /// The classes that have come.
    seen: [bool; 256],
}

/// The effect of one more character after an [`OpenEnd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing is changed yet.
    Mark,
    /// NFC composes the end with a mark.
    Composed,
    /// No later text can change the end.
    Starter,
}

impl OpenEnd {
    /// The character, without marks.
    pub(crate) fn new(last: char) -> Self {
        Self { last, seen: [false; 256] }
    }

    /// Takes in `c`.
    pub(crate) fn take(&mut self, c: char) -> Taken {
        for mark in std::iter::once(c).nfd().map(|(c, _)| c) {
            let class = canonical_combining_class(mark);
            if class == 0 {
                return Taken::Starter;
            }
            if !std::mem::replace(&mut self.seen[usize::from(class)], true) && compose(self.last, mark).is_some() {
                return Taken::Composed;
            }
        }
        Taken::Mark
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nfc(text: &str) -> String {
        text.chars().nfc().map(|(c, _)| c).collect()
    }

    #[test]
    fn sources_are_all_texts_that_become_the_content() {
        let mut found = sources("<K;").unwrap();
        found.sort_unstable();
        assert_eq!(found, ["<K;", "<K\u{37e}", "<\u{212a};", "<\u{212a}\u{37e}"]);
        assert!(found.iter().all(|text| nfc(text) == "<K;"));
        assert_eq!(sources("\u{2581}\u{ff5c}x").unwrap().len(), 1);
        for open in ["\u{e9}", "e\u{301}", "\u{301}", "\u{1100}", "\u{1161}", "\u{ac00}", "\u{915}", "KKKKKKK"] {
            assert_eq!(sources(open), None, "{open:?}");
        }
    }

    #[test]
    fn no_other_character_becomes_one_of_the_content() {
        let contents: Vec<char> = ('!'..='~').chain(['\u{4e00}', '\u{8c48}', '\u{a0}', '\u{2581}']).collect();
        let mut expected: HashMap<char, HashSet<String>> = HashMap::new();
        for c in '\0'..=char::MAX {
            for (part, _) in std::iter::once(c).nfc().filter(|(part, _)| contents.contains(part)) {
                expected.entry(part).or_default().insert(c.to_string());
            }
        }
        assert!(expected.values().any(|found| found.len() > 1));
        for content in contents {
            let known: HashSet<String> = sources(&content.to_string()).unwrap().into_iter().collect();
            assert_eq!(known, expected[&content], "{content:?}");
        }
    }

    #[test]
    fn a_mark_changes_the_last_character_as_in_the_normal_form() {
        let marks = ["\u{338}", "\u{301}", "\u{327}", "\u{344}", "\u{340}", "\u{f73}", "\u{323}", "x", "\u{1161}", " "];
        let mut texts: Vec<String> = vec![String::new()];
        for _ in 0..3 {
            texts = texts.iter().flat_map(|text| marks.iter().map(move |mark| format!("{text}{mark}"))).collect();
            for rest in &texts {
                for last in ['<', '>', 'a', 'K', ';', '|', '\u{2581}'] {
                    let normal = nfc(&format!("{last}{rest}"));
                    let (composed, open) = is_composed(last, rest.as_bytes());
                    assert_eq!(composed, !normal.starts_with(last), "{last:?} {rest:?}");
                    assert!(
                        composed
                            || open
                            || rest
                                .chars()
                                .any(|c| nfc(&c.to_string()).chars().any(|c| canonical_combining_class(c) == 0))
                    );
                    assert!(!composed || open_end(&last.to_string()) == Some(last));
                }
            }
        }
    }
}
