//! The words of a WordPiece model in a stretch that goes on growing.
//!
//! A word of more characters than the model reads is one unknown token, whatever follows in it. So a push encodes the
//! words that it changes, and of the last one no more than a few characters. The argument is in
//! docs/proofs/unigram-streams.md.

use crate::backends::normalizing::growing_source::Grown;
use crate::models::wordpiece::WordPiece;
use crate::tokens::token::TokenId;

/// The words of a stretch, and their tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct GrowingPieces {
    pub(crate) text: String,
    /// Where each word begins, and the number of tokens before it.
    words: Vec<(usize, usize)>,
    /// The tokens, with their places in the text.
    tokens: Vec<(TokenId, usize, usize)>,
}

impl GrowingPieces {
    /// All tokens.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        self.tokens.iter().map(|token| token.0).collect()
    }

    /// The tokens of the words that no later text changes, where the text before `fixed` is final.
    pub(crate) fn closed(&self, fixed: usize) -> Vec<TokenId> {
        let begun = self.words.partition_point(|&(begin, _)| begin < fixed);
        let count = begun.checked_sub(1).map_or(0, |last| self.words[last].1);
        self.tokens[..count].iter().map(|token| token.0).collect()
    }

    /// The tokens that end after `from`.
    pub(crate) fn after(&self, from: usize) -> impl Iterator<Item = (TokenId, usize, usize)> + '_ {
        let first = self.tokens.partition_point(|&(_, _, end)| end <= from);
        self.tokens[first..].iter().copied()
    }

    /// Whether there is one word alone, whose first `fixed` bytes are more than the model reads.
    pub(crate) fn is_one_unknown(&self, model: &WordPiece, fixed: usize) -> bool {
        self.words.len() == 1 && is_long(model, &self.text[..fixed])
    }

    /// Replaces the text from byte `begin` on by `end`. Returns the number of tokens that are dropped, and those that
    /// follow.
    ///
    /// Complexity: O(`end`), and a word of the longest length.
    pub(crate) fn replace(&mut self, model: &WordPiece, begin: usize, end: &Grown) -> (usize, Vec<TokenId>) {
        let known = self.words.partition_point(|&(at, _)| at < begin);
        self.words.truncate(known);
        self.text.truncate(begin);
        self.text.push_str(&end.text);
        // The last of the words that stay may go on.
        let first = known.saturating_sub(1);
        let before = self.words.get(first).map_or(self.tokens.len(), |word| word.1);
        let before = if known == 0 { 0 } else { before };
        let old: Vec<TokenId> = self.tokens.drain(before..).map(|token| token.0).collect();
        let mut begins: Vec<usize> = self.words.drain(first..).map(|word| word.0).collect();
        begins.extend((begin == 0 && !end.text.is_empty()).then_some(0));
        begins.extend(end.begins.iter().map(|at| begin + at).filter(|&at| at > 0));
        let mut path = Vec::new();
        for (index, &from) in begins.iter().enumerate() {
            let to = begins.get(index + 1).copied().unwrap_or(self.text.len());
            let word = &self.text[from..to];
            self.words.push((from, self.tokens.len()));
            if is_long(model, word) {
                self.tokens.push((TokenId(model.unknown), from, to));
                continue;
            }
            let tokens = &mut self.tokens;
            model.encode(word, &mut path, |id, start, end| tokens.push((TokenId(id), from + start, from + end)));
        }
        let new = &self.tokens[before..];
        let same = old.iter().zip(new).take_while(|(old, new)| **old == new.0).count();
        (old.len() - same, new[same..].iter().map(|token| token.0).collect())
    }
}

/// Whether `word` has more characters than the model reads. Complexity: O(1) for long words.
fn is_long(model: &WordPiece, word: &str) -> bool {
    word.len() > 4 * model.longest_word || word.chars().count() > model.longest_word
}
