//! A long stretch of text without settled cuts that goes on growing, under a byte-pair encoder.
//!
//! A window that begins at a settled cut is exact, but where no cut comes it is as long as the stretch, and each push would
//! encode all of it. Here the walks of the split rule that are under way and the tokens of all prefixes of the words that
//! they may make are carried from push to push, so a push costs what it appends and what it changes. The ids are the same
//! (docs/design.md, section 10.9). Whatever is not carried (added tokens, text that its normal form changes, text that several
//! stages of a rule cut) ends the stretch, and a window is encoded as before.

use crate::encoder::Edit;
use crate::normal::{goes_on_normal, METASPACE};
use crate::pattern::{Automaton, Walk};
use crate::pipeline::{DummyPrefix, Pipeline};
use crate::prefixes::{Pairs, Prefixes};
use crate::token::{Place, TokenId};
use crate::vocabulary::Vocabulary;
use crate::whole_stages::WholeStages;

/// Rules whose walks under way are more than these are not carried.
const MOST_WALKS: usize = 16;
/// A stretch is worth carrying from this length on.
const LONG: usize = 256;

/// A walk of the split rule, and the tokens of the word that it may make.
#[derive(Debug, Clone)]
struct Attempt {
    walk: Walk,
    prefixes: Prefixes,
}

/// A word, as it was told last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Word {
    begin: usize,
    end: usize,
    /// The token that it is whatever the merges say.
    whole: Option<TokenId>,
    tokens: usize,
}

/// The state of a growing stretch. Positions count from its start, in the normal form.
#[derive(Debug, Clone)]
pub(crate) struct Growing {
    /// The first space is lost, because a text without one would get a dummy prefix.
    pub(crate) loses_space: bool,
    /// What is encoded: a dummy prefix, if there is one, and the stretch.
    text: String,
    /// Up to here no added token begins.
    sure: usize,
    dummy: usize,
    /// The stretch is the end of a word: no whole word is looked up.
    inside: bool,
    attempts: Vec<Attempt>,
    words: Vec<Word>,
    /// The stages that leave the stretch whole.
    others: Option<WholeStages>,
    pairs: Pairs,
    /// From this length on it is worth looking for settled cuts.
    look_at: usize,
    /// Something was settled: a window would be short again.
    pub(crate) over: bool,
}

impl Growing {
    /// All tokens of the stretch.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        let of_word = |(word, attempt): (&Word, &Attempt)| match word.whole {
            Some(id) => vec![id],
            None => attempt.prefixes.tokens(0, word.end - word.begin).into_iter().map(|(id, ..)| id).collect(),
        };
        self.words.iter().zip(&self.attempts).flat_map(of_word).collect()
    }
}

impl Pipeline {
    /// Takes up the stretch `text`, which begins at a settled cut or, at [`Place::Start`], at the start; None where it is not long,
    /// or not of a kind that is carried.
    pub(crate) fn grow_stretch(&self, text: &str, place: Place, vocabulary: &Vocabulary) -> Option<Growing> {
        if text.len() < LONG || self.automaton().is_none() && !self.splitter.stages.is_empty() || self.changes(text) {
            return None;
        }
        let wanted = match self.dummy {
            DummyPrefix::None => false,
            DummyPrefix::Always => true,
            DummyPrefix::UnlessSpace => !text.starts_with(' '),
        };
        let dummy = usize::from(wanted && place == Place::Start);
        self.bpe.prepare(vocabulary.ids(crate::vocabulary::Kind::Text).filter_map(|id| vocabulary.bytes(id, 0).ok()));
        let mut growing = Growing {
            text: " ".repeat(dummy),
            sure: 0,
            dummy,
            loses_space: place == Place::Start && self.dummy == DummyPrefix::UnlessSpace && text.starts_with(' '),
            inside: place == Place::Inside && self.splitter.stages.is_empty(),
            attempts: Vec::new(),
            words: Vec::new(),
            others: None,
            pairs: Pairs::default(),
            look_at: usize::MAX,
            over: false,
        };
        self.extend(&mut growing, text)?;
        growing.words = self.words_of(&mut growing)?;
        growing.over = false;
        growing.look_at = 2 * growing.text.len();
        (growing.text.len() - growing.attempts[0].walk.begin >= LONG).then_some(growing)
    }

    /// What appending `text` to the stretch changes; None where that is not carried, and the state is then of no use.
    pub(crate) fn stretch_grown(&self, growing: &mut Growing, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        let before = growing.words.clone();
        if self.normal_form_goes_on(&growing.text, text) {
            self.extend(growing, text)?;
        } else {
            return None;
        }
        let after = self.words_of(growing)?;
        let edit = self.edit(growing, &before, &after, vocabulary);
        growing.over |= growing.text.len() >= growing.look_at;
        growing.words = after;
        edit
    }

    fn automaton(&self) -> Option<&Automaton> {
        self.splitter.leading().map(|(_, automaton)| automaton)
    }

    /// Whether the normal form of `text` is another text.
    fn changes(&self, text: &str) -> bool {
        self.nfc && crate::normal::Normal::nfc(text).is_rewritten() || self.metaspace && text.contains(METASPACE)
    }

    /// Whether the normal form of `before` and `text` is both together.
    fn normal_form_goes_on(&self, before: &str, text: &str) -> bool {
        !(self.nfc && !goes_on_normal(before, text) || self.metaspace && text.contains(METASPACE))
    }

    /// Takes the walks over more text.
    fn extend(&self, growing: &mut Growing, text: &str) -> Option<()> {
        let mut at = growing.text.len();
        growing.text.push_str(text);
        let mut stretches = self.added.stretches(&growing.text[growing.sure.max(growing.dummy)..]);
        if stretches.any(|stretch| stretch.added.is_some()) {
            return None;
        }
        growing.sure = growing.sure.max(growing.dummy) + stretches.unsure();
        let Some((leading, automaton)) = self.splitter.leading() else {
            if growing.attempts.is_empty() {
                growing.attempts.push(Attempt { walk: Walk::endless(), prefixes: Prefixes::default() });
            } else if self.has_new_seam(&growing.text, at) {
                growing.over = true;
            }
            return Some(());
        };
        if growing.attempts.is_empty() {
            growing.attempts.push(Attempt { walk: automaton.begin(0), prefixes: Prefixes::default() });
            at = 0;
        }
        let Growing { text, attempts, words, others, .. } = growing;
        let others = others.get_or_insert_with(|| WholeStages::new(&self.splitter, leading, 0));
        text[at..].char_indices().for_each(|(offset, c)| others.advance(&self.splitter, c, at + offset));
        if !others.hold(&self.splitter, text.len()) {
            return None;
        }
        for (offset, c) in text[at..].char_indices() {
            let here = at + offset;
            let behind = here + c.len_utf8();
            for attempt in attempts.iter_mut() {
                automaton.advance(&mut attempt.walk, c, here);
            }
            // Where a match now ends elsewhere, what was begun behind its old end is begun again.
            let mut index = 0;
            while let Some(attempt) = attempts.get(index) {
                let end = automaton.end(&attempt.walk, behind)?;
                let next = attempts.get(index + 1).map(|next| next.walk.begin);
                if next != Some(end) {
                    attempts.truncate(index + 1);
                    if end < behind {
                        let mut walk = automaton.begin(end);
                        for (offset, c) in text[end..behind].char_indices() {
                            automaton.advance(&mut walk, c, end + offset);
                        }
                        attempts.push(Attempt { walk, prefixes: Prefixes::default() });
                    }
                }
                index += 1;
            }
            // In the first text what is settled needs no walk any more.
            while words.is_empty() && attempts.len() > 1 && attempts[0].walk.over {
                attempts.remove(0);
            }
            if attempts.len() > MOST_WALKS {
                return None;
            }
        }
        growing.over |= attempts[0].walk.over;
        Some(())
    }

    /// Whether no piece stands across a place at the end of `text`, of which the bytes from `at` on are new.
    fn has_new_seam(&self, text: &str, at: usize) -> bool {
        let before = text[..at].char_indices().next_back().map_or(at, |(start, _)| start);
        text[before..].char_indices().map(|(offset, _)| before + offset).any(|place| place > 0 && self.is_seam(text, place))
    }

    /// The words that the walks make.
    fn words_of(&self, growing: &mut Growing) -> Option<Vec<Word>> {
        let length = growing.text.len();
        let bytes = growing.text.as_bytes();
        let mut words = Vec::with_capacity(growing.attempts.len());
        for attempt in &mut growing.attempts {
            let begin = attempt.walk.begin;
            let end = match self.automaton() {
                Some(automaton) => automaton.end(&attempt.walk, length)?,
                None => length,
            };
            if attempt.prefixes.length() < end - begin {
                attempt.prefixes.extend(&self.bpe, &bytes[begin..end], &mut growing.pairs)?;
            }
            let whole = Some(&bytes[begin..end]).filter(|_| !growing.inside).and_then(|word| self.whole_word(word));
            let tokens = if whole.is_some() { 1 } else { attempt.prefixes.count(end - begin) };
            words.push(Word { begin, end, whole, tokens });
        }
        Some(words)
    }

    fn whole_word(&self, word: &[u8]) -> Option<TokenId> {
        (word.len() <= self.bpe.longest_piece()).then(|| self.bpe.whole_word(word)).flatten()
    }

    /// What turns the tokens of the words `before` into those of the words `after`.
    fn edit(&self, growing: &mut Growing, before: &[Word], after: &[Word], vocabulary: &Vocabulary) -> Option<Edit> {
        let same = before.iter().zip(after).take_while(|(one, other)| one == other).count();
        let mut drop: usize = before[same..].iter().map(|word| word.tokens).sum();
        let mut ids = Vec::new();
        let mut lossless = true;
        let bytes = growing.text.as_bytes();
        for (index, word) in after.iter().enumerate().skip(same) {
            let (begin, end) = (word.begin, word.end);
            if let Some(id) = word.whole {
                ids.push(id);
                lossless &= vocabulary.bytes(id, 0).ok()? == &bytes[begin..end];
                continue;
            }
            let prefixes = &mut growing.attempts[index].prefixes;
            let mut from = 0;
            if let Some(old) = before.get(index).filter(|old| index == same && old.begin == begin && old.whole.is_none()) {
                if prefixes.length() < old.end - begin {
                    prefixes.extend(&self.bpe, &bytes[begin..old.end], &mut growing.pairs)?;
                }
                from = prefixes.common(old.end - begin, end - begin);
                drop -= prefixes.count(from);
            }
            for (id, length, at) in prefixes.tokens(from, end - begin) {
                ids.push(id);
                lossless &= vocabulary.bytes(id, 0).ok()? == &bytes[begin + at..begin + at + length];
            }
        }
        // Words with another loss are not carried.
        lossless.then_some(Edit { drop, ids, lossless: !growing.loses_space })
    }
}
