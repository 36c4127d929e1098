//! BERT's normalizer, as the `tokenizers` crate has it.
//!
//! No step of it acts on runs of white space or on the ends of a text. So one word is open after it
//! (docs/proofs/white-space-cuts.md, step 8).

use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{each, Item};
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::canonical_combining_class;

/// BERT's normalizer. Example: "H\u{e9}llo" becomes "hello".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bert {
    pub(crate) clean: bool,
    pub(crate) chinese: bool,
    pub(crate) accents: bool,
    pub(crate) lowercase: bool,
}

impl Bert {
    /// `BertNormalizer` of the `tokenizers` crate, whose Unicode tables decide which characters are control characters.
    pub(super) fn apply(self, mut items: Vec<Item>) -> Vec<Item> {
        if self.clean {
            items.retain(|item| !is_dropped(item.c));
            items.iter_mut().filter(|item| is_space(item.c)).for_each(|item| item.c = ' ');
        }
        if self.chinese {
            items =
                each(items, |c, push| if is_chinese(c) { [' ', c, ' '].into_iter().for_each(push) } else { push(c) });
        }
        if self.accents {
            items = Form::Nfd.apply(&items);
            items.retain(|item| !item.c.is_mark_nonspacing());
        }
        if self.lowercase {
            items = each(items, |c, push| c.to_lowercase().for_each(push));
        }
        items
    }

    /// Whether `c` is removed, whatever is beside it: a control character, or a mark on which the order of no other
    /// mark depends.
    pub(super) fn drops(self, c: char) -> bool {
        if self.clean && is_dropped(c) {
            return true;
        }
        let mut marks = self.accents && !(self.clean && is_space(c) || self.chinese && is_chinese(c));
        Form::Nfd.decompose(c, |part| marks &= part.is_mark_nonspacing() && canonical_combining_class(part) != 0);
        marks
    }
}

fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || c.is_whitespace()
}

fn is_dropped(c: char) -> bool {
    c == '\0' || c == '\u{fffd}' || !matches!(c, '\t' | '\n' | '\r') && c.is_other()
}

/// The characters that BERT sets apart from their neighbours: the blocks of CJK ideographs.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0x2F800..=0x2FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::rewriter::stages::tests::rewritten;
    use crate::normalizers::rewriter::stages::Rewriter;
    use crate::normalizers::rewriter::step::Step;

    #[test]
    fn bert_cleans_text() {
        let bert = |lowercase| {
            Rewriter::new(vec![Step::Bert(Bert { clean: true, chinese: true, accents: lowercase, lowercase })])
        };
        let spans = vec![(0, 2), (2, 3), (4, 5), (5, 8), (5, 8), (5, 8), (8, 9)];
        assert_eq!(rewritten(&bert(true), "\u{c9}t\u{0}\t\u{4f60}B"), ("et  \u{4f60} b".into(), spans));
        assert_eq!(rewritten(&bert(false), "\u{c9}\u{200d}").0, "\u{c9}");
    }
}
