//! The text that a growing text may leave out: characters that vanish, and all but the ends of a long run of blanks.
//!
//! Both are proved from the steps: docs/proofs/left-out-text.md.

use crate::normalizers::rewriter::bert::Bert;
use crate::normalizers::rewriter::cluster::is_cluster;
use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{Ends, Item};
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::rewriter::step::Step;
use unicode_normalization_alignments::char::is_combining_mark;

/// The result of a step for a character that it treats alone.
enum Alone {
    /// It is removed, whatever is beside it, and the remaining text does not depend on its place.
    Gone,
    /// It becomes the same as when it is alone, and its neighbours are treated as if another character were there.
    Apart,
    /// Neither is sure.
    Unsure,
}

impl Rewriter {
    /// The number of the step at which `c` is removed, if it is: the steps before that one treat it alone.
    pub(crate) fn gone(&self, c: char) -> Option<usize> {
        let mut items = vec![Item { c, start: 0, end: 1 }];
        for (number, step) in self.steps.iter().enumerate() {
            let next = self.steps.get(number + 1);
            let fates: Vec<Alone> = items.iter().map(|item| step.alone(item.c, next)).collect();
            if fates.iter().all(|fate| matches!(fate, Alone::Gone)) {
                return Some(number);
            }
            if !fates.iter().all(|fate| matches!(fate, Alone::Apart)) {
                return None;
            }
            items = step.apply(items, Ends::default());
        }
        None
    }

    /// Whether the first `steps` steps treat `c` alone and leave some of it. Then the text before it never meets the
    /// text after it in these steps.
    pub(crate) fn holds_apart(&self, c: char, steps: usize) -> bool {
        let mut items = vec![Item { c, start: 0, end: 1 }];
        for step in &self.steps[..steps] {
            if items.is_empty() || !items.iter().all(|item| matches!(step.alone(item.c, None), Alone::Apart)) {
                return false;
            }
            items = step.apply(items, Ends::default());
        }
        !items.is_empty()
    }

    /// Whether `c` in a run of such characters becomes a space of a run that is folded, or a character that
    /// `is_dropped`.
    pub(crate) fn is_blank(&self, c: char, is_dropped: impl Fn(char) -> bool) -> bool {
        self.are_blank(&[c], &is_dropped) && (c != '\r' || self.are_blank(&['\r', '\n'], &is_dropped))
    }

    /// The same for characters that some steps may read as one: CR and LF.
    fn are_blank(&self, source: &[char], is_dropped: impl Fn(char) -> bool) -> bool {
        let mut items: Vec<Item> = source.iter().map(|&c| Item { c, start: 0, end: 1 }).collect();
        for (number, step) in self.steps.iter().enumerate() {
            if matches!(step, Step::SpaceRuns { .. }) {
                return items.iter().all(|item| item.c == ' ');
            }
            // The result for CR and LF together is known where no step before has put them there.
            let line_ends = source[0] == '\r' && self.steps[..number].iter().all(Step::keeps_line_ends);
            if !items.iter().all(|item| {
                step.parts_blanks(item.c) || line_ends && matches!((step, item.c), (Step::ClusterRules(_), '\r'))
            }) {
                return false;
            }
            items = step.apply(items, Ends::default());
            if items.is_empty() {
                return false;
            }
        }
        items.iter().all(|item| is_dropped(item.c))
    }

    /// The number of blanks at each end of a run that may be read together with the text beside the run.
    pub(crate) fn guards(&self) -> usize {
        let reaches = |step: &&Step| {
            matches!(
                step,
                Step::Rules { .. } | Step::ClusterRules(_) | Step::Form(_) | Step::Bert(Bert { accents: true, .. })
            )
        };
        self.steps.iter().filter(reaches).count()
    }
}

impl Step {
    fn alone(&self, c: char, next: Option<&Step>) -> Alone {
        let apart = |is: bool| if is { Alone::Apart } else { Alone::Unsure };
        match self {
            Self::Rules { .. } | Self::ClusterRules(_) => Alone::Unsure,
            Self::Literal { pattern, .. } if pattern.len() > 1 => apart(!pattern.contains(&c)),
            // White space at the ends, and in runs, is held apart by other characters.
            Self::SpaceRuns { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => {
                apart(!c.is_whitespace() && c != '\u{2581}')
            }
            // Forms move only marks. Where these are removed next, a form only takes characters apart.
            Self::Form(form) => {
                let vanishes = matches!(next, Some(Self::StripAccents)) && form.only_marks(c);
                if vanishes {
                    Alone::Gone
                } else {
                    Alone::Unsure
                }
            }
            Self::Bert(bert) if bert.drops(c) => Alone::Gone,
            Self::Bert(bert) => apart(!bert.accents),
            Self::Literal { .. } | Self::Each { .. } | Self::Lowercase | Self::StripAccents | Self::Nmt => {
                let alone = self.apply(vec![Item { c, start: 0, end: 1 }], Ends::default());
                if alone.is_empty() {
                    Alone::Gone
                } else {
                    Alone::Apart
                }
            }
        }
    }

    /// Whether the text can be cut between two neighbours of which this is true, each side being rewritten separately.
    fn parts_blanks(&self, c: char) -> bool {
        match self {
            Self::Rules { rules, later } => !rules.keeps_inside(c) && !later.contains(&c),
            Self::ClusterRules(_) => is_cluster(c),
            Self::Literal { pattern, .. } => pattern.len() == 1 || !pattern.contains(&c),
            // A run is dropped as a whole or stays as a whole.
            Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => c == ' ',
            Self::Form(form) => form.starts_anew(c),
            Self::Bert(bert) => !bert.accents || Form::Nfd.starts_anew(c),
            Self::SpaceRuns { .. } => false,
            Self::Each { .. } | Self::Lowercase | Self::StripAccents | Self::Nmt => true,
        }
    }

    /// Whether no other character becomes CR or LF, and these stay as they are.
    fn keeps_line_ends(&self) -> bool {
        let is_end = |c: &char| matches!(c, '\r' | '\n');
        match self {
            Self::Literal { pattern, content } => !pattern.iter().chain(content).any(is_end),
            Self::Form(_) | Self::StripAccents | Self::Lowercase => true,
            _ => false,
        }
    }
}

impl Form {
    /// Whether this form decomposes `c` into marks only, and composes no character.
    fn only_marks(self, c: char) -> bool {
        let mut all = matches!(self, Self::Nfd | Self::Nfkd);
        self.decompose(c, |part| all &= is_combining_mark(part));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::rewriter::stages::tests::rewritten;
    use unicode_normalization_alignments::char::canonical_combining_class;

    #[test]
    fn forms_move_marks_only() {
        let moved = ('\0'..=char::MAX).filter(|&c| canonical_combining_class(c) != 0).collect::<Vec<_>>();
        assert!(moved.len() > 700);
        assert!(moved.into_iter().all(is_combining_mark));
    }

    #[test]
    fn what_is_gone_makes_no_difference() {
        let quotes = || Step::Literal { pattern: vec!['`', '`'], content: vec!['"'] };
        let rewriter = Rewriter::new(vec![quotes(), Step::Form(Form::Nfkd), Step::StripAccents, quotes()]);
        assert_eq!(
            [rewriter.gone('\u{301}'), rewriter.gone('\u{344}'), rewriter.gone('e'), rewriter.gone('`')],
            [Some(1), Some(1), None, None]
        );
        assert!(rewriter.holds_apart('e', 1) && !rewriter.holds_apart('`', 1) && !rewriter.holds_apart('e', 2));
        assert_eq!(rewritten(&rewriter, "`\u{301}`\u{e9}\u{301}").0, "\"e");
        let bert =
            |accents| Rewriter::new(vec![Step::Bert(Bert { clean: true, chinese: true, accents, lowercase: true })]);
        assert_eq!(
            [bert(true).gone('\u{301}'), bert(false).gone('\u{301}'), bert(false).gone('\u{200d}')],
            [Some(0), None, Some(0)]
        );
    }

    #[test]
    fn runs_of_blanks_are_as_long_as_their_ends() {
        let white = |c: char| c.is_whitespace();
        let nmt = Rewriter::new(vec![Step::Nmt, Step::Form(Form::Nfkc)]);
        assert!([' ', '\n', '\r', '\u{3000}'].into_iter().all(|c| nmt.is_blank(c, white)) && nmt.guards() == 1);
        assert!(!nmt.is_blank('\u{301}', white) && !nmt.is_blank('\u{1}', white) && !nmt.is_blank(' ', |_| false));
        let runs = Rewriter::new(vec![Step::Nmt, Step::SpaceRuns { content: vec!['x'] }]);
        assert!(runs.is_blank('\n', |_| false) && !runs.is_blank('\u{3000}', white));
    }
}
