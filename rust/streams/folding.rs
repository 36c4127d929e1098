//! The text as a stream reads it: without characters that change no token wherever they are put.
//!
//! Under normalizers that rewrite text some characters vanish, and a long run of blanks is read as a shorter one. A run
//! may have no settled cut, so each push would read all of it again. The engine classifies each character ([`Weight`]).
//! The folded text grows only at its end, and its ids are those of the text (docs/proofs/left-out-text.md).

use crate::backends::engine::Weight;
use crate::tokenizer::Tokenizer;
use std::collections::VecDeque;

/// A position of the folded text, and its position in the whole text.
#[derive(Debug, Clone, Copy)]
struct Mark {
    read: usize,
    text: usize,
}

/// Adds a mark after all others; of several at one position of the folded text the last one counts.
fn put(marks: &mut Vec<Mark>, read: usize, text: usize) {
    let mark = Mark { read, text };
    match marks.last_mut() {
        Some(last) if last.read == read => *last = mark,
        _ => marks.push(mark),
    }
}

/// The state of a walk over the text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    /// The last character that counts or is blank.
    last: Option<char>,
    /// The blanks of the run at the end that are read.
    blanks: usize,
    /// The last blanks of the run, which are read if something follows.
    held: VecDeque<Unit>,
}

/// A blank: a character, or CR and LF, which some read as one.
#[derive(Debug, Clone, Copy)]
struct Unit {
    first: char,
    line_feed: bool,
    /// Where it begins in the text.
    at: usize,
}

/// The text of a stream, and the map from the folded text to it. Example: a long run of blanks is folded to a shorter
/// one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folding {
    pub(crate) text: String,
    walk: Walk,
    /// Where the two differ, ascending.
    marks: Vec<Mark>,
}

/// A step of a walk that is not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    /// The new part of the folded text.
    pub(crate) read: String,
    walk: Walk,
    marks: Vec<Mark>,
}

impl Folding {
    /// The folded form of `text`, which follows `read` bytes of folded text.
    pub(crate) fn advance(&self, tokenizer: &Tokenizer, read: usize, text: &str) -> Advance {
        let guards = tokenizer.guards().unwrap_or(0);
        let text_before = self.text.len();
        let mut ahead = Advance { walk: self.walk.clone(), ..Advance::default() };
        let Advance { read: new, walk, marks } = &mut ahead;
        for (at, c) in text.char_indices() {
            let weight = tokenizer.weight(walk.last, c);
            let before = walk.last;
            if weight != Weight::None {
                walk.last = Some(c);
            }
            match weight {
                Weight::Full => {
                    let held = !walk.held.is_empty();
                    for unit in walk.held.drain(..) {
                        put(marks, read + new.len(), unit.at);
                        new.push(unit.first);
                        new.extend(unit.line_feed.then_some('\n'));
                    }
                    if held {
                        put(marks, read + new.len(), text_before + at);
                    }
                    new.push(c);
                    walk.blanks = 0;
                    continue;
                }
                Weight::Blank if guards > 0 && c == '\n' && before == Some('\r') && walk.blanks > 0 => {
                    match walk.held.back_mut() {
                        Some(unit) => unit.line_feed = true,
                        None => {
                            new.push('\n');
                            continue;
                        }
                    }
                }
                Weight::Blank if walk.blanks < 2 * guards + 2 => {
                    walk.blanks += 1;
                    new.push(c);
                    continue;
                }
                Weight::Blank => {
                    walk.held.push_back(Unit { first: c, line_feed: false, at: text_before + at });
                    if walk.held.len() > guards {
                        walk.held.pop_front();
                    }
                }
                Weight::None => {}
            }
            put(marks, read + new.len(), text_before + at + c.len_utf8());
        }
        ahead
    }

    /// Takes the step; its text is there already.
    pub(crate) fn take(&mut self, ahead: Advance) {
        self.walk = ahead.walk;
        ahead.marks.into_iter().for_each(|mark| put(&mut self.marks, mark.read, mark.text));
    }

    /// The position in the whole text of byte `at` of the folded text; None if nothing is left out from there on.
    pub(crate) fn full_tail(&self, at: usize, ahead: &Advance) -> Option<usize> {
        let last = ahead.marks.last().or(self.marks.last())?;
        let before = self.marks.partition_point(|mark| mark.read < at).checked_sub(1);
        let place = before.map_or(at, |index| self.marks[index].text + at - self.marks[index].read);
        (last.read >= at).then_some(place)
    }
}
