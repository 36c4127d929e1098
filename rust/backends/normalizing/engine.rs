//! The engine's answers: tokens, settled cuts, resume points, and their proof.
//!
//! They are defined in docs/definitions.md ("Settled cut", "Resume point"). docs/proofs/unigram-resume-points.md has
//! the argument for the text of [`Engine::proof`].

use crate::backends::engine::{Certificate, Engine, Proof, Resume, ResumeState, Weight, Window};
use crate::backends::normalizing::growing::{GrowingWord, SavedWord};
use crate::backends::stretch::{Growth, SavedGrowth};

use crate::backends::normalizing::part::check_length;
use crate::backends::normalizing::resume_points::Opening;
use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::error::Result;
use crate::pre_tokenizers::added_tokens::Stretch;
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::table::Vocabulary;

impl Engine for Rewriting {
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        self.run(text, place, &mut |id, start, end, word| tokens.push(Token { id: TokenId(id), start, end, word }))?;
        Ok(tokens)
    }

    fn ids(&self, text: &str, place: TextPosition, ids: &mut Vec<TokenId>) -> Result<()> {
        self.run(text, place, &mut |id, _, _, _| ids.push(TokenId(id)))
    }

    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        if !self.has_cuts() {
            return Ok(Vec::new());
        }
        let mut walk = self.added.stretches(text);
        let stretches: Vec<Stretch> = walk.by_ref().collect();
        let unsure = walk.unsure();
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            if part.start > 0
                && part.start <= unsure
                && (part.added.is_some() || !self.begins_as_text(&text[part.start..part.end]))
            {
                cuts.push(part.start);
            }
            if part.added.is_some() || part.start >= unsure {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let horizon = (unsure - part.start).min(stretch.len());
            let open = index + 1 == stretches.len() || part.end > unsure;
            let inside = match self.words {
                Words::Whole => self.settled_in_whole(stretch, index, place, horizon, open),
                _ => self.cuts(stretch),
            };
            cuts.extend(inside.into_iter().filter(|&at| at < horizon).map(|at| part.start + at));
        }
        cuts.retain(|&at| at < text.len() && walk.parts(at));
        Ok(cuts)
    }

    fn resume(&self, text: &str, after: ResumeState, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        check_length(text)?;
        let place = after.place();
        let carried = if let ResumeState::Word(carried) = after { Some(carried) } else { None };
        let tokens = &mut window.tokens;
        tokens.clear();
        resumes.clear();
        let mut walk = self.added.stretches(text);
        let stretches: Vec<Stretch> = walk.by_ref().collect();
        let unsure = walk.unsure();
        self.scratch.with(|scratch| {
            let mut word = 0;
            for (index, part) in stretches.iter().enumerate() {
                if part.start > 0 && part.start <= unsure {
                    let as_text = part.added.is_none() && self.begins_as_text(&text[part.start..part.end]);
                    // A dummy prefix that stands at the start of the whole text alone is refused where this is true.
                    debug_assert!(!as_text || self.dummy_everywhere || self.dummy == DummyPrefix::None);
                    let after = if as_text { ResumeState::Added } else { ResumeState::Text };
                    resumes.push(Resume { at: part.start, tokens: tokens.len(), after });
                }
                if let Some(id) = part.added {
                    tokens.push(Token { id, start: part.start, end: part.end, word });
                    word += 1;
                    continue;
                }
                let stretch = &text[part.start..part.end];
                let opening = Opening {
                    carried: carried.filter(|_| index == 0),
                    horizon: unsure.saturating_sub(part.start).min(stretch.len()),
                    grows: index + 1 == stretches.len() || part.end > unsure,
                };
                self.open_stretch(
                    stretch,
                    part.start,
                    self.roles(stretch, index, place),
                    opening,
                    scratch,
                    &mut word,
                    tokens,
                    resumes,
                );
            }
            scratch.work.shrink(text.len());
        });
        if walk.hides() {
            resumes.retain(|resume| walk.parts(resume.at));
        }
        Ok(())
    }

    fn grow(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        self.grow_for(text, text, after, vocabulary)
    }

    fn grown(&self, growth: &mut Growth, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        self.grown_for(growth, text, text, vocabulary)
    }

    fn grow_for(&self, text: &str, full: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        Some(Growth::new(self.grow_word(text, full, after, vocabulary)?))
    }

    fn grown_for(&self, growth: &mut Growth, text: &str, more: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        growth.of_mut::<GrowingWord>().and_then(|word| self.word_grown(word, text, more, vocabulary))
    }

    fn carried_ids(&self, growth: &Growth) -> Vec<TokenId> {
        growth.of::<GrowingWord>().map_or_else(Vec::new, |word| self.word_ids(word))
    }

    fn token_cuts_after(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of::<GrowingWord>().and_then(|word| self.word_token_cuts(word, near, from))
    }

    fn settled_after(&self, growth: &mut Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of::<GrowingWord>().map(|word| self.word_settled(word, near, from))
    }

    fn is_unsettled(&self, growth: &mut Growth) -> bool {
        growth.of_mut::<GrowingWord>().is_some_and(|word| self.word_is_unsettled(word))
    }

    fn restore(&self, growth: &mut Growth, saved: &SavedGrowth, vocabulary: &Vocabulary) -> Option<()> {
        self.restore_word(growth.of_mut::<GrowingWord>()?, saved.of::<SavedWord>()?, vocabulary)
    }

    fn weight(&self, left: Option<char>, c: char) -> Weight {
        self.weight_of(left, c)
    }

    fn guards(&self) -> Option<usize> {
        Some(self.rewriter.guards())
    }

    fn resumes(&self) -> bool {
        match self.words {
            Words::Whole => self.has_cuts(),
            Words::Spaced | Words::Ruled { .. } => self.restarts(),
        }
    }

    fn restarts(&self) -> bool {
        // Sums of scores run from the left, so rounding depends on the text before.
        !matches!(self.words, Words::Whole) && self.certificate() != Certificate::None
    }

    fn certificate(&self) -> Certificate {
        if !self.has_cuts() {
            Certificate::None
        } else if matches!(self.words, Words::Whole) && !self.rewriter.acts_on_runs() {
            Certificate::Pieces
        } else {
            Certificate::Spaces
        }
    }

    fn proof(&self) -> Proof {
        let matcher = match &self.words {
            Words::Whole => "none: the whole text is one word",
            Words::Spaced => "coolfusion's own word rule: a space begins a word",
            Words::Ruled { .. } => {
                "coolfusion's own word rule: two neighbouring characters say whether a word ends between them"
            }
        };
        let (unit, open, why) = self.unit();
        Proof { matcher: matcher.into(), unit, open, why: why.into(), reach: self.reach() }
    }

    fn carries(&self) -> String {
        self.carries_words()
    }

    fn exact_spans(&self) -> bool {
        self.exact_spans
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}

/// The parts of [`Engine::proof`].
impl Rewriting {
    /// The unit at which a window begins, the number of units that stay open, and the reason.
    fn unit(&self) -> (&'static str, Option<u32>, &'static str) {
        match self.certificate() {
            Certificate::Pieces => (
                "settled cuts",
                None,
                "no piece can stand across a settled cut; how far back the \
                last one is depends on the text",
            ),
            Certificate::None => ("whole text", None, "white space does not part words, or pieces hold it"),
            _ if matches!(self.words, Words::Whole) => (
                "settled cuts",
                None,
                "no piece holds a space after another character; after one that may \
                be rewritten to nothing or to a space there is no settled cut",
            ),
            _ if self.loose && !self.rewriter.knows_clusters() && self.borders.len() == 4 => (
                "words",
                Some(1),
                "a word begins where a space, tab or line end stands after what is no white space: \
                    white space is dropped, and the two sides are rewritten, split and encoded each by itself",
            ),
            _ => (
                "settled cuts",
                None,
                "white space after a character that stays parts the text: the two sides are \
                rewritten, split and encoded each by itself",
            ),
        }
    }

    /// The other limits on the begin of a window.
    fn reach(&self) -> Vec<String> {
        let whole = matches!(self.words, Words::Whole);
        let mut reach = Vec::new();
        if whole {
            reach.push(
                "the model's sums of scores run from the left, so encoding starts again at the start of the text only"
                    .into(),
            );
        }
        if self.resumes() && matches!(self.model, Model::Unigram(_)) {
            let inside = if whole { "a stream" } else { "inside a long word a stream" };
            reach.push(format!(
                "{inside} goes on where no piece can stand across, with the sum of scores up to there; how far back \
                    that is depends on the text"
            ));
        }
        if self.rewriter.acts_on_runs() {
            reach.push(
                "white space at the ends of the text or in runs is rewritten: a settled cut needs a character \
                before it that stays"
                    .into(),
            );
        }
        if self.dummy != DummyPrefix::None {
            reach.push("a dummy prefix stands at the start of the text: a window after it is encoded without".into());
        }
        if !self.added.is_empty() {
            reach.push("added tokens that are text: an unfinished one at the end is not final".into());
        }
        reach
    }
}
