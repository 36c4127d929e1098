//! [`Pipeline`] as a backend.

use crate::backends::byte_exact::growing_back::Saved;
use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::growing_token::{GrowingToken, SavedToken};
use crate::backends::byte_exact::pipeline::{Pipeline, MUCH};
use crate::backends::engine::{Certificate, Engine, Proof, Resume, ResumeState, Window};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::Result;
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::stability::pieces::holds_inner_space;
use crate::tokens::cuts::tokens_before;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::util::text::retain_space_starts;
use crate::vocabulary::table::Vocabulary;

impl Engine for Pipeline {
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4 + 1);
        let mut word = 0;
        self.scratch.with(|scratch| {
            self.for_each_stretch(text, place, |part, normal| {
                let first = tokens.len();
                match (part.added, normal) {
                    (None, Some(normal)) => {
                        self.encode_stretch(
                            &normal.text,
                            place == TextPosition::Start || part.start > 0,
                            &mut word,
                            scratch,
                            &mut tokens,
                        );
                        if normal.is_moved() || part.start > 0 {
                            for token in &mut tokens[first..] {
                                token.start = part.start + normal.start(token.start);
                                token.end = (part.start + normal.end(token.end)).max(token.start);
                            }
                        }
                    }
                    (id, _) => {
                        tokens.extend(id.map(|id| Token { id, start: part.start, end: part.end, word }));
                        word += 1;
                    }
                }
            });
            scratch.trim(text.len());
        });
        Ok(tokens)
    }

    fn ids(&self, text: &str, place: TextPosition, ids: &mut Vec<TokenId>) -> Result<()> {
        self.scratch.with(|scratch| {
            self.for_each_stretch(text, place, |part, normal| match (part.added, normal) {
                (None, Some(normal)) => self.encode_stretch(
                    &normal.text,
                    place == TextPosition::Start || part.start > 0,
                    &mut 0,
                    scratch,
                    ids,
                ),
                (id, _) => ids.extend(id),
            });
            scratch.trim(text.len());
        });
        Ok(())
    }

    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        Ok(self.settled_cuts(text, place))
    }

    fn window(&self, text: &str, place: TextPosition, window: &mut Window) -> Result<()> {
        if self.plain_window(text, place, window) {
            return Ok(());
        }
        window.tokens = self.encode(text, place)?;
        window.cuts = self.settled_cuts(text, place);
        Ok(())
    }

    fn resume(&self, text: &str, after: ResumeState, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        self.window(text, after.place(), window)?;
        let torn = after.torn();
        if torn > 0 {
            window.tokens.drain(..tokens_before(&window.tokens, torn));
        }
        resumes.clear();
        let place = |at: usize, after: ResumeState| Resume {
            at,
            tokens: tokens_before(&window.tokens, at + after.torn()),
            after,
        };
        if self.resumes() {
            resumes.extend(window.cuts.iter().map(|&at| place(at, ResumeState::Text)));
        }
        if self.resumes_after_added() {
            resumes.extend(self.starts_after_added(text).into_iter().map(|at| place(at, ResumeState::Added)));
            resumes.sort_by_key(|resume| resume.at);
        }
        if self.tears() && resumes.is_empty() && text.len() >= MUCH {
            resumes.extend(self.last_torn(text).map(|(at, bytes)| place(at, ResumeState::Torn(bytes))));
        }
        Ok(())
    }

    fn resumes(&self) -> bool {
        self.tears() || self.resumes_after_added()
    }

    fn settled_before_space(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        if let Some(cuts) = self.space_cuts(text, place) {
            return Ok(cuts);
        }
        let mut cuts = self.settled_cuts(text, place);
        retain_space_starts(text, &mut cuts);
        Ok(cuts)
    }

    fn grow(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        (after.torn() == 0).then_some(())?;
        match self.grow_stretch(text, after, vocabulary) {
            Some(growing) => Some(Growth::new(growing)),
            None => self.grow_token(text, after.place(), vocabulary).map(Growth::new),
        }
    }

    fn grown(&self, growth: &mut Growth, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        match growth.of_mut::<GrowingToken>() {
            Some(growing) => self.token_grown(growing, text, vocabulary),
            None => self.stretch_grown(growth.of_mut::<Growing>()?, text, vocabulary),
        }
    }

    fn carried_ids(&self, growth: &Growth) -> Vec<TokenId> {
        let of_token = growth.of::<GrowingToken>().map(GrowingToken::ids);
        of_token.or_else(|| growth.of::<Growing>().map(Growing::ids)).unwrap_or_default()
    }

    fn token_cuts_after(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        match growth.of::<GrowingToken>() {
            Some(growing) => self.token_token_cuts(growing, near, from),
            None => self.stretch_token_cuts(growth.of::<Growing>()?, near, from),
        }
    }

    fn settled_after(&self, growth: &mut Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        match growth.of_mut::<GrowingToken>() {
            // The text before the token, where cuts may be settled, is no part of the end.
            Some(growing) => growing.holds(near).then(Vec::new),
            None => growth.of_mut::<Growing>().and_then(|growing| self.stretch_settled(growing, near, from)),
        }
    }

    fn is_unsettled(&self, growth: &mut Growth) -> bool {
        match growth.of::<GrowingToken>() {
            Some(growing) => growing.begins_text(),
            None => growth.of_mut::<Growing>().is_some_and(|growing| self.stretch_is_unsettled(growing)),
        }
    }

    fn restore(&self, growth: &mut Growth, saved: &SavedGrowth, vocabulary: &Vocabulary) -> Option<()> {
        match growth.of_mut::<GrowingToken>() {
            Some(growing) => self.restore_token(growing, saved.of::<SavedToken>()?, vocabulary),
            None => self.restore_stretch(growth.of_mut::<Growing>()?, saved.of::<Saved>()?, vocabulary),
        }
    }

    fn carries(&self) -> String {
        self.carries_stretches()
    }

    fn certificate(&self) -> Certificate {
        if self.pieces.is_some() {
            Certificate::Pieces
        } else {
            Certificate::PreTokens
        }
    }

    fn exact_spans(&self) -> bool {
        true
    }

    fn proof(&self) -> Proof {
        let (unit, open, why) = match &self.pieces {
            Some(pieces) if pieces.any(holds_inner_space) => (
                "settled cuts",
                None,
                "no piece can stand across a settled cut; some pieces hold a space after another character",
            ),
            Some(_) if self.bpe.alphabet.fuses_before(' ') => (
                "settled cuts",
                None,
                "no piece can stand across a settled cut; a space may share the unknown token of its neighbour",
            ),
            Some(_) => (
                "words",
                Some(1),
                "no piece holds a space after another character, so none stands across the start of a word",
            ),
            None => match self.splitter.open_pre_tokens() {
                Some(open) => {
                    ("pre-tokens", Some(open), "proved for all texts by going through the states of the compiled rule")
                }
                None => (
                    "pre-tokens",
                    None,
                    "the matcher tells how far it looked; no bound for all texts is proved for this rule",
                ),
            },
        };
        let mut reach = Vec::new();
        if self.nfc {
            reach.push(
                "NFC: what stands after the last character that no mark can change is not final; the window \
                counts from there"
                    .into(),
            );
        }
        if self.bpe.ignores_merges() {
            reach.push(
                "ignore_merges: a pre-token that is a piece is one token, so a window begins with a pre-token, \
                not inside one"
                    .into(),
            );
        }
        if self.dummy != DummyPrefix::None {
            reach.push(
                "a dummy prefix stands at the start of the text only: a window after it is encoded without".into(),
            );
        }
        if let Some(length) = self.added.longest() {
            reach.push(format!(
                "added tokens that are text: an unfinished one at the end is not final, at most {length} bytes"
            ));
        }
        Proof { matcher: self.splitter.describe(), unit, open, why: why.into(), reach }
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
