//! Resume points: places inside and between the parts of a window where a stream can go on, with the state that it
//! needs.
//!
//! The definition is in docs/definitions.md, "Resume point"; docs/proofs/unigram-resume-points.md has the argument.

use crate::backends::engine::{Resume, ResumeState};
use crate::backends::normalizing::part::Role;
use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::backends::normalizing::scratch::{Scratch, Work, LONGEST_PART};
use crate::models::unigram::Carried;
use crate::tokens::token::{Token, TokenId};

/// The knowledge that a stream has of a part, beside its text.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    /// The state of the word in whose middle the part begins.
    pub(super) carried: Option<Carried>,
    /// From here on the text of the part is not final.
    pub(super) horizon: usize,
    /// More text may follow directly.
    pub(super) grows: bool,
}

impl Rewriting {
    /// The position in the rewritten text of `part` up to which it is final.
    pub(super) fn last_final(&self, part: &str, opening: Opening, kept: bool, work: &Work) -> usize {
        let Opening { horizon, grows, .. } = opening;
        let mut last = horizon.min(part.len());
        if grows && self.rewriter.looks_behind_itself() {
            // Appended text may change the last character, and all characters that cannot be divided from it.
            let mut before = part[..last].char_indices().rev();
            let mut right = before.next();
            last = 0;
            while let (Some((at, c)), Some(left)) = (right, before.next()) {
                if self.rewriter.divides(left.1, c) {
                    last = at;
                    break;
                }
                right = Some(left);
            }
        }
        if kept {
            last
        } else {
            work.trace.position(last, work.normal.len())
        }
    }

    /// As [`Rewriting::stretch`], for a window. `horizon` is the first position of the stretch that is not final. The
    /// stretch `grows` if appended text may become a part of it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn open_stretch(
        &self,
        stretch: &str,
        base: usize,
        role: impl Fn(usize, usize) -> Role,
        opening: Opening,
        scratch: &mut Scratch,
        word: &mut u32,
        tokens: &mut Vec<Token>,
        resumes: &mut Vec<Resume>,
    ) {
        let whole = matches!(self.words, Words::Whole);
        let has_points = matches!(self.model, Model::Unigram(_));
        let mut start = 0;
        let cuts = if whole { Vec::new() } else { self.cuts(stretch) };
        for end in cuts.into_iter().chain([stretch.len()]) {
            let carried = opening.carried.filter(|_| start == 0);
            if has_points && (whole || carried.is_some() || end - start > LONGEST_PART) {
                let horizon = opening.horizon.saturating_sub(start);
                let opening = Opening { carried, horizon, grows: opening.grows && end == stretch.len() };
                self.open_part(
                    &stretch[start..end],
                    base + start,
                    role(start, end),
                    opening,
                    &mut scratch.work,
                    word,
                    tokens,
                    resumes,
                );
            } else {
                let from = if self.loose { start + self.droppable(&stretch[start..end]) } else { start };
                self.part(stretch, from, end, base, role(start, end), scratch, word, &mut |id, start, end, word| {
                    tokens.push(Token { id: TokenId(id), start, end, word });
                });
            }
            if end < stretch.len() && end < opening.horizon {
                resumes.push(Resume { at: base + end, tokens: tokens.len(), after: ResumeState::Text });
            }
            start = end;
        }
    }

    /// The tokens of a part that may be long, with the places where the model can go on inside it.
    #[allow(clippy::too_many_arguments)]
    fn open_part(
        &self,
        part: &str,
        base: usize,
        role: Role,
        opening: Opening,
        work: &mut Work,
        word: &mut u32,
        tokens: &mut Vec<Token>,
        resumes: &mut Vec<Resume>,
    ) {
        let (before, mut words) = (tokens.len(), 0);
        self.encode_part::<true>(part, role, Some(opening), work, &mut |id, start, end, number| {
            words = number + 1;
            tokens.push(Token { id: TokenId(id), start: base + start, end: base + end, word: *word + number });
        });
        *word += words;
        let kept = self.rewriter.keeps(part, role.ends);
        let mut points = work.points.iter().peekable();
        for (at, _) in part.char_indices().skip(1) {
            if points.peek().is_none() {
                break;
            }
            let here = if kept { at } else { work.trace.position(at, work.normal.len()) };
            while points.next_if(|point| point.at < here).is_some() {}
            if let Some(point) = points.next_if(|point| point.at == here && self.is_parted(part, at)) {
                resumes.push(Resume {
                    at: base + at,
                    tokens: before + point.tokens,
                    after: ResumeState::Word(point.carried),
                });
            }
        }
    }
}
