//! The parts of a growing text that NFC changes, found at the cost of the appended text.

use crate::normalizers::unicode_forms::{class_of, parts};
use unicode_normalization_alignments::{is_nfc_quick, IsNormalized, UnicodeNormalization};

/// The parts of a text that are normalized alone and change, in bytes of the text. A part that is changed once is
/// changed in every longer text. Example: 0 to 3 in "e\u{301}x".
#[derive(Debug, Clone, Default)]
pub(crate) struct ChangedParts {
    /// The changed parts before the last part, ascending.
    known: Vec<(usize, usize)>,
    last: Part,
}

/// The last part, such as "e\u{301}", and whether it is changed.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    begin: usize,
    end: usize,
    changed: bool,
    /// Its last character of class 0, and its last one.
    starter: Option<char>,
    left: Option<char>,
}

/// A saved state of [`ChangedParts`], to which it can go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedParts {
    known: usize,
    last: Part,
}

impl Part {
    /// Whether `c` changes the part, or is changed, where no change was before.
    fn is_changed_by(&self, c: char) -> bool {
        let (class, left) = (class_of(c), self.left.map_or(0, class_of));
        if left > class && class > 0 {
            return true;
        }
        match is_nfc_quick(std::iter::once(c)) {
            IsNormalized::No => true,
            IsNormalized::Yes => false,
            // A mark of its own class, or any before a character of class 0, keeps the two apart.
            IsNormalized::Maybe => {
                (left == 0 || left < class)
                    && self.starter.is_some_and(|starter| [starter, c].into_iter().nfc().count() == 1)
            }
        }
    }
}

impl ChangedParts {
    /// The length of the text.
    pub(crate) fn length(&self) -> usize {
        self.last.end
    }

    /// Appends text. Complexity: O(text).
    pub(crate) fn push(&mut self, text: &str) {
        for c in text.chars() {
            let part = &mut self.last;
            if part.left.is_some() && parts(part.left, c) {
                self.known.extend(part.changed.then_some((part.begin, part.end)));
                *part = Part { begin: part.end, end: part.end, ..Part::default() };
            }
            part.changed = part.changed || part.is_changed_by(c);
            if class_of(c) == 0 {
                part.starter = Some(c);
            }
            part.left = Some(c);
            part.end += c.len_utf8();
        }
    }

    /// Whether byte `at` is inside a part that is changed. Complexity: O(log parts).
    pub(crate) fn holds(&self, at: usize) -> bool {
        let Part { begin, end, changed, .. } = self.last;
        let next = self.known.partition_point(|part| part.1 <= at);
        changed && at > begin && at < end || self.known.get(next).is_some_and(|part| part.0 < at)
    }

    pub(crate) fn save(&self) -> SavedParts {
        SavedParts { known: self.known.len(), last: self.last }
    }

    /// Goes back to an earlier text that this one begins with.
    pub(crate) fn restore(&mut self, saved: SavedParts) {
        self.known.truncate(saved.known);
        self.last = saved.last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::unicode_forms::Normal;

    #[test]
    fn parts_are_changed_where_the_normal_form_says_so() {
        let letters = [
            'a', 'q', '\u{301}', '\u{300}', '\u{323}', '\u{327}', '\u{344}', '\u{338}', '\u{1100}', '\u{1161}',
            '\u{11a8}', '\u{ac00}', '\u{cc6}', '\u{cc2}', '\u{cd5}', '\u{9be}', '\u{f73}', '\u{f71}', '\u{212b}', ' ',
        ];
        let (mut held, mut free) = (0, 0);
        // One text in seven: all neighbours and most triples are among them.
        for number in (0..letters.len().pow(5)).step_by(7) {
            let text: String = (0..5).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect();
            let mut tracked = ChangedParts::default();
            let middle = text.char_indices().nth(3).map_or(0, |(at, _)| at);
            tracked.push(&text[..middle]);
            let saved = tracked.save();
            tracked.push("\u{323}e\u{301}x");
            tracked.restore(saved);
            tracked.push(&text[middle..]);
            assert_eq!(tracked.length(), text.len());
            let normal = Normal::nfc(&text);
            for (at, _) in text.char_indices().skip(1) {
                // A place is one of the normal form exactly if no changed part holds it.
                let is_place = normal.cut(normal.position(at)) == Some(at);
                assert_eq!(tracked.holds(at), !is_place, "{text:?} at {at}");
                *if is_place { &mut free } else { &mut held } += 1;
            }
        }
        assert!(held > 100_000 && free > 100_000, "{held} {free}");
    }
}
