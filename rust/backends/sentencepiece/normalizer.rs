//! SentencePiece's normalizer (`Normalizer::Normalize` of `src/normalizer.cc`), with the way back to the text.
//!
//! A walk from left to right takes at each position the longest user-defined symbol, else the longest rule, else one
//! character. No step looks back, so the walk can start again after each step.

use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::offsets::{Offsets, Part, SavedOffsets};
use crate::normalizers::unicode_forms::METASPACE;
use crate::util::sorted_trie::PieceTrie;

/// The settings of the file.
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

/// The state of the walk between two steps.
#[derive(Debug, Clone, Copy)]
struct WalkState {
    original: usize,
    normal: usize,
    /// The length of the normal form if the text ends here.
    length: usize,
    offsets: SavedOffsets,
    /// The spaces that are dropped at the start are over.
    begun: bool,
    /// Spaces that a step writes first are dropped.
    after_space: bool,
}

/// A text in its normal form.
#[derive(Debug, Clone)]
pub(crate) struct Normal {
    /// The text that the steps write.
    whole: String,
    /// Its length without the spaces that are dropped at the end.
    length: usize,
    /// Each step is a part, and a character that is kept is one for itself.
    offsets: Offsets,
    /// From this step on a later text could change the walk; the length of the text if from none.
    pub(super) unsure: usize,
    /// The walk before this step.
    sure: WalkState,
}

/// A saved state of a growing normal form, to which it can go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedNormal(WalkState);

/// A step of the walk.
struct Step<'a> {
    /// The bytes that it takes.
    length: usize,
    /// The text that it writes.
    content: &'a str,
    /// A later text could change it.
    open: bool,
}

impl Normalizer {
    /// The normal form of `text`; `start`: there is no text before it. Complexity: O(text · longest rule).
    pub(super) fn normalize(&self, text: &str, start: bool) -> Normal {
        let mut normal = self.begin(start);
        normal.whole.reserve(text.len() + text.len() / 4);
        self.go_on(&mut normal, text);
        normal
    }

    /// The normal form of the empty text.
    pub(super) fn begin(&self, start: bool) -> Normal {
        let offsets = Offsets::begun();
        let sure = WalkState {
            original: 0,
            normal: 0,
            length: 0,
            offsets: offsets.save(),
            begun: !start,
            after_space: self.remove_extra && start,
        };
        Normal { whole: String::new(), length: 0, offsets, unsure: 0, sure }
    }

    /// Extends the normal form of a prefix of `text` to that of `text`. Complexity: O(text after the last sure step).
    pub(super) fn go_on(&self, normal: &mut Normal, text: &str) {
        normal.go_back(normal.sure);
        let from = normal.sure;
        let WalkState { original: mut at, mut begun, mut after_space, .. } = from;
        let mut sure = None;
        while let Some(Step { length, content, open }) = self.step(text, at) {
            if open && sure.is_none() {
                sure = Some(self.walk_state(normal, from, at, begun, after_space));
            }
            if !begun && self.remove_extra && content == " " {
                at += length;
                normal.offsets.begin_at(at);
                continue;
            }
            if !std::mem::replace(&mut begun, true) && self.dummy {
                normal.whole.push(self.mark());
                normal.offsets.push(normal.whole.len(), at, Part::Replaced);
            }
            let from = at;
            at += length;
            let content = if after_space { content.trim_start_matches(' ') } else { content };
            let kept = content.len() == length && content == &text[from..at] && !(self.escape && content.contains(' '));
            if self.escape {
                content.chars().for_each(|c| normal.whole.push(if c == ' ' { METASPACE } else { c }));
            } else {
                normal.whole.push_str(content);
            }
            if self.remove_extra && !content.is_empty() {
                after_space = content.ends_with(' ');
            }
            let part = match kept {
                true if content.chars().nth(1).is_none() => Part::Kept,
                true => Part::KeptWhole,
                false => Part::Replaced,
            };
            normal.offsets.push(normal.whole.len(), at, part);
        }
        let end = self.walk_state(normal, from, at, begun, after_space);
        normal.length = end.length;
        normal.sure = sure.unwrap_or(end);
        normal.unsure = normal.sure.original;
    }

    /// The walk at `original`, where it was at `from` before.
    fn walk_state(
        &self,
        normal: &Normal,
        from: WalkState,
        original: usize,
        begun: bool,
        after_space: bool,
    ) -> WalkState {
        let whole = &normal.whole;
        let length = match whole[from.normal..].trim_end_matches(self.mark()).len() {
            _ if !self.remove_extra => whole.len(),
            0 => from.length,
            left => from.normal + left,
        };
        WalkState { original, normal: whole.len(), length, offsets: normal.offsets.save(), begun, after_space }
    }

    /// The character that represents a space.
    pub(super) fn mark(&self) -> char {
        if self.escape {
            METASPACE
        } else {
            ' '
        }
    }

    /// Whether decoding drops one space at the start of a text.
    pub(super) fn drops_first_space(&self) -> bool {
        self.escape && (self.dummy || self.remove_extra)
    }

    /// The next step at `at`.
    fn step<'a>(&'a self, text: &'a str, at: usize) -> Option<Step<'a>> {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let (longest, open) = self.kept.longest(rest.as_bytes());
        let (rule, grows) = match &self.charsmap {
            Some(charsmap) => charsmap.longest_rule(rest),
            None => (None, false),
        };
        let open = open || grows && longest == 0;
        let (length, content) = match rule {
            _ if longest > 0 => (longest, &rest[..longest]),
            Some(rule) => rule,
            None => (first.len_utf8(), &rest[..first.len_utf8()]),
        };
        Some(Step { length, content, open })
    }
}

impl Normal {
    /// The normal form.
    pub(super) fn text(&self) -> &str {
        &self.whole[..self.length]
    }

    fn go_back(&mut self, to: WalkState) {
        self.whole.truncate(to.normal);
        self.offsets.restore(to.offsets);
        self.sure = to;
    }

    pub(super) fn save(&self) -> SavedNormal {
        SavedNormal(self.sure)
    }

    /// Goes back to a text that the text begins with; [`Normalizer::go_on`] is due.
    pub(super) fn restore(&mut self, saved: SavedNormal) {
        self.go_back(saved.0);
    }

    /// Where something that begins (`.0`) or ends (`.1`) at `at` does so in the text.
    pub(super) fn around(&self, at: usize) -> (usize, usize) {
        self.offsets.around(at)
    }

    /// The place in the text of the normal position `at`, if a step ends there and writes something, as the next one
    /// does.
    pub(super) fn cut(&self, at: usize) -> Option<usize> {
        self.offsets.cut(at)
    }

    /// The normal position up to which nothing that is appended changes the normal form.
    pub(super) fn last_final(&self) -> usize {
        self.position(self.unsure).min(self.length)
    }

    /// The normal position of the last step that ends at or before `original`.
    pub(super) fn position(&self, original: usize) -> usize {
        self.offsets.position(original)
    }
}
