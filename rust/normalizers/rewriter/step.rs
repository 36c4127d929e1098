//! The stages of a normalizer: the effect of each on the characters of a text, and the characters that it looks at
//! together.
//!
//! The argument for a cut before white space depends on the characters that a stage may look at
//! (docs/proofs/white-space-cuts.md, step 1, *Normalizer*).

use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::rewriter::bert::Bert;
use crate::normalizers::rewriter::cluster::{is_cluster, is_idle, WIDE};
use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{by_text, drop_end, each, replace_all, Ends, Item};
use crate::regex::char_class::CodePoints;
use std::collections::HashSet;
use unicode_normalization_alignments::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// One stage, such as lower case.
#[derive(Debug)]
pub(crate) enum Step {
    /// SentencePiece's own reading of its rules: the longest at each position. `later`: characters after the first of a
    /// rule.
    Rules {
        rules: Charsmap,
        later: HashSet<char>,
    },
    /// The crate's reading of the same rules: the shortest rule for each grapheme cluster, or else for each of its
    /// characters.
    ClusterRules(Charsmap),
    Literal {
        pattern: Vec<char>,
        content: Vec<char>,
    },
    /// Each character of a set.
    Each {
        set: CodePoints,
        content: Vec<char>,
    },
    /// Runs of two or more spaces.
    SpaceRuns {
        content: Vec<char>,
    },
    /// Spaces at the start of the text.
    LeadingSpaces,
    /// Spaces (and marks U+2581) at the end of the text.
    TrailingSpaces {
        marks: bool,
    },
    Strip {
        left: bool,
        right: bool,
    },
    Lowercase,
    Form(Form),
    StripAccents,
    Bert(Bert),
    Nmt,
}

/// How a stage treats a character that it meets between others.
pub(crate) enum Meeting {
    /// Alone.
    Indifferent,
    /// Together with a neighbour of the same kind.
    Equals,
    /// Together with its neighbours.
    Neighbours,
    /// Alone, but a symbol that is left alone may hold it after others.
    Symbol,
}

impl Step {
    /// Whether the treatment of white space depends on the text beside it, or on the ends of the text.
    pub(super) fn acts_on_runs(&self) -> bool {
        matches!(self, Self::SpaceRuns { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. })
    }

    /// Whether each character is treated alone, wherever it is.
    pub(super) fn treats_alone(&self) -> bool {
        matches!(self, Self::Each { .. } | Self::Lowercase | Self::StripAccents | Self::Nmt)
            || matches!(self, Self::Literal { pattern, .. } if pattern.len() == 1)
    }

    /// Whether the output never has `c`, whatever the text.
    pub(super) fn removes(&self, c: char) -> bool {
        match self {
            Self::StripAccents => is_combining_mark(c),
            Self::Form(form) => form.replaces(c),
            _ => false,
        }
    }

    /// Whether the output has `c` only if the text has it.
    pub(super) fn never_makes(&self, c: char) -> bool {
        match self {
            Self::StripAccents | Self::Strip { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } => true,
            // U+0130 becomes "i" and U+0307.
            Self::Lowercase => !c.is_lowercase() && c != '\u{307}',
            Self::Form(form) => form.replaces(c),
            _ => false,
        }
    }

    pub(super) fn meets(&self, c: char, first: bool) -> Meeting {
        let neighbours = |is: bool| if is { Meeting::Neighbours } else { Meeting::Indifferent };
        match self {
            Self::Rules { rules, later } if rules.keeps_inside(c) && !later.contains(&c) => Meeting::Symbol,
            Self::Rules { later, .. } => neighbours(later.contains(&c)),
            Self::ClusterRules(_) => neighbours(!is_cluster(c)),
            Self::Literal { pattern, .. } if pattern.len() > 1 && pattern.contains(&c) => Meeting::Equals,
            Self::SpaceRuns { .. } if c == ' ' => Meeting::Equals,
            Self::TrailingSpaces { marks: true } => neighbours(c == '\u{2581}'),
            Self::Form(form) => neighbours(first && !form.starts_anew(c)),
            Self::Bert(bert) => neighbours(bert.accents && first && !Form::Nfd.starts_anew(c)),
            _ => Meeting::Indifferent,
        }
    }

    /// Whether `c` alone stays unchanged; false where the test takes long.
    pub(super) fn leaves(&self, c: char) -> bool {
        let mut buffer = [0; 4];
        match self {
            Self::Rules { rules, .. } => rules.longest_prefix(c.encode_utf8(&mut buffer)).is_none(),
            Self::ClusterRules(rules) => rules.shortest_prefix(c.encode_utf8(&mut buffer)).is_none(),
            Self::Literal { pattern, .. } => *pattern != [c],
            Self::Each { set, .. } => !set.contains(c),
            Self::SpaceRuns { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => true,
            Self::Lowercase => c.to_lowercase().eq([c]),
            Self::Form(form) => form.leaves(c),
            Self::StripAccents => !is_combining_mark(c),
            Self::Bert(_) | Self::Nmt => false,
        }
    }

    pub(super) fn apply(&self, items: Vec<Item>, ends: Ends) -> Vec<Item> {
        match self {
            Self::Rules { rules, .. } => by_longest_rule(rules, &items),
            Self::ClusterRules(rules) if is_idle(rules, &items) => items,
            Self::ClusterRules(rules) => by_clusters(rules, &items),
            Self::Literal { pattern, content } => with_literal_replaced(pattern, content, &items),
            Self::Each { set, content } => {
                each(items, |c, push| if set.contains(c) { content.iter().for_each(|&c| push(c)) } else { push(c) })
            }
            Self::SpaceRuns { content } => {
                let mut output = Vec::with_capacity(items.len());
                for run in items.chunk_by(|a, b| a.c == ' ' && b.c == ' ') {
                    if run.len() > 1 {
                        replace_all(run, content, &mut output)
                    } else {
                        output.extend_from_slice(run)
                    }
                }
                output
            }
            Self::LeadingSpaces if ends.start => items.into_iter().skip_while(|item| item.c == ' ').collect(),
            Self::TrailingSpaces { marks } if ends.end => drop_end(items, |c| c == ' ' || *marks && c == '\u{2581}'),
            Self::LeadingSpaces | Self::TrailingSpaces { .. } => items,
            Self::Strip { left, right } => {
                let items = if *right && ends.end { drop_end(items, char::is_whitespace) } else { items };
                if *left && ends.start {
                    items.into_iter().skip_while(|item| item.c.is_whitespace()).collect()
                } else {
                    items
                }
            }
            Self::Lowercase => each(items, |c, push| c.to_lowercase().for_each(push)),
            Self::Form(form) => form.apply(&items),
            Self::StripAccents => items.into_iter().filter(|item| !is_combining_mark(item.c)).collect(),
            Self::Bert(bert) => bert.apply(items),
            Self::Nmt => each(items, nmt),
        }
    }
}

/// Rules as SentencePiece reads them: the longest at each position.
fn by_longest_rule(rules: &Charsmap, items: &[Item]) -> Vec<Item> {
    by_text(items, |text, push| {
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rule = rules.longest_prefix(&text[at..]);
            let length = rule.map_or(c.len_utf8(), |(length, _)| length.max(1));
            // The characters of a symbol that is left alone stay unchanged.
            push(
                at,
                at + length,
                rule.map(|(_, replacement)| replacement).filter(|replacement| *replacement != &text[at..at + length]),
            );
            at += length;
        }
    })
}

/// Rules as the `tokenizers` crate reads them: of a grapheme cluster, or else of each of its characters.
fn by_clusters(rules: &Charsmap, items: &[Item]) -> Vec<Item> {
    by_text(items, |text, push| {
        for (at, cluster) in text.grapheme_indices(true) {
            let whole = Some(cluster).filter(|c| c.len() < WIDE).and_then(|c| rules.shortest_prefix(c));
            if let Some(replacement) = whole {
                push(at, at + cluster.len(), Some(replacement));
                continue;
            }
            for (inside, c) in cluster.char_indices() {
                let (from, to) = (at + inside, at + inside + c.len_utf8());
                push(from, to, rules.shortest_prefix(&text[from..to]));
            }
        }
    })
}

/// `items` with `content` for each `pattern`, from left to right.
fn with_literal_replaced(pattern: &[char], content: &[char], items: &[Item]) -> Vec<Item> {
    let mut output = Vec::with_capacity(items.len());
    let mut rest = items;
    while let Some((&first, after)) = rest.split_first() {
        let matches = rest.len() >= pattern.len() && rest.iter().zip(pattern).all(|(item, c)| item.c == *c);
        if matches {
            let (found, after) = rest.split_at(pattern.len());
            replace_all(found, content, &mut output);
            rest = after;
        } else {
            output.push(first);
            rest = after;
        }
    }
    output
}

/// SentencePiece's `nmt` rules without NFKC, as the `tokenizers` crate has them.
fn nmt(c: char, push: &mut dyn FnMut(char)) {
    match u32::from(c) {
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0x8F | 0x9F => {}
        0x09 | 0x0A | 0x0C | 0x0D | 0x1680 | 0x200B..=0x200F | 0x2028 | 0x2029 | 0x2581 | 0xFEFF | 0xFFFD => push(' '),
        _ => push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::rewriter::stages::tests::rewritten;
    use crate::normalizers::rewriter::stages::Rewriter;

    #[test]
    fn runs_and_ends_of_spaces() {
        let rewriter = Rewriter::new(vec![
            Step::LeadingSpaces,
            Step::SpaceRuns { content: vec![' '] },
            Step::TrailingSpaces { marks: true },
        ]);
        assert_eq!(rewritten(&rewriter, "  a  b \u{2581}"), ("a b".into(), vec![(2, 3), (3, 5), (5, 6)]));
        assert_eq!(rewritten(&rewriter, "   ").0, "");
        let strip = Rewriter::new(vec![Step::Strip { left: true, right: true }]);
        assert_eq!(rewritten(&strip, "\n a \u{3000}").0, "a");
    }

    #[test]
    fn lower_case_makes_only_lower_case_and_a_dot() {
        for c in '\0'..=char::MAX {
            for lower in c.to_lowercase().filter(|&lower| lower != c) {
                assert!(!Step::Lowercase.never_makes(lower), "{c:?} {lower:?}");
            }
        }
    }
}
