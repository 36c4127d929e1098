//! The words of WordPiece and of byte pairs in a stretch that goes on growing.
//!
//! Under WordPiece a word of more characters than the model reads is one unknown token, whatever follows in it. So a
//! push encodes the words that it changes, and of the last one no more than a few characters. Under byte pairs the
//! tokens of all prefixes of a word are kept. The argument is in docs/proofs/unigram-streams.md.

use crate::backends::normalizing::growing_source::Grown;
use crate::models::bpe::model::Bpe;
use crate::models::bpe::prefixes::Pairs;
use crate::models::bpe::word_prefixes::WordPrefixes;
use crate::models::wordpiece::WordPiece;
use crate::tokens::token::TokenId;

/// The model that makes the tokens of the words.
#[derive(Clone, Copy)]
pub(crate) enum WordModel<'m> {
    Pieces(&'m WordPiece),
    Merges(&'m Bpe),
}

/// The tokens of the prefixes of one word of byte pairs.
#[derive(Debug, Clone, Default)]
struct OpenWord {
    /// Where it begins in the text.
    begin: usize,
    prefixes: WordPrefixes,
    pairs: Pairs,
}

impl OpenWord {
    /// Begins another word.
    fn begin(&mut self, begin: usize) {
        (self.begin, self.prefixes) = (begin, WordPrefixes::default());
    }

    /// The number of first tokens of `old` that its first `kept` bytes share, which stay.
    fn cut(&mut self, bpe: &Bpe, old: &[u8], kept: usize) -> usize {
        let (same, _) = self.prefixes.changed(bpe, old, old.len(), kept);
        self.prefixes.truncate(kept);
        same
    }

    /// Takes in `word`. Returns the number of first tokens that it shares with its known bytes.
    fn extend(&mut self, bpe: &Bpe, word: &[u8]) -> Option<usize> {
        let known = self.prefixes.length();
        self.prefixes.extend(bpe, word, &mut self.pairs)?;
        Some(self.prefixes.changed(bpe, word, known, word.len()).0)
    }
}

/// The token of a word that is one whatever the merges say.
fn whole_word(bpe: &Bpe, word: &[u8]) -> Option<TokenId> {
    (word.len() <= bpe.longest_piece()).then(|| bpe.whole_word(word)).flatten()
}

/// The words of a stretch, and their tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct GrowingPieces {
    pub(crate) text: String,
    /// Where each word begins, and the number of tokens before it.
    words: Vec<(usize, usize)>,
    /// The tokens, with their places in the text.
    tokens: Vec<(TokenId, usize, usize)>,
    /// Under byte pairs: the word that may go on, or one before it.
    open: OpenWord,
    /// Under byte pairs: the number of tokens that stayed at the last change.
    base: usize,
    /// Under byte pairs: the number of tokens but for the unknown one, and the bytes of that one.
    pub(crate) known: usize,
    pub(crate) lost: usize,
}

impl GrowingPieces {
    /// Under byte pairs: the tokens that the last change wrote.
    pub(crate) fn written(&self) -> &[(TokenId, usize, usize)] {
        &self.tokens[self.base..]
    }

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
    /// follow. None where the merges make tokens that no table holds.
    ///
    /// Complexity: O(`end`), and a word of the longest length, or the tokens that change.
    pub(crate) fn replace(&mut self, model: WordModel<'_>, begin: usize, end: &Grown) -> Option<(usize, Vec<TokenId>)> {
        let known = self.words.partition_point(|&(at, _)| at < begin);
        // The last of the words that stay may go on.
        let first = known.saturating_sub(1);
        let (from, before) = if known == 0 { (0, 0) } else { self.words[first] };
        let stays = if known == 0 { None } else { self.cut(model, from, first, begin) };
        self.words.truncate(first);
        self.text.truncate(begin);
        self.text.push_str(&end.text);
        let mut begins: Vec<usize> = (known > 0 || !self.text.is_empty()).then_some(from).into_iter().collect();
        begins.extend(end.begins.iter().map(|at| begin + at).filter(|&at| at > 0));
        let ends = begins.iter().skip(1).copied().chain([self.text.len()]);
        let (mut stays, mut base, mut old) = (stays, before, None);
        for (from, to) in begins.iter().copied().zip(ends) {
            let shared = self.grow(model, from, to, stays.take())?;
            if old.is_none() {
                base = before + shared;
                old = Some(self.tokens.split_off(base));
            }
            self.words.push((from, self.tokens.len() - shared));
            self.write(model, from, to, shared);
        }
        let old = old.unwrap_or_else(|| self.tokens.split_off(base));
        self.count(model, &old, base);
        let new = &self.tokens[base..];
        let same = old.iter().zip(new).take_while(|(old, new)| old.0 == new.0).count();
        Some((old.len() - same, new[same..].iter().map(|token| token.0).collect()))
    }

    /// Under byte pairs: counts the tokens that were dropped, which are `old`, and those after `base`.
    fn count(&mut self, model: WordModel<'_>, old: &[(TokenId, usize, usize)], base: usize) {
        let WordModel::Merges(bpe) = model else { return };
        let unknown = bpe.alphabet.unknown();
        let known = |tokens: &[(TokenId, usize, usize)]| tokens.iter().filter(|token| Some(token.0) != unknown).count();
        let lost = |tokens: &[(TokenId, usize, usize)]| -> usize {
            tokens.iter().filter(|token| Some(token.0) == unknown).map(|token| token.2 - token.1).sum()
        };
        let new = &self.tokens[base..];
        self.known = self.known + known(new) - known(old);
        self.lost = self.lost + lost(new) - lost(old);
        self.base = base;
    }

    /// Under byte pairs: cuts the word that begins at `from`, which is word `first`, at `begin`. Returns the number of
    /// its first tokens that stay; None where its prefixes are not known.
    fn cut(&mut self, model: WordModel<'_>, from: usize, first: usize, begin: usize) -> Option<usize> {
        let WordModel::Merges(bpe) = model else { return None };
        let end = self.words.get(first + 1).map_or(self.text.len(), |word| word.0);
        let old = &self.text.as_bytes()[from..end];
        if self.open.begin != from || self.open.prefixes.length() != old.len() || old.is_empty() {
            return None;
        }
        let stays = self.open.cut(bpe, old, begin - from);
        Some(if whole_word(bpe, old).is_some() { 0 } else { stays })
    }

    /// Reads the word from `from` to `to`, of whose first tokens `stays` would stay. Returns the number of those that
    /// do.
    fn grow(&mut self, model: WordModel<'_>, from: usize, to: usize, stays: Option<usize>) -> Option<usize> {
        let WordModel::Merges(bpe) = model else { return Some(0) };
        if stays.is_none() {
            self.open.begin(from);
        }
        let word = &self.text.as_bytes()[from..to];
        let shared = self.open.extend(bpe, word)?;
        // The last one may have become longer: unknown characters that follow each other may be one token.
        Some(if whole_word(bpe, word).is_some() { 0 } else { shared.min(stays.unwrap_or(0)).saturating_sub(1) })
    }

    /// Appends the tokens of the word from `from` to `to` after the first `shared` ones.
    fn write(&mut self, model: WordModel<'_>, from: usize, to: usize, shared: usize) {
        let word = &self.text[from..to];
        let tokens = &mut self.tokens;
        match model {
            WordModel::Pieces(model) if is_long(model, word) => tokens.push((TokenId(model.unknown), from, to)),
            WordModel::Pieces(model) => {
                model.encode(word, &mut Vec::new(), |id, start, end| {
                    tokens.push((TokenId(id), from + start, from + end));
                });
            }
            WordModel::Merges(bpe) => match whole_word(bpe, word.as_bytes()) {
                Some(id) => tokens.push((id, from, to)),
                None => {
                    let place = if shared == 0 { 0 } else { tokens.last().map_or(0, |token| token.2 - from) };
                    let found = self.open.prefixes.tokens(place, word.len());
                    tokens.extend(found.into_iter().map(|(id, start, end)| (id, from + start, from + end)));
                }
            },
        }
    }
}

/// Whether `word` has more characters than the model reads. Complexity: O(1) for long words.
fn is_long(model: &WordPiece, word: &str) -> bool {
    word.len() > 4 * model.longest_word || word.chars().count() > model.longest_word
}
