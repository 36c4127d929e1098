//! Settled cuts inside a match that is still open, where a rule of several stages begins again as if it had never
//! stopped.
//!
//! An earlier stage may match far over the places where a later one cuts. For example, a run of digits is one match of
//! Falcon's second stage, and its last stage cuts it after every third digit. A cut there is settled on two conditions
//! (docs/proofs/split-stage-cuts.md). The earlier match surely covers the final text, and a walk that begins at the cut
//! comes to the same state.

use crate::pre_tokenizers::split::{Doubt, Splitter, Stage};
use crate::regex::automaton::Automaton;

/// The number of characters in which a walk that begins at a cut must come to the same state.
const MOST_STEPS: usize = 64;
/// The least distance from the end of a character at which splitting may begin: segmenters look at the text before a
/// place.
const ROOM: usize = 20;

/// The last part that a stage makes of the text so far. It surely goes on to the horizon.
enum Part<'a> {
    /// It is so wherever it begins.
    Plain,
    /// A match: the state of its walk before each character, and before the horizon.
    Match { automaton: &'a Automaton, begin: usize, rows: Vec<(usize, u32)> },
}

/// Settled cuts inside open parts of earlier stages.
#[derive(Debug, Default)]
pub(crate) struct Converging {
    /// Those between characters, ascending.
    pub(crate) cuts: Vec<usize>,
    /// The last one inside a character. Splitting that begins with this character cuts there too, and goes on alike.
    pub(crate) torn: Option<usize>,
}

impl Splitter {
    /// The settled cuts after `from`, a settled cut or the start, that are inside open parts of earlier stages.
    ///
    /// Complexity: O(text after `from`) per stage.
    pub(crate) fn converging(&self, text: &str, from: usize, horizon: usize) -> Converging {
        let (mut begin, mut open, mut found, mut torn) = (from, Vec::new(), Vec::new(), None);
        for stage in &self.stages {
            let mut cuts = Vec::new();
            let doubt = stage.split(text, (begin, text.len()), horizon, &mut cuts, None);
            if let Some(doubt) = doubt {
                cuts.truncate(cuts.partition_point(|&at| at < doubt.at + usize::from(doubt.cut_holds)));
            }
            cuts.truncate(cuts.partition_point(|&at| at < horizon));
            if !stage.keeps_parts() {
                break;
            }
            let last = cuts.last().copied().unwrap_or(begin);
            let goes_on_alike = |&at: &usize| {
                let first = (from..at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(from);
                let mut again = Vec::new();
                stage.split(text, (first, horizon), horizon, &mut again, None);
                first > begin
                    && again.contains(&at)
                    && open.iter().all(|part: &Part| part.begins_alike(text, first, horizon))
            };
            let inside = cuts.iter().rev().copied().filter(|&at| at + ROOM <= horizon && !text.is_char_boundary(at));
            torn = torn.or_else(|| inside.take(MOST_STEPS).find(goes_on_alike));
            found.extend(cuts.into_iter().filter(|&at| {
                text.is_char_boundary(at) && open.iter().all(|part: &Part| part.begins_alike(text, at, horizon))
            }));
            let Some((at, part)) = stage.last_part(text, last, doubt, horizon) else { break };
            begin = at;
            open.push(part);
        }
        found.sort_unstable();
        found.dedup();
        Converging { cuts: found, torn }
    }
}

impl Part<'_> {
    /// Whether all that follows is the same if the part begins at `at`.
    fn begins_alike(&self, text: &str, at: usize, horizon: usize) -> bool {
        let Self::Match { automaton, begin, rows } = self else { return true };
        let first = rows.partition_point(|&(place, _)| place < at);
        let mut walk = Some(automaton.first_row());
        let mut places = rows[first..].iter();
        let steps = text[at..horizon].chars().map(Some).chain([None]).take(MOST_STEPS);
        at > *begin
            && steps.into_iter().any(|c| match (walk, places.next()) {
                (Some(row), Some(&(_, same))) if row == same => true,
                (Some(row), _) => {
                    walk = c.and_then(|c| automaton.row_after(row, c));
                    false
                }
                (None, _) => false,
            })
    }
}

impl Stage {
    /// The part that begins at or after `last`, the last sure cut, and goes on to the horizon whatever is appended.
    /// None where that is not known.
    fn last_part(&self, text: &str, last: usize, doubt: Option<Doubt>, horizon: usize) -> Option<(usize, Part<'_>)> {
        let rest = text.get(last..horizon).filter(|rest| !rest.is_empty())?;
        if rest.chars().all(|c| self.joins(c)) || rest.chars().all(|c| self.ignores(c)) {
            return Some((last, Part::Plain));
        }
        let (automaton, begin) = (self.isolating()?, doubt?.at);
        let (mut row, mut rows) = (automaton.first_row(), vec![(begin, automaton.first_row())]);
        for (at, c) in text[begin..horizon].char_indices() {
            row = automaton.row_after(row, c)?;
            rows.push((begin + at + c.len_utf8(), row));
        }
        automaton.surely_reaches(row).then_some((begin, Part::Match { automaton, begin, rows }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pre_tokenizers::split::{Behaviour, Finder};
    use crate::regex::char_class::CodePoints;
    use crate::regex::dialect::Dialect;
    use crate::regex::pattern::Pattern;

    fn pattern(source: &str) -> Finder {
        Finder::Pattern(Pattern::new(source, Dialect::Oniguruma).unwrap())
    }

    fn class(source: &str) -> Finder {
        Finder::Class(CodePoints::parse(source, false).unwrap())
    }

    fn falcon() -> Splitter {
        let rule = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
        Splitter {
            stages: vec![
                Stage::new(class(r"\p{P}"), Behaviour::Contiguous, false, false),
                Stage::new(pattern(rule), Behaviour::Isolated, false, false),
                Stage::new(class(r"\p{N}"), Behaviour::Contiguous, false, true),
                Stage::new(pattern("[0-9][0-9][0-9]"), Behaviour::Isolated, false, true),
            ],
        }
    }

    fn splitters() -> Vec<Splitter> {
        let chain = |sources: &[&str]| Splitter {
            stages: sources
                .iter()
                .map(|source| Stage::new(pattern(source), Behaviour::Isolated, false, false))
                .collect(),
        };
        vec![
            falcon(),
            chain(&[r"\p{N}{1,3}", r"\p{N}{1,2}"]),
            chain(&[r" ?\p{L}+|\s+(?!\S)|\s+", "aa|a\u{301}"]),
            chain(&["(?:ab)+", "a"]),
            chain(&["(?:ab?c?)+", "[ab]{2}", "b"]),
            chain(&["a+b|a+", "aa"]),
            chain(&["7+", r"\s+|[^\s]+", "77"]),
        ]
    }

    /// Throws dice with a number of sides: the same ones for a seed.
    fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |sides| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % sides
        }
    }

    #[test]
    fn splitting_begins_again_at_every_settled_cut() {
        let alphabet = ["a", "b", "c", "7", "77", " ", ".", "\u{301}", "\n", "'s"];
        let mut dice = dice(23);
        let (mut seen, mut inside) = (0, 0);
        for splitter in splitters() {
            for _ in 0..4000 {
                let few: Vec<&str> = (0..=dice(4)).map(|_| alphabet[dice(alphabet.len())]).collect();
                let mut word = |longest: usize| (0..dice(longest)).map(|_| few[dice(few.len())]).collect::<String>();
                let (text, more) = (word(20), word(6));
                let horizon = text.len();
                let cuts = splitter.cuts(&text, horizon);
                inside += splitter.converging(&text, 0, horizon).cuts.len();
                let longer = format!("{text}{more}");
                for tail in ["", "a", "b", "7", " ", ".", "\u{301}"] {
                    let longer = format!("{longer}{tail}");
                    let all = splitter.cuts(&longer, longer.len()).at;
                    for at in cuts.settled() {
                        let rest = splitter.cuts(&longer[at..], longer.len() - at).at;
                        let expected: Vec<usize> = cuts
                            .at
                            .iter()
                            .copied()
                            .filter(|&cut| cut <= at)
                            .chain(rest.into_iter().map(|cut| at + cut))
                            .collect();
                        assert_eq!(
                            all,
                            if longer.len() > at { expected } else { cuts.at.clone() },
                            "{text:?} and {more:?}{tail:?}, at {at}"
                        );
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 100_000 && inside > 5_000, "{seen} {inside}");
    }

    #[test]
    fn splitting_that_begins_with_a_torn_character_goes_on_alike() {
        // Bytes whose stand-ins are digits begin, end and are inside of these.
        let alphabet =
            ["\u{ff21}", "\u{ff76}", "\u{ff9e}", "\u{4e5f}", "\u{acc7}", "a", "\u{fc}", "\u{10f3b}", "7", "."];
        let mut dice = dice(29);
        let mut seen = 0;
        for splitter in splitters() {
            for _ in 0..4000 {
                let few: Vec<&str> = (0..=dice(4)).map(|_| alphabet[dice(alphabet.len())]).collect();
                let mut word = |longest: usize| (0..dice(longest)).map(|_| few[dice(few.len())]).collect::<String>();
                let (text, more) = (word(40), word(6));
                let Some(at) = splitter.converging(&text, 0, text.len()).torn else { continue };
                let first = (0..at).rev().find(|&at| text.is_char_boundary(at)).unwrap();
                let longer = format!("{text}{more}");
                for tail in ["", "a", "7", " ", ".", "\u{301}", "\u{ff21}"] {
                    let longer = format!("{longer}{tail}");
                    let after = |from: usize| -> Vec<usize> {
                        let all = splitter.cuts(&longer[from..], longer.len() - from).at;
                        all.into_iter().map(|cut| from + cut).filter(|&cut| cut >= at).collect()
                    };
                    assert_eq!(after(first), after(0), "{text:?} and {more:?}{tail:?}, at {at}");
                    assert_eq!(after(first).first(), Some(&at));
                    seen += 1;
                }
            }
        }
        assert!(seen > 3_000, "{seen}");
    }

    #[test]
    fn a_run_of_digits_has_settled_cuts_near_its_end() {
        for length in 20..40 {
            let text = "7".repeat(length);
            let last = falcon().cuts(&text, length).settled().last();
            // A walk needs two digits to come to the state of one that began before.
            assert_eq!(last, Some((length - 2) / 3 * 3));
        }
        let far = format!("{}{}", "7".repeat(300), "a".repeat(3));
        assert_eq!(falcon().cuts(&far, 200).settled().last(), Some(198), "what stands after the horizon is not final");
    }
}
