//! Pre-tokenizer stages that keep every byte, with the knowledge of which cuts are settled.
//!
//! A stage sees each piece of the stage before it. A cut is *settled* when no text appended behind the end can move it
//! (docs/design.md, "Settled cut"): the stage decided it without looking at or beyond the *horizon*, the first position
//! whose text is not final.

use crate::byte_alphabet;
use crate::pattern::{CodePoints, Pattern};

/// How the pieces between and of the matches are joined; the names are those of the `tokenizers` library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Isolated,
    Contiguous,
    MergedWithPrevious,
    MergedWithNext,
}

/// What a stage looks for.
#[derive(Debug, Clone)]
pub(crate) enum Finder {
    Pattern(Pattern),
    Class(CodePoints),
}

/// One stage.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) finder: Finder,
    pub(crate) behaviour: Behaviour,
    pub(crate) invert: bool,
    /// The stage stands behind a byte-level stage and sees one stand-in character a byte (Falcon's digits).
    pub(crate) on_bytes: bool,
}

/// All stages of a tokenizer; none means that the whole text is one word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Splitter {
    pub(crate) stages: Vec<Stage>,
}

/// A cut between two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) at: usize,
    pub(crate) settled: bool,
}

impl Finder {
    fn match_at(&self, text: &str, at: usize, looked: &mut usize) -> Option<usize> {
        match self {
            Self::Pattern(pattern) => pattern.match_at(text, at, looked),
            Self::Class(class) => {
                *looked = (*looked).max(at);
                text[at..].chars().next().filter(|&c| class.contains(c)).map(|c| at + c.len_utf8())
            }
        }
    }
}

impl Splitter {
    /// The interior cuts of `text`, whose bytes from `horizon` on are not final (`text.len()`: only the end is open).
    ///
    /// Complexity: O(text) per stage for all known rules.
    pub(crate) fn cuts(&self, text: &str, horizon: usize) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let mut horizon = horizon;
        for stage in &self.stages {
            (cuts, horizon) = stage.refine(text, &cuts, horizon);
        }
        cuts
    }
}

impl Stage {
    /// The cuts of this stage and all before it, and the first position that this stage could not be sure of.
    fn refine(&self, text: &str, before: &[Cut], horizon: usize) -> (Vec<Cut>, usize) {
        let mut cuts = Vec::with_capacity(before.len() * 2);
        let mut unsure = horizon;
        let mut start = 0;
        let ends = before.iter().copied().chain([Cut { at: text.len(), settled: false }]);
        for end in ends {
            // A piece whose end is settled is all there is; one whose end may move is known up to the horizon.
            let limit = if end.settled { usize::MAX } else { horizon };
            let sure = if self.on_bytes {
                self.split_bytes(&text.as_bytes()[start..end.at], start, limit, &mut cuts)
            } else {
                self.split(&text[start..end.at], start, limit, &mut cuts)
            };
            unsure = unsure.min(sure.unwrap_or(usize::MAX));
            if end.at < text.len() {
                cuts.push(end);
            }
            start = end.at;
        }
        (cuts, unsure)
    }

    /// Splits bytes by way of their stand-in characters, as the stages behind `ByteLevel` do.
    fn split_bytes(&self, bytes: &[u8], base: usize, limit: usize, cuts: &mut Vec<Cut>) -> Option<usize> {
        let table = byte_alphabet::characters();
        let stand_ins: String = bytes.iter().map(|&b| table[usize::from(b)]).collect();
        let mut at_byte: Vec<usize> = vec![0; stand_ins.len() + 1];
        for (index, (at, _)) in stand_ins.char_indices().enumerate() {
            at_byte[at] = index;
        }
        at_byte[stand_ins.len()] = bytes.len();
        let seen = if limit == usize::MAX {
            limit
        } else {
            stand_ins.char_indices().nth(limit.saturating_sub(base)).map_or(stand_ins.len(), |(at, _)| at)
        };
        let mut found = Vec::new();
        let unsure = self.split(&stand_ins, 0, seen, &mut found);
        cuts.extend(found.iter().map(|cut| Cut { at: base + at_byte[cut.at], settled: cut.settled }));
        unsure.map(|at| base + at_byte[at.min(stand_ins.len())])
    }

    /// Appends the cuts inside `piece`, which begins at byte `base`; returns the first position it was not sure of.
    fn split(&self, piece: &str, base: usize, limit: usize, cuts: &mut Vec<Cut>) -> Option<usize> {
        // (end, is a match) of each part, in piece coordinates
        let mut parts: Vec<(usize, bool)> = Vec::new();
        let mut unsure: Option<(usize, bool)> = None;
        let (mut at, mut gap) = (0, 0);
        while at < piece.len() {
            let mut looked = at;
            let found = self.finder.match_at(piece, at, &mut looked).filter(|&end| end > at);
            if unsure.is_none() && base + looked >= limit {
                unsure = Some((at, gap == at));
            }
            match found {
                Some(end) => {
                    if gap < at {
                        parts.push((at, self.invert));
                    }
                    parts.push((end, !self.invert));
                    (at, gap) = (end, end);
                }
                None => at += piece[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        if gap < piece.len() {
            parts.push((piece.len(), self.invert));
        }
        // A cut at the unsure position itself is settled only where a match has just ended and nothing joins parts.
        let settled = |end: usize| match unsure {
            None => true,
            Some((at, true)) if self.behaviour == Behaviour::Isolated => end <= at,
            Some((at, _)) => end < at,
        };
        for (index, &(end, is_match)) in parts.iter().enumerate() {
            let Some(&(_, next_is_match)) = parts.get(index + 1) else { break };
            let joined = match self.behaviour {
                Behaviour::Isolated => false,
                Behaviour::Contiguous => is_match == next_is_match,
                Behaviour::MergedWithPrevious => next_is_match && !is_match,
                Behaviour::MergedWithNext => is_match && !next_is_match,
            };
            if !joined {
                cuts.push(Cut { at: base + end, settled: settled(end) });
            }
        }
        unsure.map(|(at, _)| base + at)
    }
}
