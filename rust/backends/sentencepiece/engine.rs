//! [`SentencePiece`] as a backend.

use crate::backends::engine::{Certificate, Engine, Proof, ResumeState};
use crate::backends::sentencepiece::growing::{GrowingParts, SavedParts};
use crate::backends::sentencepiece::parts::{Model, SentencePiece};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::error::Result;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::table::Vocabulary;

impl Engine for SentencePiece {
    fn encode(&self, text: &str, place: TextPosition) -> Result<Vec<Token>> {
        let normal = self.normalizer.normalize(text, place == TextPosition::Start);
        let mut tokens = self.normal_tokens(normal.text());
        for token in &mut tokens {
            let start = normal.around(token.start).0;
            token.end = normal.around(token.end).1.max(start);
            token.start = start;
        }
        Ok(tokens)
    }

    fn ids(&self, text: &str, place: TextPosition, ids: &mut Vec<TokenId>) -> Result<()> {
        let normal = self.normalizer.normalize(text, place == TextPosition::Start);
        ids.extend(self.normal_tokens(normal.text()).iter().map(|token| token.id));
        Ok(())
    }

    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        let normal = self.normalizer.normalize(text, place == TextPosition::Start);
        Ok(self.cuts_of(&normal, self.normal_cuts(&normal), text.len()))
    }

    fn grow(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growth> {
        Some(Growth::new(self.grow_parts(text, after, vocabulary)?))
    }

    fn grown(&self, growth: &mut Growth, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        growth.of_mut::<GrowingParts>().and_then(|parts| self.parts_grown(parts, text, vocabulary))
    }

    fn carried_ids(&self, growth: &Growth) -> Vec<TokenId> {
        growth.of::<GrowingParts>().map_or_else(Vec::new, |parts| parts.ids())
    }

    fn token_cuts_after(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of::<GrowingParts>().and_then(|parts| self.parts_token_cuts(parts, near, from))
    }

    fn settled_after(&self, growth: &mut Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of_mut::<GrowingParts>().and_then(|parts| self.parts_settled(parts, near, from))
    }

    fn is_unsettled(&self, growth: &mut Growth) -> bool {
        growth.of_mut::<GrowingParts>().is_some_and(|parts| self.parts_are_unsettled(parts))
    }

    fn restore(&self, growth: &mut Growth, saved: &SavedGrowth, vocabulary: &Vocabulary) -> Option<()> {
        self.restore_parts(growth.of_mut::<GrowingParts>()?, saved.of::<SavedParts>()?, vocabulary)
    }

    fn carries(&self) -> String {
        "all stretches without a cut: a push reads what it appends and the end that a rule or a symbol may still \
            change, and what it changes, \
         which may be all tokens, is told when it is read; those whose tokens say more than the text are \
         read again at each push"
            .into()
    }

    fn restarts(&self) -> bool {
        // Sums of scores run from the left, so rounding depends on the text before.
        matches!(self.model, Model::Merges(_))
    }

    fn certificate(&self) -> Certificate {
        Certificate::Pieces
    }

    fn proof(&self) -> Proof {
        let mut reach = Vec::new();
        if self.normalizer.charsmap.is_some() {
            reach.push("rules of the charsmap: what may become a longer match at the end is not final".into());
        }
        if self.normalizer.remove_extra {
            reach.push(
                "spaces at the ends of the text or in runs are dropped: a settled cut needs a character before \
                it that is no space"
                    .into(),
            );
        }
        if self.normalizer.dummy {
            reach.push(
                "a dummy prefix stands at the start of the text only: a window after it is encoded without".into(),
            );
        }
        if let Some(length) = self.symbols.longest() {
            reach.push(format!(
                "user-defined symbols: an unfinished one at the end is not final, at most {length} bytes"
            ));
        }
        let why = "no piece and no user-defined symbol can stand across a settled cut; how far back the last one is \
            depends on the text";
        Proof {
            matcher: "none: user-defined symbols part the text".into(),
            unit: "settled cuts",
            open: None,
            why: why.into(),
            reach,
        }
    }

    fn exact_spans(&self) -> bool {
        self.normalizer.charsmap.is_none() && !self.normalizer.remove_extra && self.normalizer.escape
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
