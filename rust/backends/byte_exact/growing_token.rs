//! Marks after an added token of the normal form, as long as one of them may still change it.
//!
//! Such a token is unsure, so no cut after it is settled. But its tokens, and those before it, change only if a mark is
//! composed with its last character, and [`OpenEnd`] knows when. The marks are a stretch of their own, which is carried
//! as any other one. The argument is in docs/proofs/added-tokens-in-normal-form.md.

use crate::backends::byte_exact::growing_back::Saved;
use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::backends::engine::{Engine, ResumeState};
use crate::backends::stretch::{SavedGrowth, Stretch};
use crate::normalizers::compositions::{OpenEnd, Taken};
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, TokenId};
use crate::vocabulary::table::Vocabulary;

/// A stretch that begins with other text and an added token, and goes on with marks.
#[derive(Debug, Clone)]
pub(crate) struct GrowingToken {
    /// The tokens up to the added one, which is the last of them.
    before: Vec<TokenId>,
    /// These give back their text.
    lossless: bool,
    end: OpenEnd,
    /// The marks.
    marks: Growing,
    /// The number of their bytes.
    length: usize,
}

/// The saved state of such a stretch.
#[derive(Debug, Clone)]
pub(crate) struct SavedToken {
    end: OpenEnd,
    marks: Saved,
    length: usize,
}

impl GrowingToken {
    /// Whether `near`, the end of the stretch, has marks alone.
    pub(crate) fn holds(&self, near: &str) -> bool {
        near.len() <= self.length
    }

    /// Whether the stretch begins with the added token, so that no cut of it is settled.
    pub(crate) fn begins_text(&self) -> bool {
        self.before.len() == 1
    }

    pub(crate) fn ids(&self) -> Vec<TokenId> {
        [self.before.clone(), self.marks.ids()].concat()
    }
}

impl Stretch for GrowingToken {
    fn saved(&self) -> SavedGrowth {
        SavedGrowth::new(SavedToken { end: self.end.clone(), marks: self.marks.save(), length: self.length })
    }

    fn gives_back(&self) -> bool {
        self.lossless && self.marks.is_lossless()
    }

    /// No cut among the marks is settled, because the token is unsure.
    fn is_over(&self) -> bool {
        false
    }

    #[cfg(test)]
    fn open_bytes(&self) -> usize {
        self.marks.open_bytes()
    }
}

impl Pipeline {
    /// Takes up `text` if it ends with an added token that a later mark may change, and with many marks.
    pub(crate) fn grow_token(&self, text: &str, place: TextPosition, vocabulary: &Vocabulary) -> Option<GrowingToken> {
        (self.nfc && self.dummy == DummyPrefix::None).then_some(())?;
        let (at, end) = self.added.open_token(text)?;
        let marks = self.grow_stretch(&text[at..], ResumeState::Added, vocabulary)?;
        let mut before = Vec::new();
        self.ids(&text[..at], place, &mut before).ok()?;
        let lossless = vocabulary.spells(&before, &text.as_bytes()[..at], false, |_, _| ());
        Some(GrowingToken { before, lossless, end, marks, length: text.len() - at })
    }

    /// The edit of appending `text`; None where that changes the added token, or no later text can.
    pub(crate) fn token_grown(&self, growing: &mut GrowingToken, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        text.chars().all(|c| growing.end.take(c) == Taken::Mark).then_some(())?;
        let mut edit = self.stretch_grown(&mut growing.marks, text, vocabulary)?;
        growing.length += text.len();
        edit.lossless = growing.gives_back();
        Some(edit)
    }

    /// As [`Pipeline::stretch_token_cuts`].
    pub(crate) fn token_token_cuts(&self, growing: &GrowingToken, near: &str, from: usize) -> Option<Vec<usize>> {
        growing.holds(near).then(|| self.stretch_token_cuts(&growing.marks, near, from))?
    }

    /// Takes the stretch back to where it was `saved`; None where that fails, and the state is then of no use.
    pub(crate) fn restore_token(
        &self,
        growing: &mut GrowingToken,
        saved: &SavedToken,
        vocabulary: &Vocabulary,
    ) -> Option<()> {
        self.restore_stretch(&mut growing.marks, &saved.marks, vocabulary)?;
        (growing.end, growing.length) = (saved.end.clone(), saved.length);
        Some(())
    }
}
