//! The parts of a text that is rewritten from left to right, and the way back to the text as it was written.
//!
//! The parts divide both texts, so a position of one has a place in the other. The stages of a `tokenizer.json` move
//! characters across each other, so they keep the origin of each character instead (`rewriter/trace.rs`).

/// The parts of a rewritten text. Example: "e\u{301}b" in NFC has the part "e\u{301}", which was replaced, and "b".
#[derive(Debug, Clone, Default)]
pub(crate) struct Offsets {
    /// The end of each part, ascending, after the begin of the text. Empty if no part was replaced.
    ends: Vec<End>,
}

/// The end of a part. Example: 2 in the NFC form of "e\u{301}", and 3 in the text.
#[derive(Debug, Clone, Copy)]
struct End {
    rewritten: usize,
    original: usize,
    part: Part,
}

/// The bytes of a part after rewriting. A replaced part may have the length that it had (o + cedilla + dot below).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// They are other bytes, or stand in another place.
    Replaced,
    /// The same bytes, taken as one. Example: a user-defined symbol of SentencePiece.
    KeptWhole,
    /// The same bytes, each character for itself. Such parts side by side are one.
    Kept,
}

/// A state of growing offsets, to which they can go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedOffsets {
    length: usize,
    last: Option<End>,
}

impl Offsets {
    /// The offsets of a text that is rewritten to nothing so far.
    pub(crate) fn begun() -> Self {
        Self { ends: vec![End { rewritten: 0, original: 0, part: Part::Replaced }] }
    }

    /// Whether no part was ever pushed, so that all positions are their own.
    pub(crate) fn is_identity(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a part that ends at `rewritten` and `original`.
    pub(crate) fn push(&mut self, rewritten: usize, original: usize, part: Part) {
        let end = End { rewritten, original, part };
        match self.ends.last_mut() {
            Some(last) if part == Part::Kept && last.part == Part::Kept => *last = end,
            _ => self.ends.push(end),
        }
    }

    /// Lets the text begin at `original`, because all characters before it were dropped. No part may have been pushed.
    pub(crate) fn begin_at(&mut self, original: usize) {
        if let [begin] = &mut self.ends[..] {
            begin.original = original;
        }
    }

    /// The present state. [`push`](Self::push) may change the last part, so it is saved too.
    pub(crate) fn save(&self) -> SavedOffsets {
        SavedOffsets { length: self.ends.len(), last: self.ends.last().copied() }
    }

    /// Goes back to a state that the present one grew from.
    pub(crate) fn restore(&mut self, saved: SavedOffsets) {
        self.ends.truncate(saved.length);
        if let (Some(last), Some(known)) = (self.ends.last_mut(), saved.last) {
            *last = known;
        }
    }

    /// The number of the first end at or after the rewritten position `at`.
    fn index(&self, at: usize) -> usize {
        self.ends.partition_point(|end| end.rewritten < at).min(self.ends.len().saturating_sub(1))
    }

    /// The begin in the text of a span that begins at `at` (`.0`), and the end of a span that ends there (`.1`).
    /// Complexity: O(log parts).
    pub(crate) fn around(&self, at: usize) -> (usize, usize) {
        let index = self.index(at);
        let Some(&End { rewritten, original, part }) = self.ends.get(index) else { return (at, at) };
        if rewritten == at {
            // Parts may shrink to nothing: the last one that ends here counts for a begin, the first for an end.
            let last = self.ends.partition_point(|end| end.rewritten <= at).saturating_sub(1);
            return (self.ends[last].original, original);
        }
        let before = self.ends[index.saturating_sub(1)];
        if part == Part::Replaced {
            return (before.original, original);
        }
        let same = before.original + at - before.rewritten;
        (same, same)
    }

    /// The place in the text of the rewritten position `at`, if both texts are cut there. They are cut between two
    /// parts of which none is empty, and between two kept characters.
    pub(crate) fn cut(&self, at: usize) -> Option<usize> {
        let Some(&End { rewritten, part, .. }) = self.ends.get(self.index(at)) else { return Some(at) };
        let (start, end) = self.around(at);
        (start == end && (rewritten == at || part == Part::Kept)).then_some(start)
    }

    /// The last rewritten position that is not after `original`: inside a part that is not [`Part::Kept`] its begin.
    pub(crate) fn position(&self, original: usize) -> usize {
        let next = self.ends.partition_point(|end| end.original <= original);
        let Some(before) = next.checked_sub(1).map(|before| self.ends[before]) else {
            return if self.ends.is_empty() { original } else { 0 };
        };
        let inside = self.ends.get(next).filter(|end| end.part == Part::Kept).map_or(0, |_| original - before.original);
        before.rewritten + inside
    }

    /// The rewritten begins and ends of the replaced parts that end at or before `at`, ascending.
    pub(crate) fn replaced(&self, at: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let parts = self.ends.windows(2).take_while(move |part| part[1].rewritten <= at);
        parts.filter(|part| part[1].part == Part::Replaced).map(|part| (part[0].rewritten, part[1].rewritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "ab", dropped "xx", replaced "yyy" -> "Z", the symbol "--", "c".
    fn example() -> Offsets {
        let mut offsets = Offsets::begun();
        offsets.push(1, 1, Part::Kept);
        offsets.push(2, 2, Part::Kept);
        offsets.push(2, 4, Part::Replaced);
        offsets.push(3, 7, Part::Replaced);
        offsets.push(5, 9, Part::KeptWhole);
        offsets.push(6, 10, Part::Kept);
        offsets
    }

    #[test]
    fn positions_of_parts_lead_back() {
        let offsets = example();
        let around = [(0, 0), (1, 1), (4, 2), (7, 7), (8, 8), (9, 9), (10, 10)];
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|at| offsets.around(at)), around);
        let cuts = [Some(0), Some(1), None, Some(7), None, Some(9), Some(10)];
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|at| offsets.cut(at)), cuts);
        assert_eq!([0, 1, 2, 3, 4, 6, 7, 8, 9, 10].map(|at| offsets.position(at)), [0, 1, 2, 2, 2, 2, 3, 3, 5, 6]);
        assert_eq!(offsets.replaced(6).collect::<Vec<_>>(), [(2, 2), (2, 3)]);
        assert_eq!(offsets.replaced(2).collect::<Vec<_>>(), [(2, 2)]);
    }

    #[test]
    fn offsets_without_parts_are_the_identity() {
        let none = Offsets::default();
        assert_eq!((none.around(5), none.cut(5), none.position(5), none.is_identity()), ((5, 5), Some(5), 5, true));
    }

    #[test]
    fn a_saved_state_comes_back_although_its_last_part_has_grown() {
        let mut offsets = Offsets::begun();
        offsets.begin_at(2);
        offsets.push(1, 3, Part::Kept);
        let saved = offsets.save();
        offsets.push(2, 4, Part::Kept);
        offsets.push(9, 5, Part::Replaced);
        assert_eq!((offsets.position(4), offsets.around(0)), (2, (2, 2)));
        offsets.restore(saved);
        assert_eq!((offsets.position(4), offsets.around(1)), (1, (3, 3)));
    }
}
