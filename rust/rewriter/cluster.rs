//! Grapheme clusters, by which some definitions read their rules, and when it makes no difference where they end.
//!
//! That one ends before white space is part of the argument in docs/design.md, section 1 (point 1, *Normalizer*).

use super::item::Item;
use crate::formats::charsmap::Charsmap;
use crate::pattern::CodePoints;
use std::sync::OnceLock;

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

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_segmentation::UnicodeSegmentation;

    #[test]
    fn clusters_are_those_of_the_segmenter() {
        let divides = |pair: [char; 2]| pair.iter().collect::<String>().graphemes(true).count() == 2;
        let alone = ('\0'..=char::MAX).filter(|&c| is_cluster(c)).collect::<Vec<_>>();
        assert!(alone.len() > 200_000);
        for c in alone {
            assert!(c != '\r' && divides(['a', c]) && divides([c, 'a']) && divides([c, c]), "{c:?}");
        }
    }
}
