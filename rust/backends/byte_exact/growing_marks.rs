//! Marks of several classes in a growing stretch under NFC: one that moves before others is put in its place.
//!
//! The text after it is the same, only further on. So the tokens of most prefixes are moved and not made again
//! (docs/proofs/nfc-streams.md, *Marks of several classes*).

use crate::backends::byte_exact::growing_state::Growing;
use crate::backends::byte_exact::growing_state::Mark;
use crate::backends::byte_exact::pipeline::Pipeline;
use crate::models::bpe::word_prefixes::WordPrefixes;
use crate::tokens::edit::Edit;
use crate::vocabulary::table::Vocabulary;

impl Pipeline {
    /// The edit of the mark `c`, whose place is `at`, after the place `closed`. None where that is not carried, and the
    /// state is then of no use.
    pub(crate) fn mark_inserted(
        &self,
        growing: &mut Growing,
        closed: &Mark,
        at: usize,
        c: char,
        vocabulary: &Vocabulary,
    ) -> Option<Edit> {
        let before = std::mem::take(&mut growing.words);
        growing.altered = true;
        let mut known: Vec<_> = growing
            .attempts
            .iter_mut()
            .map(|old| (old.begin, old.walk.begin, std::mem::take(&mut old.prefixes), std::mem::take(&mut old.gap)))
            .collect();
        growing.rewind_walks(closed);
        self.walk(growing, at)?;
        for attempt in &mut growing.attempts {
            if let Some((.., prefixes, gap)) =
                known.iter_mut().find(|(begin, walk, ..)| (*begin, *walk) == (attempt.begin, attempt.walk.begin))
            {
                (attempt.prefixes, attempt.gap) = (std::mem::take(prefixes), std::mem::take(gap));
            }
        }
        let between = self.words_of(growing, at)?;
        let back = self.edit(growing, &before, &between, vocabulary)?;
        growing.text.insert(at, c);
        let Growing { text, attempts, pairs, .. } = growing;
        let mut insert = |prefixes: &mut WordPrefixes, begin: usize| {
            let length = prefixes.length();
            if begin + length <= at {
                return Some(());
            }
            let word = &text.as_bytes()[begin..begin + length + c.len_utf8()];
            prefixes.insert(&self.bpe, word, at - begin, c.len_utf8(), pairs)
        };
        for attempt in attempts {
            insert(&mut attempt.prefixes, attempt.walk.begin)?;
            insert(&mut attempt.gap, attempt.begin)?;
        }
        let length = growing.text.len();
        self.walk(growing, length)?;
        growing.others.as_ref().is_none_or(|others| others.hold(&self.splitter, length)).then_some(())?;
        let after = self.words_of(growing, length)?;
        let edit = self.edit(growing, &between, &after, vocabulary)?;
        growing.over |=
            length >= growing.look_at || growing.attempts[0].begin != closed.first().map_or(0, |&(begin, _)| begin);
        growing.words = after;
        growing.look_for_cuts(c.encode_utf8(&mut [0; 4]));
        Some(back.then(&edit))
    }
}
