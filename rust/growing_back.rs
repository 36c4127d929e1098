//! The way back of a growing stretch to an earlier state.
//!
//! Under NFC what is appended may change the end of the normal form, and a segmenter takes back what was not committed. The
//! walks are small, so a [`Mark`] keeps them; the tokens of prefixes stay right where they are cut back (docs/design.md,
//! section 10.9).

use crate::growing::{Attempt, Growing};
use crate::pattern::Walk;
use crate::prefixes::Prefixes;
use crate::whole_stages::WholeStages;

/// Where the walks were when the stretch was `length` bytes long.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) length: usize,
    walks: Vec<Walk>,
    others: Option<WholeStages>,
}

impl Growing {
    /// The walks as they are.
    pub(crate) fn mark(&self) -> Mark {
        Mark { length: self.walked, walks: self.attempts.iter().map(|attempt| attempt.walk).collect(), others: self.others.clone() }
    }

    /// Takes the walks back; the tokens of what is behind are still known.
    pub(crate) fn rewind_walks(&mut self, mark: &Mark) {
        for (index, &walk) in mark.walks.iter().enumerate() {
            match self.attempts.get_mut(index).filter(|attempt| attempt.walk.begin == walk.begin) {
                Some(attempt) => attempt.walk = walk,
                None => {
                    self.attempts.truncate(index);
                    self.attempts.push(Attempt { walk, prefixes: Prefixes::default() });
                }
            }
        }
        self.attempts.truncate(mark.walks.len());
        self.others.clone_from(&mark.others);
        self.walked = mark.length;
    }

    /// Forgets the text behind `length`, where the walks are, and its tokens. Complexity: O(bytes that are forgotten).
    pub(crate) fn forget_behind(&mut self, length: usize) {
        self.text.truncate(length);
        for attempt in &mut self.attempts {
            attempt.prefixes.truncate(length - attempt.walk.begin);
        }
    }
}
