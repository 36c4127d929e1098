//! The tokens of every prefix of a growing normal form, and whether their text is the raw text.

use crate::tokens::token::TokenId;
use crate::tokens::tree::{List, Lists, EMPTY};
use crate::vocabulary::said::{say, Said};
use crate::vocabulary::table::Vocabulary;

/// No unknown text ends here.
const NO_RUN: u32 = u32::MAX;

/// A position of the normal form, and the tokens up to there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(super) list: List,
    pub(super) said: Said,
    /// Where the unknown text begins that ends here, which is one token.
    run: u32,
}

/// Where no letter ends.
const NOWHERE: At = At { list: EMPTY, said: Said::Other, run: NO_RUN };

impl At {
    /// The start of a text.
    pub(super) fn start(said: Said) -> Self {
        Self { said, ..NOWHERE }
    }
}

/// Writes tokens to the positions of a text.
pub(crate) struct Writer<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) lists: Lists<'a>,
    pub(super) raw: &'a str,
    pub(super) at: &'a mut Vec<At>,
}

impl Writer<'_> {
    /// No letter ends at the next position.
    pub(super) fn nothing(&mut self) {
        self.at.push(NOWHERE);
    }

    /// The state `before` with one more token, which ends at `end`.
    pub(super) fn append(&mut self, before: At, id: TokenId, end: usize) -> Option<At> {
        let bytes = self.vocabulary.bytes(id, 0).ok()?;
        Some(At { list: self.lists.append(before.list, id, end), said: say(before.said, bytes, self.raw), run: NO_RUN })
    }

    /// A symbol, which ends at `end`.
    pub(super) fn symbol(&mut self, id: TokenId, end: usize) -> Option<()> {
        let here = self.append(*self.at.last()?, id, end)?;
        self.at.resize(end, NOWHERE);
        self.at.push(here);
        Some(())
    }

    /// Unknown text from `start` to `end`, which is one token with unknown text before it.
    pub(super) fn unknown(&mut self, id: TokenId, start: usize, end: usize) -> Option<()> {
        let run = if self.at[start].run == NO_RUN { start } else { self.at[start].run as usize };
        let here = self.append(self.at[run], id, end)?;
        self.at.resize(end, NOWHERE);
        self.at.push(At { run: run as u32, ..here });
        Some(())
    }
}
