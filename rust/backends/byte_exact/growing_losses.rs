//! Characters of a growing stretch that no token says, because they are unknown or dropped.
//!
//! A token says the text of its letters, or nothing if it is the unknown one. So the tokens give back the text exactly
//! if no such character is in it. Where something else is lost, that cannot be told, and the stretch is not carried.

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::vocabulary::table::Vocabulary;

impl Pipeline {
    /// Notes at first where the words begin and whether characters are lost; None where that is not known.
    pub(crate) fn note_losses(&self, growing: &mut Growing, vocabulary: &Vocabulary) -> Option<()> {
        let begin = growing.words.first().map_or(0, |word| word.begin);
        growing.spans_from = begin;
        growing.lost = !self.bpe.alphabet.gives_all(&growing.text.as_bytes()[..begin]);
        if growing.lost {
            // A word that is a piece may hold such characters and say them.
            return (!self.bpe.ignores_merges()).then_some(());
        }
        if !growing.words.iter().any(|word| word.is_lossy) {
            return Some(());
        }
        let words = growing.words.clone();
        self.edit(growing, &[], &words, vocabulary).filter(|_| begin == 0).map(|_| ())
    }
}
