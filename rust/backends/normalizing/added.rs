//! Added tokens that are text, and the stretches between them: what comes before everything else.
//!
//! The start of what may become a longer added token is where a text stops being final: the *horizon* of
//! docs/definitions.md, "Settled cut".

use crate::pre_tokenizers::added_tokens::Stretch;
use crate::tokens::token::TokenId;
use crate::util::double_array::Dictionary;
use std::collections::HashSet;
use std::ops::Range;

/// Added tokens, found in the text before anything else, the longest first.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The numbers are indices into `ids`.
    pub(crate) contents: Dictionary,
    /// None: a control token, which is text, but hides added tokens that begin inside it.
    pub(crate) ids: Vec<Option<TokenId>>,
    pub(crate) begins: Vec<bool>,
    /// All characters of the contents.
    pub(crate) characters: HashSet<char>,
}

impl Added {
    /// The stretches of `text`, and the first position from where a later text could change them.
    pub(super) fn stretches(&self, text: &str) -> Stretches {
        let mut stretches = Vec::new();
        let mut hidden = Vec::new();
        let (mut at, mut gap, mut unsure) = (0, 0, text.len());
        let bytes = text.as_bytes();
        while !self.ids.is_empty() && at < bytes.len() {
            if !self.begins[usize::from(bytes[at])] {
                at += 1;
                continue;
            }
            if self.contents.reach(&bytes[at..]).1 {
                unsure = unsure.min(at);
            }
            let Some((length, index)) = self.contents.longest(&bytes[at..]) else {
                at += 1;
                continue;
            };
            if let Some(id) = self.ids[index as usize] {
                if gap < at {
                    stretches.push(Stretch { start: gap, end: at, added: None });
                }
                stretches.push(Stretch { start: at, end: at + length, added: Some(id) });
                gap = at + length;
            } else {
                hidden.push(at..at + length);
            }
            at += length;
        }
        if gap < text.len() {
            stretches.push(Stretch { start: gap, end: text.len(), added: None });
        }
        Stretches { stretches, unsure, hidden }
    }
}

/// What [`Added::stretches`] finds.
pub(crate) struct Stretches {
    pub(super) stretches: Vec<Stretch>,
    pub(super) unsure: usize,
    /// Control tokens, which are text: looking for added tokens cannot begin inside one.
    pub(super) hidden: Vec<Range<usize>>,
}

impl Stretches {
    /// Whether added tokens are found behind `at` as if nothing stood before it.
    pub(super) fn parts(&self, at: usize) -> bool {
        let next = self.hidden.partition_point(|hidden| hidden.end <= at);
        self.hidden.get(next).is_none_or(|hidden| at <= hidden.start)
    }
}
