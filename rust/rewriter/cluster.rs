//! Grapheme clusters, by which some definitions read their rules, and when it makes no difference where they end.
//!
//! That one ends before white space is part of the argument in docs/proofs/white-space-cuts.md (point 1, *Normalizer*).

use super::item::Item;
use crate::formats::charsmap::Charsmap;
use crate::pattern::CodePoints;
use std::sync::OnceLock;
use unicode_segmentation::UnicodeSegmentation;

/// Whether no rule begins anywhere: then it makes no difference where clusters end.
pub(super) fn is_idle(rules: &Charsmap, items: &[Item]) -> bool {
    let text: String = items.iter().map(|item| item.c).collect();
    text.char_indices().all(|(at, _)| rules.shortest_prefix(&text[at..]).is_none())
}

/// Whether `c` is a grapheme cluster by itself between any others of which the same is true (UAX 29).
///
/// Code points that are not assigned are left out, so that it does no harm if they are in another Unicode version.
pub(super) fn is_cluster(c: char) -> bool {
    const JOINING: &str = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=RI}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=CR}\p{Cn}]";
    static SET: OnceLock<Option<CodePoints>> = OnceLock::new();
    let set = SET.get_or_init(|| CodePoints::parse(JOINING, false).ok());
    set.as_ref().is_some_and(|set| !set.contains(c))
}

/// Whether a cluster ends behind `c` if a space follows.
pub(super) fn ends_before_space(c: char) -> bool {
    is_cluster(c) || [c, ' '].iter().collect::<String>().graphemes(true).count() == 2
}

/// Whether clusters are read by `rules` as if one ended before `c`, which is one, whatever stands before it but what never ends
/// before a space.
///
/// A cluster ends there but for three rules of UAX 29: LF behind CR, consonants behind a virama, and pictographs behind a pictograph and U+200D. A
/// cluster of six bytes is read character by character, and so is the left one of these, because its first character
/// and U+200D have six bytes too, or five that no rule begins. If `c` has four bytes, it is read so behind the place too.
pub(super) fn begins_cluster(c: char, rules: &Charsmap, single: bool) -> bool {
    let joins = |before: &[char]| before.iter().chain([&c]).collect::<String>().graphemes(true).count() == 1;
    let is_wide = || single && c.len_utf8() == 4 && SHORT_PICTOGRAPHS.iter().all(|sign| rules.shortest_prefix(&format!("{sign}\u{200d}")).is_none());
    is_cluster(c) && c != '\n' && !joins(&['\u{915}', '\u{94d}']) && (!joins(&['\u{1f469}', '\u{200d}']) || is_wide())
}

/// The pictographs of two bytes; none has one.
const SHORT_PICTOGRAPHS: [char; 2] = ['\u{a9}', '\u{ae}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_those_of_the_segmenter() {
        let divides = |pair: [char; 2]| pair.iter().collect::<String>().graphemes(true).count() == 2;
        let alone = ('\0'..=char::MAX).filter(|&c| is_cluster(c)).collect::<Vec<_>>();
        assert!(alone.len() > 200_000);
        for c in alone {
            assert!(c != '\r' && divides(['a', c]) && divides([c, 'a']) && divides([c, c]), "{c:?}");
        }
    }

    #[test]
    fn short_pictographs_are_two() {
        let joins = |c: &char| [*c, '\u{200d}', '\u{1f469}'].iter().collect::<String>().graphemes(true).count() == 1;
        assert_eq!(('\0'..'\u{800}').filter(joins).collect::<Vec<_>>(), SHORT_PICTOGRAPHS);
    }
}
