//! A growing word without the characters that give no symbol of their own.
//!
//! These are the ones that are dropped, and all but the first of neighbours that become one unknown token. Each letter
//! of the rest gives one symbol. So the tokens of its prefixes are those of the prefixes of the word
//! (docs/proofs/prefix-tokens.md, *Squeezed words*). The gaps lead from the places of one to those of the other.

use crate::models::bpe::initial_symbols::Alphabet;
use crate::util::text::{code_point, is_tail};

/// Text that is left out, from `begin` to `end` of the word.
#[derive(Debug, Clone, Copy)]
struct Gap {
    begin: usize,
    end: usize,
    /// The number of bytes that are left out before it.
    before: usize,
}

impl Gap {
    /// Where it is in the squeezed word.
    fn place(self) -> usize {
        self.begin - self.before
    }
}

/// A word, squeezed. Example: "abc" for "a\0bc" where the zero is dropped.
///
/// Another one is "a\u{4e2d}b" for "a\u{4e2d}\u{56fd}b" where both Chinese characters are unknown and fused.
#[derive(Debug, Clone)]
pub(crate) struct Squeezed {
    pub(crate) text: Vec<u8>,
    gaps: Vec<Gap>,
    /// Of the word.
    pub(super) length: usize,
    /// The first character that no token says.
    lost: Option<usize>,
    /// A gap is text of the token before it; else of none.
    fuses: bool,
}

impl Squeezed {
    /// A word of which nothing is left out.
    pub(crate) fn new(alphabet: &Alphabet, word: &[u8]) -> Self {
        let fuses = matches!(alphabet, Alphabet::Characters { unknown: Some(_), .. });
        Self { text: word.into(), gaps: Vec::new(), length: word.len(), lost: None, fuses }
    }

    /// Takes in `word`, which begins with the known one. None where characters are torn.
    pub(crate) fn extend(&mut self, alphabet: &Alphabet, word: &[u8]) -> Option<()> {
        let rest = &word[self.length..];
        match alphabet {
            Alphabet::Bytes { ids, .. } => rest.iter().for_each(|&byte| {
                let is_dropped = ids[usize::from(byte)].is_none();
                self.take(&[byte], is_dropped, is_dropped);
            }),
            Alphabet::Characters { unknown, fuse_unknown, .. } => {
                let rest = std::str::from_utf8(rest).ok()?;
                let mut after_unknown = last_character(&word[..self.length]).is_some_and(|c| alphabet.is_unknown(c));
                for c in rest.chars() {
                    let is_unknown = alphabet.is_unknown(c);
                    let is_out = is_unknown && (unknown.is_none() || after_unknown && *fuse_unknown);
                    self.take(c.encode_utf8(&mut [0; 4]).as_bytes(), is_unknown, is_out);
                    after_unknown = is_unknown;
                }
            }
        }
        Some(())
    }

    /// Takes in a letter; `is_lost`: no token says it.
    fn take(&mut self, letter: &[u8], is_lost: bool, is_out: bool) {
        let begin = self.length;
        self.length += letter.len();
        if is_lost {
            self.lost.get_or_insert(begin);
        }
        if !is_out {
            return self.text.extend_from_slice(letter);
        }
        match self.gaps.last_mut().filter(|gap| gap.end == begin) {
            Some(gap) => gap.end = self.length,
            None => self.gaps.push(Gap { begin, end: self.length, before: begin - self.text.len() }),
        }
    }

    /// Forgets the word after its first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        if length >= self.length {
            return;
        }
        self.text.truncate(self.place(length));
        self.gaps.truncate(self.gaps.partition_point(|gap| gap.begin < length));
        if let Some(gap) = self.gaps.last_mut() {
            gap.end = gap.end.min(length);
        }
        self.lost.take_if(|lost| *lost >= length);
        self.length = length;
    }

    /// Whether the tokens of the prefix of `length` bytes say less than it.
    pub(super) fn loses(&self, length: usize) -> bool {
        self.lost.is_some_and(|lost| lost < length)
    }

    /// The place in the squeezed word of the place `at` of the word. Complexity: O(log gaps).
    pub(crate) fn place(&self, at: usize) -> usize {
        match self.gaps[..self.gaps.partition_point(|gap| gap.begin < at)].last() {
            Some(gap) => gap.place() + at.saturating_sub(gap.end),
            None => at,
        }
    }

    /// The place `at` of the squeezed word in the word, after the gap that is there.
    fn after_gap(&self, at: usize) -> usize {
        at + self.gaps[..self.gaps.partition_point(|gap| gap.place() <= at)]
            .last()
            .map_or(0, |gap| gap.before + gap.end - gap.begin)
    }

    /// The same, before the gap.
    pub(crate) fn before_gap(&self, at: usize) -> usize {
        at + self.gaps[..self.gaps.partition_point(|gap| gap.place() < at)]
            .last()
            .map_or(0, |gap| gap.before + gap.end - gap.begin)
    }

    /// The place `at` of the squeezed word in the word, if nothing is left out there.
    pub(crate) fn cut(&self, at: usize) -> Option<usize> {
        let place = self.before_gap(at);
        (self.after_gap(at) == place).then_some(place)
    }

    /// The begin and the end in the word of a token of its prefix of `length` bytes, from those in the squeezed word.
    pub(super) fn span(&self, begin: usize, end: usize, length: usize) -> (usize, usize) {
        let end = if self.fuses { self.after_gap(end).min(length) } else { self.before_gap(end) };
        (self.after_gap(begin), end)
    }

    /// A place in the squeezed word for the place `at` of the word. The same tokens of the prefix of `length` bytes end
    /// after the two.
    pub(super) fn from(&self, at: usize, length: usize) -> usize {
        let place = self.place(at);
        // The token before the gap goes on to its end.
        place - usize::from(self.fuses && place > 0 && self.after_gap(place).min(length) > at)
    }
}

/// The last character of a text of whole ones.
fn last_character(text: &[u8]) -> Option<char> {
    let start = (0..text.len()).rev().find(|&at| !is_tail(text[at]))?;
    Some(if text[start] < 0x80 { char::from(text[start]) } else { code_point(text, start) })
}
