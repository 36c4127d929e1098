//! Whether matches stop at white space: a proof by going through the states of the automaton.

use super::automaton::{Automaton, DEAD, ENDS_BEFORE, ENDS_BEHIND, ROW};

impl Automaton {
    /// Whether no match goes on over white space behind another character, and none is empty.
    ///
    /// Then what is found on one side of such a place does not depend on the other side, but for the white space itself
    /// that follows. Symbols that hold both white space and other characters are taken for either.
    pub(crate) fn stops_at_space(&self) -> bool {
        let letters = self.letters();
        let (mut spaces, mut others) = (vec![false; letters], vec![false; letters]);
        for c in ('\0'..=char::MAX).take(0x11000) {
            let list = if c.is_whitespace() { &mut spaces } else { &mut others };
            list[usize::from(self.symbol(c))] = true;
        }
        // What no character below has, one above may have.
        others.iter_mut().zip(&spaces).for_each(|(other, &space)| *other |= !space);
        let numbers = |list: &[bool]| -> Vec<usize> { (0..letters).filter(|&symbol| list[symbol]).collect() };
        let (spaces, others) = (numbers(&spaces), numbers(&others));
        let start = self.first_row();
        if (0..=letters).any(|symbol| self.step(start, symbol) & ENDS_BEFORE != 0) {
            return false;
        }
        let goes_on = |step: u32| step & ENDS_BEHIND == 0 && step & ROW != DEAD;
        let mut known = vec![start];
        let mut next = 0;
        while let Some(&row) = known.get(next) {
            next += 1;
            for &symbol in &others {
                let step = self.step(row, symbol);
                let crosses = |&space: &usize| self.step(step & ROW, space) & (ENDS_BEHIND | ROW) != DEAD;
                if goes_on(step) && spaces.iter().any(crosses) {
                    return false;
                }
            }
            for symbol in 0..letters {
                let step = self.step(row, symbol);
                if goes_on(step) && !known.contains(&(step & ROW)) {
                    known.push(step & ROW);
                }
            }
        }
        true
    }

    /// Whether there is a match wherever `c` stands, whatever follows.
    pub(crate) fn begins_with(&self, c: char) -> bool {
        let step = self.step(self.first_row(), usize::from(self.symbol(c)));
        let ends = |symbol: usize| self.step(step & ROW, symbol) & (ENDS_BEFORE | ENDS_BEHIND) != 0;
        step & ENDS_BEHIND != 0 || step & ROW != DEAD && (0..=self.letters()).all(ends)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::pattern::{Dialect, Pattern};

    #[test]
    fn matches_that_stop_at_white_space() {
        let stops = |source: &str| Pattern::new(source, Dialect::Oniguruma).unwrap().stops_at_space();
        for source in [r"\s+", r"\S+", r"\d{1,3}", r" ?\p{L}+|\s+(?!\S)|\s+", r"\w+|[^\w\s]+", r"[,.]", r"\s\S"] {
            assert!(stops(source), "{source}");
        }
        for source in [r"[^ ]+ ?", r"[^ ]+", r".{3}", r"[^\s]\s|\S+", r"(?:\w\s?){2}", r"(?:..)+", r"a*", r".\b", r"(?=\s)|a", r"a(?=bc)"] {
            assert!(!Pattern::new(source, Dialect::Oniguruma).is_ok_and(|pattern| pattern.stops_at_space()), "{source}");
        }
    }

    #[test]
    fn matches_that_surely_begin() {
        let begins = |source: &str| Pattern::new(source, Dialect::Oniguruma).unwrap().begins_with(' ');
        for source in [r"\s+", r" ?\p{L}+|\s+(?!\S)|\s+", r" |a"] {
            assert!(begins(source), "{source}");
        }
        for source in [r"\s\S", r"\S", r" ?\p{L}+", r"\s+(?!\S)"] {
            assert!(!begins(source), "{source}");
        }
    }
}
