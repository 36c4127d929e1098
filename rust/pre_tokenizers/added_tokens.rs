//! Added tokens that are text: they are taken out of a text before any other stage.
//!
//! A text stops being final where a longer added token may still begin: the *horizon* of docs/definitions.md, "Settled
//! cut".

use crate::normalizers::compositions::{is_composed, open_end, OpenEnd, Taken};
use crate::tokens::token::{TextPosition, TokenId};
use crate::util::byte_scan::ByteFinder;
use crate::util::byte_set::ByteSet;
use crate::util::double_array::Dictionary;
use crate::util::text::space_starts;
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
    /// Finds the first bytes of all tokens.
    firsts: ByteFinder,
    characters: FxHashSet<char>,
    /// Some content holds white space after another character.
    holds_word_starts: bool,
    longest: Option<usize>,
    /// For each content its last character, if NFC may compose it with a mark after it; the token is then not found.
    /// Empty where tokens are looked for in the text as it is.
    ends: Vec<Option<char>>,
    /// The tokens that the dummy prefix begins, without it: they are found at the start of a text only.
    prefixed: Option<Box<AddedText>>,
}

/// A stretch of text between added tokens, or one of those. Example: "a<tool_call>b" has three stretches.
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
    /// The text begins with a dummy prefix, which is a stretch if an added token follows.
    dummy: bool,
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
            firsts: ByteFinder::new(contents.iter().filter_map(|(content, _)| content.bytes().next()).collect()),
            characters: contents.iter().flat_map(|(content, _)| content.chars()).collect(),
            holds_word_starts: contents.iter().any(|(content, _)| space_starts(content).next().is_some()),
            longest: contents.iter().map(|(content, _)| content.len()).max(),
            ends: Vec::new(),
            prefixed: None,
        })
    }

    /// The same tokens, looked for in the NFC form of a text; each is spelled in all ways that NFC makes one of.
    pub(crate) fn in_nfc(mut self, contents: &[(&str, Option<TokenId>)]) -> Self {
        self.ends = contents.iter().map(|(content, _)| open_end(content)).collect();
        self
    }

    /// The same tokens, and at the start of a text `prefixed`, because a dummy prefix begins each of them.
    pub(crate) fn with_prefixed(self, prefixed: Self) -> Self {
        Self { prefixed: Some(Box::new(prefixed)), ..self }
    }

    /// The stretches of `text`, ascending.
    pub(crate) fn stretches<'a>(&'a self, text: &'a str) -> Stretches<'a> {
        let text = text.as_bytes();
        let unsure = text.len();
        Stretches { tokens: self, text, gap: 0, at: 0, found: None, unsure, hidden: Vec::new(), dummy: false }
    }

    /// The stretches of `text` at `place`. At the start of a text a dummy prefix may belong to an added token, and is a
    /// stretch without text before any other one.
    pub(crate) fn stretches_at<'a>(&'a self, text: &'a str, place: TextPosition) -> Stretches<'a> {
        let mut walk = self.stretches(text);
        if let Some(prefixed) = self.prefixed.as_ref().filter(|_| place == TextPosition::Start && !text.is_empty()) {
            let (found, open) = prefixed.at(walk.text, 0);
            if open {
                walk.unsure = 0;
            }
            walk.dummy = found.is_none();
            walk.found = found.map(|(id, end)| Stretch { start: 0, end, added: Some(id) });
            walk.at = found.map_or(0, |(_, end)| end);
        }
        walk
    }

    /// Whether a text at `place` that begins like `text` may begin with an added token that a dummy prefix begins.
    pub(crate) fn takes_prefix(&self, text: &str, place: TextPosition) -> bool {
        let walk = self.stretches_at(text, place);
        walk.found.is_some() || walk.unsure < text.len()
    }

    /// Where the last token of `text` ends, and the end that marks follow. None unless marks alone follow, which leave
    /// the token, and a later one may change it.
    pub(crate) fn open_token(&self, text: &str) -> Option<(usize, OpenEnd)> {
        let mut walk = self.stretches(text);
        let token = walk.by_ref().filter(|part| part.added.is_some()).last()?;
        (walk.unsure() == token.start && !walk.hides()).then_some(())?;
        let (_, number) = self.find(text.as_bytes(), token.start).0?;
        let mut end = OpenEnd::new((*self.ends.get(number as usize)?)?);
        text[token.end..].chars().all(|c| end.take(c) == Taken::Mark).then_some((token.end, end))
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

    /// Whether some token holds white space after another character. Example: `the cat`.
    pub(crate) fn holds_word_starts(&self) -> bool {
        self.holds_word_starts
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
        // Without a second byte some token may begin here, if any does.
        if !text.get(at + 1).map_or_else(|| !seconds.is_empty(), |&second| seconds.contains(second)) {
            return (None, false);
        }
        if self.ends.is_empty() {
            return self.contents.longest_and_open(&text[at..]);
        }
        self.find_in_nfc(text, at)
    }

    /// The same where NFC may compose the last character of a content with the text after it.
    fn find_in_nfc(&self, text: &[u8], at: usize) -> (Option<(usize, u32)>, bool) {
        let mut end = text.len();
        let mut open = false;
        loop {
            let (found, longer) = self.contents.longest_and_open(&text[at..end]);
            open |= longer && end == text.len();
            let Some((length, number)) = found else { return (None, open) };
            end = at + length;
            let Some(last) = self.ends[number as usize] else { return (found, open) };
            let (composed, more) = is_composed(last, &text[end..]);
            open |= more;
            if !composed {
                return (found, open);
            }
            end -= 1;
        }
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

    /// When the walk is over: whether added tokens are found after `at` as if there were no text before it.
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
        loop {
            at = self.tokens.firsts.next(self.text, at);
            if at >= length {
                break;
            }
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
            if self.gap < start || std::mem::take(&mut self.dummy) && start == 0 {
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
    fn a_token_is_found_where_nfc_leaves_its_end() {
        let contents = [("<t", Some(TokenId(0))), ("<t>", Some(TokenId(1)))];
        let added = AddedText::new(&contents).unwrap().in_nfc(&contents);
        let found = |text: &str| {
            let mut walk = added.stretches(text);
            let ids: Vec<_> =
                walk.by_ref().filter_map(|part| part.added.map(|id| (id.0, part.start, part.end))).collect();
            (ids, walk.unsure())
        };
        assert_eq!(found("a<t>b"), (vec![(1, 1, 4)], 5));
        assert_eq!(found("a<t>"), (vec![(1, 1, 4)], 1), "a mark may follow");
        assert_eq!(found("a<t>\u{301}"), (vec![(1, 1, 4)], 1), "another one may");
        assert_eq!(found("a<t>\u{301}b"), (vec![(1, 1, 4)], 7));
        assert_eq!(found("a<t>\u{301}\u{338}"), (vec![(0, 1, 3)], 8));
        assert_eq!(found("a<t\u{307}"), (vec![], 5), "NFC composes t with the dot");
    }

    #[test]
    fn a_dummy_prefix_begins_a_token_at_the_start_of_a_text() {
        let contents = [(" <t>", Some(TokenId(0)))];
        let bare = AddedText::new(&[("<t>", Some(TokenId(0)))]).unwrap();
        let added = AddedText::new(&contents).unwrap().with_prefixed(bare);
        let found = |text: &str, place| {
            let mut walk = added.stretches_at(text, place);
            let found: Vec<_> = walk.by_ref().map(|part| (part.start, part.end, part.added.is_some())).collect();
            (found, walk.unsure())
        };
        let (start, later) = (TextPosition::Start, TextPosition::Continuation);
        assert_eq!(found("<t> <t>a", start), (vec![(0, 3, true), (3, 7, true), (7, 8, false)], 8));
        assert_eq!(found("<t> <t>a", later), (vec![(0, 3, false), (3, 7, true), (7, 8, false)], 8));
        assert_eq!(found(" <t>", start), (vec![(0, 0, false), (0, 4, true)], 4), "the prefix is left");
        assert_eq!(found(" <t>", later), (vec![(0, 4, true)], 4));
        assert_eq!(found("<t", start), (vec![(0, 2, false)], 0));
        assert_eq!(found("<t", later), (vec![(0, 2, false)], 2));
        assert_eq!(found("", start), (vec![], 0));
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
