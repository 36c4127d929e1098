//! The cuts of a growing stretch near its end: those that no token crosses, and the settled ones.
//!
//! They are the cuts of a window over the whole stretch. The end alone is read: tokens are found from the end back. A
//! piece that crosses a position begins at most the length of the longest piece before it.

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::normalizers::unicode_forms::{first_part, last_stable, Normal};
use crate::stability::pieces::{uncrossed, uncrossed_places};
use crate::tokens::cuts::TokenCuts;
use crate::tokens::token::{Token, TokenId};

/// The end of a stretch beside its normal form.
struct End<'a> {
    /// Of raw text from `raw` on.
    normal: Normal<'a>,
    /// In the raw text that was given.
    raw: usize,
    /// In the normal form of the stretch.
    base: usize,
    /// The first place of the raw text that may be a cut.
    first: usize,
}

impl End<'_> {
    /// From here on tokens and pieces are asked for.
    fn begin(&self, from: usize) -> usize {
        self.base + self.normal.position(from.saturating_sub(self.raw))
    }

    /// The place of the raw text for the place `at` of the normal form.
    fn cut(&self, at: usize) -> Option<usize> {
        let inside = at.checked_sub(self.base)?;
        let begins = inside == 0 && self.first == self.raw;
        if begins { Some(0) } else { self.normal.cut(inside) }.map(|at| self.raw + at)
    }
}

impl Pipeline {
    /// `near` is the end of the raw stretch. None where no place after `from` is one of the normal form.
    fn end_of<'a>(&self, growing: &Growing, near: &'a str, from: usize) -> Option<End<'a>> {
        let (mut raw, mut first) = (0, from + 1);
        let mut normal = None;
        if let Some(changed) = growing.parts.as_ref().filter(|_| growing.altered) {
            if let Some(at) = last_stable(None, &near[..from]) {
                raw = at;
            } else if changed.holds(changed.length() - near.len() + from) {
                // All places up to the next part are held by this one.
                raw = first_part(near, from)?;
                first = raw;
            }
            normal = Some(Normal::nfc(&near[raw..]));
        }
        let normal =
            normal.unwrap_or_else(|| if growing.altered { Normal::spaced(near) } else { Normal::unchanged(near) });
        let base = growing.length().checked_sub(normal.text.len())?;
        Some(End { normal, raw, base, first })
    }

    /// The character boundaries after `from` of `near`, the end of the raw stretch, that no token crosses; None where
    /// not all tokens are known.
    pub(crate) fn stretch_token_cuts(&self, growing: &Growing, near: &str, from: usize) -> Option<Vec<usize>> {
        let Some(end) = self.end_of(growing, near, from) else { return Some(Vec::new()) };
        let End { normal, raw, base, first } = &end;
        let spans = growing.spans_after(end.begin(from))?;
        let crosses = spans.first().is_some_and(|&(start, end)| start < *base && end > *base);
        let place = |at: usize| at.saturating_sub(*base);
        let tokens: Vec<Token> = spans
            .into_iter()
            .map(|(start, end)| (normal.start(place(start)), normal.end(place(end))))
            .map(|(start, end)| Token { id: TokenId(0), start, end: end.max(start), word: 0 })
            .collect();
        let cuts = TokenCuts::new(&tokens, near.len() - raw);
        let is_cut = |at: usize| near.is_char_boundary(at) && cuts.contains(at - raw) && !(at == *raw && crosses);
        Some((*first..near.len()).filter(|&at| is_cut(at)).collect())
    }

    /// The settled cuts of the stretch after `from`, as positions of `near`, the end of the raw stretch; None where a
    /// window must be read.
    pub(crate) fn stretch_settled(&self, growing: &mut Growing, near: &str, from: usize) -> Option<Vec<usize>> {
        let Some(trie) = &self.pieces else {
            // Where the walk of the first word is not over, no place after its start is settled.
            return self.first_is_open(growing).then(Vec::new);
        };
        let Some(end) = self.end_of(growing, near, from) else { return Some(Vec::new()) };
        let Some(unsure) = near.len().checked_sub(growing.unsure.len()).filter(|&unsure| unsure > from) else {
            return Some(Vec::new());
        };
        let horizon = self.final_length(growing).min(end.begin(unsure));
        let before = end.begin(from).saturating_sub(1);
        let found = self.uncrossed_after(trie, growing, before, horizon);
        let cuts = found.into_iter().filter_map(|at| end.cut(at));
        let mut cuts: Vec<usize> =
            cuts.filter(|&at| at >= end.first && at < unsure && near.is_char_boundary(at)).collect();
        cuts.dedup();
        Some(cuts)
    }

    /// Whether it is sure that no cut of the stretch is settled.
    pub(crate) fn stretch_is_unsettled(&self, growing: &mut Growing) -> bool {
        let Some(trie) = &self.pieces else { return self.first_is_open(growing) };
        let horizon = self.final_length(growing);
        let known = growing.quiet.max(growing.dummy);
        if let Some(kept) = self.kept_of(growing) {
            let (from, to) = (self.quiet_before(kept.place(growing.quiet)), kept.place(horizon));
            let found = uncrossed_places(trie, &kept.text[from.min(to)..to]);
            if found.into_iter().filter_map(|at| kept.cut(from + at)).any(|at| at > known) {
                return false;
            }
            growing.quiet = growing.quiet.max(kept.before_gap(self.quiet_before(to)));
            return true;
        }
        let start = floor(&growing.text, self.quiet_before(growing.quiet));
        if horizon > start {
            let found =
                uncrossed(trie, &growing.text[start..horizon], |left, right| self.bpe.alphabet.fuses(left, right));
            if found.into_iter().any(|at| start + at > known) {
                return false;
            }
        }
        growing.quiet = growing.quiet.max(self.quiet_before(horizon));
        true
    }

    /// Up to here a later text cannot settle a cut that is not settled in a text of `length`.
    pub(crate) fn quiet_before(&self, length: usize) -> usize {
        self.pieces.as_ref().map_or(0, |trie| length.saturating_sub(trie.longest_piece()))
    }

    /// The length up to which the normal form is final.
    fn final_length(&self, growing: &Growing) -> usize {
        growing.closed.as_ref().map_or(growing.length(), |closed| closed.length)
    }

    /// Whether the walk of the first word goes on at the end of the final text, and no word before it ends at a cut.
    fn first_is_open(&self, growing: &Growing) -> bool {
        let walk = match &growing.closed {
            Some(closed) => closed.first().copied(),
            None => growing.attempts.first().map(|attempt| (attempt.begin, attempt.walk)),
        };
        let is_first = |begin: usize| growing.raw.as_ref().map_or(begin == 0, |raw| raw.cut().is_none());
        self.automaton().is_some() && walk.is_some_and(|(begin, walk)| is_first(begin) && !walk.over)
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
