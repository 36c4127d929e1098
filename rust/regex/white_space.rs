//! Whether matches stop at white space: a proof by going through the states of the automaton.

use crate::regex::automaton::{Automaton, DEAD, ENDS_BEFORE, ENDS_BEHIND, ROW};

impl Automaton {
    /// Whether no match goes on over the white space `c` after another character, and no match is empty.
    ///
    /// Nor may a match before `c` need it: at the end of a text it must be the same one. Then the matches on one side
    /// of such a place do not depend on the other side. Symbols that hold both white space and other characters count
    /// as the latter.
    pub(crate) fn stops_before(&self, c: char) -> bool {
        let letters = self.letters();
        let (mut spaces, mut others) = (vec![false; letters], vec![false; letters]);
        for c in '\0'..='\u{ffff}' {
            let list = if c.is_whitespace() { &mut spaces } else { &mut others };
            list[usize::from(self.symbol(c))] = true;
        }
        // A symbol that no character of the first plane has is that of one above.
        let others: Vec<usize> = (0..letters).filter(|&symbol| others[symbol] || !spaces[symbol]).collect();
        let space = usize::from(self.symbol(c));
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
                if !goes_on(step) {
                    continue;
                }
                let (before, at_end) = (self.step(step & ROW, space), self.step(step & ROW, letters));
                if before & (ENDS_BEHIND | ROW) != DEAD || (before ^ at_end) & ENDS_BEFORE != 0 {
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

    /// Whether a match begins at each `c`, whatever follows.
    pub(crate) fn begins_with(&self, c: char) -> bool {
        let step = self.step(self.first_row(), usize::from(self.symbol(c)));
        let ends = |symbol: usize| self.step(step & ROW, symbol) & (ENDS_BEFORE | ENDS_BEHIND) != 0;
        step & ENDS_BEHIND != 0 || step & ROW != DEAD && (0..=self.letters()).all(ends)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::regex::dialect::Dialect;
    use crate::regex::pattern::Pattern;

    #[test]
    fn matches_that_stop_at_white_space() {
        let stops = |source: &str| Pattern::new(source, Dialect::Oniguruma).unwrap().stops_before(' ');
        for source in [
            r"\s+",
            r"\S+",
            r"\d{1,3}",
            r" ?\p{L}+|\s+(?!\S)|\s+",
            r"\p{L}+|[^\p{L}\s]+",
            r"[,.]",
            r"\s\S",
            r"\S\n",
            r"[^ ]+",
            r"\p{L}+(?=\S)|.",
        ] {
            assert!(stops(source), "{source}");
        }
        assert!(!Pattern::new(r"\S\n|a", Dialect::Oniguruma).unwrap().stops_before('\n'));
        for source in [
            r"[^ ]+ ?",
            r"\p{L}+(?=\s)|.",
            r".{3}",
            r"[^\s]\s|\S+",
            r"(?:\w\s?){2}",
            r"(?:..)+",
            r"a*",
            r".\b",
            r"(?=\s)|a",
            r"a(?=bc)",
        ] {
            assert!(
                !Pattern::new(source, Dialect::Oniguruma).is_ok_and(|pattern| pattern.stops_before(' ')),
                "{source}"
            );
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
