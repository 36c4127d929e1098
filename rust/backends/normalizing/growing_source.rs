//! The text of a growing word, and its rewritten form: the final part, the open part, and the origin of each character.

use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::normalizers::rewriter::flow::{Flow, MOST_HELD};
use crate::normalizers::rewriter::item::Item;
use crate::normalizers::rewriter::trace::Trace;
use crate::normalizers::unicode_forms::METASPACE;
use crate::pre_tokenizers::char_rules::WordRule;

/// A growing text, and the state of its rewriting. Example: "e" is open, because an appended accent may change it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(super) raw: String,
    /// The text with its left-out parts, if there are any.
    full: Option<String>,
    flow: Flow,
    /// Bytes of the words that stay, their leads among them.
    pub(super) fixed: usize,
    /// The number of bytes of the words that may still change.
    open: usize,
    /// The last character of those that stay, which may be dropped.
    pub(super) end: Option<char>,
    /// The text before the first character.
    opening: Opening,
    /// The length of the space that begins the first word but is not in the text.
    pub(super) lead: usize,
    trace: Trace,
    /// The last place where the text is divided, and the same place in the word.
    pub(super) divided: (usize, usize),
    /// The number of bytes that are those of the words; the next one is not if it `differs`.
    same: usize,
    differs: bool,
    /// The place in the words of a cut of the text that is settled.
    pub(super) settled: Option<usize>,
    /// Encoding can go on at one.
    pub(super) cut: bool,
    /// Text in which an added token may still begin: the end of the text.
    pub(super) unsure: String,
}

/// The begin of the first word of a text. Example: a space of its own, where a dummy prefix is added.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    /// The text goes on inside a word.
    pub(super) inside: bool,
    /// A space of its own, if it begins with the first character; unless that is a space.
    pub(super) lead: bool,
    pub(super) unless_space: bool,
    /// There is no text before this text, or an added token.
    pub(super) start: bool,
    /// An added token is before this text.
    pub(super) added: bool,
}

/// The end of the words: text, and the places in it where words begin.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    pub(super) text: String,
    pub(super) begins: Vec<usize>,
}

/// A saved state of a source, to which it can go back.
#[derive(Debug, Clone)]
pub(crate) struct SavedSource {
    raw: usize,
    full: Option<usize>,
    flow: Flow,
    fixed: usize,
    end: Option<char>,
    lead: usize,
    divided: (usize, usize),
    same: usize,
    differs: bool,
    settled: Option<usize>,
    cut: bool,
    unsure: String,
}

impl Source {
    pub(super) fn new(opening: Opening) -> Self {
        Self { opening, flow: Flow::new(opening.start), ..Self::default() }
    }

    pub(super) fn save(&self) -> SavedSource {
        let Self { flow, fixed, end, lead, divided, same, differs, settled, cut, unsure, .. } = self;
        let (raw, flow, unsure) = (self.raw.len(), flow.clone(), unsure.clone());
        SavedSource {
            raw,
            full: self.full.as_ref().map(String::len),
            flow,
            unsure,
            fixed: *fixed,
            end: *end,
            lead: *lead,
            divided: *divided,
            same: *same,
            differs: *differs,
            settled: *settled,
            cut: *cut,
        }
    }

    /// Appends `text`, the part of `more` that is read.
    pub(super) fn append(&mut self, text: &str, more: &str) {
        if self.full.is_none() && text != more {
            self.full = Some(self.raw.clone());
        }
        if let Some(full) = &mut self.full {
            full.push_str(more);
        }
        self.raw.push_str(text);
    }

    /// The text, with its left-out parts.
    pub(super) fn full(&self) -> &str {
        self.full.as_ref().unwrap_or(&self.raw)
    }

    /// The bytes of the words.
    pub(super) fn length(&self) -> usize {
        self.fixed + self.open
    }

    /// Whether `word`, but for its lead, is the text.
    pub(super) fn is_same(&mut self, word: &str) -> bool {
        let text = self.full.as_ref().unwrap_or(&self.raw).as_bytes();
        let word = &word.as_bytes()[self.lead..];
        let sure = self.fixed.saturating_sub(self.lead).min(text.len());
        if !self.differs && self.same < sure {
            self.differs = text[self.same..sure] != word[self.same..sure];
            self.same = sure;
        }
        !self.differs && text.len() == word.len() && text[self.same..] == word[self.same..]
    }

    /// The number of bytes of the text, and of the word but for its lead and `lost` bytes.
    pub(super) fn lengths(&self, lost: usize) -> (usize, usize) {
        (self.full().len(), (self.length() - lost).saturating_sub(self.lead))
    }

    /// Whether decoding drops a space that begins the text.
    pub(super) fn loses_space(&self) -> bool {
        self.opening.start
            && !self.opening.added
            && self.opening.lead
            && self.opening.unless_space
            && self.raw.starts_with(' ')
    }

    /// Whether decoding says a space before the text: the one that begins the words after an added token.
    pub(super) fn adds_space(&self) -> bool {
        self.opening.added && self.lead > 0
    }

    /// The bytes of the text that those of the word from `start` to `end` stand for, if any do.
    pub(super) fn span(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let (start, end) = (start.max(self.lead), end.max(self.lead));
        (start < end).then(|| self.trace.span(start, end))
    }

    /// The place in the word of the first character that stands for the byte `at` of the text or for a later one.
    pub(super) fn place_after(&self, at: usize) -> usize {
        self.trace.after(at).min(self.length())
    }

    /// The place in the word of a place where the text is divided.
    pub(super) fn position(&self, at: usize) -> usize {
        self.trace.position(at, self.length())
    }

    /// The last character boundary of the text at or before `at`.
    pub(super) fn floor(&self, at: usize) -> usize {
        (0..=at).rev().find(|&at| self.raw.is_char_boundary(at)).unwrap_or(0)
    }
}

impl Rewriting {
    /// Takes in `text`, which was appended. Returns the end of the words from the former final text on. None where that
    /// is not carried.
    pub(super) fn read_on(&self, source: &mut Source, text: &str) -> Option<Grown> {
        let (base, begin) = (source.raw.len() - text.len(), source.fixed);
        self.has_no_added(source, text).then_some(())?;
        source.trace.truncate(begin);
        if begin == 0 {
            source.lead = 0;
        }
        let (mut done, mut found) = (Vec::new(), Grown::default());
        let mut end = source.end;
        for (at, c) in text.char_indices() {
            let divided = self.rewriter.flow(&mut source.flow, c, base + at, &mut done)?;
            self.write(source, &done, &mut end, begin, &mut found)?;
            done.clear();
            if divided {
                source.divided = (base + at, begin + found.text.len());
            }
        }
        let most = self.leave_marks(source);
        self.rewriter.pass_on(&mut source.flow, most, &mut done)?;
        self.write(source, &done, &mut end, begin, &mut found)?;
        (source.end, source.fixed) = (end, begin + found.text.len());
        self.write_rest(source, begin, &mut found)?;
        self.look_for_cuts(source, base);
        Some(found)
    }

    /// Leaves out marks that change no token of a long run of them, if there are any. Returns the number of characters
    /// that a form may hold.
    fn leave_marks(&self, source: &mut Source) -> usize {
        let (Model::WordPiece(model), Words::Ruled { rule, .. }) = (&self.model, &self.words) else { return MOST_HELD };
        let code = |c: char| Some(rule.code(c)).filter(|&code| !WordRule::stands_alone(code));
        self.rewriter.leave_marks(&mut source.flow, model.longest_word, code);
        model.longest_word + 2 * MOST_HELD
    }

    /// Looks for added tokens in appended text, and for those that hide some; false where one is found.
    fn has_no_added(&self, source: &mut Source, text: &str) -> bool {
        if self.added.is_empty() {
            return true;
        }
        source.unsure.push_str(text);
        let mut walk = self.added.stretches(&source.unsure);
        let found = walk.by_ref().filter(|stretch| stretch.added.is_some()).count();
        let (unsure, hides) = (walk.unsure(), walk.hides());
        source.unsure.drain(..unsure);
        !hides && found == 0
    }

    /// Takes the text back to the state `saved`. Returns the part that is open there.
    pub(super) fn restore_source(&self, source: &mut Source, saved: &SavedSource) -> Option<Grown> {
        let SavedSource { raw, full, flow, fixed, end, lead, divided, same, differs, settled, cut, unsure } =
            saved.clone();
        source.raw.truncate(raw);
        source.full.take_if(|_| full.is_none());
        if let (Some(text), Some(length)) = (&mut source.full, full) {
            text.truncate(length);
        }
        (source.flow, source.fixed, source.end, source.lead, source.divided) = (flow, fixed, end, lead, divided);
        (source.same, source.differs, source.unsure) = (same, differs, unsure);
        (source.settled, source.cut) = (settled, cut);
        source.trace.truncate(fixed);
        let mut found = Grown::default();
        self.write_rest(source, fixed, &mut found)?;
        Some(found)
    }

    fn write_rest(&self, source: &mut Source, begin: usize, found: &mut Grown) -> Option<()> {
        let rest = self.rewriter.rest(&source.flow)?;
        let (mut end, before) = (source.end, found.text.len());
        self.write(source, &rest, &mut end, begin, found)?;
        source.open = found.text.len() - before;
        // A space of its own may be there without a text.
        (source.length() > 0 || !(self.dummy_alone && source.opening.lead)).then_some(())
    }

    /// Appends `items` to `found`, which begins at `begin` in the words. None where they are not of words that are
    /// carried.
    fn write(
        &self,
        source: &mut Source,
        items: &[Item],
        end: &mut Option<char>,
        begin: usize,
        found: &mut Grown,
    ) -> Option<()> {
        for item in items {
            let (c, at) = (item.c, begin + found.text.len());
            let marked = matches!(self.words, Words::Ruled { marked: true, .. });
            let is_mark = marked && c == METASPACE;
            let parted = match (&self.words, *end) {
                (Words::Ruled { rule, .. }, Some(left)) => WordRule::parts(rule.code(left), rule.code(c)),
                _ => false,
            };
            let before = end.replace(c);
            // The character is between two words, or before the first one.
            let is_dropped = matches!(&self.words, Words::Ruled { rule, .. } if rule.is_dropped(c));
            let is_first = before.is_none();
            if is_dropped || parted {
                (!(source.opening.inside && at == 0)).then_some(())?;
            }
            if is_dropped {
                continue;
            }
            let lead = if is_first {
                source.opening.lead && !(source.opening.unless_space && c == ' ')
            } else {
                marked && parted
            };
            let lead = lead && !is_mark;
            let is_begin = parted || is_mark || matches!(self.words, Words::Spaced) && c == ' ';
            if is_begin && at > 0 {
                found.begins.push(at - begin);
            }
            if lead {
                // It stands for no text.
                source.trace.push(at, item.start, item.start, false);
                found.text.push(' ');
                if at == 0 && (is_first || source.opening.start) {
                    source.lead = 1;
                }
                if matches!(self.words, Words::Spaced) && c == ' ' {
                    found.begins.push(at + 1 - begin);
                }
            }
            let text = &source.raw[item.start as usize..item.end as usize];
            source.trace.push(begin + found.text.len(), item.start, item.end, text.chars().eq([c]) && !is_mark);
            found.text.push(if is_mark { ' ' } else { c });
        }
        Some(())
    }

    /// Looks for cuts that are settled in the text from `base` on, or because of that text.
    fn look_for_cuts(&self, source: &mut Source, base: usize) {
        if self.pieces_settle() || !self.has_cuts() {
            return;
        }
        // A cut is decided by two characters before it and two after it.
        const REACH: usize = 8;
        let begin = source.floor(base.saturating_sub(2 * REACH));
        let near = &source.raw[begin..];
        let first = self.cuts(near).into_iter().find(|&at| begin == 0 || at >= REACH);
        source.settled = source.settled.or(first.map(|at| source.position(begin + at)));
        // Inside a word encoding goes on only before something of it, and white space at the end may be dropped.
        let is_whole = matches!(self.words, Words::Whole);
        source.cut |= source.settled.is_some_and(|place| !is_whole || place < source.length());
    }
}
