//! The cuts of a growing stretch near its end: those that no token stands across, and the settled ones.
//!
//! They are those that a window over the whole stretch would tell. The end alone is read: tokens are found from the end
//! back, and no piece that stands across a position begins further before it than the longest piece is long.

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::normalizers::unicode_forms::{last_stable, Normal};
use crate::stability::pieces::uncrossed;
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
}

impl Growing {
    fn tokens_behind(&self, from: usize) -> Vec<Token> {
        let mut found = Vec::new();
        for word in self.words.iter().rev().take_while(|word| word.end > from) {
            let token = |id: TokenId, start: usize, length: usize| Token {
                id,
                start: word.begin + start,
                end: word.begin + start + length,
                word: 0,
            };
            match word.whole {
                Some(id) => found.push(token(id, 0, word.end - word.begin)),
                None => {
                    let tokens = self.prefixes(word).tokens(from.saturating_sub(word.begin), word.end - word.begin);
                    found.extend(tokens.into_iter().map(|(id, length, at)| token(id, at, length)));
                }
            }
        }
        found
    }
}

impl Pipeline {
    /// `near` is the end of the raw stretch. None without a place at or before `from` up to which the normal form is
    /// final.
    fn end_of<'a>(&self, growing: &Growing, near: &'a str, from: usize) -> Option<End<'a>> {
        let (raw, normal) = if growing.altered && self.nfc {
            let raw = last_stable(None, &near[..from])?;
            (raw, Normal::nfc(&near[raw..]))
        } else if growing.altered {
            (0, Normal::spaced(near))
        } else {
            (0, Normal::unchanged(near))
        };
        let base = growing.text.len().checked_sub(normal.text.len())?;
        Some(End { normal, raw, base })
    }

    /// The character boundaries of `near`, the end of the raw stretch, behind `from` that no token stands across.
    pub(crate) fn stretch_token_cuts(&self, growing: &Growing, near: &str, from: usize) -> Option<Vec<usize>> {
        let End { normal, raw, base } = self.end_of(growing, near, from)?;
        let mut tokens = growing.tokens_behind(base + normal.position(from - raw));
        for token in &mut tokens {
            token.start = normal.start(token.start.saturating_sub(base));
            token.end = normal.end(token.end.saturating_sub(base)).max(token.start);
        }
        let cuts = TokenCuts::new(&tokens, near.len() - raw);
        Some((from + 1..near.len()).filter(|&at| near.is_char_boundary(at) && cuts.contains(at - raw)).collect())
    }

    /// The settled cuts of the stretch behind `from`, in positions of `near`, the end of the raw stretch; None where a
    /// window must tell.
    pub(crate) fn stretch_settled(&self, growing: &Growing, near: &str, from: usize) -> Option<Vec<usize>> {
        let Some(trie) = &self.pieces else {
            // Where the walk of the first word is not over, nothing behind its start is settled.
            return self.first_is_open(growing).then(Vec::new);
        };
        let End { normal, raw, base } = self.end_of(growing, near, from)?;
        let Some(unsure) = near.len().checked_sub(growing.unsure.len()).filter(|&unsure| unsure > from) else {
            return Some(Vec::new());
        };
        let horizon = self.final_length(growing).min(base + normal.position(unsure - raw));
        let start = floor(&growing.text, self.quiet_before(base + normal.position(from - raw)));
        if horizon <= start {
            return Some(Vec::new());
        }
        let found = uncrossed(trie, &growing.text[start..horizon], |left, right| self.bpe.alphabet.fuses(left, right));
        let cuts =
            found.into_iter().map(|at| start + at).filter(|&at| at > base).filter_map(|at| normal.cut(at - base));
        let mut cuts: Vec<usize> =
            cuts.map(|at| raw + at).filter(|&at| at > from && at < unsure && near.is_char_boundary(at)).collect();
        cuts.dedup();
        Some(cuts)
    }

    /// Whether it is sure that no cut of the stretch is settled.
    pub(crate) fn stretch_is_unsettled(&self, growing: &mut Growing) -> bool {
        let Some(trie) = &self.pieces else { return self.first_is_open(growing) };
        let horizon = self.final_length(growing);
        let start = floor(&growing.text, self.quiet_before(growing.quiet));
        let known = growing.quiet.max(growing.dummy);
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
        growing.closed.as_ref().map_or(growing.text.len(), |closed| closed.length)
    }

    /// Whether the walk of the first word goes on at the end of what is final, and nothing before that word ends at a
    /// cut of the text.
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
