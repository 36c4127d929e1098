//! Thousands of marks after one character under NFC: each one is put in its place, and what that changes is told late.
//!
//! A mark that moves before others changes the numbers of all tokens after it, but few of the tokens. So the tokens of the end of the stretch
//! are kept in a [`Rope`]. Those around the mark are merged again, until the pairs at both ends are stable
//! (docs/proofs/certificates.md, section 9, *Many marks*).

use crate::backends::byte_exact::growing::{Attempt, Growing};
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::models::bpe::initial_symbols::Alphabet;
use crate::models::bpe::merge::Merger;
use crate::models::bpe::model::Bpe;
use crate::models::bpe::prefixes::Pairs;
use crate::normalizers::unicode_forms::{class_of, marks_of};
use crate::tokens::between::Between;
use crate::tokens::edit::Edit;
use crate::tokens::rope::{Piece, Rope};
use crate::vocabulary::table::Vocabulary;

/// From so many marks on it is worth it.
const MANY: usize = 64;
/// So many bytes before the place up to which the normal form is final the tokens may change, at least.
const ROOM: usize = 256;

/// The end of a stretch, of whose marks each may be put in its place.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    /// Where the first of the tokens begins; the text before it is that of the stretch.
    begin: usize,
    /// It begins a word.
    whole: bool,
    tokens: Rope,
    /// The classes of the marks, ascending, and where the marks of each end in the stretch.
    ends: Vec<(u8, usize)>,
    /// What the rule reads in each mark.
    symbol: u8,
    /// So many letters were merged.
    #[cfg(test)]
    pub(crate) merged: usize,
}

impl Late {
    /// The length of the stretch.
    pub(crate) fn length(&self) -> usize {
        self.begin + self.tokens.bytes()
    }

    /// The place of a mark of `class`, and the number of the class; None where no mark of this class stands there.
    fn place(&self, class: u8) -> Option<(usize, usize)> {
        let number = self.ends.binary_search_by_key(&class, |&(class, _)| class).ok()?;
        Some((self.ends[number].1, number)).filter(|&(at, _)| at > self.begin)
    }

    /// Puts `c` in its place; so many of the first tokens stay. None where that is not carried, and the state is then of no use.
    fn put(&mut self, c: char, (bpe, vocabulary): (&Bpe, &Vocabulary), pairs: &mut Pairs) -> Option<usize> {
        let (at, number) = self.place(class_of(c))?;
        let (first, begin) = self.tokens.find(at - self.begin);
        // The mark stands inside a token, or between two.
        let (mut from, mut to) = (first, first + usize::from(begin < at - self.begin));
        let mut inserted = [0; 4];
        let inserted = c.encode_utf8(&mut inserted).as_bytes();
        let (mut left, mut right) = (1, 1);
        let made = loop {
            let mut pieces = Vec::new();
            // With a neighbour at each end.
            let more = usize::from(from > 0);
            self.tokens.read(from - more, to + 1, &mut pieces);
            let (before, after) = ((more > 0).then(|| pieces[0]), pieces.get(more + to - from).copied());
            (before.is_some() || self.whole).then_some(())?;
            let mut text = Vec::new();
            for (index, &(id, _)) in (from..to).zip(&pieces[more..]) {
                let bytes = vocabulary.bytes(id, 0).ok()?;
                let inside = if index == first { at - self.begin - begin } else { 0 };
                if index == first {
                    text.extend_from_slice(&bytes[..inside]);
                    text.extend_from_slice(inserted);
                }
                text.extend_from_slice(&bytes[inside..]);
            }
            if to <= first {
                text.extend_from_slice(inserted);
            }
            let made = self.merged(&text, bpe, vocabulary)?;
            let mut apart = |one: Option<Piece>, other: Option<&Piece>| match (one, other) {
                (Some(one), Some(&other)) => pairs.stand_apart(bpe, one, other, || {
                    let bytes = [vocabulary.bytes(one.0, 0).ok()?, vocabulary.bytes(other.0, 0).ok()?].concat();
                    let mut letters = Vec::new();
                    bpe.letters(&bytes, 0, &mut letters).map(|()| letters)
                }),
                _ => true,
            };
            let (stays_left, stays_right) = (apart(before, made.first()), apart(made.last().copied(), after.as_ref()));
            if stays_left && stays_right {
                break made;
            }
            if !stays_left {
                (from, left) = (from.saturating_sub(left), 2 * left);
            }
            if !stays_right {
                (to, right) = (self.tokens.count().min(to + right), 2 * right);
            }
        };
        self.tokens = self.tokens.replaced(from, to, &made);
        self.ends[number..].iter_mut().for_each(|(_, end)| *end += c.len_utf8());
        Some(from)
    }

    /// The tokens that the merges make of `text`; None where they say something else.
    fn merged(&mut self, text: &[u8], bpe: &Bpe, vocabulary: &Vocabulary) -> Option<Vec<Piece>> {
        #[cfg(test)]
        {
            self.merged += text.len();
        }
        let mut letters = Vec::new();
        bpe.letters(text, 0, &mut letters)?;
        bpe.merged_letters(&letters, 0, &mut Merger::default(), |made| {
            let piece = |symbol: &crate::models::bpe::merge::Symbol| {
                let said = vocabulary.bytes(symbol.id, 0).ok()? == &text[symbol.start as usize..symbol.end as usize];
                said.then_some((symbol.id, symbol.end - symbol.start))
            };
            made.iter().map(piece).collect()
        })
    }

    /// The text of the tokens.
    fn text(&self, vocabulary: &Vocabulary) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.tokens.bytes());
        for id in self.tokens.ids(0) {
            text.extend_from_slice(vocabulary.bytes(id, 0).ok()?);
        }
        Some(text)
    }
}

impl Pipeline {
    /// What appending `text` changes, if it is marks that are put among many others; else None, and nothing has changed.
    ///
    /// Complexity: O(text · (letters of the tokens that change + log tokens)), and O(marks) where this begins.
    pub(crate) fn put_late(&self, growing: &mut Growing, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        let marks = growing.tells_late.then(|| marks_of(text)).flatten()?;
        let automaton = self.automaton()?;
        let known = growing.late.take();
        let was_known = known.is_some();
        let old = known.or_else(|| self.late(growing, &marks, vocabulary))?;
        let mut late = old.clone();
        let mut same = old.tokens.count();
        let fits = marks.iter().all(|&c| {
            let stays = (automaton.symbol(c) == late.symbol).then(|| late.put(c, (&self.bpe, vocabulary), &mut growing.pairs)).flatten();
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

    /// The end of the stretch as it is, if it is many marks, all the same to the rule and to its walks, some of which `marks` move.
    fn late(&self, growing: &Growing, marks: &[char], vocabulary: &Vocabulary) -> Option<Late> {
        let closed = growing.closed.as_ref()?.length;
        let open = &growing.text[closed..];
        let (last, lowest) = (class_of(open.chars().next_back()?), marks.iter().map(|&c| class_of(c)).min()?);
        let many = open.chars().rev().take(MANY).filter(|&c| class_of(c) > 0).count() == MANY;
        let automaton = self.automaton().filter(|_| many && lowest < last && growing.raw.is_some())?;
        let word = growing.words.last().filter(|word| word.whole.is_none() && word.end == growing.text.len())?;
        (matches!(self.bpe.alphabet, Alphabet::Bytes { .. }) && word.end - word.begin > self.bpe.longest_piece()).then_some(())?;
        let symbol = automaton.symbol(*marks.first()?);
        // One more mark, wherever it stands, leaves the walks as they are, and the last word ends with the text.
        let (Attempt { walk: end, .. }, before) = growing.attempts.split_last()?;
        let goes_on = end.begin == word.begin && automaton.covers_all(end, symbol) && before.iter().all(|old| automaton.stays(&old.walk, symbol));
        goes_on.then_some(())?;
        let mut ends: Vec<(u8, usize)> = Vec::new();
        let mut at = growing.text.len();
        for c in open.chars().rev().take_while(|&c| class_of(c) > 0) {
            (automaton.symbol(c) == symbol).then_some(())?;
            if ends.last().is_none_or(|&(class, _)| class != class_of(c)) {
                ends.push((class_of(c), at));
            }
            at -= c.len_utf8();
        }
        ends.reverse();
        let room = ROOM.max(growing.text.len() - closed);
        let prefixes = growing.prefixes(word);
        let tokens = prefixes.tokens(closed.saturating_sub(word.begin + room), word.end - word.begin);
        let begin = word.begin + tokens.first()?.2;
        let pieces: Vec<Piece> = tokens.iter().map(|&(id, length, _)| (id, length as u32)).collect();
        let late = Late {
            begin,
            whole: begin == word.begin,
            tokens: Rope::new(&pieces),
            ends,
            symbol,
            #[cfg(test)]
            merged: 0,
        };
        (late.text(vocabulary)? == growing.text.as_bytes()[begin..]).then_some(late)
    }

    /// Ends that: the stretch is as if each mark had been put in its place at once. None as for [`Pipeline::stretch_grown`].
    pub(crate) fn settle_late(&self, growing: &mut Growing, vocabulary: &Vocabulary) -> Option<()> {
        let Some(late) = growing.late.take() else { return Some(()) };
        let closed = growing.closed.clone()?;
        let tail = String::from_utf8(late.text(vocabulary)?).ok()?;
        let open = match late.begin.checked_sub(closed.length) {
            Some(_) => format!("{}{tail}", &growing.text[closed.length..late.begin]),
            None => tail[closed.length - late.begin..].into(),
        };
        growing.rewind_walks(&closed);
        growing.forget_behind(closed.length);
        growing.text.push_str(&open);
        let length = growing.text.len();
        self.walk(growing, length)?;
        growing.words = self.words_of(growing, length)?;
        Some(())
    }
}
