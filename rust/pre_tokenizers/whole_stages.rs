//! Split stages that leave a growing stretch whole, so that one other stage decides on all of its cuts.
//!
//! A stage leaves a stretch whole in three ways. No match begins with a character of it, for example `\\p{N}{1,3}` in a
//! run of spaces. One match covers all of it, for example `[\u{4e00}-\u{9fa5}]+` in Chinese text. Or all its characters
//! are in a class whose runs the stage joins, for example punctuation under `Contiguous`.

use crate::pre_tokenizers::split::{Splitter, Stage};
use crate::regex::walk::Walk;

/// How one stage has left the stretch whole so far.
#[derive(Debug, Clone)]
struct Whole {
    stage: usize,
    ignored: bool,
    joined: bool,
    /// The match that begins with the stretch.
    walk: Option<Walk>,
}

/// The stages but the leading one. The stretch begins where every stage begins a piece.
#[derive(Debug, Clone)]
pub(crate) struct WholeStages(Vec<Whole>);

impl WholeStages {
    /// The state before the first character, which is at byte `at`.
    pub(crate) fn new(splitter: &Splitter, leading: usize, at: usize) -> Self {
        let others = splitter.stages.iter().enumerate().filter(|(index, _)| *index != leading);
        Self(
            others
                .map(|(stage, rule)| Whole {
                    stage,
                    ignored: true,
                    joined: true,
                    walk: rule.automaton().map(|rule| rule.begin(at)),
                })
                .collect(),
        )
    }

    /// Takes in the character `c` at byte `at`.
    pub(crate) fn advance(&mut self, splitter: &Splitter, c: char, at: usize) {
        for state in &mut self.0 {
            let rule: &Stage = &splitter.stages[state.stage];
            state.ignored = state.ignored && rule.ignores(c);
            state.joined = state.joined && rule.joins(c);
            if let (Some(walk), Some(automaton)) = (&mut state.walk, rule.automaton()) {
                automaton.advance(walk, c, at);
            }
        }
    }

    /// Whether each stage still leaves the stretch whole with one more `c` at any place among the characters at the
    /// end. Each stage must treat these as it treats `like`. Complexity: O(stages).
    pub(crate) fn stay(&self, splitter: &Splitter, c: char, like: char) -> bool {
        self.0.iter().all(|state| {
            let rule: &Stage = &splitter.stages[state.stage];
            let covers = || match (&state.walk, rule.automaton()) {
                (Some(walk), Some(automaton)) => {
                    automaton.symbol(c) == automaton.symbol(like) && automaton.covers_all(walk, automaton.symbol(c))
                }
                _ => false,
            };
            // The one way that is asked for is the same for each `c`.
            match state {
                Whole { ignored: true, .. } => rule.ignores(c),
                Whole { joined: true, .. } => rule.joins(c),
                _ => covers(),
            }
        })
    }

    /// Whether no stage cuts the stretch, if the text ends at byte `length`. Complexity: O(stages).
    pub(crate) fn hold(&self, splitter: &Splitter, length: usize) -> bool {
        self.0.iter().all(|state| {
            let matched = || match (&state.walk, splitter.stages[state.stage].automaton()) {
                (Some(walk), Some(automaton)) => automaton.end(walk, length) == Some(length),
                _ => false,
            };
            state.ignored || state.joined || matched()
        })
    }
}
