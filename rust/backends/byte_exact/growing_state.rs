//! The state of a stretch that grows under byte-pair encoding: attempts to match, words, and the closed part.

use crate::backends::byte_exact::growing_late::Late;
use crate::backends::byte_exact::growing_raw::RawParts;
use crate::models::bpe::prefixes::Pairs;
use crate::models::bpe::word_prefixes::WordPrefixes;
use crate::normalizers::changed_parts::ChangedParts;
use crate::pre_tokenizers::whole_stages::WholeStages;
use crate::regex::walk::Walk;
use crate::stability::growing_cuts::GrowingCuts;
use crate::tokens::token::TokenId;

/// A walk of the split rule, and the tokens of the words that it may make. Example: the walk over "sat", which may
/// become "saturday".
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// No match begins between here and the beginning of the walk: the text between is a word of its own, unless empty.
    pub(crate) begin: usize,
    pub(crate) walk: Walk,
    /// The tokens of the match, and of the text before it.
    pub(crate) prefixes: WordPrefixes,
    pub(crate) gap: WordPrefixes,
}

impl Attempt {
    pub(crate) fn new(walk: Walk) -> Self {
        Self { begin: walk.begin, walk, prefixes: WordPrefixes::default(), gap: WordPrefixes::default() }
    }
}

/// A word, as it was last returned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    /// The token that it is whatever the merges say.
    pub(crate) whole: Option<TokenId>,
    pub(super) tokens: usize,
    /// These say less than it, because characters of it are unknown or dropped.
    pub(super) is_lossy: bool,
    /// The number of its attempt, and whether no match makes it.
    pub(crate) attempt: usize,
    pub(super) is_gap: bool,
}

/// The places of the walks when the stretch was `length` bytes long.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) length: usize,
    /// With the place where the gap before each begins.
    pub(super) walks: Vec<(usize, Walk)>,
    pub(super) others: Option<WholeStages>,
}

impl Mark {
    /// Forgets the first `count` walks.
    pub(crate) fn drop_first(&mut self, count: usize) {
        self.walks.drain(..count);
    }

    /// The walk of the first word.
    pub(crate) fn first(&self) -> Option<&(usize, Walk)> {
        self.walks.first()
    }
}

/// The state of a growing stretch. Positions count from its start, in the normal form, unless they are called raw.
#[derive(Debug, Clone)]
pub(crate) struct Growing {
    /// The tokens never give back the text. A first space is lost, because a text without one would get a dummy prefix.
    /// Or a dummy prefix stands after an added token.
    pub(super) differs: bool,
    /// The normal form differs from the pushed text.
    pub(crate) altered: bool,
    /// The text that is encoded: a dummy prefix, if there is one, and the normal form of the stretch.
    pub(crate) text: String,
    /// The raw text in which an added token may still begin: the end of the stretch.
    pub(crate) unsure: String,
    pub(crate) dummy: usize,
    /// The stretch is the end of a word: no whole word is looked up.
    pub(super) inside: bool,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) words: Vec<Word>,
    /// The stages that leave the stretch whole.
    pub(crate) others: Option<WholeStages>,
    /// The walks are there.
    pub(crate) walked: usize,
    /// Under NFC: the state at the last place up to which the normal form is final.
    pub(crate) closed: Option<Mark>,
    /// Under NFC: the text, and which ends of words are places of it.
    pub(crate) raw: Option<RawParts>,
    /// The end of the stretch, where marks are put in their places late; `text`, `attempts` and `words` are then as
    /// before that.
    pub(crate) late: Option<Late>,
    /// Each mark is put in its place at once.
    #[cfg(test)]
    pub(crate) at_once: bool,
    /// Under NFC: which parts of the raw text are changed.
    pub(crate) parts: Option<ChangedParts>,
    /// The number of first attempts that are over, whatever is appended.
    pub(crate) finished: usize,
    /// Where the tokens of words begin and end that are over, and from where on these are known.
    pub(super) done: Vec<(usize, usize)>,
    pub(super) spans_from: usize,
    /// A word that is over is lossy.
    pub(super) lost: bool,
    /// Words were returned, so their walks stay.
    pub(super) told: bool,
    pub(crate) pairs: Pairs,
    /// The settled cuts near the end, for the text that is final.
    pub(crate) cuts: GrowingCuts,
    /// No cut up to here can ever become settled.
    pub(crate) quiet: usize,
    /// From this length on it is worth looking for settled cuts.
    pub(crate) look_at: usize,
    /// Something was settled: a window would be short again.
    pub(crate) over: bool,
}

impl Growing {
    /// All tokens of the words that are not over.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        self.words.iter().flat_map(|word| self.tokens_of(word, 0)).map(|(id, ..)| id).collect()
    }

    /// The length of the text that is encoded.
    pub(crate) fn length(&self) -> usize {
        self.late.as_ref().map_or(self.text.len(), Late::length)
    }

    /// The spans of the tokens that end after `from`; None where not all are known. Complexity: O(these tokens).
    pub(crate) fn spans_after(&self, from: usize) -> Option<Vec<(usize, usize)>> {
        (from >= self.spans_from).then_some(())?;
        let mut found = self.done[self.done.partition_point(|span| span.1 <= from)..].to_vec();
        let last = self.words.len().saturating_sub(1);
        let first = self.words.partition_point(|word| word.end <= from).min(last);
        found.extend(
            self.words[first..].iter().flat_map(|word| self.tokens_of(word, from)).map(|(_, begin, end)| (begin, end)),
        );
        Some(found)
    }

    /// The tokens of `word` that end after `from`, each with its begin and end.
    fn tokens_of(&self, word: &Word, from: usize) -> Vec<(TokenId, usize, usize)> {
        if let Some(id) = word.whole {
            return vec![(id, word.begin, word.end)];
        }
        let late = self.late.as_ref().filter(|_| self.words.last() == Some(word));
        let end = late.map_or(word.end, |late| late.begin);
        let tokens = self.prefixes(word).tokens(from.saturating_sub(word.begin), end - word.begin);
        let mut found: Vec<_> =
            tokens.into_iter().map(|(id, begin, end)| (id, word.begin + begin, word.begin + end)).collect();
        if let Some(late) = late {
            let (first, begin) = late.tokens.find(from.saturating_sub(late.begin));
            let (mut at, mut pieces) = (late.begin + begin, Vec::new());
            late.tokens.read(first, late.tokens.count(), &mut pieces);
            for (id, length) in pieces {
                found.push((id, at, at + length as usize));
                at += length as usize;
            }
        }
        found
    }

    /// Records the spans of the tokens of the words of the first `attempts`, and whether one is lossy, before they are
    /// forgotten.
    pub(super) fn note_spans(&mut self, attempts: usize) {
        let over = self.words.iter().filter(|word| word.attempt < attempts);
        let spans: Vec<_> = over.flat_map(|word| self.tokens_of(word, 0)).map(|(_, begin, end)| (begin, end)).collect();
        self.done.extend(spans);
        self.lost |= self.words.iter().any(|word| word.attempt < attempts && word.is_lossy);
    }

    /// The tokens of the prefixes of `word`.
    pub(crate) fn prefixes(&self, word: &Word) -> &WordPrefixes {
        let attempt = &self.attempts[word.attempt];
        if word.is_gap {
            &attempt.gap
        } else {
            &attempt.prefixes
        }
    }

    /// Whether the tokens give back the text.
    pub(crate) fn is_lossless(&self) -> bool {
        self.gives_back_in(&self.words)
    }

    /// The same where these are its words.
    pub(super) fn gives_back_in(&self, words: &[Word]) -> bool {
        !self.differs && !self.altered && !self.lost && !words.iter().any(|word| word.is_lossy)
    }
}
