//! The cuts of a growing text near its end: those that no token crosses, and the settled ones.
//!
//! They are those that [`crate::backends::engine::Engine::settled`] finds in the whole text. The end alone is read,
//! because a piece that crosses a position begins at most the length of the longest piece before it.

use crate::backends::sentencepiece::growing::GrowingParts;
use crate::backends::sentencepiece::parts::SentencePiece;
use crate::stability::growing_cuts::GrowingCuts;
use crate::tokens::cuts::TokenCuts;
use crate::tokens::token::Token;
use crate::util::text::characters_around;

impl SentencePiece {
    /// The character boundaries after `from` of `near`, the end of the text, that no token crosses.
    pub(super) fn parts_token_cuts(&self, growing: &GrowingParts, near: &str, from: usize) -> Option<Vec<usize>> {
        let base = growing.raw.len().checked_sub(near.len())?;
        let found = growing.tokens(growing.normal.position(base + from)).into_iter();
        let tokens: Vec<Token> = found
            .map(|(id, start, end)| {
                let start = growing.normal.around(start).0;
                let end = growing.normal.around(end).1.max(start);
                Token { id, start: start.saturating_sub(base), end: end.saturating_sub(base), word: 0 }
            })
            .collect();
        let cuts = TokenCuts::new(&tokens, near.len());
        Some((from + 1..near.len()).filter(|&at| near.is_char_boundary(at) && cuts.contains(at)).collect())
    }

    /// The settled cuts of the text after `from`, as positions of `near`, its end.
    pub(super) fn parts_settled(&self, growing: &mut GrowingParts, near: &str, from: usize) -> Option<Vec<usize>> {
        let base = growing.raw.len().checked_sub(near.len())?;
        let mut cuts = std::mem::take(&mut growing.cuts);
        let found = self.settled_from(growing, growing.normal.position(base + from), &mut cuts).into_iter();
        growing.cuts = cuts;
        Some(found.filter(|&at| at > base + from).map(|at| at - base).collect())
    }

    /// Whether it is sure that no cut of the text is settled.
    pub(super) fn parts_are_unsettled(&self, growing: &mut GrowingParts) -> bool {
        let is_unsettled = self.settled_from(growing, growing.quiet, &mut GrowingCuts::default()).is_empty();
        if is_unsettled {
            growing.quiet = growing.quiet.max(self.quiet_before(growing.sure()));
        }
        is_unsettled
    }

    /// Before here a later text cannot settle a cut that is not settled in a text whose walk is sure up to `sure`.
    pub(super) fn quiet_before(&self, sure: usize) -> usize {
        sure.saturating_sub(self.pieces.longest_piece())
    }

    /// The settled cuts of the text at the position `from` of the normal form or after it. `cuts` is the state of those
    /// in the last part. Complexity: O(text from there on).
    fn settled_from(&self, growing: &GrowingParts, from: usize, cuts: &mut GrowingCuts) -> Vec<usize> {
        let (text, sure) = (growing.normal.text(), growing.sure());
        let (parts, begins) = growing.sure_parts();
        let is_fused = |at| {
            let (left, right) = characters_around(text.as_bytes(), at);
            self.may_fuse(left, right)
        };
        let mut found = Vec::new();
        let first = parts.partition_point(|part| part.begin <= from).saturating_sub(1);
        for (index, part) in parts.iter().enumerate().skip(first) {
            let next = parts.get(index + 1);
            let end = next.map_or(sure, |next| next.begin);
            found.push(part.begin);
            if !part.is_symbol && part.begin < end {
                let mut over = GrowingCuts::default();
                let cuts = if next.is_some() { &mut over } else { &mut *cuts };
                let place = (part.begin, from.saturating_sub(1).max(part.begin));
                found.extend(cuts.after(&self.pieces, &text.as_bytes()[..end], place, is_fused));
            }
        }
        found.extend(begins.then_some(sure));
        found.retain(|&at| at >= from);
        self.cuts_of(&growing.normal, found, growing.raw.len())
    }
}
