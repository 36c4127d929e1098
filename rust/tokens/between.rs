//! The edit between two lists of tokens, computed on demand, because it may change all of them.

use crate::tokens::rope::Rope;
use crate::tokens::token::TokenId;
use crate::tokens::tree::{List, TokenTree};
use std::sync::OnceLock;

/// Two lists, of which the first one was returned.
#[derive(Debug)]
enum Both {
    /// Of one tree.
    Tree { tree: TokenTree, before: List, after: List },
    /// The first `same` tokens are those of both.
    Ropes { before: Rope, after: Rope, same: usize },
}

/// The edit between two lists. Example: from `a b` to `a c` one token is dropped, and `c` follows.
#[derive(Debug)]
pub(crate) struct Between {
    both: Both,
    told: OnceLock<(usize, Vec<TokenId>)>,
}

impl Between {
    pub(crate) fn new(tree: TokenTree, before: List, after: List) -> Self {
        Self { both: Both::Tree { tree, before, after }, told: OnceLock::new() }
    }

    /// The edit between two ropes whose first `same` tokens are equal.
    pub(crate) fn ropes(before: Rope, after: Rope, same: usize) -> Self {
        Self { both: Both::Ropes { before, after, same }, told: OnceLock::new() }
    }

    /// The tokens before the change.
    pub(crate) fn count_before(&self) -> usize {
        match &self.both {
            Both::Tree { tree, before, .. } => tree.lists().count(*before),
            Both::Ropes { before, .. } => before.count(),
        }
    }

    /// The tokens after it.
    pub(crate) fn count(&self) -> usize {
        match &self.both {
            Both::Tree { tree, after, .. } => tree.lists().count(*after),
            Both::Ropes { after, .. } => after.count(),
        }
    }

    /// These tokens.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        match &self.both {
            Both::Tree { tree, after, .. } => tree.lists().ids(*after),
            Both::Ropes { after, .. } => after.ids(0),
        }
    }

    /// The number of tokens that are taken from the end, and the tokens that follow.
    pub(crate) fn told(&self) -> &(usize, Vec<TokenId>) {
        self.told.get_or_init(|| match &self.both {
            Both::Tree { tree, before, after } => tree.lists().change(*before, *after),
            Both::Ropes { before, after, same } => {
                let (old, mut new) = (before.ids(*same), after.ids(*same));
                let more = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
                new.drain(..more);
                (old.len() - more, new)
            }
        })
    }
}
