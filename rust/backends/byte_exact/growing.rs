//! A long stretch of text without settled cuts that goes on growing, under a byte-pair encoder.
//!
//! A window that begins at a settled cut is exact. Where no cut comes, it is as long as the stretch, and each push
//! would encode all of it. So the unfinished walks of the split rule are carried from push to push. The tokens of all
//! prefixes of their possible words are carried too. A push then costs only its text and the tokens that change. The
//! ids are the same (docs/proofs/pre-token-streams.md). Text between matches is carried in the same way. Text that is
//! not carried, such as an added token, ends the stretch, and a window is encoded as before. `growing_back.rs` has the
//! way back to an earlier state.

use crate::backends::byte_exact::growing_raw::{pieces_of, RawParts, MOST_AT_ONCE};
use crate::backends::byte_exact::growing_state::{Attempt, Growing, Word};
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::backends::engine::ResumeState;
use crate::models::bpe::prefixes::Pairs;
use crate::models::bpe::word_prefixes::{Spelled, WordPrefixes};
use crate::normalizers::changed_parts::ChangedParts;
use crate::normalizers::unicode_forms::{goes_on_normal, is_few_marks, last_stable, place_of_mark, Normal};
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::pre_tokenizers::whole_stages::WholeStages;
use crate::regex::automaton::Automaton;
use crate::regex::walk::Walk;
use crate::stability::growing_cuts::GrowingCuts;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, TokenId};
use crate::vocabulary::table::Vocabulary;

/// Rules whose walks under way are more than these are not carried.
const MOST_WALKS: usize = 16;
/// A stretch is worth carrying from this length on.
const LONG: usize = 256;

impl Pipeline {
    /// Takes up the stretch `text`, which begins at a settled cut, at the start, or after an added token. None where it
    /// is not long, or not of a kind that is carried.
    pub(crate) fn grow_stretch(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<Growing> {
        let place = after.place();
        if text.len() < LONG || self.automaton().is_none() && !self.splitter.stages.is_empty() {
            return None;
        }
        (!self.added.takes_prefix(text, place)).then_some(())?;
        let normal = self.normal_form(text);
        let dummy = usize::from(place == TextPosition::Start && self.dummy.is_before(&normal.text));
        self.bpe.prepare(
            vocabulary.ids(crate::vocabulary::table::Kind::Text).filter_map(|id| vocabulary.bytes(id, 0).ok()),
        );
        let mut growing = Growing {
            text: " ".repeat(dummy),
            unsure: String::new(),
            dummy,
            differs: match after {
                ResumeState::Start => self.dummy == DummyPrefix::UnlessSpace && normal.text.starts_with(' '),
                ResumeState::Added => dummy > 0,
                _ => false,
            },
            altered: normal.is_rewritten(),
            inside: place == TextPosition::Continuation && self.splitter.stages.is_empty(),
            attempts: vec![Attempt::new(self.automaton().map_or_else(Walk::endless, |rule| rule.begin(0)))],
            words: Vec::new(),
            others: self.splitter.leading().map(|(leading, _)| WholeStages::new(&self.splitter, leading, 0)),
            walked: 0,
            closed: None,
            raw: (self.nfc && self.automaton().is_some() && self.splitter.stages.len() == 1)
                .then(|| RawParts::new(dummy)),
            late: None,
            #[cfg(test)]
            at_once: false,
            parts: self.nfc.then(ChangedParts::default),
            finished: 0,
            done: Vec::new(),
            spans_from: 0,
            lost: false,
            told: false,
            pairs: Pairs::default(),
            cuts: GrowingCuts::default(),
            quiet: 0,
            look_at: usize::MAX,
            over: false,
        };
        self.walk(&mut growing, dummy)?;
        growing.closed = self.nfc.then(|| growing.mark());
        self.has_no_added(&mut growing, text).then_some(())?;
        self.append(&mut growing, &normal.text)?;
        growing.look_for_cuts(text);
        growing.drop_finished();
        let length = growing.text.len();
        growing.words = self.words_of(&mut growing, length)?;
        self.note_losses(&mut growing, vocabulary)?;
        (growing.told, growing.over) = (true, false);
        growing.look_at = 2 * growing.text.len();
        let open = growing.raw.as_ref().map_or(growing.attempts[0].begin, |raw| raw.cut().unwrap_or(0));
        (growing.text.len() - open >= LONG).then_some(growing)
    }

    /// The edit of appending `text` to the stretch; None where that is not carried, and the state is then of no use.
    pub(crate) fn stretch_grown(&self, growing: &mut Growing, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        if let Some(edit) = self.put_late(growing, text, vocabulary) {
            return Some(edit);
        }
        self.settle_late(growing, vocabulary)?;
        if self.nfc && is_few_marks(text) && !goes_on_normal(&growing.text, text) {
            let mut marks = text.chars().map(|c| self.stretch_grown(growing, c.encode_utf8(&mut [0; 4]), vocabulary));
            let first = marks.next()??;
            return marks.try_fold(first, |all, edit| Some(all.then(&edit?)));
        }
        if growing.raw.is_some() && text.len() > MOST_AT_ONCE {
            let mut all = Edit::new(0, Vec::new(), growing.is_lossless());
            for part in pieces_of(text, MOST_AT_ONCE) {
                all = all.then(&self.stretch_grown(growing, part, vocabulary)?);
            }
            return Some(all);
        }
        self.has_no_added(growing, text).then_some(())?;
        let closed = growing.closed.clone().filter(|_| !goes_on_normal(&growing.text, text));
        if let Some((closed, (at, c))) =
            closed.as_ref().and_then(|closed| Some((closed, place_of_mark(&growing.text[closed.length..], text)?)))
        {
            return self.mark_inserted(growing, closed, closed.length + at, c, vocabulary);
        }
        let mut before = std::mem::take(&mut growing.words);
        let mut back = None;
        if let Some(closed) = closed {
            // Normalizing the normal form with the appended text gives the normal form of the whole, so its end is
            // enough.
            let open = format!("{}{text}", &growing.text[closed.length..]);
            let normal = Normal::nfc(&open);
            growing.altered |= normal.is_rewritten();
            growing.rewind_walks(&closed);
            let between = self.words_of(growing, closed.length)?;
            back = Some(self.edit(growing, &before, &between, vocabulary)?);
            before = between;
            growing.forget_after(closed.length);
            self.append(growing, &normal.text)?;
        } else {
            let normal = if self.metaspace { Normal::spaced(text) } else { Normal::unchanged(text) };
            growing.altered |= normal.is_rewritten();
            self.append(growing, &normal.text)?;
        }
        let length = growing.text.len();
        let after = self.words_of(growing, length)?;
        let edit = self.edit(growing, &before, &after, vocabulary)?;
        growing.over |= length >= growing.look_at;
        growing.words = after;
        growing.look_for_cuts(text);
        growing.drop_finished();
        Some(match back {
            Some(back) => back.then(&edit),
            None => edit,
        })
    }

    /// See [`crate::backends::engine::Engine::carries`].
    pub(crate) fn carries_stretches(&self) -> String {
        if self.automaton().is_none() && !self.splitter.stages.is_empty() {
            return "nothing, because no stage has a compiled rule whose matches are parts: a stretch without a cut is \
                read again at each push"
                .into();
        }
        let mut said = String::from(
            "all stretches without a cut: a push reads what it appends and writes what it changes, which may be all \
                tokens of the stretch",
        );
        if self.splitter.stages.len() > 1 {
            said += "; those that several stages of the rule cut, where walks do not converge, are read again at each \
                push, and those that a stage cuts inside characters from the last such cut on";
        }
        if self.nfc && self.splitter.stages.len() > 1 {
            said += "; words that end inside text that NFC changes are read again at each push";
        }
        if self.nfc {
            said += "; a mark that moves before others of one character, because its class is lower, changes all ids \
                after its place";
            said +=
                ", which a stream tells when the edit is read; where the rule tells such marks apart, a push reads \
                all of them again";
        }
        said
    }

    pub(crate) fn automaton(&self) -> Option<&Automaton> {
        self.splitter.leading().map(|(_, automaton)| automaton)
    }

    fn normal_form<'a>(&self, text: &'a str) -> Normal<'a> {
        if self.nfc {
            Normal::nfc(text)
        } else if self.metaspace {
            Normal::spaced(text)
        } else {
            Normal::unchanged(text)
        }
    }

    /// Takes in raw text that is appended, if no added token is found in it; else false, and nothing has changed.
    pub(crate) fn has_no_added(&self, growing: &mut Growing, text: &str) -> bool {
        let before = growing.unsure.len();
        growing.unsure.push_str(text);
        let mut stretches = self.added.stretches(&growing.unsure);
        if stretches.any(|stretch| stretch.added.is_some()) || stretches.hides() {
            growing.unsure.truncate(before);
            return false;
        }
        let sure = stretches.unsure();
        growing.unsure.drain(..sure);
        growing.parts.iter_mut().for_each(|parts| parts.push(text));
        true
    }

    /// Appends normal text and takes the walks over it.
    pub(crate) fn append(&self, growing: &mut Growing, text: &str) -> Option<()> {
        let (begin, left) = (growing.text.len(), growing.text.chars().next_back());
        growing.text.push_str(text);
        let closed = if self.nfc { last_stable(left, text).map(|at| begin + at) } else { Some(begin + text.len()) };
        if let Some(closed) = closed {
            if growing.raw.is_some() && !growing.told {
                let text = growing.text[growing.walked..closed].to_string();
                for part in pieces_of(&text, MOST_AT_ONCE) {
                    let to = growing.walked + part.len();
                    self.walk(growing, to)?;
                    self.finish_words(growing, to);
                    growing.closed = Some(growing.mark());
                    growing.drop_finished();
                }
            }
            self.walk(growing, closed)?;
            match growing.raw {
                Some(_) => self.finish_words(growing, closed),
                None => {
                    growing.over |= growing.attempts[0].walk.over;
                    // In the first text a settled prefix needs no walk any more.
                    while !growing.told && growing.attempts.len() > 1 && growing.attempts[0].walk.over {
                        growing.attempts.remove(0);
                    }
                }
            }
            if self.nfc {
                growing.closed = Some(growing.mark());
            }
        }
        self.walk(growing, begin + text.len())?;
        growing.over |= self.automaton().is_none() && self.has_new_seam(&growing.text, begin);
        growing.others.as_ref().is_none_or(|others| others.hold(&self.splitter, growing.text.len())).then_some(())
    }

    /// Takes the walks on to the position `to`.
    pub(crate) fn walk(&self, growing: &mut Growing, to: usize) -> Option<()> {
        let Growing { text, attempts, others, walked, .. } = growing;
        let at = std::mem::replace(walked, to);
        let Some(automaton) = self.automaton() else { return Some(()) };
        for (offset, c) in text[at..to].char_indices() {
            let here = at + offset;
            let after = here + c.len_utf8();
            if let Some(others) = others {
                others.advance(&self.splitter, c, here);
            }
            for attempt in attempts.iter_mut() {
                automaton.advance(&mut attempt.walk, c, here);
            }
            // Where a match now ends elsewhere, the walks that began after its old end begin again.
            let mut index = 0;
            while let Some(attempt) = attempts.get_mut(index) {
                let next_to = |at: usize| text[at..after].chars().next().map_or(after, |c| at + c.len_utf8());
                let walk_from = |at: usize| {
                    let mut walk = automaton.begin(at);
                    text[at..after].char_indices().for_each(|(offset, c)| automaton.advance(&mut walk, c, at + offset));
                    walk
                };
                // Where no match begins, whatever follows, the next one is looked for.
                while attempt.walk.over && automaton.end(&attempt.walk, after).is_none() {
                    (attempt.walk, attempt.prefixes) =
                        (walk_from(next_to(attempt.walk.begin)), WordPrefixes::default());
                }
                let end = automaton.end(&attempt.walk, after).unwrap_or_else(|| next_to(attempt.walk.begin));
                if attempts.get(index + 1).map(|next| next.begin) != Some(end) {
                    attempts.truncate(index + 1);
                    if end < after {
                        attempts.push(Attempt::new(walk_from(end)));
                    }
                }
                index += 1;
            }
            if attempts.len() > MOST_WALKS {
                return None;
            }
        }
        Some(())
    }

    /// Whether no piece crosses some place at the end of `text`, of which the bytes from `at` on are new.
    fn has_new_seam(&self, text: &str, at: usize) -> bool {
        let before = text[..at].char_indices().next_back().map_or(at, |(start, _)| start);
        text[before..]
            .char_indices()
            .map(|(offset, _)| before + offset)
            .any(|place| place > 0 && self.is_barrier(text, place))
    }

    /// The words that the walks make, if the text ends at `length`.
    pub(crate) fn words_of(&self, growing: &mut Growing, length: usize) -> Option<Vec<Word>> {
        let bytes = growing.text.as_bytes();
        let mut words = Vec::with_capacity(growing.attempts.len());
        for (begin, end, attempt, is_gap) in self.spans_of(growing, length) {
            let Attempt { prefixes, gap, .. } = &mut growing.attempts[attempt];
            let prefixes = if is_gap { gap } else { prefixes };
            if prefixes.length() < end - begin {
                prefixes.extend(&self.bpe, &bytes[begin..end], &mut growing.pairs)?;
            }
            let whole = Some(&bytes[begin..end]).filter(|_| !growing.inside).and_then(|word| self.whole_word(word));
            let tokens = if whole.is_some() { 1 } else { prefixes.count(end - begin) };
            let is_lossy = whole.is_none() && prefixes.loses(end - begin);
            words.push(Word { begin, end, whole, tokens, is_lossy, attempt, is_gap });
        }
        Some(words)
    }

    /// Where these begin and end, the numbers of their attempts, and whether no match makes them.
    fn spans_of(&self, growing: &Growing, length: usize) -> Vec<(usize, usize, usize, bool)> {
        let Some(automaton) = self.automaton() else { return vec![(growing.attempts[0].begin, length, 0, false)] };
        let mut spans = Vec::with_capacity(growing.attempts.len());
        // A gap, and the attempt that it begins with.
        let mut gap = None;
        for (index, attempt) in growing.attempts.iter().enumerate() {
            let at = attempt.walk.begin;
            let (begin, first) = gap.take().unwrap_or((attempt.begin, index));
            match automaton.end(&attempt.walk, length) {
                Some(end) => {
                    spans.extend((begin < at).then_some((begin, at, first, true)));
                    spans.push((at, end, index, false));
                }
                None => gap = Some((begin, first)),
            }
        }
        spans.extend(gap.filter(|&(begin, _)| begin < length).map(|(begin, first)| (begin, length, first, true)));
        spans
    }

    fn whole_word(&self, word: &[u8]) -> Option<TokenId> {
        (word.len() <= self.bpe.longest_piece()).then(|| self.bpe.whole_word(word)).flatten()
    }

    /// The edit that turns the tokens of the words `before` into those of the words `after`.
    pub(crate) fn edit(
        &self,
        growing: &mut Growing,
        before: &[Word],
        after: &[Word],
        vocabulary: &Vocabulary,
    ) -> Option<Edit> {
        let same = before.iter().zip(after).take_while(|(one, other)| one == other).count();
        let mut drop: usize = before[same..].iter().map(|word| word.tokens).sum();
        let mut ids = Vec::new();
        let mut lossless = true;
        let bytes = growing.text.as_bytes();
        for (index, word) in after.iter().enumerate().skip(same) {
            let Word { begin, end, attempt, is_gap, .. } = *word;
            if let Some(id) = word.whole {
                ids.push(id);
                lossless &= vocabulary.bytes(id, 0).ok()? == &bytes[begin..end];
                continue;
            }
            let Attempt { prefixes, gap, .. } = &mut growing.attempts[attempt];
            let prefixes = if is_gap { gap } else { prefixes };
            let (word, mut known) = (&bytes[begin..end], 0);
            if let Some(old) =
                before.get(index).filter(|old| index == same && old.begin == begin && old.whole.is_none())
            {
                if prefixes.length() < old.end - begin {
                    prefixes.extend(&self.bpe, &bytes[begin..old.end], &mut growing.pairs)?;
                }
                known = old.end - begin;
            }
            let (same, tokens) = prefixes.changed(&self.bpe, word, known, end - begin);
            drop -= same;
            for Spelled { id, text } in tokens {
                ids.push(id);
                lossless &= vocabulary.bytes(id, 0).ok()? == text;
            }
        }
        // Words with another loss are not carried.
        lossless.then(|| Edit::new(drop, ids, growing.gives_back_in(after)))
    }
}
