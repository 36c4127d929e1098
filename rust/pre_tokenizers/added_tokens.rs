//! Added tokens that are text: what is taken out of a text before anything else happens.
//!
//! The start of what may become a longer added token is where a text stops being final: the *horizon* of
//! docs/definitions.md, "Settled cut".

use crate::tokens::token::TokenId;
use crate::util::byte_set::ByteSet;
use crate::util::double_array::Dictionary;
use rustc_hash::FxHashSet;
use std::ops::Range;

/// Added tokens that are text (`\n\n`, runs of spaces, `<tool_call>`): found first, longest first.
#[derive(Debug, Default)]
pub(crate) struct AddedText {
    /// The numbers are indices into `ids`.
    contents: Dictionary,
    /// None: a control token, which is text, but hides added tokens that begin inside it.
    ids: Vec<Option<TokenId>>,
    /// For each byte those that follow it at the start of a token. Empty without tokens.
    pairs: Vec<ByteSet>,
    characters: FxHashSet<char>,
    longest: Option<usize>,
}

/// A stretch of text between added tokens, or one of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) added: Option<TokenId>,
}

/// A walk over the stretches of a text.
pub(crate) struct Stretches<'a> {
    tokens: &'a AddedText,
    text: &'a [u8],
    gap: usize,
    at: usize,
    /// An added token that was found after a gap.
    found: Option<Stretch>,
    unsure: usize,
    hidden: Vec<Range<usize>>,
}

impl AddedText {
    /// The tokens with the given contents; of equal contents the last one counts. None if there are millions of them.
    ///
    /// A content without an id is that of a control token: text, in which no added token begins.
    pub(crate) fn new(contents: &[(&str, Option<TokenId>)]) -> Option<Self> {
        let mut pairs = vec![ByteSet::default(); if contents.is_empty() { 0 } else { 256 }];
        for (content, _) in contents {
            match content.as_bytes()[..] {
                [] => {}
                [only] => pairs[usize::from(only)] = ByteSet::ALL,
                [first, second, ..] => {
                    pairs[usize::from(first)].insert(second);
                }
            }
        }
        let numbered = contents.iter().zip(0..).map(|(&(content, _), number)| (content.as_bytes().into(), number));
        Some(Self {
            contents: Dictionary::new(numbered.collect())?,
            ids: contents.iter().map(|&(_, id)| id).collect(),
            pairs,
            characters: contents.iter().flat_map(|(content, _)| content.chars()).collect(),
            longest: contents.iter().map(|(content, _)| content.len()).max(),
        })
    }

    /// The stretches of `text`, ascending.
    pub(crate) fn stretches<'a>(&'a self, text: &'a str) -> Stretches<'a> {
        let text = text.as_bytes();
        Stretches { tokens: self, text, gap: 0, at: 0, found: None, unsure: text.len(), hidden: Vec::new() }
    }

    /// Whether there is no token.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Length of the longest token in bytes, if there is one.
    pub(crate) fn longest(&self) -> Option<usize> {
        self.longest
    }

    /// Whether some token holds `c`.
    pub(crate) fn holds(&self, c: char) -> bool {
        self.characters.contains(&c)
    }

    /// The longest token that `text` has at byte `at`, with its length, and whether a later text could change that.
    #[inline]
    pub(crate) fn at(&self, text: &[u8], at: usize) -> (Option<(TokenId, usize)>, bool) {
        let (found, open) = self.find(text, at);
        (found.and_then(|(length, number)| Some((self.ids[number as usize]?, length))), open)
    }

    /// The length and the number of the longest content at byte `at`, and whether a later text could change that.
    #[inline]
    fn find(&self, text: &[u8], at: usize) -> (Option<(usize, u32)>, bool) {
        let Some(seconds) = self.pairs.get(usize::from(text[at])) else { return (None, false) };
        if !text.get(at + 1).map_or(!seconds.is_empty(), |&second| seconds.contains(second)) {
            return (None, false);
        }
        self.contents.longest_and_open(&text[at..])
    }
}

impl Stretches<'_> {
    /// When the walk is over: the first position from where a later text could change the stretches.
    pub(crate) fn unsure(&self) -> usize {
        self.unsure
    }

    /// When the walk is over: whether some control token was found, which is text.
    pub(crate) fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// When the walk is over: whether added tokens are found after `at` as if nothing stood before it.
    ///
    /// Looking for added tokens cannot begin inside a control token.
    pub(crate) fn parts(&self, at: usize) -> bool {
        let next = self.hidden.partition_point(|hidden| hidden.end <= at);
        self.hidden.get(next).is_none_or(|hidden| at <= hidden.start)
    }
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        if let Some(found) = self.found.take() {
            self.gap = found.end;
            return Some(found);
        }
        let length = self.text.len();
        let mut at = if self.tokens.pairs.is_empty() { length } else { self.at };
        while at < length {
            let (longest, open) = self.tokens.find(self.text, at);
            if open {
                self.unsure = self.unsure.min(at);
            }
            let Some((length, number)) = longest else {
                at += 1;
                continue;
            };
            let start = at;
            at += length;
            let Some(id) = self.tokens.ids[number as usize] else {
                self.hidden.push(start..at);
                continue;
            };
            self.at = at;
            let found = Stretch { start, end: at, added: Some(id) };
            if self.gap < start {
                self.found = Some(found);
                return Some(Stretch { start: self.gap, end: start, added: None });
            }
            self.gap = at;
            return Some(found);
        }
        self.at = length;
        let gap = std::mem::replace(&mut self.gap, length);
        (gap < length).then_some(Stretch { start: gap, end: length, added: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stretches(tokens: &[&str], text: &str) -> (Vec<(usize, usize, bool)>, usize) {
        // A token in capitals is a control token.
        let id = |token: &str, id| (!token.contains(char::is_uppercase)).then_some(TokenId(id));
        let contents: Vec<_> = tokens.iter().zip(0..).map(|(&token, number)| (token, id(token, number))).collect();
        let added = AddedText::new(&contents).unwrap();
        let mut walk = added.stretches(text);
        let found = walk.by_ref().map(|s| (s.start, s.end, s.added.is_some())).collect();
        (found, walk.unsure())
    }

    #[test]
    fn takes_the_longest_token_and_knows_what_may_still_come() {
        let tokens = ["<a>", "  ", "   ", "\n"];
        assert_eq!(stretches(&tokens, "x<a>y"), (vec![(0, 1, false), (1, 4, true), (4, 5, false)], 5));
        assert_eq!(stretches(&tokens, "x   y"), (vec![(0, 1, false), (1, 4, true), (4, 5, false)], 5));
        assert_eq!(stretches(&tokens, "x  "), (vec![(0, 1, false), (1, 3, true)], 1));
        assert_eq!(stretches(&tokens, "x<a"), (vec![(0, 3, false)], 1));
        assert_eq!(stretches(&tokens, "\n\n"), (vec![(0, 1, true), (1, 2, true)], 2));
        assert_eq!(stretches(&[], "x<a"), (vec![(0, 3, false)], 3));
        assert_eq!(stretches(&tokens, ""), (vec![], 0));
    }

    #[test]
    fn a_control_token_is_text_that_no_added_token_begins_in() {
        let tokens = ["<A>", ">b", "c"];
        assert_eq!(stretches(&tokens, "x<A>bc"), (vec![(0, 5, false), (5, 6, true)], 6));
        assert_eq!(stretches(&tokens, "c<A>"), (vec![(0, 1, true), (1, 4, false)], 4));
        let contents = [("<A>", None), (">b", Some(TokenId(1)))];
        let added = AddedText::new(&contents).unwrap();
        let mut walk = added.stretches("x<A>b");
        assert_eq!(walk.by_ref().count(), 1);
        assert!(walk.hides());
        assert_eq!([0, 1, 2, 3, 4, 5].map(|at| walk.parts(at)), [true, true, false, false, true, true]);
    }
}
