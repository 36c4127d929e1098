//! Cuts: places that divide a stretch into sides that are encoded separately. Appended text can move none of the
//! settled ones.
//!
//! The definition is in docs/definitions.md, "Settled cut", with the certificate *Pieces* and the argument for a cut
//! before white space.

use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::backends::normalizing::scratch::Work;
use crate::normalizers::rewriter::item::Ends;
use crate::stability::pieces::uncrossed;
use crate::tokens::token::TextPosition;

impl Rewriting {
    /// Whether `stretch` may be cut at byte `at`: before white space that follows a character that stays.
    #[inline]
    pub(super) fn is_cut(&self, stretch: &str, at: usize) -> bool {
        let bytes = stretch.as_bytes();
        // Borders are a space or control characters: one comparison ends the look at nearly every byte.
        if bytes[at] > b' ' || !self.borders.contains(bytes[at]) {
            return false;
        }
        let before = bytes[at - 1];
        if before.is_ascii() {
            let closes = self.closes.contains(before);
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

    /// Whether the two sides of byte `at` are rewritten separately, the right one as [`TextPosition::Continuation`].
    pub(super) fn is_parted(&self, part: &str, at: usize) -> bool {
        let mut before = part[..at].chars().rev();
        let (Some(left), Some(right)) = (before.next(), part[at..].chars().next()) else { return false };
        if !self.rewriter.divides(left, right) {
            return false;
        }
        // No rule for white space reaches across another character that stays.
        let is_solid = !left.is_whitespace() && self.rewriter.is_solid(left);
        !self.rewriter.acts_on_runs()
            || is_solid
                && (!self.rewriter.knows_clusters()
                    || before.next().is_none_or(|before| self.rewriter.divides(before, left)))
    }

    /// Whether any text has settled cuts.
    pub(super) fn has_cuts(&self) -> bool {
        match self.words {
            Words::Whole => self.spaces_begin_pieces || !self.rewriter.acts_on_runs(),
            Words::Spaced | Words::Ruled { .. } => !self.borders.is_empty(),
        }
    }

    /// The cuts of `stretch`: as far as words go, each side is encoded separately.
    pub(super) fn cuts(&self, stretch: &str) -> Vec<usize> {
        let mut cuts: Vec<usize> = (1..stretch.len()).filter(|&at| self.is_cut(stretch, at)).collect();
        if self.has_borders {
            self.borders(stretch, |at| cuts.push(at));
            cuts.sort_unstable();
            cuts.dedup();
        }
        cuts
    }

    /// The length of white space before the first word of a part that makes no difference.
    #[inline]
    pub(super) fn droppable(&self, part: &str) -> usize {
        let count = part.bytes().take_while(|&byte| self.borders.contains(byte)).count();
        match part[count..].chars().next() {
            Some(next) if self.rewriter.divides(' ', next) => count,
            _ => 0,
        }
    }

    /// The settled cuts of a stretch that the model reads as one word.
    pub(super) fn settled_in_whole(
        &self,
        stretch: &str,
        index: usize,
        place: TextPosition,
        horizon: usize,
        open: bool,
    ) -> Vec<usize> {
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
        // Appended text may change the last character, and all characters that cannot be divided from it.
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
        let is_unknown = |c: char| model.pieces.get(c.encode_utf8(&mut [0; 4]).as_bytes()).is_none();
        let fuses = |left, right| !model.spells_all && is_unknown(left) && is_unknown(right);
        let free = uncrossed(&model.pieces, &text, fuses);
        cuts.retain(|&at| {
            at < horizon && {
                let at = if kept { at } else { work.trace.position(at, normal.len()) };
                at > 0 && free.binary_search(&(at + dummy)).is_ok()
            }
        });
        cuts
    }
}
