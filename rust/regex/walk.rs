//! A walk that is under way over a text that still grows: [`Automaton::match_at`], one character at a time.

use crate::regex::automaton::{Automaton, DEAD, ENDS_BEFORE, ENDS_BEHIND, ROW};

/// An unfinished walk over a match. Example: after "12" under the rule `\d{1,3}`, which may still take a digit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// Where it began.
    pub(crate) begin: usize,
    row: u32,
    end: Option<usize>,
    /// Nothing that follows can change the match.
    pub(crate) over: bool,
}

impl Walk {
    /// The walk of no rule: all of the text is one word.
    pub(crate) fn endless() -> Self {
        Self { begin: 0, row: DEAD, end: None, over: false }
    }
}

impl Automaton {
    /// A walk that begins at byte `at`.
    pub(crate) fn begin(&self, at: usize) -> Walk {
        Walk { begin: at, row: self.first_row(), end: None, over: false }
    }

    /// Takes `walk` over the character `c` at byte `at`.
    pub(crate) fn advance(&self, walk: &mut Walk, c: char, at: usize) {
        if walk.over {
            return;
        }
        let step = self.step(walk.row, usize::from(self.symbol(c)));
        if step & ENDS_BEFORE != 0 {
            walk.end = Some(at);
        }
        if step & ENDS_BEHIND != 0 {
            walk.end = Some(at + c.len_utf8());
        }
        walk.row = step & ROW;
        walk.over = step & ENDS_BEHIND != 0 || walk.row == DEAD;
    }

    /// The row of the state after the character `c`; None where the walk is over.
    pub(crate) fn row_after(&self, row: u32, c: char) -> Option<u32> {
        let step = self.step(row, usize::from(self.symbol(c)));
        (step & ENDS_BEHIND == 0 && step & ROW != DEAD).then_some(step & ROW)
    }

    /// Whether every match whose walk comes to the state at `row` ends there or further on, whatever follows.
    ///
    /// Complexity: O(states that follow · symbols).
    pub(crate) fn surely_reaches(&self, row: u32) -> bool {
        let mut seen = vec![row];
        let mut next = 0;
        while let Some(&row) = seen.get(next) {
            next += 1;
            for symbol in 0..=self.letters() {
                let step = self.step(row, symbol);
                if step & (ENDS_BEFORE | ENDS_BEHIND) != 0 {
                    continue;
                }
                if symbol == self.letters() || step & ROW == DEAD {
                    return false;
                }
                if !seen.contains(&(step & ROW)) {
                    seen.push(step & ROW);
                }
            }
        }
        true
    }

    /// Whether no match begins with the character of `symbol`: the first step ends the walk without one.
    pub(crate) fn begins_nothing(&self, symbol: u8) -> bool {
        let step = self.step(self.first_row(), usize::from(symbol));
        step & (ENDS_BEFORE | ENDS_BEHIND) == 0 && step & ROW == DEAD
    }

    /// Whether `walk` ends with the text, after one more character of `symbol` too, and is then in the same state.
    pub(crate) fn covers_all(&self, walk: &Walk, symbol: u8) -> bool {
        // The row of a walk that is over ends nowhere.
        self.step(walk.row, usize::from(symbol)) & ROW == walk.row
            && self.step(walk.row, self.letters()) & ENDS_BEFORE != 0
    }

    /// Whether one more character of `symbol` leaves `walk`, and the end of its match, as it is.
    pub(crate) fn stays(&self, walk: &Walk, symbol: u8) -> bool {
        let step = self.step(walk.row, usize::from(symbol));
        let moves = step & (ENDS_BEFORE | ENDS_BEHIND) != 0 || self.step(walk.row, self.letters()) & ENDS_BEFORE != 0;
        walk.over || step & ROW == walk.row && !moves
    }

    /// Where the match of `walk` ends if the text ends at byte `length`.
    pub(crate) fn end(&self, walk: &Walk, length: usize) -> Option<usize> {
        let ends_here = !walk.over && self.step(walk.row, self.letters()) & ENDS_BEFORE != 0;
        if ends_here { Some(length) } else { walk.end }.filter(|&end| end > walk.begin)
    }
}
