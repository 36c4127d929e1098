//! The cuts of a text without a split rule of which characters are dropped.
//!
//! A dropped character brings those around it together, so a piece may stand across places of the text in which it does
//! not occur. Pieces are looked for in the text without dropped characters
//! (docs/proofs/words-without-split-rule.md). Example: of "aa\0b" the tokens may be `aab` alone.

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::models::bpe::squeezed::Squeezed;
use crate::stability::pieces::uncrossed_places;
use crate::util::sorted_trie::PieceTrie;

impl Pipeline {
    /// The interior character boundaries of `text` that no piece can cross, whatever is appended; None where nothing is
    /// dropped.
    pub(super) fn cuts_beside_dropped(&self, trie: &PieceTrie, text: &str) -> Option<Vec<usize>> {
        let alphabet = &self.bpe.alphabet;
        alphabet.drops_of(text.as_bytes()).then_some(())?;
        let mut kept = Squeezed::new(alphabet, b"");
        kept.extend(alphabet, text.as_bytes())?;
        let found = uncrossed_places(trie, &kept.text).into_iter().filter_map(|at| kept.cut(at));
        Some(found.filter(|&at| text.is_char_boundary(at) && !alphabet.fuses_at(text.as_bytes(), at)).collect())
    }

    /// The same of a growing stretch up to `horizon`, after byte `from`.
    pub(super) fn uncrossed_after(
        &self,
        trie: &PieceTrie,
        growing: &mut Growing,
        from: usize,
        horizon: usize,
    ) -> Vec<usize> {
        let mut cuts = std::mem::take(&mut growing.cuts);
        let text = &growing.text[..horizon];
        let is_fused = |at| self.bpe.alphabet.fuses_at(text.as_bytes(), at);
        let is_cut = |&at: &usize| text.is_char_boundary(at) && !is_fused(at);
        let found = match self.kept_of(growing) {
            Some(kept) => {
                let bytes = &kept.text[..kept.place(horizon)];
                let found = cuts.after(trie, bytes, (0, kept.place(from)), |_| false);
                found.filter_map(|at| kept.cut(at)).filter(is_cut).collect()
            }
            None => cuts.after(trie, text.as_bytes(), (0, from), is_fused).collect(),
        };
        growing.cuts = cuts;
        found
    }

    /// The stretch without dropped characters; None where none was dropped.
    pub(super) fn kept_of<'g>(&self, growing: &'g Growing) -> Option<&'g Squeezed> {
        let word = growing.attempts.first().filter(|_| self.pieces.is_some() && self.bpe.alphabet.drops())?;
        word.prefixes.squeezed()
    }
}
