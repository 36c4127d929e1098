//! Lists of tokens that begin alike, kept as a tree: the edit between two of them is computed on demand.
//!
//! A growing word of a Unigram model may change all of its tokens at each push. For example, take a vocabulary with
//! pieces of 1, 2, 4 and 16 spaces. It may write 17 spaces as 1 and 16, and 18 spaces as 2 and 16. The number of tokens
//! of all pushes is then the square of the pushes. A push stores one node, and only a list that is read is made.

use crate::tokens::token::TokenId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A list: the list of its parent, and one token more.
#[derive(Debug, Clone, Copy)]
struct Node {
    id: TokenId,
    parent: u32,
    /// The number of tokens of the list.
    depth: u32,
    /// Where the last token ends in the text.
    end: u32,
}

/// The number of a list in its tree.
pub(crate) type List = u32;

/// The empty list.
pub(crate) const EMPTY: List = 0;

/// The lists of one text, such as the tokens of "a", "ab" and "abc". [`TokenTree::share`] gives another owner of the
/// same lists, `clone` a copy.
#[derive(Debug)]
pub(crate) struct TokenTree(Arc<Mutex<Vec<Node>>>);

/// A tree that one thread reads and writes.
pub(crate) struct Lists<'a>(MutexGuard<'a, Vec<Node>>);

impl Clone for TokenTree {
    /// A copy of its own, so that each may forget the lists that it does not need.
    fn clone(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lists().0.clone())))
    }
}

impl Default for TokenTree {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec![Node { id: TokenId(0), parent: EMPTY, depth: 0, end: 0 }])))
    }
}

impl TokenTree {
    pub(crate) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn lists(&self) -> Lists<'_> {
        // A list is whole as soon as it has a number, so one that a panic left is right.
        Lists(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets the lists with numbers above `last`, unless there is another owner, who may need them.
    pub(crate) fn forget_above(&mut self, last: List) {
        if let Some(nodes) = Arc::get_mut(&mut self.0) {
            nodes.get_mut().unwrap_or_else(PoisonError::into_inner).truncate(last as usize + 1);
        }
    }
}

impl Lists<'_> {
    /// The list `parent` with one token more, which ends at `end`.
    pub(crate) fn append(&mut self, parent: List, id: TokenId, end: usize) -> List {
        let depth = self.0[parent as usize].depth + 1;
        self.0.push(Node { id, parent, depth, end: end as u32 });
        self.0.len() as List - 1
    }

    /// The number of tokens of `list`.
    pub(crate) fn count(&self, list: List) -> usize {
        self.0[list as usize].depth as usize
    }

    /// The tokens of `list` that end after `from`, each with its begin and end. Complexity: O(those tokens).
    pub(crate) fn tokens(&self, list: List, from: usize) -> Vec<(TokenId, usize, usize)> {
        let mut found = Vec::new();
        let mut node = self.0[list as usize];
        while node.depth > 0 && node.end as usize > from {
            let parent = self.0[node.parent as usize];
            found.push((node.id, parent.end as usize, node.end as usize));
            node = parent;
        }
        found.reverse();
        found
    }

    /// The tokens of `list`.
    pub(crate) fn ids(&self, list: List) -> Vec<TokenId> {
        let (mut ids, mut at) = (Vec::with_capacity(self.count(list)), list);
        while at != EMPTY {
            ids.push(self.leave(&mut at));
        }
        ids.reverse();
        ids
    }

    /// The last token of a list, which becomes the list without it.
    fn leave(&self, at: &mut List) -> TokenId {
        let node = self.0[*at as usize];
        *at = node.parent;
        node.id
    }

    /// The least edit that makes `after` of `before`: the number of tokens that are taken from the end, and those that
    /// follow.
    ///
    /// Complexity: O(tokens after the last list that both begin with in the tree).
    pub(crate) fn change(&self, before: List, after: List) -> (usize, Vec<TokenId>) {
        let (mut one, mut other) = (before, after);
        let (mut dropped, mut ids) = (Vec::new(), Vec::new());
        while one != other {
            if self.count(one) >= self.count(other) {
                dropped.push(self.leave(&mut one));
            } else {
                ids.push(self.leave(&mut other));
            }
        }
        ids.reverse();
        let same = dropped.iter().rev().zip(&ids).take_while(|(one, other)| one == other).count();
        ids.drain(..same);
        (dropped.len() - same, ids)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tokens::between::Between;

    #[test]
    fn changes_are_least_and_may_be_told_late() {
        let (mut tree, mut seed) = (TokenTree::default(), 7u64);
        let mut dice = |sides: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % sides
        };
        // The slow twin holds each list as a whole.
        let mut told: Vec<(List, Vec<TokenId>)> = vec![(EMPTY, Vec::new())];
        for _ in 0..300 {
            let (parent, mut ids) = told[dice(told.len())].clone();
            let id = TokenId(dice(2) as u32);
            let list = tree.lists().append(parent, id, ids.len() + 1);
            ids.push(id);
            told.push((list, ids));
        }
        let mut changes = Vec::new();
        for _ in 0..2000 {
            let ((before, old), (after, new)) = (&told[dice(told.len())], &told[dice(told.len())]);
            let same = old.iter().zip(new).take_while(|(one, other)| one == other).count();
            changes.push((Between::new(tree.share(), *before, *after), (old.len() - same, new[same..].to_vec())));
            assert_eq!(tree.lists().ids(*after), *new);
            assert_eq!(tree.lists().tokens(*after, 3).len(), new.len().saturating_sub(3));
        }
        // There are other owners, so nothing is lost.
        tree.forget_above(EMPTY);
        for (between, expected) in changes {
            assert_eq!(*between.told(), expected);
        }
        let last = told.last().unwrap().0;
        assert_eq!(tree.lists().append(EMPTY, TokenId(9), 1), last + 1);
        tree.forget_above(EMPTY);
        assert_eq!(tree.lists().append(EMPTY, TokenId(9), 1), EMPTY + 1, "the lists of the only owner are gone");
    }
}
