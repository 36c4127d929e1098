//! Pre-tokenizer stages that keep every byte, with the knowledge of which cuts are settled.
//!
//! A stage sees each piece of the stage before it. A cut is *settled* when no appended text can move it
//! (docs/definitions.md, "Settled cut"). The stage then decided it without looking at or beyond the *horizon*, the
//! first position whose text is not final.

use crate::regex::automaton::{Automaton, Found, Open};
use crate::regex::char_class::CodePoints;
use crate::regex::pattern::{Machine, Pattern};
use crate::util::byte_alphabet;

/// The rule that joins matches with the text between them; the names are those of the `tokenizers` library. Example:
/// "a-b" with the matches "-" is "a", "-b" under `MergedWithNext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Isolated,
    Contiguous,
    MergedWithPrevious,
    MergedWithNext,
}

/// The matcher of a stage.
#[derive(Debug, Clone)]
pub(crate) enum Finder {
    Pattern(Pattern),
    Class(CodePoints),
}

/// One stage of the split rule, such as a pattern with its behaviour.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    finder: Finder,
    behaviour: Behaviour,
    invert: bool,
    /// The stage is after a byte-level stage and sees one stand-in character a byte (Falcon's digits).
    on_bytes: Option<Box<StandIns>>,
}

/// The symbol that a stage sees for each byte: that of its stand-in, or 1 where that is in the class.
type StandIns = [u8; 256];

/// All stages of a tokenizer; none means that the whole text is one word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Splitter {
    pub(crate) stages: Vec<Stage>,
}

/// Interior cuts, ascending; the first `settled` of them no later text can move. Example: 3 in "the cat" is settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    pub(crate) at: Vec<usize>,
    settled: usize,
    pieces: Option<Pieces>,
    /// Settled cuts after these, inside solid pieces.
    converging: Vec<usize>,
}

/// The pieces between the cuts, as several stages pass them on.
///
/// A piece is *solid* if it holds a match of a pattern. A later stage may cut it, but the splitting cannot start again
/// at such a cut: the earlier stage would find another match there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pieces {
    /// For each piece, one more than there are cuts.
    solid: Vec<bool>,
    /// For each cut: it lies inside a former solid piece.
    inside: Vec<bool>,
}

impl Cuts {
    /// The cuts that no later text can move and where the splitting can start again.
    pub(crate) fn settled(&self) -> impl Iterator<Item = usize> + '_ {
        let inside = |index: usize| self.pieces.as_ref().is_some_and(|pieces| pieces.inside[index]);
        let known =
            self.at[..self.settled].iter().enumerate().filter(move |&(index, _)| !inside(index)).map(|(_, &at)| at);
        known.chain(self.converging.iter().copied())
    }
}

/// The first position that a stage could not be sure of, and whether a cut at that very position is settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doubt {
    pub(crate) at: usize,
    pub(crate) cut_holds: bool,
}

impl Splitter {
    /// The stage whose matches part a stretch that the other stages leave whole, and its automaton.
    ///
    /// It is the last stage with a pattern of its own, because later stages see bytes and only part its pieces further.
    pub(crate) fn leading(&self) -> Option<(usize, &Automaton)> {
        self.stages.iter().enumerate().rev().find_map(|(index, stage)| Some((index, stage.isolating()?)))
    }

    /// The interior cuts of `text`, whose bytes from `horizon` on are not final (`text.len()`: only the end is open).
    ///
    /// Complexity: O(text) per stage for all known rules.
    pub(crate) fn cuts(&self, text: &str, horizon: usize) -> Cuts {
        let mut cuts = self.refined(text, horizon);
        if self.stages.len() > 1 && horizon <= text.len() {
            let last = cuts.settled().last().unwrap_or(0);
            cuts.converging = self.converging(text, last, horizon).cuts;
        }
        cuts
    }

    /// Whether a stage may cut inside characters.
    pub(crate) fn tears(&self) -> bool {
        self.stages.iter().any(|stage| stage.on_bytes.is_some())
    }

    /// The same without the cuts that need a second look.
    fn refined(&self, text: &str, horizon: usize) -> Cuts {
        // With one stage there is no later one to cut its pieces.
        let several = self.stages.len() > 1;
        let mut cuts =
            Cuts { pieces: several.then(|| Pieces { solid: vec![false], inside: Vec::new() }), ..Cuts::default() };
        let mut horizon = horizon;
        for stage in &self.stages {
            (cuts, horizon) = stage.refine(text, &cuts, horizon);
        }
        cuts
    }

    /// Calls `cut` with every interior cut of `text`, ascending: [`Splitter::cuts`] without the proofs.
    #[inline]
    pub(crate) fn for_each_cut(&self, text: &str, mut cut: impl FnMut(usize)) {
        match self.stages.as_slice() {
            [Stage { finder: Finder::Pattern(pattern), behaviour: Behaviour::Isolated, invert: _, on_bytes: None }] => {
                if let Machine::Automaton(automaton) = pattern.machine() {
                    automaton.each_cut(text, 0, usize::MAX, |found| {
                        if let Found::Cut(at) = found {
                            cut(at)
                        }
                    });
                    return;
                }
            }
            [] => return,
            _ => {}
        }
        self.refined(text, text.len()).at.into_iter().for_each(&mut cut);
    }

    /// The bound on open pre-tokens; see [`Pattern::open_pre_tokens`]. `None` where several stages or a joining
    /// behaviour prevent the proof.
    pub(crate) fn open_pre_tokens(&self) -> Option<u32> {
        match self.stages.as_slice() {
            [Stage { finder: Finder::Pattern(pattern), behaviour: Behaviour::Isolated, on_bytes: None, .. }] => {
                pattern.open_pre_tokens()
            }
            _ => None,
        }
    }

    /// The matchers of the stages.
    pub(crate) fn describe(&self) -> String {
        let compiled = |stage: &Stage| match &stage.finder {
            Finder::Pattern(pattern) => pattern.is_automaton(),
            Finder::Class(_) => true,
        };
        match self.stages.iter().filter(|stage| compiled(stage)).count() {
            0 if self.stages.is_empty() => "none".into(),
            compiled if compiled == self.stages.len() => "compiled: one table step a character".into(),
            compiled => format!(
                "{} of {} stages by backtracking: look-ahead of more than one character, or a group that gives nothing \
                    back",
                self.stages.len() - compiled,
                self.stages.len()
            ),
        }
    }
}

impl Stage {
    /// A stage; `on_bytes`: it is after a byte-level one.
    pub(crate) fn new(finder: Finder, behaviour: Behaviour, invert: bool, on_bytes: bool) -> Self {
        let seen = |c: char| match &finder {
            Finder::Pattern(pattern) => match pattern.machine() {
                Machine::Automaton(automaton) => automaton.symbol(c),
                Machine::Program(_) => 0,
            },
            Finder::Class(class) => u8::from(class.contains(c)),
        };
        let on_bytes = on_bytes.then(|| Box::new(byte_alphabet::characters().map(seen)));
        Self { finder, behaviour, invert, on_bytes }
    }

    /// The automaton of a pattern whose matches are pieces by themselves.
    pub(crate) fn isolating(&self) -> Option<&Automaton> {
        self.automaton().filter(|_| self.behaviour == Behaviour::Isolated)
    }

    /// The automaton of a stage that sees characters.
    pub(crate) fn automaton(&self) -> Option<&Automaton> {
        match (&self.finder, &self.on_bytes) {
            (Finder::Pattern(pattern), None) => match pattern.machine() {
                Machine::Automaton(automaton) => Some(automaton),
                Machine::Program(_) => None,
            },
            _ => None,
        }
    }

    /// Whether each match, or each run of a class, is a part of its own.
    pub(crate) fn keeps_parts(&self) -> bool {
        matches!(self.behaviour, Behaviour::Isolated | Behaviour::Contiguous)
    }

    /// Whether `c` is in the class of a stage that joins the characters of a class.
    pub(crate) fn joins(&self, c: char) -> bool {
        match (&self.finder, &self.on_bytes) {
            _ if self.behaviour != Behaviour::Contiguous => false,
            (Finder::Class(class), None) => class.contains(c),
            (Finder::Class(_), Some(seen)) => {
                c.encode_utf8(&mut [0; 4]).bytes().all(|byte| seen[usize::from(byte)] != 0)
            }
            (Finder::Pattern(_), _) => false,
        }
    }

    /// Whether no match of the stage begins with `c`: text of such characters is one piece.
    pub(crate) fn ignores(&self, c: char) -> bool {
        match (&self.finder, &self.on_bytes) {
            (Finder::Class(class), None) => !class.contains(c),
            (Finder::Class(_), Some(seen)) => {
                c.encode_utf8(&mut [0; 4]).bytes().all(|byte| seen[usize::from(byte)] == 0)
            }
            (Finder::Pattern(pattern), on_bytes) => match (pattern.machine(), on_bytes) {
                (Machine::Automaton(automaton), None) => automaton.begins_nothing(automaton.symbol(c)),
                (Machine::Automaton(automaton), Some(seen)) => {
                    c.encode_utf8(&mut [0; 4]).bytes().all(|byte| automaton.begins_nothing(seen[usize::from(byte)]))
                }
                (Machine::Program(_), _) => false,
            },
        }
    }

    /// The cuts of this stage and all before it, and the first position that this stage could not be sure of.
    fn refine(&self, text: &str, before: &Cuts, horizon: usize) -> (Cuts, usize) {
        let mut cuts = Vec::with_capacity(before.at.len() + text.len() / 4);
        let mut pieces = before.pieces.as_ref().map(|_| Pieces::default());
        let mut settled = None;
        let mut unsure = horizon;
        let mut start = 0;
        for (index, end) in before.at.iter().copied().chain([text.len()]).enumerate() {
            // A piece whose end is settled is all there is; one whose end may move is known up to the horizon.
            let limit = if index < before.settled { usize::MAX } else { horizon };
            let first = cuts.len();
            let solid = pieces.as_mut().map(|pieces| &mut pieces.solid);
            let doubt = self.split(text, (start, end), limit, &mut cuts, solid);
            let sure = doubt.map_or(cuts.len(), |doubt| {
                first + cuts[first..].partition_point(|&at| at < doubt.at + usize::from(doubt.cut_holds))
            });
            if let Some(doubt) = doubt {
                unsure = unsure.min(doubt.at);
                settled.get_or_insert(sure);
            }
            if let (Some(pieces), Some(known)) = (&mut pieces, &before.pieces) {
                let was_solid = known.solid[index];
                pieces.inside.resize(cuts.len(), was_solid);
                // At least one piece, also where there is no text.
                pieces.solid.resize(cuts.len() + 1, false);
                pieces.solid[first..].iter_mut().for_each(|solid| *solid |= was_solid);
                if limit < usize::MAX && self.matches_join_gaps() {
                    // Appended text may put a match into the pieces whose end is open.
                    pieces.solid[sure..].fill(true);
                }
                if end < text.len() {
                    pieces.inside.push(known.inside[index]);
                }
            }
            if end < text.len() {
                if index >= before.settled {
                    settled.get_or_insert(cuts.len());
                }
                cuts.push(end);
            }
            start = end;
        }
        let settled = settled.unwrap_or(cuts.len());
        (Cuts { at: cuts, settled, pieces, converging: Vec::new() }, unsure)
    }

    /// Whether a match becomes one piece with the text before it.
    fn matches_join_gaps(&self) -> bool {
        let behaviour = if self.invert { Behaviour::MergedWithNext } else { Behaviour::MergedWithPrevious };
        self.behaviour == behaviour && matches!(self.finder, Finder::Pattern(_))
    }

    /// Appends the cuts inside the piece `(start, end)`, whose bytes from `limit` on are not final.
    pub(crate) fn split(
        &self,
        text: &str,
        piece: (usize, usize),
        limit: usize,
        cuts: &mut Vec<usize>,
        solid: Option<&mut Vec<bool>>,
    ) -> Option<Doubt> {
        // Only stages after a byte-level one see pieces that end inside a character, and those look at bytes.
        let whole = text.get(..piece.1).unwrap_or(text);
        let width = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
        match (&self.finder, &self.on_bytes) {
            (Finder::Pattern(pattern), None) => match pattern.machine() {
                Machine::Automaton(automaton) if self.behaviour == Behaviour::Isolated && whole.len() == piece.1 => {
                    isolated(automaton, whole, piece.0, limit, cuts, solid)
                }
                Machine::Automaton(automaton) => {
                    self.parts(piece, limit, |at| automaton.match_at(whole, at), width, cuts, solid)
                }
                Machine::Program(program) => {
                    let find = |at| {
                        let mut looked = at;
                        (program.match_at(whole, at, &mut looked), looked)
                    };
                    self.parts(piece, limit, find, width, cuts, solid)
                }
            },
            (Finder::Class(class), None) => {
                let find = |at: usize| {
                    (text[at..].chars().next().filter(|&c| class.contains(c)).map(|c| at + c.len_utf8()), at)
                };
                self.parts(piece, limit, find, width, cuts, solid)
            }
            (Finder::Pattern(pattern), Some(seen)) => match pattern.machine() {
                Machine::Automaton(automaton) => {
                    let bytes = &text.as_bytes()[..piece.1];
                    self.parts(piece, limit, |at| automaton.match_bytes_at(bytes, seen, at), |_| 1, cuts, solid)
                }
                Machine::Program(_) => {
                    self.split_stand_ins(pattern, &text.as_bytes()[piece.0..piece.1], piece.0, limit, cuts, solid)
                }
            },
            (Finder::Class(_), Some(seen)) => {
                let find = |at: usize| ((seen[usize::from(text.as_bytes()[at])] != 0).then_some(at + 1), at);
                self.parts(piece, limit, find, |_| 1, cuts, solid)
            }
        }
    }

    /// Splits bytes by way of a text of their stand-in characters, for the backtracking machine.
    fn split_stand_ins(
        &self,
        pattern: &Pattern,
        bytes: &[u8],
        base: usize,
        limit: usize,
        cuts: &mut Vec<usize>,
        solid: Option<&mut Vec<bool>>,
    ) -> Option<Doubt> {
        let table = byte_alphabet::characters();
        let stand_ins: String = bytes.iter().map(|&b| table[usize::from(b)]).collect();
        let starts: Vec<usize> = stand_ins.char_indices().map(|(at, _)| at).chain([stand_ins.len()]).collect();
        let byte_at = |at: usize| base + starts.partition_point(|&start| start < at);
        let find = |at: usize| {
            let start = starts[at - base];
            let mut looked = start;
            let end = pattern.match_at(&stand_ins, start, &mut looked);
            (end.map(byte_at), byte_at(looked))
        };
        self.parts((base, base + bytes.len()), limit, find, |_| 1, cuts, solid)
    }

    /// Appends the cuts between the parts that `find` and the behaviour make of a piece.
    ///
    /// `find` returns the end of the match at a position and how far it looked; `width` the length of the character
    /// there.
    #[inline]
    fn parts(
        &self,
        (start, end): (usize, usize),
        limit: usize,
        find: impl Fn(usize) -> (Option<usize>, usize),
        width: impl Fn(usize) -> usize,
        cuts: &mut Vec<usize>,
        mut solid: Option<&mut Vec<bool>>,
    ) -> Option<Doubt> {
        // Single characters of a class hold no place inside.
        let whole = matches!(self.finder, Finder::Pattern(_));
        let mut doubt: Option<Doubt> = None;
        // Whether the part that ended last was a match; none has ended at the start of the piece.
        let mut last: Option<bool> = None;
        let mut part = |begins: usize, is_match: bool, cuts: &mut Vec<usize>| {
            let mut joined = false;
            if let Some(last) = last.replace(is_match) {
                joined = match self.behaviour {
                    Behaviour::Isolated => false,
                    Behaviour::Contiguous => last == is_match,
                    Behaviour::MergedWithPrevious => is_match && !last,
                    Behaviour::MergedWithNext => last && !is_match,
                };
                if !joined {
                    cuts.push(begins);
                }
            }
            if let Some(solid) = solid.as_deref_mut() {
                let holds_match = whole && is_match != self.invert;
                match solid.last_mut().filter(|_| joined) {
                    Some(solid) => *solid |= holds_match,
                    None => solid.push(holds_match),
                }
            }
        };
        let (mut at, mut gap) = (start, start);
        while at < end {
            let (found, looked) = find(at);
            if looked >= limit && doubt.is_none() {
                // A cut at the doubtful position itself is settled only where a match has just ended and nothing joins.
                doubt = Some(Doubt { at, cut_holds: gap == at && self.behaviour == Behaviour::Isolated });
            }
            match found.filter(|&end| end > at) {
                Some(found) => {
                    if gap < at {
                        part(gap, self.invert, cuts);
                    }
                    part(at, !self.invert, cuts);
                    (at, gap) = (found, found);
                }
                None => at += width(at),
            }
        }
        if gap < end {
            part(gap, self.invert, cuts);
        }
        doubt
    }
}

/// As [`Stage::parts`] for an automaton whose matches, and the gaps between them, are pieces of their own: the rule of
/// nearly every byte-level tokenizer.
fn isolated(
    automaton: &Automaton,
    text: &str,
    start: usize,
    limit: usize,
    cuts: &mut Vec<usize>,
    mut solid: Option<&mut Vec<bool>>,
) -> Option<Doubt> {
    // Every piece holds a match but those between matches.
    if let Some(solid) = solid.as_mut().filter(|_| start < text.len()) {
        solid.push(true);
    }
    let open = automaton.each_cut(text, start, limit, |found| match (found, &mut solid) {
        (Found::Cut(at), solid) => {
            cuts.push(at);
            if let Some(solid) = solid {
                solid.push(true);
            }
        }
        (Found::Gap, Some(solid)) => solid.iter_mut().next_back().into_iter().for_each(|last| *last = false),
        (Found::Gap, None) => {}
    });
    open.map(|Open { at, behind_match }| Doubt { at, cut_holds: behind_match })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::regex::dialect::Dialect;

    fn splitter(patterns: &[&str]) -> Splitter {
        let stage = |source: &&str| {
            Stage::new(
                Finder::Pattern(Pattern::new(source, Dialect::Oniguruma).unwrap()),
                Behaviour::Isolated,
                false,
                false,
            )
        };
        Splitter { stages: patterns.iter().map(stage).collect() }
    }

    #[test]
    fn a_cut_inside_a_match_of_an_earlier_stage_is_no_place_to_start_again() {
        let text = "12345678 ab";
        let cuts = splitter(&[r"\p{N}{1,3}", r"\p{N}{1,2}"]).cuts(text, text.len());
        assert_eq!(cuts.at, [2, 3, 5, 6, 8], "123|456|78, then 12|3|45|6|78");
        assert_eq!(cuts.settled().collect::<Vec<_>>(), [3, 6, 8], "from 2 on the first stage would find 345");
        let cuts = splitter(&[r"\p{N}{1,3}", r"\s"]).cuts("1234 a b", 8);
        assert_eq!(cuts.settled().collect::<Vec<_>>(), [3, 4, 5, 6, 7], "what lies between matches is cut anywhere");
    }

    #[test]
    fn a_gap_at_the_end_may_join_a_match_that_is_still_to_come() {
        let pattern = |source: &str| Finder::Pattern(Pattern::new(source, Dialect::Oniguruma).unwrap());
        for (behaviour, invert) in [(Behaviour::MergedWithPrevious, false), (Behaviour::MergedWithNext, true)] {
            let first = Stage::new(pattern("(?:..)+"), behaviour, invert, false);
            let splitter =
                Splitter { stages: vec![first, Stage::new(pattern("\\n"), Behaviour::Isolated, false, false)] };
            let settled = |text: &str| splitter.cuts(text, text.len()).settled().collect::<Vec<_>>();
            for (text, longer) in [(",\n", ",\nab"), ("ab,\n", "ab,\ncd"), (",\n\n", ",\n\na")] {
                let (before, after) = (settled(text), settled(longer));
                assert!(
                    before.iter().all(|at| after.contains(at)),
                    "{behaviour:?}: {text:?} {before:?}, {longer:?} {after:?}"
                );
            }
        }
    }

    const RULES: [&str; 7] = [
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"[!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"\p{N}{1,3}",
        "[\u{4e00}-\u{9fa5}]+",
        r"[0-9][0-9][0-9]",
        "\\s*a|bc|\\s+b|\u{10400}",
    ];
    const ALPHABET: [&str; 21] = [
        "a",
        "b",
        "bc",
        " ",
        "  ",
        "\n",
        "\r",
        "'s",
        "S",
        "1",
        "23",
        "456",
        ".",
        "!",
        "\u{1}",
        "\u{e9}",
        "\u{6f22}",
        "\u{662}",
        "\u{1f600}",
        "\u{301}",
        "\u{10400}",
    ];

    #[test]
    fn the_walk_over_many_matches_is_the_walk_of_each() {
        let mut seed = 11u64;
        let mut dice = |sides: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % sides
        };
        let mut doubts = 0;
        for source in RULES {
            let pattern = Pattern::new(source, Dialect::Oniguruma).unwrap();
            let stage = Stage::new(Finder::Pattern(pattern), Behaviour::Isolated, false, false);
            let Finder::Pattern(pattern) = &stage.finder else { unreachable!() };
            let Machine::Automaton(automaton) = pattern.machine() else { unreachable!() };
            for round in 0..3000 {
                // Some are longer than a block of steps.
                let text: String =
                    (0..dice(if round % 20 == 0 { 120 } else { 14 })).map(|_| ALPHABET[dice(ALPHABET.len())]).collect();
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                let (one, other) = (places[dice(places.len())], places[dice(places.len())]);
                let piece = (one.min(other), one.max(other));
                let limit = *[usize::MAX, text.len()].get(dice(4)).unwrap_or(&places[dice(places.len())]);
                let limit = if limit < piece.0 { usize::MAX } else { limit };
                let whole = &text[..piece.1];
                let width = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
                let (mut cuts, mut solid, mut twin, mut twins) = (vec![7], vec![true], vec![7], vec![true]);
                let doubt = stage.split(&text, piece, limit, &mut cuts, Some(&mut solid));
                let expected =
                    stage.parts(piece, limit, |at| automaton.match_at(whole, at), width, &mut twin, Some(&mut twins));
                let shown = |doubt: Option<Doubt>, cuts: &[usize]| {
                    doubt.map(|Doubt { at, cut_holds }| {
                        (at, cuts.partition_point(|&cut| cut < at + usize::from(cut_holds)))
                    })
                };
                assert_eq!((&cuts, &solid), (&twin, &twins), "{source} on {text:?}, {piece:?}");
                assert_eq!(
                    shown(doubt, &cuts),
                    shown(expected, &cuts),
                    "{source} on {text:?}, {piece:?}, limit {limit}"
                );
                doubts += usize::from(doubt.is_some());
            }
        }
        assert!(doubts > 3000, "{doubts}");
    }
}
