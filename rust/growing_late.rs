//! Thousands of marks after one character under NFC: each one is put in its place, and what that changes is told late.
//!
//! A mark that moves before others changes the numbers of all tokens after it, but few of the tokens. So the tokens of the end of the stretch
//! are kept in a [`Rope`]. Those around the mark are merged again, until the pairs at both ends are stable
//! (docs/proofs/certificates.md, section 9, *Many marks*).

use crate::alphabet::Alphabet;
use crate::between::Between;
use crate::bpe::Bpe;
use crate::encoder::Edit;
use crate::growing::{Attempt, Growing};
use crate::merger::Merger;
use crate::normal::{class_of, marks_of};
use crate::pipeline::Pipeline;
use crate::prefixes::Pairs;
use crate::rope::{Piece, Rope};
use crate::vocabulary::Vocabulary;

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
            let piece = |symbol: &crate::merger::Symbol| {
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
        let (mut same, mut moved) = (old.tokens.count(), false);
        let fits = marks.iter().all(|&c| {
            moved |= late.place(class_of(c)).is_some_and(|(at, _)| at < late.length());
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
        growing.altered |= moved || !text.chars().eq(marks.iter().copied());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::byte_alphabet;
    use crate::encoder::Edit;
    use crate::encoder_windows::{byte_level, split};
    use crate::engine::{Behind, Carries, Growth};
    use crate::token::{Place, TokenId};
    use crate::tokenizer::Tokenizer;
    use serde_json::{json, Map, Value};
    use std::sync::Arc;

    const ADDED: &str = "\u{308}\u{301}\u{308}\u{301}";

    /// Bytes under NFC, and merges inside marks and across them.
    fn tokenizer(stage: Value) -> Arc<Tokenizer> {
        let characters = byte_alphabet::characters();
        let merges: [(&[u8], &[u8]); 9] = [
            (b"\xb0", b"\xcc"),
            (b"\xcc", b"\x81"),
            (b"\xa3", b"\xcc"),
            (b"\xcc\x81", b"\xcc\x81"),
            (b"\xcc", b"\x88"),
            (b"\xcc\x88", b"\xcc\x81"),
            (b"\xb0", b"\xd6"),
            (b"\xb0\xd6", b"\xb0"),
            (b"\xcc\x81\xcc\x81", b"\xcc\x88"),
        ];
        let shown = |bytes: &[u8]| bytes.iter().map(|&byte| characters[usize::from(byte)]).collect::<String>();
        let made = merges.iter().map(|(left, right)| shown(left) + &shown(right));
        let vocab: Map<String, Value> = characters.iter().map(char::to_string).chain(made).zip(0..).map(|(piece, id)| (piece, json!(id))).collect();
        let merges: Vec<_> = merges.iter().map(|(left, right)| json!([shown(left), shown(right)])).collect();
        let added = json!({"id": vocab.len(), "content": ADDED, "special": false, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
        let definition = json!({
            "added_tokens": [added], "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [stage, byte_level(false)]},
            "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": merges},
        });
        Tokenizer::from_bytes(definition.to_string().as_bytes(), "marks", None).unwrap()
    }

    /// So many letters were merged; None where marks are not put in their places late.
    fn merged(growth: &Growth) -> Option<usize> {
        match &growth.0 {
            Carries::BytePairs(growing) => growing.late.as_ref().map(|late| late.merged),
            _ => None,
        }
    }

    fn apply(ids: &mut Vec<TokenId>, edit: &Edit) {
        ids.truncate(ids.len() - edit.dropped());
        ids.extend_from_slice(edit.ids());
    }

    #[test]
    fn a_mark_among_thousands_costs_a_few_letters() {
        let rules = [r"\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+", r"[\p{L}\p{M}]+|\s+|\p{N}"];
        let units = ["\u{301}\u{323}", "\u{323}\u{301}\u{5b0}", "\u{301}\u{308}\u{5b0}\u{323}", "\u{344}\u{323}"];
        for (rule, unit) in rules.iter().flat_map(|rule| units.map(|unit| (rule, unit))) {
            let tokenizer = tokenizer(split(rule));
            let mut text = format!("b{}", unit.repeat(150));
            let mut growth = tokenizer.grow(&text, Behind::Start).unwrap();
            growth.tell_late();
            let mut ids = tokenizer.ids(&text, Place::Start).unwrap();
            let mut edits = Vec::new();
            let mut fork = None;
            for (number, c) in unit.chars().cycle().take(4000).enumerate() {
                text.push(c);
                edits.push(tokenizer.grown(&mut growth, c.encode_utf8(&mut [0; 4])).unwrap());
                assert!(number < 8 || merged(&growth).is_some(), "{rule}, {unit:?}: mark {number}");
                if number == 2000 {
                    fork = Some((growth.clone(), text.clone()));
                }
            }
            // A state that began again would count from 0, so all of it was carried.
            let merged = merged(&growth).unwrap();
            assert!((4000..4000 * 24).contains(&merged), "{rule}, {unit:?}: {merged} letters were merged");
            // Edits are read when all of them were made.
            edits.iter().for_each(|edit| apply(&mut ids, edit));
            assert!(ids == tokenizer.ids(&text, Place::Start).unwrap(), "{rule}, {unit:?}");
            for (mut growth, text) in [(growth, text), fork.unwrap()] {
                let parts = ["\u{301}\u{323}\u{301}", "\u{334}", "\u{334}\u{301}", "\u{327}b", "\u{301}\u{323}\u{301}"];
                as_one_without(&tokenizer, &mut growth, text, parts);
            }
        }
    }

    /// A stretch that tells its edits late, and one that does not, say the same.
    fn as_one_without<'a>(tokenizer: &Tokenizer, growth: &mut Growth, mut text: String, parts: impl IntoIterator<Item = &'a str>) {
        let mut twin = tokenizer.grow(&text, Behind::Start).unwrap();
        twin.tell_late();
        if let (Carries::BytePairs(growing), Carries::BytePairs(twin)) = (&growth.0, &mut twin.0) {
            (twin.tells_late, twin.look_at, twin.over) = (false, growing.look_at, growing.over);
        }
        let mut told = [(); 2].map(|()| tokenizer.ids(&text, Place::Start).unwrap());
        for part in parts {
            text.push_str(part);
            let edits = [tokenizer.grown(growth, part), tokenizer.grown(&mut twin, part)];
            let [state, expected] = [&*growth, &twin].map(|growth| (growth.is_over(), growth.is_lossless()));
            assert_eq!(state, expected, "{part:?}");
            let [Some(one), Some(other)] = &edits else {
                assert_eq!(edits, [None, None], "{part:?}");
                return;
            };
            assert_eq!(one.is_lossless(), other.is_lossless(), "{part:?}");
            for (ids, edit) in told.iter_mut().zip([one, other]) {
                apply(ids, edit);
                assert!(*ids == tokenizer.ids(&text, Place::Start).unwrap(), "{part:?}");
            }
        }
    }

    #[test]
    fn what_is_told_late_is_what_would_be_told_at_once() {
        let tokenizer = tokenizer(split(r"\p{L}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"));
        let sorted = format!("q{}{}", "\u{323}".repeat(150), "\u{301}".repeat(150));
        let start = |text: &str| {
            let mut growth = tokenizer.grow(text, Behind::Start).unwrap();
            growth.tell_late();
            growth
        };
        let mut growth = start(&sorted);
        assert!(growth.is_lossless());
        as_one_without(&tokenizer, &mut growth, sorted.clone(), ["\u{301}", "\u{323}", "\u{301}", "\u{323}\u{301}\u{316}"]);
        assert!(merged(&growth).is_some() && !growth.is_lossless());
        let mut growth = start(&sorted);
        as_one_without(&tokenizer, &mut growth, sorted.clone(), ["\u{323}", "\u{301}"].repeat(200));
        assert!(growth.is_over(), "it is worth it to look for cuts in twice the text");
        // The characters of an added token, which is no marks to be put in their places.
        as_one_without(&tokenizer, &mut start(&sorted), sorted.clone(), ["\u{323}", "\u{308}", "\u{301}", "\u{308}", "\u{301}", "\u{323}"]);
        as_one_without(&tokenizer, &mut start(&sorted), sorted, ["\u{323}", "b", "\u{323}a\u{301} ", "b ", "b1", "a"]);
    }

    #[test]
    fn marks_that_the_rule_parts_are_not_put_in_their_places_late() {
        let counted = ["b|\u{5b0}{1,160}\u{323}\\p{M}*|\u{5b0}+|\\p{M}+", "b|\\p{M}{1,460}"];
        for rule in counted.into_iter().chain(["\u{301}+|[^\u{301}]+", r"\p{M}{1,3}|[^\p{M}]+", "[^\u{323}]+\u{323}?|\u{323}+"]) {
            let tokenizer = tokenizer(split(rule));
            let mut text = format!("b{}", "\u{301}\u{323}\u{5b0}".repeat(150));
            let Some(mut growth) = tokenizer.grow(&text, Behind::Start) else { continue };
            growth.tell_late();
            let mut ids = tokenizer.ids(&text, Place::Start).unwrap();
            for part in ["\u{301}", "\u{323}", "\u{5b0}"].repeat(12) {
                text.push_str(part);
                let Some(edit) = tokenizer.grown(&mut growth, part) else { break };
                apply(&mut ids, &edit);
                assert!(ids == tokenizer.ids(&text, Place::Start).unwrap(), "{rule}, {part:?}");
                assert!(merged(&growth).is_none(), "{rule}");
            }
        }
    }
}
