//! Pre-token rules that look at two neighbouring characters only: white space, punctuation, digits.

use crate::util::char_table::CharMemo;
use unicode_categories::UnicodeCategories;

/// One stage of a pre-tokenizer.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// White space is removed, and separates words.
    WhiteSpace,
    /// White space goes; runs of `\w` are words, and runs of everything else.
    WordCharacters(crate::regex::char_class::CodePoints),
    Punctuation(Manner),
    Digits(Manner),
}

/// The treatment of the characters that a stage finds, such as the digits of "a12".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each is a word.
    Isolated,
    /// Each run of them is a word.
    Contiguous,
    /// They go.
    Removed,
}

const DROPPED: u8 = 0x80;
const ISOLATED: u8 = 0x40;

/// All stages in one: two neighbours have one code each, which decides whether they are of one word.
#[derive(Debug)]
pub(crate) struct WordRule {
    rules: Vec<Rule>,
    known: CharMemo,
    ascii: [u8; 128],
}

impl WordRule {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let mut rule = Self { rules, known: CharMemo::default(), ascii: [0; 128] };
        for code in 0..128_u8 {
            rule.ascii[usize::from(code)] = rule.classify(char::from(code));
        }
        rule
    }

    /// Whether white space is never part of a word.
    pub(crate) fn drops_white_space(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::WhiteSpace | Rule::WordCharacters(_)))
    }

    /// Whether words may end elsewhere than at white space.
    pub(crate) fn parts_text(&self) -> bool {
        self.rules.iter().any(|rule| !matches!(rule, Rule::WhiteSpace))
    }

    /// Whether `c` is never part of a word.
    pub(crate) fn is_dropped(&self, c: char) -> bool {
        self.code(c) & DROPPED != 0
    }

    fn classify(&self, c: char) -> u8 {
        let manner = |manner: Manner, group: u8| match manner {
            Manner::Isolated => ISOLATED,
            Manner::Contiguous => group,
            Manner::Removed => DROPPED,
        };
        self.rules.iter().enumerate().fold(0, |code, (index, rule)| {
            let group = 1 << index.min(5);
            code | match rule {
                Rule::WhiteSpace if c.is_whitespace() => DROPPED,
                Rule::WordCharacters(_) if c.is_whitespace() => DROPPED,
                Rule::WordCharacters(set) if set.contains(c) => group,
                Rule::Punctuation(how) if c.is_ascii_punctuation() || c.is_punctuation() => manner(*how, group),
                Rule::Digits(how) if c.is_numeric() => manner(*how, group),
                _ => 0,
            }
        })
    }

    /// Whether a word ends between two neighbours of these codes.
    #[inline]
    pub(crate) fn parts(left: u8, right: u8) -> bool {
        left != right || Self::stands_alone(left)
    }

    /// Whether a character with this code is a word of its own or part of none, whatever is beside it.
    pub(crate) fn stands_alone(code: u8) -> bool {
        code & (DROPPED | ISOLATED) != 0
    }

    /// The code of `c`, on which [`WordRule::parts`] depends.
    #[inline]
    pub(crate) fn code(&self, c: char) -> u8 {
        let point = c as usize;
        match self.ascii.get(point) {
            Some(&code) => code,
            None => self.known.get(c, || u64::from(self.classify(c))) as u8,
        }
    }

    /// Calls `word` with the start and end of each word of `text`.
    #[inline]
    pub(crate) fn words(&self, text: &str, mut word: impl FnMut(usize, usize)) {
        // None: not inside a word.
        let mut open: Option<(usize, u8)> = None;
        for (at, c) in text.char_indices() {
            let code = self.code(c);
            match open {
                Some((_, before)) if !Self::parts(before, code) => continue,
                Some((start, _)) => word(start, at),
                None => {}
            }
            open = (code & DROPPED == 0).then_some((at, code));
        }
        if let Some((start, _)) = open {
            word(start, text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rules: Vec<Rule>, text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        WordRule::new(rules).words(text, |start, end| found.push(&text[start..end]));
        found
    }

    #[test]
    fn stages_cut_between_neighbours() {
        let bert = vec![Rule::WhiteSpace, Rule::Punctuation(Manner::Isolated)];
        assert_eq!(words(bert, " it's\u{3000}(no) 12.\n"), ["it", "'", "s", "(", "no", ")", "12", "."]);
        let digits = vec![Rule::Digits(Manner::Contiguous), Rule::Punctuation(Manner::Contiguous)];
        assert_eq!(words(digits, "a 12..b\u{bd}"), ["a ", "12", "..", "b", "\u{bd}"]);
        assert_eq!(words(vec![Rule::Punctuation(Manner::Removed)], "a..b."), ["a", "b"]);
        assert_eq!(words(Vec::new(), ""), Vec::<&str>::new());
    }
}
