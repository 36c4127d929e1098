//! Marks of a growing stretch that are put in their places late; the state is `growing_late.rs`.

use crate::backends::byte_exact::growing_late::{Late, MANY, ROOM};
use crate::backends::byte_exact::growing_state::{Attempt, Growing};
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::normalizers::unicode_forms::{class_of, goes_on_normal, marks_of};
use crate::tokens::between::Between;
use crate::tokens::edit::Edit;
use crate::tokens::rope::{Piece, Rope};
use crate::vocabulary::table::Vocabulary;
use std::sync::Arc;

impl Pipeline {
    /// The edit of appending `text`, if it is marks that are put among many others; else None, and nothing has changed.
    ///
    /// Complexity: O(text · (letters of the tokens that change + log tokens)), and O(marks) where this begins.
    pub(crate) fn put_late(&self, growing: &mut Growing, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        #[cfg(test)]
        if growing.at_once {
            return None;
        }
        let marks = marks_of(text)?;
        let known = growing.late.take();
        let was_known = known.is_some();
        let old = match known {
            Some(known) => known,
            None if goes_on_normal(&growing.text, text) => return None,
            None => self.late(growing, &marks, vocabulary)?,
        };
        let mut late = old.clone();
        let mut same = old.tokens.count();
        let fits = marks.iter().all(|&c| {
            let stays = self
                .reads_alike(growing, c, late.like)
                .then(|| late.put(c, (&self.bpe, vocabulary), &mut growing.pairs))
                .flatten();
            stays.is_some_and(|stays| {
                same = same.min(stays);
                true
            })
        });
        if !fits || !self.has_no_added(growing, text) {
            growing.late = was_known.then_some(old);
            return None;
        }
        // The first mark of all moved.
        growing.altered = true;
        growing.over |= late.length() >= growing.look_at;
        if let Some(raw) = &mut growing.raw {
            raw.push(text);
        }
        let between = Between::ropes(old.tokens, late.tokens.clone(), same);
        growing.late = Some(late);
        Some(Edit::between(between, growing.is_lossless()))
    }

    /// The end of the stretch, if it is many marks among which `marks` are put. All are the same to the rule and its
    /// walks.
    fn late(&self, growing: &Growing, marks: &[char], vocabulary: &Vocabulary) -> Option<Late> {
        let closed = growing.closed.as_ref()?.length;
        let open = &growing.text[closed..];
        let many = open.chars().rev().take(MANY).filter(|&c| class_of(c) > 0).count() == MANY;
        let word =
            growing.words.last().filter(|word| many && word.whole.is_none() && word.end == growing.text.len())?;
        (word.end - word.begin > self.bpe.longest_piece()).then_some(())?;
        let like = *marks.first()?;
        if let Some(automaton) = self.automaton() {
            // One more mark at any place leaves the walks as they are, and the last word ends with the text.
            let (symbol, (Attempt { walk: end, .. }, before)) =
                (automaton.symbol(like), growing.attempts.split_last()?);
            let goes_on = end.begin == word.begin
                && automaton.covers_all(end, symbol)
                && before.iter().all(|old| automaton.stays(&old.walk, symbol));
            goes_on.then_some(())?;
        }
        let mut ends: Vec<(u8, usize)> = Vec::new();
        let mut at = growing.text.len();
        for c in open.chars().rev().take_while(|&c| class_of(c) > 0) {
            self.reads_alike(growing, c, like).then_some(())?;
            if ends.last().is_none_or(|&(class, _)| class != class_of(c)) {
                ends.push((class_of(c), at));
            }
            at -= c.len_utf8();
        }
        ends.reverse();
        let room = ROOM.max(growing.text.len() - closed);
        let tokens = growing.prefixes(word).tokens(closed.saturating_sub(word.begin + room), word.end - word.begin);
        // Tokens may end inside characters.
        let first = tokens.iter().position(|&(_, at, _)| growing.text.is_char_boundary(word.begin + at))?;
        let begin = word.begin + tokens[first].1;
        let pieces: Vec<Piece> = tokens[first..].iter().map(|&(id, begin, end)| (id, (end - begin) as u32)).collect();
        let late = Late {
            base: Arc::default(),
            begin,
            whole: begin == word.begin,
            tokens: Rope::new(&pieces),
            ends,
            like,
            #[cfg(test)]
            merged: 0,
        };
        (late.text(vocabulary)? == growing.text.as_bytes()[begin..]).then_some(late)
    }

    /// Whether `c`, among marks at the end of the stretch, is to all stages of the rule as `like` is.
    fn reads_alike(&self, growing: &Growing, c: char, like: char) -> bool {
        self.automaton().is_none_or(|rule| rule.symbol(c) == rule.symbol(like))
            && growing.others.as_ref().is_none_or(|others| others.stay(&self.splitter, c, like))
    }

    /// Ends that: the stretch is as if each mark had been put in its place at once. None as for
    /// [`Pipeline::stretch_grown`].
    pub(crate) fn settle_late(&self, growing: &mut Growing, vocabulary: &Vocabulary) -> Option<()> {
        let Some(late) = growing.late.take() else { return Some(()) };
        let closed = growing.closed.clone()?;
        let open = late.open(closed.length, &growing.text[closed.length..late.begin.max(closed.length)], vocabulary)?;
        growing.rewind_walks(&closed);
        growing.forget_after(closed.length);
        growing.text.push_str(&open);
        let length = growing.text.len();
        self.walk(growing, length)?;
        growing.words = self.words_of(growing, length)?;
        Some(())
    }
}
