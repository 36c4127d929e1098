//! Grapheme clusters, by which some definitions read their rules, and the cases in which their ends make no difference.
//!
//! A cluster ends before white space: part of the argument in docs/proofs/white-space-cuts.md (step 1, *Normalizer*).

use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::rewriter::item::Item;
use crate::regex::char_class::CodePoints;
use crate::util::char_table::CharMemo;
use std::sync::OnceLock;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

/// Whether no rule begins anywhere: then the ends of clusters make no difference.
pub(crate) fn is_idle(rules: &Charsmap, items: &[Item]) -> bool {
    let text: String = items.iter().map(|item| item.c).collect();
    text.char_indices().all(|(at, _)| rules.shortest_prefix(&text[at..]).is_none())
}

/// Whether `c` is a grapheme cluster of its own between any other such characters (UAX 29).
///
/// Code points that are not assigned are left out, so another Unicode version that has them does no harm.
pub(crate) fn is_cluster(c: char) -> bool {
    const JOINING: &str = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=RI}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=CR}\p{Cn}]";
    static SET: OnceLock<Option<CodePoints>> = OnceLock::new();
    let set = SET.get_or_init(|| CodePoints::parse(JOINING, false).ok());
    set.as_ref().is_some_and(|set| !set.contains(c))
}

/// Whether a cluster ends after `c` if a space follows.
pub(crate) fn ends_before_space(c: char) -> bool {
    is_cluster(c) || [c, ' '].iter().collect::<String>().graphemes(true).count() == 2
}

/// Whether `rules` read clusters as if one ended before `c`, which is one. The text before `c` may be any that ends in
/// a character with [`ends_before_space`].
///
/// A cluster ends there but for three rules of UAX 29. They join LF to CR, consonants to a virama, and pictographs to a
/// pictograph with U+200D. A cluster of six bytes or more is read character by character. So is the cluster of a
/// pictograph before the place. Its first character and U+200D have six bytes too, or five that no rule begins. If `c`
/// has four bytes, it is read so after the place too.
pub(crate) fn begins_cluster(c: char, rules: &Charsmap, single: bool) -> bool {
    let joins = |before: &[char]| before.iter().chain([&c]).collect::<String>().graphemes(true).count() == 1;
    let is_wide = || {
        single
            && c.len_utf8() == 4
            && SHORT_PICTOGRAPHS.iter().all(|sign| rules.shortest_prefix(&format!("{sign}\u{200d}")).is_none())
    };
    is_cluster(c) && c != '\n' && !joins(&['\u{915}', '\u{94d}']) && (!joins(&['\u{1f469}', '\u{200d}']) || is_wide())
}

/// The pictographs of two bytes; none has one byte.
const SHORT_PICTOGRAPHS: [char; 2] = ['\u{a9}', '\u{ae}'];

/// Clusters of at least this number of bytes are read character by character.
pub(crate) const WIDE: usize = 6;

/// The roles of a character in the three rules of UAX 29 that look further back than one character.
const PICTOGRAPH: u64 = 1;
/// Between a pictograph and U+200D.
const EXTENDS: u64 = 2;
const FLAG_LETTER: u64 = 4;
const CONSONANT: u64 = 8;
const LINKER: u64 = 16;
/// Between a consonant and a linker.
const PASSED: u64 = 32;

/// These bits of `c`, found with the segmenter.
fn kind(c: char) -> u64 {
    static KINDS: OnceLock<CharMemo> = OnceLock::new();
    KINDS.get_or_init(CharMemo::default).get(c, || {
        let is_one = |text: &[char]| text.iter().collect::<String>().graphemes(true).count() == 1;
        let bits = [
            (PICTOGRAPH, is_one(&[c, '\u{200d}', '\u{1f469}'])),
            (EXTENDS, is_one(&['\u{1f469}', c, '\u{200d}', '\u{1f469}'])),
            (FLAG_LETTER, is_one(&[c, '\u{1f1e9}']) && !is_one(&[c, 'a'])),
            (CONSONANT, is_one(&[c, '\u{94d}', '\u{915}'])),
            (LINKER, is_one(&['\u{915}', c, '\u{915}'])),
            (PASSED, is_one(&['\u{915}', c, '\u{94d}', '\u{915}'])),
        ];
        bits.into_iter().filter(|&(_, is)| is).fold(0, |bits, (bit, _)| bits | bit)
    })
}

/// The grapheme cluster at the end of a growing text: the state on which its further growth depends. Example: the
/// cluster "e\u{301}" goes on with a mark.
///
/// Rules of UAX 29 look at one character before a place, with three exceptions. These are a pictograph before U+200D, a
/// consonant before a linker, and whether the letters of flags before the place are an even number.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    length: usize,
    last: char,
    /// The text ends with a pictograph and characters that extend it; then with U+200D too.
    pictograph: bool,
    joined: bool,
    /// The text ends with a consonant and characters that may be between it and a linker; a linker is among them.
    consonant: bool,
    linked: bool,
    odd: bool,
}

impl Cluster {
    pub(super) fn new(c: char) -> Self {
        let mut cluster =
            Self { length: 0, last: c, pictograph: false, joined: false, consonant: false, linked: false, odd: false };
        cluster.push(c);
        cluster
    }

    /// In bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether `c`, which follows, belongs to the cluster.
    pub(super) fn joins(&self, c: char) -> bool {
        let before: &[char] = match () {
            () if kind(self.last) & FLAG_LETTER != 0 && !self.odd => &['\u{1f1e9}'],
            () if self.joined => &['\u{1f469}'],
            () if self.linked => &['\u{915}', '\u{94d}'],
            () => &[],
        };
        let text: String = before.iter().chain(&[self.last, c]).collect();
        let at = text.len() - c.len_utf8();
        GraphemeCursor::new(at, text.len(), true).is_boundary(&text, 0) == Ok(false)
    }

    /// Takes in `c`, which belongs to the cluster.
    pub(super) fn push(&mut self, c: char) {
        let is = |bit: u64| kind(c) & bit != 0;
        self.joined = self.pictograph && c == '\u{200d}';
        self.pictograph = is(PICTOGRAPH) || self.pictograph && is(EXTENDS);
        self.linked = self.consonant && !is(CONSONANT) && (is(LINKER) || self.linked && is(PASSED));
        self.consonant = is(CONSONANT) || self.consonant && is(LINKER | PASSED);
        self.odd = is(FLAG_LETTER) && !self.odd;
        self.length += c.len_utf8();
        self.last = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::rewriter::stages::tests::dice;

    /// One of each kind, and some.
    const LETTERS: [char; 24] = [
        'a',
        '\r',
        '\n',
        '\u{1}',
        '\u{301}',
        '\u{fe0f}',
        '\u{200d}',
        '\u{200c}',
        '\u{903}',
        '\u{600}',
        '\u{1100}',
        '\u{1161}',
        '\u{11a8}',
        '\u{ac00}',
        '\u{ac01}',
        '\u{1f1e9}',
        '\u{1f1ea}',
        '\u{1f468}',
        '\u{a9}',
        '\u{915}',
        '\u{94d}',
        '\u{93c}',
        '\u{d15}',
        '\u{d4d}',
    ];

    /// The places where a growing text is parted.
    fn parted(text: &[char]) -> Vec<usize> {
        let mut cluster: Option<Cluster> = None;
        let mut places = Vec::new();
        let mut at = 0;
        for &c in text {
            match cluster.as_mut().filter(|cluster| cluster.joins(c)) {
                Some(cluster) => cluster.push(c),
                None => {
                    cluster = Some(Cluster::new(c));
                    places.push(at);
                }
            }
            at += c.len_utf8();
        }
        places
    }

    fn twin(text: &[char]) -> Vec<usize> {
        text.iter().collect::<String>().grapheme_indices(true).map(|(at, _)| at).collect()
    }

    #[test]
    fn growing_clusters_are_those_of_the_segmenter() {
        let mut roll = dice(3);
        let mut joined = 0;
        for _ in 0..60_000 {
            let alphabet: Vec<char> = (0..=roll(5)).map(|_| LETTERS[roll(LETTERS.len())]).collect();
            let text: Vec<char> = (0..roll(14)).map(|_| alphabet[roll(alphabet.len())]).collect();
            let places = parted(&text);
            assert_eq!(places, twin(&text), "{text:?}");
            joined += text.len() - places.len();
        }
        assert!(joined > 100_000, "{joined}");
    }

    #[test]
    fn every_character_is_of_one_of_these_kinds() {
        let around = ["\u{1f469}\u{200d}", "\u{1f469}", "\u{915}\u{94d}", "\u{915}", "\u{1f1e9}", "\u{1100}", "a"]
            .map(|text| text.chars().collect::<Vec<_>>());
        let after = ["\u{200d}\u{1f469}", "\u{94d}\u{915}", "\u{915}", "\u{1f1e9}\u{1f1e9}", "\u{11a8}"]
            .map(|text| text.chars().collect::<Vec<_>>());
        let some = ('\0'..='\u{2fff}')
            .chain('\u{a000}'..='\u{abff}')
            .chain('\u{11000}'..='\u{1ffff}')
            .filter(|&c| c < '\u{e00}' || kind(c) != 0)
            .collect::<Vec<_>>();
        assert!(some.len() > 5_000, "{}", some.len());
        for c in some {
            for (left, right) in around.iter().flat_map(|left| after.iter().map(move |right| (left, right))) {
                let text = [&left[..], &[c], right].concat();
                assert_eq!(parted(&text), twin(&text), "{text:?}");
            }
        }
    }

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
