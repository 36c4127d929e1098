//! Added tokens that are text: what is taken out of a text before anything else happens.

use crate::tokens::token::TokenId;
use crate::util::sorted_trie::PieceTrie;
use rustc_hash::FxHashMap;

/// Added tokens that are text (`\n\n`, runs of spaces, `<tool_call>`): found first, longest first.
#[derive(Debug, Default)]
pub(crate) struct AddedText {
    trie: PieceTrie,
    ids: FxHashMap<Box<[u8]>, TokenId>,
    /// Whether some token begins with these two bytes; `pairs[first]` has bit `second`. Empty without tokens.
    pairs: Vec<[u64; 4]>,
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
    /// An added token that was found behind a gap.
    found: Option<Stretch>,
    unsure: usize,
}

impl AddedText {
    /// The tokens with the given contents.
    pub(crate) fn new(contents: Vec<(Box<[u8]>, TokenId)>) -> Self {
        let mut pairs = vec![[0u64; 4]; if contents.is_empty() { 0 } else { 256 }];
        for (content, _) in &contents {
            match content[..] {
                [] => {}
                [only] => pairs[usize::from(only)] = [u64::MAX; 4],
                [first, second, ..] => pairs[usize::from(first)][usize::from(second / 64)] |= 1 << (second % 64),
            }
        }
        let trie = PieceTrie::new(contents.iter().map(|(content, _)| content));
        Self { trie, ids: contents.into_iter().collect(), pairs }
    }

    /// The stretches of `text`, ascending.
    pub(crate) fn stretches<'a>(&'a self, text: &'a str) -> Stretches<'a> {
        Stretches { tokens: self, text: text.as_bytes(), gap: 0, found: None, unsure: text.len() }
    }

    /// Length of the longest token in bytes, if there is one.
    pub(crate) fn longest(&self) -> Option<usize> {
        self.ids.keys().map(|content| content.len()).max()
    }

    /// The longest token that `text` has at byte `at`, with its length, and whether a later text could change that.
    #[inline]
    pub(crate) fn at(&self, text: &[u8], at: usize) -> (Option<(TokenId, usize)>, bool) {
        if self.pairs.is_empty() || !self.may_begin(text, at) {
            return (None, false);
        }
        let (longest, open) = self.trie.longest(&text[at..]);
        let id = self.ids.get(&text[at..at + longest]).filter(|_| longest > 0);
        (id.map(|&id| (id, longest)), open)
    }

    /// Whether a token may begin at byte `at`.
    #[inline]
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let row = &self.pairs[usize::from(text[at])];
        match text.get(at + 1) {
            Some(&second) => row[usize::from(second / 64)] >> (second % 64) & 1 == 1,
            None => row.iter().any(|&bits| bits != 0),
        }
    }
}

impl Stretches<'_> {
    /// When the walk is over: the first position from where a later text could change the stretches.
    pub(crate) fn unsure(&self) -> usize {
        self.unsure
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
        let mut at = if self.tokens.pairs.is_empty() { length } else { self.gap };
        while at < length {
            let (found, open) = self.tokens.at(self.text, at);
            if open {
                self.unsure = self.unsure.min(at);
            }
            if let Some((id, length)) = found {
                let found = Stretch { start: at, end: at + length, added: Some(id) };
                if self.gap < at {
                    self.found = Some(found);
                    return Some(Stretch { start: self.gap, end: at, added: None });
                }
                self.gap = found.end;
                return Some(found);
            }
            at += 1;
        }
        let gap = std::mem::replace(&mut self.gap, length);
        (gap < length).then_some(Stretch { start: gap, end: length, added: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(tokens: &[&str], text: &str) -> (Vec<(usize, usize, bool)>, usize) {
        let contents: Vec<(Box<[u8]>, TokenId)> =
            tokens.iter().enumerate().map(|(id, t)| (t.as_bytes().into(), TokenId(id as u32))).collect();
        let added = AddedText::new(contents);
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
}
