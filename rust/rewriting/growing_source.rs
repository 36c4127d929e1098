//! The text of a growing word, and what it becomes: what is final, what is open, and where each character came from.

use super::{Rewriting, Words};
use crate::normal::METASPACE;
use crate::rewriter::{Flow, Item, Trace};
use crate::word_rule::WordRule;

/// A text, and where rewriting stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) raw: String,
    flow: Flow,
    /// Bytes of the word that stay, `lead` among them.
    pub(super) fixed: usize,
    /// So many bytes of the word may still change.
    open: usize,
    /// The last character of those that stay.
    end: Option<char>,
    /// The space that begins the word without standing in the text is so long.
    pub(super) lead: usize,
    /// The text begins with so many bytes that are no part of the word.
    skipped: usize,
    trace: Trace,
    /// The last place where the text is divided, and the same place in the word.
    pub(super) divided: (usize, usize),
    /// So many bytes behind what is skipped are those of the word; the next one is not if it `differs`.
    same: usize,
    differs: bool,
}

/// What a source goes back to.
#[derive(Debug, Clone)]
pub(super) struct SavedSource {
    raw: usize,
    flow: Flow,
    fixed: usize,
    end: Option<char>,
    divided: (usize, usize),
    same: usize,
    differs: bool,
}

impl Source {
    pub(super) fn save(&self) -> SavedSource {
        let Self { flow, fixed, end, divided, same, differs, .. } = self;
        SavedSource { raw: self.raw.len(), flow: flow.clone(), fixed: *fixed, end: *end, divided: *divided, same: *same, differs: *differs }
    }

    /// Says that the word lacks the first `skipped` bytes that were read, and begins with `lead` others.
    pub(super) fn begin(&mut self, skipped: usize, lead: usize) {
        let moved = |at: usize| (at + lead).saturating_sub(skipped);
        self.trace.shift(skipped, lead);
        (self.skipped, self.lead) = (skipped, lead);
        (self.fixed, self.divided.1) = (moved(self.fixed), moved(self.divided.1));
    }

    /// The bytes of the word.
    pub(super) fn length(&self) -> usize {
        self.fixed + self.open
    }

    /// Whether `word`, but for its lead, is the text.
    pub(super) fn is_same(&mut self, word: &str) -> bool {
        let (text, word) = (&self.raw.as_bytes()[self.skipped..], &word.as_bytes()[self.lead..]);
        let sure = (self.fixed - self.lead).min(text.len());
        if !self.differs && self.same < sure {
            self.differs = text[self.same..sure] != word[self.same..sure];
            self.same = sure;
        }
        !self.differs && text.len() == word.len() && text[self.same..] == word[self.same..]
    }

    /// How many bytes the text has but for what the word lacks, and the word but for its lead and `lost` bytes.
    pub(super) fn lengths(&self, lost: usize) -> (usize, usize) {
        (self.raw.len() - self.skipped, (self.length() - lost).saturating_sub(self.lead))
    }

    /// The bytes of the text that those of the word from `start` to `end` stand for, if any do.
    pub(super) fn span(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let (start, end) = (start.max(self.lead), end.max(self.lead));
        (start < end).then(|| self.trace.span(start, end))
    }

    /// Where in the word the first character begins that stands for the byte `at` of the text or more.
    pub(super) fn place_behind(&self, at: usize) -> usize {
        self.trace.behind(at).min(self.length())
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
    /// Appends `text`; the answer is the end of the word from what was final before. None where that is not carried. A
    /// `spaced` text begins with a space that is no part of a word.
    pub(super) fn read_on(&self, source: &mut Source, text: &str, spaced: bool) -> Option<String> {
        let (base, begin) = (source.raw.len(), source.fixed);
        source.raw.push_str(text);
        source.trace.truncate(begin);
        let (mut done, mut counted, mut fixed) = (Vec::new(), 0, begin);
        for (at, c) in text.char_indices() {
            if !self.added.ids.is_empty() && self.added.begins[usize::from(text.as_bytes()[at])] {
                return None;
            }
            let divided = self.rewriter.flow(&mut source.flow, c, base + at, &mut done)?;
            fixed += done[counted..].iter().map(|item| item.c.len_utf8()).sum::<usize>();
            counted = done.len();
            if divided {
                source.divided = (base + at, fixed);
            }
        }
        let mut found = String::new();
        let mut end = source.end;
        self.write(source, &done, &mut end, begin, spaced, &mut found)?;
        (source.end, source.fixed) = (end, fixed);
        self.write_rest(source, begin, spaced, &mut found)?;
        Some(found)
    }

    /// Takes the text back to where it was `saved`; the answer is what is open there.
    pub(super) fn restore_source(&self, source: &mut Source, saved: &SavedSource) -> Option<String> {
        let SavedSource { raw, flow, fixed, end, divided, same, differs } = saved.clone();
        source.raw.truncate(raw);
        (source.flow, source.fixed, source.end, source.divided, source.same, source.differs) = (flow, fixed, end, divided, same, differs);
        source.trace.truncate(fixed);
        let mut found = String::new();
        self.write_rest(source, fixed, false, &mut found)?;
        Some(found)
    }

    fn write_rest(&self, source: &mut Source, begin: usize, spaced: bool, found: &mut String) -> Option<()> {
        let rest = self.rewriter.rest(&source.flow)?;
        let (mut end, before) = (source.end, found.len());
        self.write(source, &rest, &mut end, begin, spaced, found)?;
        source.open = found.len() - before;
        Some(())
    }

    /// Appends `items` to `found`, which begins at `begin` in the word; None where they are not of one word.
    fn write(&self, source: &mut Source, items: &[Item], end: &mut Option<char>, begin: usize, spaced: bool, found: &mut String) -> Option<()> {
        let is_marked = !matches!(self.words, Words::Ruled { marked: false, .. });
        for item in items {
            let (c, text) = (item.c, &source.raw[item.start as usize..item.end as usize]);
            source.trace.push(begin + found.len(), item.start, item.end, text.chars().eq([c]));
            if spaced && found.is_empty() && c == ' ' {
                found.push(c);
                continue;
            }
            let is_space = c.is_whitespace() || c == METASPACE && (is_marked || self.rewriter.acts_on_runs());
            let one_word = match &self.words {
                Words::Ruled { rule, .. } => {
                    !is_space && !rule.is_dropped(c) && end.is_none_or(|left| !WordRule::parts(rule.code(left), rule.code(c)))
                }
                Words::Spaced => !is_space,
                Words::Whole => !(is_space && self.rewriter.acts_on_runs()),
            };
            one_word.then_some(())?;
            *end = Some(c);
            found.push(c);
        }
        Some(())
    }
}
