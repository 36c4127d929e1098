//! The parts of a text: stretches between added tokens, cut at white space, each part looked up or encoded.
//!
//! A part can be encoded alone, and so be remembered with its tokens. The argument for a cut before white space is in
//! docs/proofs/white-space-cuts.md.

use crate::backends::normalizing::rewriting::{Rewriting, Words};
use crate::backends::normalizing::scratch::{Scratch, LONGEST_PART};
use crate::error::{Error, Result};
use crate::normalizers::rewriter::item::Ends;
use crate::tokens::token::TextPosition;
use crate::util::known_words::{hash, Placed};

/// The special properties of a part at an end of its stretch. Example: the first part may get a dummy prefix.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    pub(super) ends: Ends,
    pub(super) dummy: bool,
    /// Text before it belongs to its first word, which gets no mark.
    pub(super) goes_on: bool,
}

impl Role {
    fn variant(self) -> u8 {
        u8::from(self.ends.start)
            | u8::from(self.ends.end) << 1
            | u8::from(self.dummy) << 2
            | u8::from(self.goes_on) << 3
    }
}

impl Rewriting {
    pub(super) fn run(
        &self,
        text: &str,
        place: TextPosition,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) -> Result<()> {
        check_length(text)?;
        self.scratch.with(|scratch| self.run_with(scratch, text, place, emit));
        Ok(())
    }

    fn run_with(
        &self,
        scratch: &mut Scratch,
        text: &str,
        place: TextPosition,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let mut word = 0;
        if self.added.is_empty() {
            if !text.is_empty() {
                self.stretch(text, 0, 0, place, scratch, &mut word, emit);
            }
        } else {
            for (index, part) in self.added.stretches(text).enumerate() {
                if let Some(id) = part.added {
                    emit(id.0, part.start, part.end, word);
                    word += 1;
                } else {
                    self.stretch(&text[part.start..part.end], part.start, index, place, scratch, &mut word, emit);
                }
            }
        }
        scratch.work.shrink(text.len());
    }

    /// The special properties of the parts of a stretch: of the part from `start` to `end`.
    pub(super) fn roles(
        &self,
        stretch: &str,
        index: usize,
        place: TextPosition,
    ) -> impl Fn(usize, usize) -> Role + use<> {
        let at_start = self.rewriter.acts_on_start() && (index > 0 || place == TextPosition::Start);
        let (dummy, at_end, length) = (self.dummy_at(index, place), self.rewriter.acts_on_end(), stretch.len());
        let goes_on = index == 0 && place == TextPosition::Continuation && self.goes_on(stretch);
        move |start, end| Role {
            ends: Ends { start: start == 0 && at_start, end: end == length && at_end },
            dummy: start == 0 && dummy,
            goes_on: start == 0 && goes_on,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn stretch(
        &self,
        stretch: &str,
        base: usize,
        index: usize,
        place: TextPosition,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let role = self.roles(stretch, index, place);
        if matches!(self.words, Words::Whole) {
            let mut words = 0;
            self.encode_part::<false>(
                stretch,
                role(0, stretch.len()),
                None,
                &mut scratch.work,
                &mut |id, start, end, number| {
                    words = number + 1;
                    emit(id, base + start, base + end, *word + number);
                },
            );
            *word += words;
            return;
        }
        let mut start = 0;
        let bytes = stretch.as_bytes();
        for end in 1..=bytes.len() {
            if end < bytes.len() && !self.is_cut(stretch, end) {
                continue;
            }
            let from = if self.loose { start + self.droppable(&stretch[start..end]) } else { start };
            if end - from > LONGEST_PART {
                self.long_part(stretch, start, from, end, base, &role, scratch, word, emit);
            } else {
                self.part(stretch, from, end, base, role(start, end), scratch, word, emit);
            }
            start = end;
        }
    }

    /// A part that is not remembered as a whole: in scripts without spaces its words may be.
    #[allow(clippy::too_many_arguments)]
    #[inline(never)]
    fn long_part(
        &self,
        stretch: &str,
        mut start: usize,
        first: usize,
        end: usize,
        base: usize,
        role: &impl Fn(usize, usize) -> Role,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let mut from = first;
        if self.has_borders && self.is_mixed(&stretch[first..end]) {
            self.borders(&stretch[first..end], |at| {
                let at = first + at;
                self.part(stretch, from, at, base, role(start, at), scratch, word, emit);
                (start, from) = (at, at);
            });
        }
        self.part(stretch, from, end, base, role(start, end), scratch, word, emit);
    }

    #[allow(clippy::too_many_arguments)]
    #[inline]
    pub(super) fn part(
        &self,
        stretch: &str,
        start: usize,
        end: usize,
        base: usize,
        role: Role,
        scratch: &mut Scratch,
        word: &mut u32,
        emit: &mut impl FnMut(u32, usize, usize, u32),
    ) {
        let part = &stretch[start..end];
        let at = base + start;
        if part.len() > LONGEST_PART {
            let mut words = 0;
            self.encode_part::<false>(part, role, None, &mut scratch.work, &mut |id, start, end, number| {
                words = number + 1;
                emit(id, at + start, at + end, *word + number);
            });
            *word += words;
            return;
        }
        let variant = role.variant();
        let key = hash(part.as_bytes(), variant);
        let words = if let Some((tokens, words)) = scratch.cache.get(part.as_bytes(), variant, key) {
            for token in tokens {
                emit(
                    token.id,
                    at + usize::from(token.start),
                    at + usize::from(token.end),
                    *word + u32::from(token.word),
                );
            }
            words
        } else {
            scratch.tokens.clear();
            let tokens = &mut scratch.tokens;
            self.encode_part::<false>(part, role, None, &mut scratch.work, &mut |id, start, end, number| {
                // The part is short, so these are small. Its rewritten form may be longer, so numbers may not be.
                tokens.push(Placed {
                    id,
                    start: start as u16,
                    end: end as u16,
                    word: number.min(u32::from(u16::MAX)) as u16,
                });
            });
            let words = scratch.tokens.last().map_or(0, |token| token.word.saturating_add(1));
            scratch.cache.insert(part.as_bytes(), variant, key, scratch.tokens.iter().copied(), words);
            for token in &scratch.tokens {
                emit(
                    token.id,
                    at + usize::from(token.start),
                    at + usize::from(token.end),
                    *word + u32::from(token.word),
                );
            }
            words
        };
        *word += u32::from(words);
    }
}

pub(crate) fn check_length(text: &str) -> Result<()> {
    match u32::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Argument {
            name: "text",
            value: format!("{} bytes long", text.len()),
            expected: "less than 4 GiB".into(),
        }),
    }
}
