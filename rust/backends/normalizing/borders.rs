//! Borders: places where a word ends without white space (Chinese under BERT), found from the characters beside them.
//!
//! Two neighbours are enough: step 3, *Words*, of the argument in docs/proofs/white-space-cuts.md for a cut before
//! white space.

use crate::backends::normalizing::rewriting::{Rewriting, Words};
use crate::normalizers::rewriter::stages::Rewriter;
use crate::pre_tokenizers::char_rules::WordRule;

/// The memory that [`Rewriting::borders`] has of a character. It holds the codes, in its word rule, of the first and
/// last character of its rewritten form. It also holds its class in the rewriter, and whether it is white space.
#[derive(Clone, Copy)]
struct Sides(u64);

impl Sides {
    fn first(self) -> u8 {
        self.0 as u8
    }

    fn last(self) -> u8 {
        (self.0 >> 8) as u8
    }

    fn class(self) -> u8 {
        (self.0 >> 16) as u8
    }

    fn is_white(self) -> bool {
        self.0 >> 24 != 0
    }
}

impl Rewriting {
    /// Calls `each` with the places of `text`, ascending, where a word ends without white space, whatever the rest of
    /// the text is.
    pub(super) fn borders(&self, text: &str, mut each: impl FnMut(usize)) {
        let Words::Ruled { rule, .. } = &self.words else { return };
        if !self.has_borders {
            return;
        }
        let mut left: Option<Sides> = None;
        // Whether the left character is not changed by the one before it.
        let mut alone = true;
        // A place that is a border if the character after it is not changed by the next one.
        let mut unsure = None;
        for (at, c) in text.char_indices() {
            let right = self.sides_of(c, rule);
            if let Some(left) = left.replace(right) {
                let divided = Rewriter::divides_classes(left.class(), right.class());
                if let Some(at) = unsure.take().filter(|_| divided) {
                    each(at);
                }
                if divided
                    && alone
                    && !Rewriter::is_open(left.class())
                    && !left.is_white()
                    && WordRule::parts(left.last(), right.first())
                {
                    // The left side is never a part of a word with the text after it.
                    if WordRule::stands_alone(left.last()) {
                        each(at)
                    } else {
                        unsure = Some(at)
                    }
                }
                alone = divided;
            }
        }
    }

    #[inline]
    fn sides_of(&self, c: char, rule: &WordRule) -> Sides {
        Sides(self.sides.get(c, || {
            let (first, last) =
                self.rewriter.edges(c).map_or((0, 0), |(first, last)| (rule.code(first), rule.code(last)));
            u64::from(first)
                | u64::from(last) << 8
                | u64::from(self.rewriter.class(c)) << 16
                | u64::from(c.is_whitespace()) << 24
        }))
    }

    /// Whether one of a few characters of `part` is a word of its own. If not, looking for borders hardly pays.
    pub(super) fn is_mixed(&self, part: &str) -> bool {
        let Words::Ruled { rule, .. } = &self.words else { return false };
        (0..8).any(|place| {
            let at = part.len() * place / 8;
            let c = (at..part.len()).find(|&at| part.is_char_boundary(at)).and_then(|at| part[at..].chars().next());
            c.is_some_and(|c| WordRule::stands_alone(self.sides_of(c, rule).last()))
        })
    }
}
