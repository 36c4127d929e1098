//! Our own engine for Unigram and WordPiece models, behind normalizers that may rewrite text.
//!
//! A text is cut before white space where each side is normalised, split and encoded by itself ([`Rewriting::cuts`]). The
//! parts (words, mostly) are remembered with their tokens. The same cuts are the certificate: what stands before one
//! cannot change. Unigram models that read the whole text as one word are only normalised in parts.
//!
//! In definitions whose vocabulary writes U+2581 for a space all work is in *byte space*, where that mark is a space.

use crate::added::Stretch;
use crate::dictionary::Dictionary;
use crate::char_memo::CharMemo;
use crate::engine::{Behind, Certificate, Engine, Proof, Resume, Window};
use crate::error::{Error, Result};
use crate::normal::METASPACE;
use crate::pipeline::DummyPrefix;
use crate::rewriter::{Ends, Rewriter, Trace};
use crate::token::{Place, Token, TokenId};
use crate::unigram::{Carried, Lattice, Point, Unigram};
use crate::known_words::{hash, Placed, KnownWords, LONGEST_WORD};
use crate::word_rule::WordRule;
use crate::wordpiece::WordPiece;
use crate::word_cache::Pool;
use std::ops::Range;

/// How a word becomes tokens.
#[derive(Debug)]
pub(crate) enum Model {
    Unigram(Unigram),
    WordPiece(WordPiece),
}

/// What the model reads as one word.
#[derive(Debug)]
pub(crate) enum Words {
    /// The whole text.
    Whole,
    /// A space and what follows up to the next (byte space).
    Spaced,
    /// What a rule says; `marked`: each behind a space, the mark of its beginning (byte space).
    Ruled { rule: WordRule, marked: bool },
}

/// Added tokens, found in the text before anything else, the longest first.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The numbers are indices into `ids`.
    pub(crate) contents: Dictionary,
    /// None: a control token, which is text, but hides added tokens that begin inside it.
    pub(crate) ids: Vec<Option<TokenId>>,
    pub(crate) begins: Vec<bool>,
}

/// The engine.
pub(crate) struct Rewriting {
    added: Added,
    rewriter: Rewriter,
    words: Words,
    model: Model,
    dummy: DummyPrefix,
    /// The dummy prefix stands before every stretch behind an added token too, not only at the start.
    dummy_everywhere: bool,
    /// ASCII white space that begins a part.
    borders: [bool; 128],
    /// ASCII characters behind which a border is a cut.
    closes: [bool; 128],
    /// A cut needs no more than its two sides being rewritten each by itself: white space is dropped anyway.
    loose: bool,
    /// A space begins a part behind a space too.
    each_space: bool,
    /// Where words end without white space may be told from the characters beside the place: [`Rewriting::borders`].
    has_borders: bool,
    sides: CharMemo,
    /// No piece holds a space behind another character, and a space is never fused with an unknown one.
    spaces_begin_pieces: bool,
    exact_spans: bool,
    notes: String,
    scratch: Pool<Scratch>,
}

/// Buffers for one call; no lock is held while they are used.
#[derive(Default)]
struct Scratch {
    cache: KnownWords,
    work: Work,
    tokens: Vec<Placed>,
}

/// Buffers for one part.
#[derive(Default)]
struct Work {
    lattice: Lattice,
    path: Vec<(u32, u32)>,
    normal: String,
    trace: Trace,
    word: String,
    positions: Vec<u32>,
    points: Vec<Point>,
    groups: KnownWords,
}

impl Work {
    /// A huge text leaves no huge buffers behind.
    fn shrink(&mut self, length: usize) {
        if length > LARGE {
            *self = Self { groups: std::mem::take(&mut self.groups), ..Self::default() };
        }
    }
}

/// What a stream knows of a part, beside its text.
#[derive(Clone, Copy)]
struct Opening {
    /// Of the word that the part begins in the middle of.
    carried: Option<Carried>,
    /// From here on the text of the part is not final.
    horizon: usize,
    /// More text may follow directly.
    grows: bool,
}

/// Buffers of texts that are longer (in bytes) are not kept.
const LARGE: usize = 1 << 16;

/// What is special about a part at an end of its stretch.
#[derive(Clone, Copy)]
struct Role {
    ends: Ends,
    dummy: bool,
}

impl Role {
    fn variant(self) -> u8 {
        u8::from(self.ends.start) | u8::from(self.ends.end) << 1 | u8::from(self.dummy) << 2
    }
}

/// What [`Rewriting::borders`] remembers of a character: the codes, in its word rule, of the first and last character of
/// what it becomes, its class in the rewriter, and whether it is white space.
#[derive(Clone, Copy)]
struct Sides(u64);

impl Sides {
    fn first(self) -> u8 {
        self.0 as u8
    }

    fn last(self) -> u8 {
        (self.0 >> 8) as u8
    }

    fn class(self) -> u8 {
        (self.0 >> 16) as u8
    }

    fn is_white(self) -> bool {
        self.0 >> 24 != 0
    }
}

/// What the definition says.
pub(crate) struct Parts {
    pub(crate) added: Added,
    pub(crate) rewriter: Rewriter,
    pub(crate) words: Words,
    pub(crate) model: Model,
    pub(crate) dummy: DummyPrefix,
    pub(crate) dummy_everywhere: bool,
    pub(crate) spaces_begin_pieces: bool,
    pub(crate) exact_spans: bool,
    pub(crate) notes: String,
}

impl Added {
    /// The stretches of `text`, and the first position from where a later text could change them.
    fn stretches(&self, text: &str) -> Stretches {
        let mut stretches = Vec::new();
        let mut hidden = Vec::new();
        let (mut at, mut gap, mut unsure) = (0, 0, text.len());
        let bytes = text.as_bytes();
        while !self.ids.is_empty() && at < bytes.len() {
            if !self.begins[usize::from(bytes[at])] {
                at += 1;
                continue;
            }
            if self.contents.reach(&bytes[at..]).1 {
                unsure = unsure.min(at);
            }
            let Some((length, index)) = self.contents.longest(&bytes[at..]) else {
                at += 1;
                continue;
            };
            if let Some(id) = self.ids[index as usize] {
                if gap < at {
                    stretches.push(Stretch { start: gap, end: at, added: None });
                }
                stretches.push(Stretch { start: at, end: at + length, added: Some(id) });
                gap = at + length;
            } else {
                hidden.push(at..at + length);
            }
            at += length;
        }
        if gap < text.len() {
            stretches.push(Stretch { start: gap, end: text.len(), added: None });
        }
        Stretches { stretches, unsure, hidden }
    }
}

/// What [`Added::stretches`] finds.
struct Stretches {
    stretches: Vec<Stretch>,
    unsure: usize,
    /// Control tokens, which are text: looking for added tokens cannot begin inside one.
    hidden: Vec<Range<usize>>,
}

impl Stretches {
    /// Whether added tokens are found behind `at` as if nothing stood before it.
    fn parts(&self, at: usize) -> bool {
        let next = self.hidden.partition_point(|hidden| hidden.end <= at);
        self.hidden.get(next).is_none_or(|hidden| at <= hidden.start)
    }
}

impl Rewriting {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { added, rewriter, words, model, dummy, dummy_everywhere, spaces_begin_pieces, exact_spans, notes } = parts;
        let drops = |c: char| matches!(&words, Words::Ruled { rule, .. } if rule.is_dropped(c));
        let loose = matches!(&words, Words::Ruled { rule, .. } if rule.drops_white_space()) && !rewriter.acts_on_runs();
        let mut borders = [false; 128];
        for border in [' ', '\t', '\n', '\r'] {
            borders[border as usize] = rewriter.alone(border).is_some_and(|output| match &words {
                Words::Ruled { rule, .. } => rule.drops_white_space() && !output.is_empty() && output.chars().all(drops),
                Words::Whole | Words::Spaced => output == " ",
            });
        }
        let mut closes = [false; 128];
        for c in (0..128_u8).map(char::from).filter(|&c| !c.is_whitespace()) {
            closes[c as usize] = rewriter.is_solid(c) || loose && rewriter.is_closed(c);
        }
        let each_space = matches!(words, Words::Spaced) && rewriter.divides(' ', ' ') && !rewriter.acts_on_runs();
        let parts_text = matches!(&words, Words::Ruled { rule, .. } if rule.parts_text());
        let has_borders = parts_text && !rewriter.acts_on_runs() && rewriter.divides('a', 'b');
        let (scratch, sides) = (Pool::default(), CharMemo::default());
        Self {
            has_borders, sides, added, rewriter, words, model, dummy, dummy_everywhere, borders, closes, loose, each_space, spaces_begin_pieces, exact_spans, notes, scratch,
        }
    }

    /// Whether `stretch` may be cut at byte `at`: before white space behind something that stays.
    #[inline]
    fn is_cut(&self, stretch: &str, at: usize) -> bool {
        let bytes = stretch.as_bytes();
        if !self.borders.get(usize::from(bytes[at])).is_some_and(|&is| is) {
            return false;
        }
        let before = bytes[at - 1];
        if let Some(&closes) = self.closes.get(usize::from(before)) {
            let joined = !self.loose && closes && at > 1 && !bytes[at - 2].is_ascii() && {
                let before = stretch[..at - 1].chars().next_back();
                before.is_some_and(|before| !self.rewriter.is_closed(before))
            };
            return closes && !joined || self.each_space && before == b' ' && bytes[at] == b' ';
        }
        let mut before = stretch[..at].chars().rev();
        let Some(last) = before.next().filter(|c| !c.is_whitespace()) else { return false };
        if self.loose {
            return self.rewriter.is_closed(last);
        }
        self.rewriter.is_solid(last) && before.next().is_none_or(|c| self.rewriter.is_closed(c))
    }

    /// Calls `each` with the places of `text`, ascending, where a word ends whatever stands elsewhere: without white space.
    fn borders(&self, text: &str, mut each: impl FnMut(usize)) {
        let Words::Ruled { rule, .. } = &self.words else { return };
        if !self.has_borders {
            return;
        }
        let mut left: Option<Sides> = None;
        // Whether the left character is not changed by the one before it.
        let mut alone = true;
        // A border that is one if the character behind it is not changed by the next one.
        let mut unsure = None;
        for (at, c) in text.char_indices() {
            let right = self.sides_of(c, rule);
            if let Some(left) = left.replace(right) {
                let divided = Rewriter::divides_classes(left.class(), right.class());
                if let Some(at) = unsure.take().filter(|_| divided) {
                    each(at);
                }
                if divided && alone && !left.is_white() && WordRule::parts(left.last(), right.first()) {
                    // The left side, by itself, is never a part of a word with what follows.
                    if WordRule::stands_alone(left.last()) { each(at) } else { unsure = Some(at) }
                }
                alone = divided;
            }
        }
    }

    #[inline]
    fn sides_of(&self, c: char, rule: &WordRule) -> Sides {
        Sides(self.sides.get(c, || {
            let (first, last) = self.rewriter.edges(c).map_or((0, 0), |(first, last)| (rule.code(first), rule.code(last)));
            u64::from(first) | u64::from(last) << 8 | u64::from(self.rewriter.class(c)) << 16 | u64::from(c.is_whitespace()) << 24
        }))
    }

    /// Whether the two sides of byte `at` are rewritten each by itself, the right one as [`Place::Inside`].
    fn is_parted(&self, part: &str, at: usize) -> bool {
        let mut before = part[..at].chars().rev();
        let (Some(left), Some(right)) = (before.next(), part[at..].chars().next()) else { return false };
        if !self.rewriter.divides(left, right) {
            return false;
        }
        // Nothing that acts on white space reaches across something else that stays.
        let is_solid = !left.is_whitespace() && self.rewriter.is_solid(left);
        !self.rewriter.acts_on_runs() || is_solid && before.next().is_none_or(|before| self.rewriter.divides(before, left))
    }

    /// Whether any text has settled cuts.
    fn has_cuts(&self) -> bool {
        match self.words {
            Words::Whole => self.spaces_begin_pieces || !self.rewriter.acts_on_runs(),
            Words::Spaced | Words::Ruled { .. } => self.borders.contains(&true),
        }
    }

    /// The cuts of `stretch`: each side is encoded by itself, as far as words go.
    fn cuts(&self, stretch: &str) -> Vec<usize> {
        let mut cuts: Vec<usize> = (1..stretch.len()).filter(|&at| self.is_cut(stretch, at)).collect();
        if self.has_borders {
            self.borders(stretch, |at| cuts.push(at));
            cuts.sort_unstable();
            cuts.dedup();
        }
        cuts
    }

    /// Whether a stretch behind an added token begins like a text; T' would not.
    fn begins_anew(&self) -> bool {
        self.dummy_everywhere && self.dummy != DummyPrefix::None || self.rewriter.acts_on_start()
    }

    fn dummy_at(&self, index: usize, place: Place) -> bool {
        let here = if index == 0 { place == Place::Start } else { self.dummy_everywhere };
        here && self.dummy != DummyPrefix::None
    }

    /// Whether the rewritten text of a part gets a space before it.
    fn wants_dummy(&self, normal: &str) -> bool {
        !normal.is_empty() && (self.dummy == DummyPrefix::Always || !normal.starts_with(' '))
    }

    fn run(&self, text: &str, place: Place, emit: &mut impl FnMut(u32, usize, usize, u32)) -> Result<()> {
        check_length(text)?;
        self.scratch.with(|scratch| self.run_with(scratch, text, place, emit));
        Ok(())
    }

    fn run_with(&self, scratch: &mut Scratch, text: &str, place: Place, emit: &mut impl FnMut(u32, usize, usize, u32)) {
        let mut word = 0;
        if self.added.ids.is_empty() {
            if !text.is_empty() {
                self.stretch(text, 0, 0, place, scratch, &mut word, emit);
            }
        } else {
            for (index, part) in self.added.stretches(text).stretches.iter().enumerate() {
                if let Some(id) = part.added {
                    emit(id.0, part.start, part.end, word);
                    word += 1;
                } else {
                    self.stretch(&text[part.start..part.end], part.start, index, place, scratch, &mut word, emit);
                }
            }
        }
        scratch.work.shrink(text.len());
    }

    /// What is special about the parts of a stretch: of that from `start` to `end`.
    fn roles(&self, stretch: &str, index: usize, place: Place) -> impl Fn(usize, usize) -> Role + use<> {
        let at_start = self.rewriter.acts_on_start() && (index > 0 || place == Place::Start);
        let (dummy, at_end, length) = (self.dummy_at(index, place), self.rewriter.acts_on_end(), stretch.len());
        move |start, end| Role { ends: Ends { start: start == 0 && at_start, end: end == length && at_end }, dummy: start == 0 && dummy }
    }

    #[allow(clippy::too_many_arguments)]
    fn stretch(
        &self,
        stretch: &str,
        base: usize,
        index: usize,
        place: Place,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let role = self.roles(stretch, index, place);
        if matches!(self.words, Words::Whole) {
            let mut words = 0;
            self.encode_part::<false>(stretch, role(0, stretch.len()), None, &mut scratch.work, &mut |id, start, end, number| {
                words = number + 1;
                emit(id, base + start, base + end, *word + number);
            });
            *word += words;
            return;
        }
        let mut start = 0;
        let bytes = stretch.as_bytes();
        for end in 1..=bytes.len() {
            if end < bytes.len() && !self.is_cut(stretch, end) {
                continue;
            }
            let from = if self.loose { start + self.droppable(&stretch[start..end]) } else { start };
            if end - from > LONGEST_WORD {
                self.long_part(stretch, start, from, end, base, &role, scratch, word, emit);
            } else {
                self.part(stretch, from, end, base, role(start, end), scratch, word, emit);
            }
            start = end;
        }
    }

    /// A part that is not remembered as a whole: in scripts without spaces its words may be.
    #[allow(clippy::too_many_arguments)]
    #[inline(never)]
    fn long_part(
        &self,
        stretch: &str,
        mut start: usize,
        first: usize,
        end: usize,
        base: usize,
        role: &impl Fn(usize, usize) -> Role,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let mut from = first;
        if self.has_borders && self.is_mixed(&stretch[first..end]) {
            self.borders(&stretch[first..end], |at| {
                let at = first + at;
                self.part(stretch, from, at, base, role(start, at), scratch, word, emit);
                (start, from) = (at, at);
            });
        }
        self.part(stretch, from, end, base, role(start, end), scratch, word, emit);
    }

    /// Whether one of a few characters of `part` is a word by itself; if not, looking for borders hardly pays.
    fn is_mixed(&self, part: &str) -> bool {
        let Words::Ruled { rule, .. } = &self.words else { return false };
        (0..8).any(|place| {
            let at = part.len() * place / 8;
            let c = (at..part.len()).find(|&at| part.is_char_boundary(at)).and_then(|at| part[at..].chars().next());
            c.is_some_and(|c| WordRule::stands_alone(self.sides_of(c, rule).last()))
        })
    }

    /// How much white space before the first word of a part makes no difference.
    #[inline]
    fn droppable(&self, part: &str) -> usize {
        let count = part.bytes().take_while(|&byte| self.borders.get(usize::from(byte)).is_some_and(|&is| is)).count();
        match part[count..].chars().next() {
            Some(next) if self.rewriter.divides(' ', next) => count,
            _ => 0,
        }
    }

    #[allow(clippy::too_many_arguments)]
    #[inline]
    fn part(
        &self,
        stretch: &str,
        start: usize,
        end: usize,
        base: usize,
        role: Role,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let part = &stretch[start..end];
        let at = base + start;
        if part.len() > LONGEST_WORD {
            let mut words = 0;
            self.encode_part::<false>(part, role, None, &mut scratch.work, &mut |id, start, end, number| {
                words = number + 1;
                emit(id, at + start, at + end, *word + number);
            });
            *word += words;
            return;
        }
        let variant = role.variant();
        let key = hash(part.as_bytes(), variant);
        let words = if let Some((tokens, words)) = scratch.cache.get(part.as_bytes(), variant, key) {
            for token in tokens {
                emit(token.id, at + usize::from(token.start), at + usize::from(token.end), *word + u32::from(token.word));
            }
            words
        } else {
            scratch.tokens.clear();
            let tokens = &mut scratch.tokens;
            self.encode_part::<false>(part, role, None, &mut scratch.work, &mut |id, start, end, number| {
                // The part is short, so these are small; what it is rewritten to may be longer, so numbers may not be.
                tokens.push(Placed { id, start: start as u16, end: end as u16, word: number.min(u32::from(u16::MAX)) as u16 });
            });
            let words = scratch.tokens.last().map_or(0, |token| token.word.saturating_add(1));
            scratch.cache.insert(part.as_bytes(), variant, key, &scratch.tokens, words);
            for token in &scratch.tokens {
                emit(token.id, at + usize::from(token.start), at + usize::from(token.end), *word + u32::from(token.word));
            }
            words
        };
        *word += u32::from(words);
    }

    /// Emits (id, start, end, number of the pre-token) for the tokens of a part.
    ///
    /// Where `OPEN`, `opening` counts, and `work.points` are then where the model can go on, as positions in the rewritten
    /// text. Complexity: O(part), times the longest piece at worst.
    fn encode_part<const OPEN: bool>(
        &self,
        part: &str,
        role: Role,
        opening: Option<Opening>,
        work: &mut Work,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let kept = self.normalize(part, role, work);
        let last = if OPEN { opening.map_or(0, |opening| self.last_final(part, opening, kept, work)) } else { 0 };
        let Work { lattice, path, normal, trace, word, positions, points, .. } = work;
        if OPEN {
            lattice.emitted = 0;
            points.clear();
        }
        let normal: &str = if kept { part } else { normal };
        let mut place = |id: u32, start: usize, end: usize, number: u32| {
            let (start, end) = match (kept, start == end) {
                (true, _) => (start, end),
                (false, false) => trace.span(start, end),
                (false, true) if start < normal.len() => (trace.span(start, start + 1).0, trace.span(start, start + 1).0),
                (false, true) => (part.len(), part.len()),
            };
            emit(id, start, end, number);
        };
        let mut carried = opening.and_then(|opening| opening.carried);
        let (marked, split) = match &self.words {
            Words::Ruled { marked, .. } => (*marked, false),
            Words::Spaced => (false, true),
            Words::Whole => (false, false),
        };
        let has_marks = marked && !normal.is_ascii() && normal.contains(METASPACE);
        let dummy = role.dummy && self.wants_dummy(normal);
        let mut number = 0;
        let mut each = |start: usize, end: usize| {
            let text = &normal[start..end];
            let carried = carried.take().filter(|_| OPEN);
            if has_marks && text.contains(METASPACE) {
                return self.encode_marked::<OPEN>(text, carried, word, positions, lattice, path, &mut number, |id, from, to, number| {
                    place(id, start + from, start + to, number);
                });
            }
            let mut lead = usize::from(carried.is_none() && (marked || dummy && start == 0));
            if lead > 0 && split && text.starts_with(' ') {
                // The dummy is a word of its own.
                self.encode_word::<OPEN>(" ", None, 0, lattice, path, |id, _, _| place(id, 0, 0, number));
                number += 1;
                lead = 0;
            }
            let text = match lead {
                0 => text,
                _ if start > 0 && normal.as_bytes()[start - 1] == b' ' => &normal[start - 1..end],
                _ => {
                    word.clear();
                    word.push(' ');
                    word.push_str(text);
                    &*word
                }
            };
            let last = if end < last { usize::MAX } else { last.saturating_sub(start) + if last > start { lead } else { 0 } };
            self.encode_word::<OPEN>(text, carried, last, lattice, path, |id, from, to| {
                place(id, start + from.saturating_sub(lead), start + to.saturating_sub(lead), number);
            });
            if OPEN {
                points.extend(lattice.points.iter().map(|point| Point { at: start + point.at - lead, ..*point }));
            }
            number += 1;
        };
        match &self.words {
            Words::Ruled { rule, .. } => rule.words(normal, each),
            Words::Whole if normal.is_empty() => {}
            Words::Whole => each(0, normal.len()),
            Words::Spaced => {
                let mut start = 0;
                for end in 1..=normal.len() {
                    if end == normal.len() || normal.as_bytes()[end] == b' ' {
                        each(start, end);
                        start = end;
                    }
                }
            }
        }
    }

    /// The position in the rewritten text of `part` up to which it is final.
    fn last_final(&self, part: &str, opening: Opening, kept: bool, work: &Work) -> usize {
        let Opening { horizon, grows, .. } = opening;
        let mut last = horizon.min(part.len());
        if grows && self.rewriter.looks_behind_itself() {
            // What is appended may change the last character, and all that cannot be divided from it.
            let mut before = part[..last].char_indices().rev();
            let mut right = before.next();
            last = 0;
            while let (Some((at, c)), Some(left)) = (right, before.next()) {
                if self.rewriter.divides(left.1, c) {
                    last = at;
                    break;
                }
                right = Some(left);
            }
        }
        if kept { last } else { work.trace.position(last, work.normal.len()) }
    }

    /// The tokens of a word that holds marks of its own: at each a new word begins.
    #[allow(clippy::too_many_arguments)]
    fn encode_marked<const OPEN: bool>(
        &self,
        text: &str,
        mut carried: Option<Carried>,
        word: &mut String,
        positions: &mut Vec<u32>,
        lattice: &mut Lattice,
        path: &mut Vec<(u32, u32)>,
        number: &mut u32,
        mut emit: impl FnMut(u32, usize, usize, u32),
    ) {
        word.clear();
        positions.clear();
        if !text.starts_with(METASPACE) && carried.is_none() {
            word.push(' ');
            positions.push(0);
        }
        for (at, c) in text.char_indices() {
            let length = if c == METASPACE { 1 } else { c.len_utf8() };
            positions.extend((at..at + length).map(|at| at as u32));
            word.push(if c == METASPACE { ' ' } else { c });
        }
        positions.push(text.len() as u32);
        let mut start = 0;
        for end in 1..=word.len() {
            if end < word.len() && word.as_bytes()[end] != b' ' {
                continue;
            }
            self.encode_word::<OPEN>(&word[start..end], carried.take(), 0, lattice, path, |id, from, to| {
                emit(id, positions[start + from] as usize, positions[start + to] as usize, *number);
            });
            *number += 1;
            start = end;
        }
    }

    #[inline]
    fn encode_word<const OPEN: bool>(
        &self,
        word: &str,
        carried: Option<Carried>,
        last: usize,
        lattice: &mut Lattice,
        path: &mut Vec<(u32, u32)>,
        emit: impl FnMut(u32, usize, usize),
    ) {
        match &self.model {
            Model::Unigram(model) if OPEN => model.encode_open(word, carried, last, lattice, emit),
            Model::Unigram(model) => model.encode(word, lattice, emit),
            Model::WordPiece(model) => model.encode(word, path, emit),
        }
    }

    /// Rewrites a part into `work`; true if it stays as it is, and `work` is not touched.
    fn normalize(&self, part: &str, role: Role, work: &mut Work) -> bool {
        if self.rewriter.keeps(part, role.ends) {
            return true;
        }
        work.normal.clear();
        work.trace.clear();
        if !matches!(self.words, Words::Whole) {
            self.rewriter.rewrite(part, 0, role.ends, &mut work.normal, &mut work.trace, &mut work.groups);
            return false;
        }
        let mut start = 0;
        for end in (1..part.len()).filter(|&at| self.is_cut(part, at)).chain([part.len()]) {
            let ends = Ends { start: start == 0 && role.ends.start, end: end == part.len() && role.ends.end };
            self.rewriter.rewrite(&part[start..end], start, ends, &mut work.normal, &mut work.trace, &mut work.groups);
            start = end;
        }
        false
    }

    /// As [`Rewriting::stretch`], for a window: `horizon` is the first position of the stretch that is not final, and the
    /// stretch `grows` if what is appended may become a part of it.
    #[allow(clippy::too_many_arguments)]
    fn open_stretch(
        &self,
        stretch: &str,
        base: usize,
        role: impl Fn(usize, usize) -> Role,
        opening: Opening,
        scratch: &mut Scratch,
        word: &mut u32,
        tokens: &mut Vec<Token>,
        resumes: &mut Vec<Resume>,
    ) {
        let whole = matches!(self.words, Words::Whole);
        let has_points = matches!(self.model, Model::Unigram(_));
        let mut start = 0;
        let cuts = if whole { Vec::new() } else { self.cuts(stretch) };
        for end in cuts.into_iter().chain([stretch.len()]) {
            let carried = opening.carried.filter(|_| start == 0);
            if has_points && (whole || carried.is_some() || end - start > LONGEST_WORD) {
                let horizon = opening.horizon.saturating_sub(start);
                let opening = Opening { carried, horizon, grows: opening.grows && end == stretch.len() };
                self.open_part(&stretch[start..end], base + start, role(start, end), opening, &mut scratch.work, word, tokens, resumes);
            } else {
                let from = if self.loose { start + self.droppable(&stretch[start..end]) } else { start };
                self.part(stretch, from, end, base, role(start, end), scratch, word, &mut |id, start, end, word| {
                    tokens.push(Token { id: TokenId(id), start, end, word });
                });
            }
            if end < stretch.len() && end < opening.horizon {
                resumes.push(Resume { at: base + end, tokens: tokens.len(), behind: Behind::Text });
            }
            start = end;
        }
    }

    /// The tokens of a part that may be long, with the places where the model can go on inside it.
    #[allow(clippy::too_many_arguments)]
    fn open_part(
        &self,
        part: &str,
        base: usize,
        role: Role,
        opening: Opening,
        work: &mut Work,
        word: &mut u32,
        tokens: &mut Vec<Token>,
        resumes: &mut Vec<Resume>,
    ) {
        let (before, mut words) = (tokens.len(), 0);
        self.encode_part::<true>(part, role, Some(opening), work, &mut |id, start, end, number| {
            words = number + 1;
            tokens.push(Token { id: TokenId(id), start: base + start, end: base + end, word: *word + number });
        });
        *word += words;
        let kept = self.rewriter.keeps(part, role.ends);
        let mut points = work.points.iter().peekable();
        for (at, _) in part.char_indices().skip(1) {
            if points.peek().is_none() {
                break;
            }
            let here = if kept { at } else { work.trace.position(at, work.normal.len()) };
            while points.next_if(|point| point.at < here).is_some() {}
            if let Some(point) = points.next_if(|point| point.at == here && self.is_parted(part, at)) {
                resumes.push(Resume { at: base + at, tokens: before + point.tokens, behind: Behind::Word(point.carried) });
            }
        }
    }

    /// The settled cuts of a stretch that the model reads as one word.
    fn settled_in_whole(&self, stretch: &str, index: usize, place: Place, horizon: usize, open: bool) -> Vec<usize> {
        if self.rewriter.acts_on_runs() {
            return if self.spaces_begin_pieces { self.cuts(stretch) } else { Vec::new() };
        }
        let Model::Unigram(model) = &self.model else { return Vec::new() };
        let mut cuts: Vec<usize> = Vec::new();
        let mut before = None;
        for (at, c) in stretch[..horizon].char_indices() {
            if before.is_some_and(|before| self.rewriter.divides(before, c)) {
                cuts.push(at);
            }
            before = Some(c);
        }
        // What is appended may change the last character, and all that cannot be divided from it.
        let is_final = !(open && self.rewriter.looks_behind_itself());
        let horizon = if is_final { horizon } else { cuts.last().copied().unwrap_or(0) };
        let mut work = Work::default();
        let final_text = &stretch[..horizon];
        let kept = self.rewriter.keeps(final_text, Ends::default());
        if !kept {
            self.rewriter.rewrite(final_text, 0, Ends::default(), &mut work.normal, &mut work.trace, &mut work.groups);
        }
        let normal: &str = if kept { final_text } else { &work.normal };
        let dummy = usize::from(self.dummy_at(index, place) && self.wants_dummy(normal));
        let text = if dummy > 0 { format!(" {normal}") } else { normal.to_string() };
        let free = uncrossed(&model.pieces, &text, |c| !model.spells_all && model.pieces.reach(c.encode_utf8(&mut [0; 4]).as_bytes()).0 < c.len_utf8());
        cuts.retain(|&at| {
            at < horizon && {
                let at = if kept { at } else { work.trace.position(at, normal.len()) };
                at > 0 && free.get(at + dummy).is_some_and(|&free| free)
            }
        });
        cuts
    }
}

fn check_length(text: &str) -> Result<()> {
    match u32::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Argument { name: "text", value: format!("{} bytes long", text.len()), expected: "less than 4 GiB".into() }),
    }
}

/// For each position of `text` whether no piece can stand across it, whatever is appended; see `pieces.rs`.
fn uncrossed(pieces: &Dictionary, text: &str, is_unknown: impl Fn(char) -> bool) -> Vec<bool> {
    let mut free = vec![false; text.len() + 1];
    // Up to here a piece that began before may stand.
    let mut covered = 0;
    let mut previous_unknown = false;
    for (at, c) in text.char_indices() {
        let unknown = is_unknown(c);
        free[at] = covered <= at && !(unknown && previous_unknown);
        let (longest, open) = pieces.reach(&text.as_bytes()[at..]);
        covered = covered.max(if open { text.len() + 1 } else { at + longest });
        previous_unknown = unknown;
    }
    free
}

impl Engine for Rewriting {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        self.run(text, place, &mut |id, start, end, word| tokens.push(Token { id: TokenId(id), start, end, word }))?;
        Ok(tokens)
    }

    fn ids(&self, text: &str, place: Place, ids: &mut Vec<TokenId>) -> Result<()> {
        self.run(text, place, &mut |id, _, _, _| ids.push(TokenId(id)))
    }

    fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        if !self.has_cuts() {
            return Ok(Vec::new());
        }
        let found = self.added.stretches(text);
        let Stretches { stretches, unsure, .. } = &found;
        let unsure = *unsure;
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            if part.start > 0 && part.start <= unsure && (part.added.is_some() || !self.begins_anew()) {
                cuts.push(part.start);
            }
            if part.added.is_some() || part.start >= unsure {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let horizon = (unsure - part.start).min(stretch.len());
            let open = index + 1 == stretches.len() || part.end > unsure;
            let inside = match self.words {
                Words::Whole => self.settled_in_whole(stretch, index, place, horizon, open),
                _ => self.cuts(stretch),
            };
            cuts.extend(inside.into_iter().filter(|&at| at < horizon).map(|at| part.start + at));
        }
        cuts.retain(|&at| at < text.len() && found.parts(at));
        Ok(cuts)
    }

    fn resume(&self, text: &str, behind: Behind, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        check_length(text)?;
        let place = behind.place();
        let carried = if let Behind::Word(carried) = behind { Some(carried) } else { None };
        let tokens = &mut window.tokens;
        tokens.clear();
        resumes.clear();
        let begins_anew = self.begins_anew();
        let found = self.added.stretches(text);
        let Stretches { stretches, unsure, .. } = &found;
        let unsure = *unsure;
        self.scratch.with(|scratch| {
            let mut word = 0;
            for (index, part) in stretches.iter().enumerate() {
                if part.start > 0 && part.start <= unsure && (part.added.is_some() || !begins_anew) {
                    resumes.push(Resume { at: part.start, tokens: tokens.len(), behind: Behind::Text });
                }
                if let Some(id) = part.added {
                    tokens.push(Token { id, start: part.start, end: part.end, word });
                    word += 1;
                    continue;
                }
                let stretch = &text[part.start..part.end];
                let opening = Opening {
                    carried: carried.filter(|_| index == 0),
                    horizon: unsure.saturating_sub(part.start).min(stretch.len()),
                    grows: index + 1 == stretches.len() || part.end > unsure,
                };
                self.open_stretch(stretch, part.start, self.roles(stretch, index, place), opening, scratch, &mut word, tokens, resumes);
            }
            scratch.work.shrink(text.len());
        });
        if !found.hidden.is_empty() {
            resumes.retain(|resume| found.parts(resume.at));
        }
        Ok(())
    }

    fn resumes(&self) -> bool {
        match self.words {
            Words::Whole => self.has_cuts() && self.rewriter.divides('a', 'b'),
            Words::Spaced | Words::Ruled { .. } => self.restarts(),
        }
    }

    fn restarts(&self) -> bool {
        // Sums of scores run from the left, so rounding depends on what stands before.
        !matches!(self.words, Words::Whole) && self.certificate() != Certificate::None
    }

    fn certificate(&self) -> Certificate {
        if !self.has_cuts() {
            Certificate::None
        } else if matches!(self.words, Words::Whole) && !self.rewriter.acts_on_runs() { Certificate::Pieces } else { Certificate::Spaces }
    }

    fn proof(&self) -> Proof {
        let whole = matches!(self.words, Words::Whole);
        let matcher = match &self.words {
            Words::Whole => "none: the whole text is one word",
            Words::Spaced => "coolfusion's own word rule: a space begins a word",
            Words::Ruled { .. } => "coolfusion's own word rule: two neighbouring characters say whether a word ends between them",
        };
        let (unit, open, why) = match self.certificate() {
            Certificate::Pieces => ("settled cuts", None, "no piece can stand across a settled cut; how far back the last one is depends on the text"),
            Certificate::None => ("whole text", None, "white space does not part words, or pieces hold it"),
            _ if whole => ("settled cuts", None, "no piece holds a space behind another character; behind one that may be rewritten to nothing or to a space there is no settled cut"),
            _ if self.loose && !self.rewriter.knows_clusters() && self.borders.iter().filter(|&&is| is).count() == 4 => {
                ("words", Some(1), "a word begins where a space, tab or line end stands behind what is no white space: white space is dropped, and the two sides are rewritten, split and encoded each by itself")
            }
            _ => ("settled cuts", None, "white space behind a character that stays parts the text: the two sides are rewritten, split and encoded each by itself"),
        };
        let mut reach = Vec::new();
        if whole {
            reach.push("the model's sums of scores run from the left, so encoding starts again at the start of the text only".into());
        }
        if self.resumes() && matches!(self.model, Model::Unigram(_)) {
            let inside = if whole { "a stream" } else { "inside a long word a stream" };
            reach.push(format!("{inside} goes on where no piece can stand across, with the sum of scores up to there; how far back that is depends on the text"));
        }
        if self.rewriter.acts_on_runs() {
            reach.push("white space at the ends of the text or in runs is rewritten: a settled cut needs a character before it that stays".into());
        }
        if self.dummy != DummyPrefix::None {
            reach.push("a dummy prefix stands at the start of the text: a window behind it is encoded without".into());
        }
        if !self.added.ids.is_empty() {
            reach.push("added tokens that are text: an unfinished one at the end is not final".into());
        }
        Proof { matcher: matcher.into(), unit, open, why: why.into(), reach }
    }

    fn exact_spans(&self) -> bool {
        self.exact_spans
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
