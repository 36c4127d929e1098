//! The way back of a growing stretch to an earlier state.
//!
//! Under NFC appended text may change the end of the normal form, and a segmenter takes back text that was not
//! committed. The walks are small, so a [`Mark`] keeps them; the tokens of prefixes stay right where they are cut back
//! (docs/proofs/nfc-streams.md).

use crate::backends::byte_exact::growing_late::Late;
use crate::backends::byte_exact::growing_raw::{RawParts, SavedRaw};
use crate::backends::byte_exact::growing_state::{Attempt, Growing, Mark};
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::backends::stretch::{SavedGrowth, Stretch};
use crate::models::bpe::word_prefixes::WordPrefixes;
use crate::normalizers::changed_parts::{ChangedParts, SavedParts};
use crate::stability::growing_cuts::GrowingCuts;
use crate::vocabulary::table::Vocabulary;
use std::borrow::Cow;

/// A saved state of a carried stretch, to which it can go back.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    mark: Mark,
    /// The normal text after the mark, up to the first of the tokens that are kept in [`Late`].
    open: String,
    late: Option<Late>,
    altered: bool,
    unsure: String,
    raw: Option<SavedRaw>,
    parts: Option<SavedParts>,
    /// The number of known spans of finished tokens.
    done: usize,
    lost: bool,
}

impl Growing {
    pub(crate) fn save(&self) -> Saved {
        let mark = self.closed.clone().unwrap_or_else(|| self.mark());
        let end = self.late.as_ref().map_or(self.text.len(), |late| late.begin.max(mark.length));
        Saved {
            open: self.text[mark.length..end].into(),
            mark,
            late: self.late.clone(),
            altered: self.altered,
            unsure: self.unsure.clone(),
            raw: self.raw.as_ref().map(RawParts::save),
            parts: self.parts.as_ref().map(ChangedParts::save),
            done: self.done.len(),
            lost: self.lost,
        }
    }

    /// The walks as they are.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            length: self.walked,
            walks: self.attempts.iter().map(|attempt| (attempt.begin, attempt.walk)).collect(),
            others: self.others.clone(),
        }
    }

    /// Takes the walks back; the tokens of the text after them are still known.
    pub(crate) fn rewind_walks(&mut self, mark: &Mark) {
        for (index, &(begin, walk)) in mark.walks.iter().enumerate() {
            if self.attempts.get(index).is_none_or(|attempt| attempt.begin != begin) {
                self.attempts.truncate(index);
                self.attempts.push(Attempt { begin, ..Attempt::new(walk) });
            }
            let attempt = &mut self.attempts[index];
            if attempt.walk.begin != walk.begin {
                attempt.prefixes = WordPrefixes::default();
            }
            attempt.walk = walk;
        }
        self.attempts.truncate(mark.walks.len());
        self.others.clone_from(&mark.others);
        self.walked = mark.length;
    }

    /// Forgets the text after `length`, where the walks are, and its tokens. Complexity: O(forgotten bytes).
    pub(crate) fn forget_after(&mut self, length: usize) {
        self.text.truncate(length);
        for attempt in &mut self.attempts {
            attempt.prefixes.truncate(length - attempt.walk.begin);
            attempt.gap.truncate(length - attempt.begin);
        }
    }
}

impl Pipeline {
    /// Takes the stretch back to where it was `saved`; None where that fails, and the state is then of no use.
    pub(crate) fn restore_stretch(&self, growing: &mut Growing, saved: &Saved, vocabulary: &Vocabulary) -> Option<()> {
        (growing.altered, growing.unsure) = (saved.altered, saved.unsure.clone());
        if let (Some(raw), Some(saved)) = (&mut growing.raw, &saved.raw) {
            raw.restore(saved);
        }
        if let (Some(parts), Some(saved)) = (&mut growing.parts, saved.parts) {
            parts.restore(saved);
        }
        growing.done.truncate(saved.done);
        growing.lost = saved.lost;
        let late = std::mem::replace(&mut growing.late, saved.late.clone());
        let mut open = Cow::Borrowed(&saved.open);
        if let Some(saved_late) = &saved.late {
            if late.is_some_and(|late| late.is_of(saved_late)) {
                // All else is as it was when both began.
                return Some(());
            }
            growing.late = None;
            open = Cow::Owned(saved_late.open(saved.mark.length, &saved.open, vocabulary)?);
        }
        growing.rewind_walks(&saved.mark);
        growing.forget_after(saved.mark.length);
        growing.closed = growing.closed.is_some().then(|| saved.mark.clone());
        growing.cuts = GrowingCuts::default();
        growing.quiet = match self.kept_of(growing) {
            Some(_) => 0,
            None => growing.quiet.min(self.quiet_before(saved.mark.length)),
        };
        self.append(growing, &open)?;
        growing.words = self.words_of(growing, growing.text.len())?;
        growing.drop_finished();
        Some(())
    }
}

impl Stretch for Growing {
    fn saved(&self) -> SavedGrowth {
        SavedGrowth::new(self.save())
    }

    fn gives_back(&self) -> bool {
        self.is_lossless()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    #[cfg(test)]
    fn open_bytes(&self) -> usize {
        self.text.len() - self.closed.as_ref().map_or(self.text.len(), |closed| closed.length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::backends::engine::ResumeState;
    use crate::tokenizer::Tokenizer;
    use crate::tokens::token::TextPosition;
    use crate::util::byte_alphabet;
    use serde_json::{json, Map, Value};

    fn nfc_tokenizer() -> std::sync::Arc<Tokenizer> {
        let vocab: Map<String, Value> =
            byte_alphabet::characters().iter().zip(0..).map(|(c, id)| (c.to_string(), json!(id))).collect();
        let definition = json!({
            "added_tokens": [], "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": vocab, "merges": []},
        });
        Tokenizer::from_bytes(definition.to_string().as_bytes(), "nfc", None).unwrap()
    }

    #[test]
    fn a_stretch_whose_end_is_composed_stays_carried_and_comes_back() {
        let tokenizer = nfc_tokenizer();
        let mut text = "a\u{301}".repeat(300);
        let mut growth = tokenizer.grow(&text, ResumeState::Start).unwrap();
        let saved = growth.save();
        for round in 0..2 {
            let before = text.len();
            for part in ["e", "\u{327}", "\u{301}", "o\u{323}", "x", "\u{1100}", "\u{1161}"] {
                text.push_str(part);
                // None would mean that a window must be encoded.
                assert!(tokenizer.grown(&mut growth, part).is_some(), "{part:?}, round {round}");
                assert!(
                    tokenizer.agrees(&growth, &tokenizer.ids(&text, TextPosition::Start).unwrap())
                        && !growth.is_lossless()
                );
            }
            text.truncate(before);
            tokenizer.restore(&mut growth, &saved).unwrap();
            assert!(tokenizer.agrees(&growth, &tokenizer.ids(&text, TextPosition::Start).unwrap()));
        }
    }
}
