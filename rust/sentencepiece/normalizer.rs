//! SentencePiece's normalizer (`Normalizer::Normalize` of `src/normalizer.cc`), with the way back to the text.
//!
//! A walk from left to right takes at each position the longest user-defined symbol, else the longest rule, else one
//! character. No step looks back, so the walk can start again after each step.

use crate::formats::charsmap::Charsmap;
use crate::normal::METASPACE;
use crate::trie::PieceTrie;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Normalizer {
    pub(crate) charsmap: Option<Charsmap>,
    /// User-defined symbols, which no rule changes.
    pub(crate) kept: PieceTrie,
    pub(crate) dummy: bool,
    /// Spaces at both ends are dropped, and runs of spaces become one.
    pub(crate) remove_extra: bool,
    /// A space becomes U+2581.
    pub(crate) escape: bool,
}

/// The end of some steps of the walk.
#[derive(Debug, Clone, Copy)]
struct End {
    normal: usize,
    original: usize,
    /// The bytes stay as they are.
    kept: bool,
    /// Each character is a step.
    single: bool,
}

/// A text in its normal form.
#[derive(Debug, Default)]
pub(super) struct Normal {
    pub(super) text: String,
    ends: Vec<End>,
    /// From this step on a later text could change the walk; the length of the text if from none.
    pub(super) unsure: usize,
}

impl Normalizer {
    /// The normal form of `text`; `start`: nothing stands before it. Complexity: O(text · longest rule).
    pub(super) fn normalize(&self, text: &str, start: bool) -> Normal {
        let mut normal = Normal { text: String::with_capacity(text.len() + text.len() / 4), ends: Vec::new(), unsure: text.len() };
        let mut at = 0;
        if self.remove_extra && start {
            while let Some((length, " ")) = self.step(text, at, &mut normal.unsure) {
                at += length;
            }
        }
        normal.ends.push(End { normal: 0, original: at, kept: false, single: false });
        if at == text.len() {
            return normal;
        }
        if self.dummy && start {
            normal.text.push(self.mark());
            normal.ends.push(End { normal: normal.text.len(), original: at, kept: false, single: false });
        }
        let mut after_space = self.remove_extra && start;
        while let Some((length, content)) = self.step(text, at, &mut normal.unsure) {
            let from = at;
            at += length;
            let content = if after_space { content.trim_start_matches(' ') } else { content };
            let kept = content.len() == length && content == &text[from..at] && !(self.escape && content.contains(' '));
            if self.escape {
                content.chars().for_each(|c| normal.text.push(if c == ' ' { METASPACE } else { c }));
            } else {
                normal.text.push_str(content);
            }
            if self.remove_extra && !content.is_empty() {
                after_space = content.ends_with(' ');
            }
            let single = kept && content.chars().nth(1).is_none();
            let end = End { normal: normal.text.len(), original: at, kept, single };
            match normal.ends.last_mut() {
                Some(last) if single && last.single => *last = end,
                _ => normal.ends.push(end),
            }
        }
        if self.remove_extra {
            let left = normal.text.trim_end_matches(self.mark()).len();
            normal.text.truncate(left);
        }
        normal
    }

    /// The character that stands for a space.
    pub(super) fn mark(&self) -> char {
        if self.escape {
            METASPACE
        } else {
            ' '
        }
    }

    /// The next step at `at`: the bytes that it takes, and the text that it writes.
    fn step<'a>(&'a self, text: &'a str, at: usize, unsure: &mut usize) -> Option<(usize, &'a str)> {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let (longest, open) = self.kept.longest(rest.as_bytes());
        let (rule, grows) = match &self.charsmap {
            Some(charsmap) => charsmap.longest_rule(rest),
            None => (None, false),
        };
        if open || grows && longest == 0 {
            *unsure = (*unsure).min(at);
        }
        if longest > 0 {
            return Some((longest, &rest[..longest]));
        }
        Some(rule.unwrap_or((first.len_utf8(), &rest[..first.len_utf8()])))
    }
}

impl Normal {
    /// The number of the first end at or after the normal position `at`.
    fn index(&self, at: usize) -> usize {
        self.ends.partition_point(|end| end.normal < at).min(self.ends.len().saturating_sub(1))
    }

    /// Where something that begins (`.0`) or ends (`.1`) at `at` does so in the text.
    pub(super) fn around(&self, at: usize) -> (usize, usize) {
        let index = self.index(at);
        let Some(&End { normal, original, kept, .. }) = self.ends.get(index) else { return (at, at) };
        if normal == at {
            // Steps may write nothing: the last one that ends here counts for a start, the first for an end.
            let last = self.ends.partition_point(|end| end.normal <= at).saturating_sub(1);
            return (self.ends[last].original, original);
        }
        let before = self.ends[index.saturating_sub(1)];
        if kept {
            let same = before.original + at - before.normal;
            return (same, same);
        }
        (before.original, original)
    }

    /// The place in the text of the normal position `at`, if a step ends there and writes something, as the next one does.
    pub(super) fn cut(&self, at: usize) -> Option<usize> {
        let index = self.index(at);
        let &End { normal, single, .. } = self.ends.get(index)?;
        let (start, end) = self.around(at);
        (start == end && (normal == at || single)).then_some(start)
    }

    /// The normal position up to which nothing that is appended changes the normal form.
    pub(super) fn last_final(&self) -> usize {
        let next = self.ends.partition_point(|end| end.original <= self.unsure);
        let Some(before) = next.checked_sub(1).map(|before| self.ends[before]) else { return 0 };
        let inside = self.ends.get(next).filter(|end| end.single).map_or(0, |_| self.unsure - before.original);
        (before.normal + inside).min(self.text.len())
    }
}
