//! The words of a part: rewritten, split by the rules of the definition, and handed to the model one by one.
//!
//! The three steps are those of the argument in docs/proofs/white-space-cuts.md for a cut before white space:
//! *Normalizer*, *Words*, *Model*.

use crate::backends::normalizing::part::Role;
use crate::backends::normalizing::resume_points::Opening;
use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::backends::normalizing::scratch::{ModelBuffers, Work};
use crate::models::unigram::{Carried, Point};
use crate::normalizers::rewriter::item::Ends;
use crate::normalizers::rewriter::trace::Trace;
use crate::normalizers::unicode_forms::METASPACE;
use crate::tokens::token::{Sink, Token};

/// A word, the positions of its bytes, and the buffers of the models.
type Buffers<'w> = (&'w mut String, &'w mut Vec<u32>, &'w mut ModelBuffers);

/// A sink that calls a function with the id, the start and the end of each token.
struct Each<F>(F);

impl<F: FnMut(u32, usize, usize)> Sink for Each<F> {
    #[inline]
    fn token(&mut self, token: Token) {
        (self.0)(token.id.0, token.start, token.end);
    }
}

impl Rewriting {
    /// Emits (id, start, end, number of the pre-token) for the tokens of a part.
    ///
    /// Where `OPEN`, `opening` counts, and `work.points` are then the places where the model can go on. They are
    /// positions in the rewritten text. Complexity: O(part), times the longest piece at worst.
    pub(super) fn encode_part<const OPEN: bool>(
        &self,
        part: &str,
        role: Role,
        opening: Option<Opening>,
        work: &mut Work,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let kept = self.normalize(part, role, work);
        let last = if OPEN { opening.map_or(0, |opening| self.last_final(part, opening, kept, work)) } else { 0 };
        let Work { models, normal, trace, word, positions, points, .. } = work;
        models.lattice.emitted = 0;
        points.clear();
        let normal: &str = if kept { part } else { normal };
        let mut place = |id: u32, start: usize, end: usize, number: u32| {
            let (start, end) = if kept { (start, end) } else { span_of(trace, normal, part, start, end) };
            emit(id, start, end, number);
        };
        let mut carried = opening.and_then(|opening| opening.carried);
        let marked = matches!(self.words, Words::Ruled { marked: true, .. });
        let has_marks = marked && !normal.is_ascii() && normal.contains(METASPACE);
        let dummy = role.dummy && self.wants_dummy(normal);
        let mut number = 0;
        let mut each = |start: usize, end: usize| {
            let text = &normal[start..end];
            let carried = carried.take().filter(|_| OPEN);
            if has_marks && text.contains(METASPACE) {
                let goes_on = role.goes_on && start == 0;
                let place = |id, from, to, number| place(id, start + from, start + to, number);
                let buffers = (&mut *word, &mut *positions, &mut *models);
                return self.encode_marked::<OPEN>(text, goes_on, carried, buffers, &mut number, place);
            }
            let bare = carried.is_some() || role.goes_on && start == 0;
            let mut lead = usize::from(!bare && (marked || dummy && start == 0));
            if lead > 0 && matches!(self.words, Words::Spaced) && text.starts_with(' ') {
                // The dummy is a word of its own.
                self.encode_word::<OPEN>(" ", None, 0, models, |id, _, _| place(id, 0, 0, number));
                number += 1;
                lead = 0;
            }
            let text = if lead == 0 { text } else { after_space(normal, start, end, word) };
            let last =
                if end < last { usize::MAX } else { last.saturating_sub(start) + if last > start { lead } else { 0 } };
            self.encode_word::<OPEN>(text, carried, last, models, |id, from, to| {
                place(id, start + from.saturating_sub(lead), start + to.saturating_sub(lead), number);
            });
            if OPEN {
                points
                    .extend(models.lattice.points.iter().map(|point| Point { at: start + point.at - lead, ..*point }));
            }
            number += 1;
        };
        match &self.words {
            Words::Ruled { rule, .. } => rule.words(normal, each),
            Words::Whole if normal.is_empty() && !dummy => {}
            Words::Whole => each(0, normal.len()),
            Words::Spaced => for_each_spaced(normal, each),
        }
    }

    /// The tokens of a word that holds marks of its own: at each a new word begins.
    fn encode_marked<const OPEN: bool>(
        &self,
        text: &str,
        goes_on: bool,
        mut carried: Option<Carried>,
        (word, positions, models): Buffers<'_>,
        number: &mut u32,
        mut emit: impl FnMut(u32, usize, usize, u32),
    ) {
        word.clear();
        positions.clear();
        if !text.starts_with(METASPACE) && carried.is_none() && !goes_on {
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
            self.encode_word::<OPEN>(&word[start..end], carried.take(), 0, models, |id, from, to| {
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
        buffers: &mut ModelBuffers,
        emit: impl FnMut(u32, usize, usize),
    ) {
        let ModelBuffers { lattice, path, byte_pairs } = buffers;
        match &self.model {
            Model::Unigram(model) if OPEN => model.encode_open(word, carried, last, lattice, emit),
            Model::Unigram(model) => model.encode(word, lattice, emit),
            Model::WordPiece(model) => model.encode(word, path, emit),
            Model::Bpe(model) => {
                let scratch = byte_pairs.get_or_insert_with(Box::default);
                model.word(word.as_bytes(), (0, word.len()), 0, scratch, &mut Each(emit));
            }
        }
    }

    /// Rewrites a part into `work`. True if it stays as it is, and `work` is not touched.
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
}

/// The origin in `part` of the rewritten bytes from `start` to `end`; those of a token without text are before the next
/// character.
#[inline]
fn span_of(trace: &Trace, normal: &str, part: &str, start: usize, end: usize) -> (usize, usize) {
    if start < end {
        return trace.span(start, end);
    }
    let at = if start < normal.len() { trace.span(start, start + 1).0 } else { part.len() };
    (at, at)
}

/// The text from `start` to `end` after a space: the one that is there, or else one in `word`.
#[inline]
fn after_space<'t>(normal: &'t str, start: usize, end: usize, word: &'t mut String) -> &'t str {
    if start > 0 && normal.as_bytes()[start - 1] == b' ' {
        return &normal[start - 1..end];
    }
    word.clear();
    word.push(' ');
    word.push_str(&normal[start..end]);
    word
}

/// Calls `each` with the words of `text`: a space and the text up to the next one.
#[inline]
fn for_each_spaced(text: &str, mut each: impl FnMut(usize, usize)) {
    let mut start = 0;
    for end in 1..=text.len() {
        if end == text.len() || text.as_bytes()[end] == b' ' {
            each(start, end);
            start = end;
        }
    }
}
