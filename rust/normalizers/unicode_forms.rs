//! A stretch of text in the form that the pieces are written in, and the way back.

use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::compositions::pair_of;
use crate::normalizers::offsets::{Offsets, Part};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;
use unicode_normalization_alignments::char::canonical_combining_class;
use unicode_normalization_alignments::{is_nfc, is_nfc_quick, IsNormalized, UnicodeNormalization};

/// SentencePiece's stand-in for a space.
pub(crate) const METASPACE: char = '\u{2581}';

/// The normal form of a stretch. Example: "\u{e9}", 2 bytes, for the 3 bytes of "e\u{301}".
pub(crate) struct Normal<'a> {
    pub(crate) text: Cow<'a, str>,
    offsets: Offsets,
    /// Bytes of dummy prefix at the start of `text`.
    pub(crate) shift: usize,
}

impl<'a> Normal<'a> {
    /// The unchanged stretch.
    pub(crate) fn unchanged(stretch: &'a str) -> Self {
        Self { text: Cow::Borrowed(stretch), offsets: Offsets::default(), shift: 0 }
    }

    /// The stretch in NFC (Unicode Standard Annex 15).
    pub(crate) fn nfc(stretch: &'a str) -> Self {
        if stretch.is_ascii() || is_nfc(stretch) {
            return Self::unchanged(stretch);
        }
        // A part is normalised alone, so a change never reaches across its ends.
        let mut left = None;
        let starts = stretch
            .char_indices()
            .filter(|&(_, c)| left.replace(c).is_some_and(|left| parts(Some(left), c)))
            .map(|(at, _)| at);
        Self::replaced(stretch, starts, |part| part.nfc().map(|(c, _)| c).collect())
    }

    /// The stretch with plain spaces for the marks that the vocabulary cannot distinguish from them.
    pub(crate) fn spaced(stretch: &'a str) -> Self {
        if !stretch.contains(METASPACE) {
            return Self::unchanged(stretch);
        }
        let starts = stretch.char_indices().filter(|&(at, _)| at > 0).map(|(at, _)| at);
        Self::replaced(stretch, starts, |part| part.replace(METASPACE, " "))
    }

    /// The text as SentencePiece's rules rewrite it.
    pub(crate) fn charsmap(text: &'a str, charsmap: &Charsmap) -> Self {
        let (mut rewritten, mut offsets) = (String::with_capacity(text.len()), Offsets::begun());
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let kept = match charsmap.longest_prefix(&text[at..]) {
                Some((length, replacement)) => {
                    rewritten.push_str(replacement);
                    at += length.max(1);
                    text[..at].ends_with(replacement) && replacement.len() == length
                }
                None => {
                    rewritten.push(c);
                    at += c.len_utf8();
                    true
                }
            };
            offsets.push(rewritten.len(), at, if kept { Part::Kept } else { Part::Replaced });
        }
        Self { text: Cow::Owned(rewritten), offsets, shift: 0 }
    }

    fn replaced(stretch: &'a str, starts: impl Iterator<Item = usize>, change: impl Fn(&str) -> String) -> Self {
        let mut text = String::with_capacity(stretch.len());
        let mut offsets = Offsets::begun();
        let mut from = 0;
        for to in starts.chain([stretch.len()]) {
            let changed = change(&stretch[from..to]);
            text.push_str(&changed);
            offsets.push(text.len(), to, if changed == stretch[from..to] { Part::Kept } else { Part::Replaced });
            from = to;
        }
        Self { text: Cow::Owned(text), offsets, shift: 0 }
    }

    /// The same after a dummy space.
    pub(crate) fn after_space(mut self) -> Self {
        self.text = Cow::Owned(format!(" {}", self.text));
        self.shift = 1;
        self
    }

    /// Whether positions differ from those of the stretch.
    pub(crate) fn is_moved(&self) -> bool {
        self.shift > 0 || self.is_rewritten()
    }

    /// Whether a part was replaced: a dummy space before the text does not count.
    pub(crate) fn is_rewritten(&self) -> bool {
        !self.offsets.is_identity()
    }

    /// The last position of the normal form that is not after the position `at` of the stretch.
    pub(crate) fn position(&self, at: usize) -> usize {
        self.offsets.position(at) + self.shift
    }

    /// The begin in the stretch of a span that begins at `at`.
    pub(crate) fn start(&self, at: usize) -> usize {
        self.offsets.around(at.saturating_sub(self.shift)).0
    }

    /// The end in the stretch of a span that ends at `at`.
    pub(crate) fn end(&self, at: usize) -> usize {
        self.offsets.around(at.saturating_sub(self.shift)).1
    }

    /// The parts before `at` that are other than in the stretch: their begins and ends in the normal form, ascending.
    pub(crate) fn changed(&self, at: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.offsets.replaced(at).map(|(start, end)| (start + self.shift, end + self.shift))
    }

    /// The position of the cut `at` in the stretch, if it is not inside a replaced part.
    pub(crate) fn cut(&self, at: usize) -> Option<usize> {
        self.offsets.cut(at.checked_sub(self.shift).filter(|&at| at > 0)?)
    }
}

/// Whether no text before `c`, and no text after it, can be composed with it from the left (NFC boundary before `c`).
fn is_stable(c: char) -> bool {
    let stays = |c: char| canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes;
    // A character that is always replaced begins as its decomposition does.
    let replaced = || {
        is_nfc_quick(std::iter::once(c)) == IsNormalized::No
            && std::iter::once(c).nfd().next().is_some_and(|(c, _)| stays(c))
    };
    c.is_ascii() || stays(c) || replaced()
}

/// Whether text that ends with `left` and text that begins with `c` are normalized separately.
///
/// A character of class 0 changes the text before it only if it is composed with the last starter. This starter is
/// `left`, or a composition that ends with it. If `left` is a mark, no character is composed: the mark is between, or
/// the last starter is a composition that holds a mark. No such composition is composed with a character of class 0
/// (Unicode 15).
pub(crate) fn parts(left: Option<char>, c: char) -> bool {
    let is_open = || {
        !is_stable(c) && canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Maybe
    };
    let is_syllable = |left: char| matches!(left, '\u{ac00}'..='\u{d7a3}');
    let has_trailing = |left: char| {
        matches!(left, '\u{11a8}'..='\u{11c2}') || is_syllable(left) && (u32::from(left) - 0xac00) % 28 != 0
    };
    match (c, left) {
        (_, Some(left)) if canonical_combining_class(left) > 0 && is_open() => true,
        // Vowels of Hangul are composed with a leading consonant alone, trailing consonants with a syllable that has
        // none.
        ('\u{1161}'..='\u{1175}', Some(left)) => {
            matches!(left, '\u{1161}'..='\u{1175}' | '\u{11a8}'..='\u{11c2}') || is_syllable(left)
        }
        ('\u{11a8}'..='\u{11c2}', Some(left)) => has_trailing(left),
        (c, Some(left)) if is_open() => !joined_pairs().contains(&(left, c)),
        _ => is_stable(c),
    }
}

/// The pairs whose second character may be composed with the first, or with a composition that ends with the first.
/// Pairs of Hangul are left out.
fn joined_pairs() -> &'static HashSet<(char, char)> {
    static PAIRS: OnceLock<HashSet<(char, char)>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let composed = ('\u{c0}'..='\u{2fa1d}').filter(|&c| !matches!(c, '\u{ac00}'..='\u{d7a3}'));
        let pairs: Vec<(char, char, char)> =
            composed.filter_map(|c| pair_of(c).map(|(first, second)| (first, second, c))).collect();
        let reaching = |first: char| pairs.iter().filter(move |pair| pair.2 == first).map(|pair| pair.1);
        pairs
            .iter()
            .flat_map(|&(first, second, _)| reaching(first).chain([first]).map(move |left| (left, second)))
            .collect()
    })
}

/// The first position of `text` whose NFC may still change when text is appended: its last stable character.
///
/// White space is final at once: no canonical composition begins with it (Unicode 15, `CompositionExclusions`).
pub(crate) fn nfc_horizon(text: &str) -> usize {
    last_stable(None, text).unwrap_or(0)
}

/// As [`nfc_horizon`] of text after `left`; None without a stable character.
pub(crate) fn last_stable(left: Option<char>, text: &str) -> Option<usize> {
    let (at, c) = last_part(left, text)?;
    Some(if c.is_whitespace() { at + c.len_utf8() } else { at })
}

/// The last character of `text`, which is after `left`, that is normalized apart from the text before it.
pub(crate) fn last_part(left: Option<char>, text: &str) -> Option<(usize, char)> {
    let mut chars = text.char_indices().rev().peekable();
    while let Some((at, c)) = chars.next() {
        if parts(chars.peek().map(|&(_, c)| c).or(left), c) {
            return Some((at, c));
        }
    }
    None
}

/// The first character of `text` at or after byte `from` that is normalized apart from the text before it. The text
/// before it must not be empty.
pub(crate) fn first_part(text: &str, from: usize) -> Option<usize> {
    let mut left = text[..from].chars().next_back();
    text[from..]
        .char_indices()
        .find(|&(_, c)| left.replace(c).is_some_and(|left| parts(Some(left), c)))
        .map(|(at, _)| from + at)
}

/// Whether `text` stays unchanged in NFC after `before`, which is in NFC, and leaves that unchanged.
pub(crate) fn goes_on_normal(before: &str, text: &str) -> bool {
    let mut left = before.chars().next_back();
    text.chars().all(|c| {
        let class = canonical_combining_class(c);
        // A mark after one of its own class keeps its place, and no character before that one composes with it.
        let blocked = || {
            class > 0
                && left.is_some_and(|left| canonical_combining_class(left) == class)
                && is_nfc_quick(std::iter::once(c)) != IsNormalized::No
        };
        let stays =
            parts(left, c) && (c.is_ascii() || is_nfc_quick(std::iter::once(c)) != IsNormalized::No) || blocked();
        left = Some(c);
        stays
    })
}

/// Whether `text` is at least two marks, and few enough that each may be put in its place.
pub(crate) fn is_few_marks(text: &str) -> bool {
    const MOST: usize = 8;
    let count = text.chars().take(MOST + 1).take_while(|&c| canonical_combining_class(c) > 0).count();
    (2..=MOST).contains(&count) && text.chars().nth(count).is_none()
}

/// The canonical class of a character: above 0 for marks that move.
pub(crate) fn class_of(c: char) -> u8 {
    canonical_combining_class(c)
}

/// The marks that stand for `text`, if it has no other characters.
pub(crate) fn marks_of(text: &str) -> Option<Vec<char>> {
    let are_marks = text.chars().next().is_some_and(|c| !c.is_ascii())
        && text.chars().all(|c| class_of(c) > 0 || std::iter::once(c).nfd().all(|(c, _)| class_of(c) > 0));
    are_marks.then(|| text.chars().nfd().map(|(c, _)| c).collect())
}

/// The mark that `more` is, and its place in `text`, which is in NFC and ends with marks of higher classes. None where
/// it may be composed, because no mark of its own class is there.
pub(crate) fn place_of_mark(text: &str, more: &str) -> Option<(usize, char)> {
    let mut all = more.chars();
    let c = all.next().filter(|_| all.next().is_none())?;
    let class = canonical_combining_class(c);
    if class == 0 || is_nfc_quick(std::iter::once(c)) == IsNormalized::No {
        return None;
    }
    let (at, before) = text.char_indices().rev().find(|&(_, before)| canonical_combining_class(before) <= class)?;
    (canonical_combining_class(before) == class).then_some((at + before.len_utf8(), c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_after_one_of_its_class_is_put_in_its_place() {
        let letters = [
            'a', 'e', '\u{301}', '\u{300}', '\u{323}', '\u{327}', '\u{345}', '\u{338}', '\u{1161}', '\u{3b1}',
            '\u{342}',
        ];
        let mut placed = 0;
        for number in 0..letters.len().pow(5) {
            let text: String = (0..5).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect();
            let (before, last) = text.split_at(text.char_indices().last().map_or(0, |(at, _)| at));
            let mut normal: String = before.nfc().map(|(c, _)| c).collect();
            if let Some((at, c)) = place_of_mark(&normal, last) {
                normal.insert(at, c);
                assert_eq!(normal, text.nfc().map(|(c, _)| c).collect::<String>(), "{text:?}");
                placed += 1;
            }
        }
        assert!(placed > 10_000, "{placed}");
    }

    #[test]
    fn text_is_parted_where_nothing_is_composed() {
        let letters = [
            '\u{cc6}', '\u{cc2}', '\u{cd5}', '\u{9c7}', '\u{9d7}', '\u{1100}', '\u{1113}', '\u{1161}', '\u{1175}',
            '\u{11a7}', '\u{11a8}', '\u{11c2}', '\u{11c3}', '\u{ac00}', '\u{ac01}', '\u{d7a3}', 'a', '\u{301}',
            '\u{9be}', '\u{344}', '\u{f73}',
        ];
        let composed = |text: &[char]| text.iter().collect::<String>().nfc().map(|(c, _)| c).collect::<String>();
        let mut parted = 0;
        for number in 0..letters.len().pow(4) {
            let text: Vec<char> =
                (0..4).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect();
            for at in (1..4).filter(|&at| parts(Some(text[at - 1]), text[at])) {
                assert_eq!(composed(&text), composed(&text[..at]) + &composed(&text[at..]), "{text:?} at {at}");
                parted += usize::from(!is_stable(text[at]));
            }
        }
        assert!(parted > 10_000, "{parted}");
        let every = ('\0'..='\u{1ffff}').filter(|&c| {
            !is_stable(c)
                && canonical_combining_class(c) == 0
                && is_nfc_quick(std::iter::once(c)) == IsNormalized::Maybe
        });
        for c in every {
            for left in joined_pairs().iter().flat_map(|&(left, right)| [left, right]).chain("a\u{ac00}".chars()) {
                let pair = [left, c].iter().collect::<String>();
                let alone = composed(&[left]) + &composed(&[c]);
                assert!(!parts(Some(left), c) || pair.nfc().map(|(c, _)| c).collect::<String>() == alone, "{pair:?}");
            }
        }
        assert_eq!(last_stable(None, "\u{1100}\u{1161}\u{1161}"), Some(6));
        assert_eq!(
            (last_stable(Some('\u{1161}'), "\u{1161}"), last_stable(Some('\u{1100}'), "\u{1161}")),
            (Some(0), None)
        );
    }

    #[test]
    fn no_composition_that_holds_a_mark_is_composed_with_a_character_of_class_0() {
        let is_marked = |c: char| std::iter::once(c).nfd().any(|(c, _)| canonical_combining_class(c) > 0);
        let marked: Vec<char> = ('\u{c0}'..='\u{2fa1d}').filter(|&c| is_marked(c)).collect();
        let open: Vec<char> = ('\0'..='\u{1ffff}')
            .filter(|&c| canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Maybe)
            .collect();
        assert!(marked.len() > 900 && open.len() > 50, "{} {}", marked.len(), open.len());
        for (&first, &c) in marked.iter().flat_map(|first| open.iter().map(move |c| (first, c))) {
            let both: String = [first, c].into_iter().nfc().map(|(c, _)| c).collect();
            assert!(both.ends_with(c), "{first:?} {c:?}");
        }
    }

    #[test]
    fn nfc_maps_back_around_what_it_replaced() {
        let normal = Normal::nfc("ae\u{301} b");
        assert_eq!(normal.text, "a\u{e9} b");
        assert_eq!([0, 1, 3, 4].map(|at| normal.cut(at)), [None, Some(1), Some(4), Some(5)]);
        assert_eq!((normal.start(2), normal.end(2)), (1, 4), "inside the composed character");
    }

    #[test]
    fn a_part_of_the_same_length_may_have_changed() {
        let normal = Normal::nfc("o\u{327}\u{323}b");
        assert_eq!(normal.text, "\u{1ecd}\u{327}b");
        assert_eq!([3, 5].map(|at| normal.cut(at)), [None, Some(5)]);
        assert_eq!((normal.start(3), normal.end(3), normal.position(1)), (0, 5, 0));
    }

    #[test]
    fn no_composition_begins_with_white_space() {
        let marks = ('\u{300}'..='\u{36f}').chain(['\u{3099}', '\u{309a}', '\u{1161}', '\u{11a8}']);
        let spaces: Vec<char> = ('\0'..=char::MAX).filter(|c| c.is_whitespace()).collect();
        for mark in marks {
            for &space in &spaces {
                let composed: Vec<char> = [space, mark].into_iter().nfc().map(|(c, _)| c).collect();
                assert!(composed.len() > 1 && composed[0].is_whitespace(), "{space:?} {mark:?}");
            }
        }
        assert_eq!((nfc_horizon("a "), nfc_horizon("ab"), nfc_horizon("e\u{301}")), (2, 1, 0));
        assert_eq!((nfc_horizon("a\n\u{301}"), nfc_horizon("a\u{3000}")), (2, 4));
    }

    #[test]
    fn marks_become_spaces_in_place() {
        let normal = Normal::spaced("a\u{2581} b").after_space();
        assert_eq!(normal.text, " a  b");
        assert_eq!([1, 2, 3, 4].map(|at| normal.cut(at)), [None, Some(1), Some(4), Some(5)]);
    }
}
