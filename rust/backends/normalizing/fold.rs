//! Text that a stream leaves out: see `folding.rs`, and docs/proofs/left-out-text.md.

use crate::backends::engine::Weight;
use crate::backends::normalizing::rewriting::{Rewriting, Words};

/// Bits in the memory of a character: it is a blank; an added token holds it. From `GONE` on: the number of the step at
/// which it is gone, plus one.
const BLANK: u64 = 1;
const ADDED: u64 = 2;
const GONE: u32 = 2;

impl Rewriting {
    /// The weight of `c` in the text after `left`.
    pub(super) fn weight_of(&self, left: Option<char>, c: char) -> Weight {
        let known = self.weights_of(c);
        match (known, left) {
            _ if known & ADDED != 0 => Weight::Full,
            (_, Some(left)) if known >> GONE != 0 => {
                let steps = (known >> GONE) as usize - 1;
                let held = self.weights_of(left) & ADDED == 0 && (steps == 0 || self.rewriter.holds_apart(left, steps));
                if held {
                    Weight::None
                } else {
                    Weight::Full
                }
            }
            _ if known & BLANK != 0 => Weight::Blank,
            _ => Weight::Full,
        }
    }

    fn weights_of(&self, c: char) -> u64 {
        self.weights.get(c, || {
            let is_dropped = |c: char| matches!(&self.words, Words::Ruled { rule, .. } if rule.is_dropped(c));
            let gone = self.rewriter.gone(c).map_or(0, |steps| steps as u64 + 1);
            let added = self.added.holds(c);
            let blank = self.rewriter.is_blank(c, is_dropped);
            (if blank { BLANK } else { 0 }) | (if added { ADDED } else { 0 }) | gone << GONE
        })
    }
}
