//! Our own engine for Unigram and WordPiece models, behind normalizers that may rewrite text.
//!
//! A text is cut before white space where each side is normalised, split and encoded by itself ([`Rewriting::cuts`]). The
//! parts (words, mostly) are remembered with their tokens. The same cuts are the certificate: what stands before one
//! cannot change. Unigram models that read the whole text as one word are only normalised in parts.
//!
//! In definitions whose vocabulary writes U+2581 for a space all work is in *byte space*, where that mark is a space.

use crate::added::Stretch;
use crate::dictionary::Dictionary;
use crate::engine::{Certificate, Engine, Proof};
use crate::error::{Error, Result};
use crate::normal::METASPACE;
use crate::pipeline::DummyPrefix;
use crate::rewriter::{Ends, Rewriter, Trace};
use crate::token::{Place, Token, TokenId};
use crate::unigram::{Lattice, Unigram};
use crate::known_words::{hash, Placed, KnownWords, LONGEST_WORD};
use crate::word_rule::WordRule;
use crate::wordpiece::WordPiece;
use crate::word_cache::Pool;

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
    /// No piece holds a space behind another character, and a space is never fused with an unknown one.
    spaces_begin_pieces: bool,
    /// A character without a piece becomes the unknown token, and neighbours may fuse.
    may_be_unknown: bool,
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
    fn stretches(&self, text: &str) -> (Vec<Stretch>, usize) {
        let mut stretches = Vec::new();
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
            }
            at += length;
        }
        if gap < text.len() {
            stretches.push(Stretch { start: gap, end: text.len(), added: None });
        }
        (stretches, unsure)
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
        let may_be_unknown = match &model {
            Model::Unigram(unigram) => unigram.bytes.as_ref().is_none_or(|ids| ids.iter().any(Option::is_none)),
            Model::WordPiece(_) => true,
        };
        let scratch = Pool::default();
        Self {
            added, rewriter, words, model, dummy, dummy_everywhere, borders, closes, loose, each_space, spaces_begin_pieces, may_be_unknown,
            exact_spans, notes, scratch,
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

    /// Whether any text has settled cuts.
    fn has_cuts(&self) -> bool {
        match self.words {
            Words::Whole => self.spaces_begin_pieces || !self.rewriter.acts_on_runs(),
            Words::Spaced | Words::Ruled { .. } => self.borders.contains(&true),
        }
    }

    /// The cuts of `stretch`: each side is encoded by itself, as far as words go.
    fn cuts<'a>(&'a self, stretch: &'a str) -> impl Iterator<Item = usize> + 'a {
        (1..stretch.len()).filter(|&at| self.is_cut(stretch, at))
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
        if u32::try_from(text.len()).is_err() {
            return Err(Error::Argument { name: "text", value: format!("{} bytes long", text.len()), expected: "less than 4 GiB".into() });
        }
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
            for (index, part) in self.added.stretches(text).0.iter().enumerate() {
                if let Some(id) = part.added {
                    emit(id.0, part.start, part.end, word);
                    word += 1;
                } else {
                    self.stretch(&text[part.start..part.end], part.start, index, place, scratch, &mut word, emit);
                }
            }
        }
        // A huge text leaves no huge buffers behind.
        if text.len() > LARGE {
            scratch.work = Work::default();
        }
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
        let at_start = self.rewriter.acts_on_start() && (index > 0 || place == Place::Start);
        let dummy = self.dummy_at(index, place);
        let role = |start: usize, end: usize| Role {
            ends: Ends { start: start == 0 && at_start, end: end == stretch.len() && self.rewriter.acts_on_end() },
            dummy: start == 0 && dummy,
        };
        if matches!(self.words, Words::Whole) {
            return self.whole(stretch, base, dummy, role, &mut scratch.work, word, emit);
        }
        let mut start = 0;
        let bytes = stretch.as_bytes();
        for end in 1..=bytes.len() {
            if end < bytes.len() && !self.is_cut(stretch, end) {
                continue;
            }
            let role = role(start, end);
            let from = if self.loose { start + self.droppable(&stretch[start..end]) } else { start };
            self.part(stretch, from, end, base, role, scratch, word, emit);
            start = end;
        }
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
            self.encode_part(part, role, &mut scratch.work, &mut |id, start, end, number| {
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
            self.encode_part(part, role, &mut scratch.work, &mut |id, start, end, number| {
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
    fn encode_part(&self, part: &str, role: Role, work: &mut Work, emit: &mut impl FnMut(u32, usize, usize, u32)) {
        let Work { lattice, path, normal, trace, word, positions } = work;
        let kept = self.rewriter.keeps(part, role.ends);
        if !kept {
            normal.clear();
            trace.clear();
            self.rewriter.rewrite(part, 0, role.ends, normal, trace);
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
        let mut number = 0;
        match &self.words {
            Words::Ruled { rule, marked: false } => rule.words(normal, |start, end| {
                self.encode_word(&normal[start..end], lattice, path, |id, from, to| place(id, start + from, start + to, number));
                number += 1;
            }),
            Words::Ruled { rule, marked: true } => {
                let has_marks = !normal.is_ascii() && normal.contains(METASPACE);
                rule.words(normal, |start, end| {
                    if has_marks && normal[start..end].contains(METASPACE) {
                        self.encode_marked(&normal[start..end], word, positions, lattice, path, &mut number, |id, from, to, number| {
                            place(id, start + from, start + to, number);
                        });
                        return;
                    }
                    if start > 0 && normal.as_bytes()[start - 1] == b' ' {
                        let start = start - 1;
                        let placed = |id, from: usize, to: usize| place(id, start + from.max(1), start + to.max(1), number);
                        self.encode_word(&normal[start..end], lattice, path, placed);
                    } else {
                        self.encode_behind_space(&normal[start..end], word, lattice, path, |id, from, to| place(id, start + from, start + to, number));
                    }
                    number += 1;
                });
            }
            Words::Whole | Words::Spaced => {
                let mut start = 0;
                let split = matches!(self.words, Words::Spaced);
                for end in 1..=normal.len() {
                    if end < normal.len() && !(split && normal.as_bytes()[end] == b' ') {
                        continue;
                    }
                    let text = &normal[start..end];
                    if start == 0 && role.dummy && self.wants_dummy(normal) {
                        self.encode_dummy(text, split, word, lattice, path, &mut number, &mut place);
                    } else {
                        self.encode_word(text, lattice, path, |id, from, to| place(id, start + from, start + to, number));
                        number += 1;
                    }
                    start = end;
                }
            }
        }
    }

    /// The first word of a text behind a dummy space; where it begins with a space itself, the dummy is a word of its own.
    #[allow(clippy::too_many_arguments)]
    fn encode_dummy(
        &self,
        text: &str,
        split: bool,
        word: &mut String,
        lattice: &mut Lattice,
        path: &mut Vec<(u32, u32)>,
        number: &mut u32,
        place: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        if split && text.starts_with(' ') {
            self.encode_word(" ", lattice, path, |id, _, _| place(id, 0, 0, *number));
            *number += 1;
            self.encode_word(text, lattice, path, |id, from, to| place(id, from, to, *number));
        } else {
            self.encode_behind_space(text, word, lattice, path, |id, from, to| place(id, from, to, *number));
        }
        *number += 1;
    }

    /// The tokens of `text` behind a space that is not there.
    fn encode_behind_space(
        &self,
        text: &str,
        word: &mut String,
        lattice: &mut Lattice,
        path: &mut Vec<(u32, u32)>,
        mut emit: impl FnMut(u32, usize, usize),
    ) {
        word.clear();
        word.push(' ');
        word.push_str(text);
        self.encode_word(word, lattice, path, |id, start, end| emit(id, start.saturating_sub(1), end - 1));
    }

    /// The tokens of a word that holds marks of its own: at each a new word begins.
    #[allow(clippy::too_many_arguments)]
    fn encode_marked(
        &self,
        text: &str,
        word: &mut String,
        positions: &mut Vec<u32>,
        lattice: &mut Lattice,
        path: &mut Vec<(u32, u32)>,
        number: &mut u32,
        mut emit: impl FnMut(u32, usize, usize, u32),
    ) {
        word.clear();
        positions.clear();
        if !text.starts_with(METASPACE) {
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
            self.encode_word(&word[start..end], lattice, path, |id, from, to| {
                emit(id, positions[start + from] as usize, positions[start + to] as usize, *number);
            });
            *number += 1;
            start = end;
        }
    }

    #[inline]
    fn encode_word(&self, word: &str, lattice: &mut Lattice, path: &mut Vec<(u32, u32)>, emit: impl FnMut(u32, usize, usize)) {
        match &self.model {
            Model::Unigram(model) => model.encode(word, lattice, emit),
            Model::WordPiece(model) => model.encode(word, path, emit),
        }
    }

    /// A stretch that the model reads as one word.
    #[allow(clippy::too_many_arguments)]
    fn whole(
        &self,
        stretch: &str,
        base: usize,
        dummy: bool,
        role: impl Fn(usize, usize) -> Role,
        work: &mut Work,
        number: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let kept = self.normalize(stretch, role, work);
        let Work { lattice, path, normal, trace, word, .. } = work;
        let normal: &str = if kept { stretch } else { normal };
        if normal.is_empty() {
            return;
        }
        let mut place = |id: u32, start: usize, end: usize| {
            let (start, end) = match (kept, start == end) {
                (true, _) => (start, end),
                (false, true) => (trace.span(start, start + 1).0, trace.span(start, start + 1).0),
                (false, false) => trace.span(start, end),
            };
            emit(id, base + start, base + end, *number);
        };
        if dummy && self.wants_dummy(normal) {
            self.encode_behind_space(normal, word, lattice, path, &mut place);
        } else {
            self.encode_word(normal, lattice, path, &mut place);
        }
        *number += 1;
    }

    /// Rewrites a stretch part by part into `work`; true if it stays as it is, and `work` is not touched.
    fn normalize(&self, stretch: &str, role: impl Fn(usize, usize) -> Role, work: &mut Work) -> bool {
        if self.rewriter.keeps(stretch, role(0, stretch.len()).ends) {
            return true;
        }
        work.normal.clear();
        work.trace.clear();
        let mut start = 0;
        for end in self.cuts(stretch).chain([stretch.len()]) {
            self.rewriter.rewrite(&stretch[start..end], start, role(start, end).ends, &mut work.normal, &mut work.trace);
            start = end;
        }
        false
    }

    /// The settled cuts of a stretch that the model reads as one word.
    fn settled_in_whole(&self, stretch: &str, index: usize, place: Place, horizon: usize, open: bool) -> Vec<usize> {
        if self.rewriter.acts_on_runs() {
            return if self.spaces_begin_pieces { self.cuts(stretch).collect() } else { Vec::new() };
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
            self.rewriter.rewrite(final_text, 0, Ends::default(), &mut work.normal, &mut work.trace);
        }
        let normal: &str = if kept { final_text } else { &work.normal };
        let dummy = usize::from(self.dummy_at(index, place) && self.wants_dummy(normal));
        let text = if dummy > 0 { format!(" {normal}") } else { normal.to_string() };
        let free = uncrossed(&model.pieces, &text, |c| self.may_be_unknown && model.pieces.reach(c.encode_utf8(&mut [0; 4]).as_bytes()).0 < c.len_utf8());
        cuts.retain(|&at| {
            at < horizon && {
                let at = if kept { at } else { work.trace.position(at, normal.len()) };
                at > 0 && free.get(at + dummy).is_some_and(|&free| free)
            }
        });
        cuts
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
        let (stretches, unsure) = self.added.stretches(text);
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            // Behind an added token a stretch begins like a text; T' would not.
            let begins_anew = part.added.is_none() && (self.dummy_everywhere && self.dummy != DummyPrefix::None || self.rewriter.acts_on_start());
            if part.start > 0 && part.start <= unsure && !begins_anew {
                cuts.push(part.start);
            }
            if part.added.is_some() || part.start >= unsure {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let horizon = (unsure - part.start).min(stretch.len());
            let open = index + 1 == stretches.len() || part.end > unsure;
            let found = match self.words {
                Words::Whole => self.settled_in_whole(stretch, index, place, horizon, open),
                _ => self.cuts(stretch).collect(),
            };
            cuts.extend(found.into_iter().filter(|&at| at < horizon).map(|at| part.start + at));
        }
        cuts.retain(|&at| at < text.len());
        Ok(cuts)
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
