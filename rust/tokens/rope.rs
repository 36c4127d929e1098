//! A list of tokens that is changed anywhere at the cost of a few of them, while the lists before stay as they were.
//!
//! A balanced tree of short lists. Changed nodes are copied, the rest is shared, so a kept list costs nothing more.

use crate::tokens::token::TokenId;
use std::sync::Arc;

/// A token, and its length in bytes.
pub(crate) type Piece = (TokenId, u32);

/// The most tokens in one leaf.
const MOST: usize = 64;
/// The heights of two sides differ by no more.
const LEAN: u8 = 2;

/// A list of tokens as a balanced tree.
#[derive(Debug, Clone)]
pub(crate) struct Rope(Arc<Part>);

#[derive(Debug)]
struct Part {
    count: usize,
    bytes: usize,
    height: u8,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Leaf(Vec<Piece>),
    Sides(Rope, Rope),
}

impl Rope {
    /// Complexity: O(pieces).
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        if pieces.len() > MOST {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            return Self::both(Self::new(left), Self::new(right));
        }
        let bytes = pieces.iter().map(|&(_, length)| length as usize).sum();
        Self(Arc::new(Part { count: pieces.len(), bytes, height: 0, inner: Inner::Leaf(pieces.to_vec()) }))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count
    }

    /// The length of all tokens.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// The first token that ends after byte `at`, and its begin; at the end the number of tokens. Complexity: O(log
    /// tokens).
    pub(crate) fn find(&self, at: usize) -> (usize, usize) {
        let (mut index, mut begin, mut rope) = (0, 0, self);
        loop {
            match &rope.0.inner {
                Inner::Sides(left, _) if at < begin + left.bytes() => rope = left,
                Inner::Sides(left, right) => {
                    (index, begin) = (index + left.count(), begin + left.bytes());
                    rope = right;
                }
                Inner::Leaf(pieces) => {
                    for &(_, length) in pieces {
                        if at < begin + length as usize {
                            break;
                        }
                        (index, begin) = (index + 1, begin + length as usize);
                    }
                    return (index, begin);
                }
            }
        }
    }

    /// Appends the tokens from number `from` to before number `to` to `found`. Complexity: O(these + log tokens).
    pub(crate) fn read(&self, from: usize, to: usize, found: &mut Vec<Piece>) {
        let to = to.min(self.count());
        if from >= to {
            return;
        }
        match &self.0.inner {
            Inner::Leaf(pieces) => found.extend_from_slice(&pieces[from..to]),
            Inner::Sides(left, right) => {
                let middle = left.count();
                left.read(from, to, found);
                right.read(from.saturating_sub(middle), to.saturating_sub(middle), found);
            }
        }
    }

    /// The tokens from number `from` on.
    pub(crate) fn ids(&self, from: usize) -> Vec<TokenId> {
        let mut found = Vec::with_capacity(self.count().saturating_sub(from));
        self.read(from, self.count(), &mut found);
        found.into_iter().map(|(id, _)| id).collect()
    }

    /// The list with the tokens `with` in the place of those from number `from` to before number `to`.
    ///
    /// Complexity: O(these + log tokens).
    #[must_use]
    pub(crate) fn replaced(&self, from: usize, to: usize, with: &[Piece]) -> Self {
        match &self.0.inner {
            Inner::Leaf(pieces) => Self::new(&[&pieces[..from], with, &pieces[to..]].concat()),
            Inner::Sides(left, right) => {
                let middle = left.count();
                if to <= middle {
                    left.replaced(from, to, with).join(right)
                } else if from >= middle {
                    left.join(&right.replaced(from - middle, to - middle, with))
                } else {
                    left.replaced(from, middle, with).join(&right.replaced(0, to - middle, &[]))
                }
            }
        }
    }

    fn both(left: Self, right: Self) -> Self {
        let height = 1 + left.0.height.max(right.0.height);
        Self(Arc::new(Part {
            count: left.count() + right.count(),
            bytes: left.bytes() + right.bytes(),
            height,
            inner: Inner::Sides(left, right),
        }))
    }

    /// The tokens of both. Complexity: O(difference of the heights).
    fn join(&self, right: &Self) -> Self {
        if self.count() == 0 {
            return right.clone();
        }
        if right.count() == 0 {
            return self.clone();
        }
        match (&self.0.inner, &right.0.inner) {
            (Inner::Leaf(one), Inner::Leaf(other)) if one.len() + other.len() <= MOST => {
                Self::new(&[&one[..], other].concat())
            }
            (Inner::Sides(first, second), _) if self.0.height > right.0.height + LEAN => {
                Self::balanced(first.clone(), second.join(right))
            }
            (_, Inner::Sides(first, second)) if right.0.height > self.0.height + LEAN => {
                Self::balanced(self.join(first), second.clone())
            }
            _ => Self::both(self.clone(), right.clone()),
        }
    }

    /// Both sides, one of which may be one level too high.
    fn balanced(left: Self, right: Self) -> Self {
        match (&left.0.inner, &right.0.inner) {
            (Inner::Sides(outer, inner), _) if left.0.height > right.0.height + LEAN => match &inner.0.inner {
                Inner::Sides(one, other) if inner.0.height > outer.0.height => {
                    Self::both(Self::both(outer.clone(), one.clone()), Self::both(other.clone(), right))
                }
                _ => Self::both(outer.clone(), Self::both(inner.clone(), right)),
            },
            (_, Inner::Sides(inner, outer)) if right.0.height > left.0.height + LEAN => match &inner.0.inner {
                Inner::Sides(one, other) if inner.0.height > outer.0.height => {
                    Self::both(Self::both(left, one.clone()), Self::both(other.clone(), outer.clone()))
                }
                _ => Self::both(Self::both(left, inner.clone()), outer.clone()),
            },
            _ => Self::both(left, right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn height(rope: &Rope) -> u8 {
        match &rope.0.inner {
            Inner::Leaf(_) => 0,
            Inner::Sides(left, right) => {
                let (left, right) = (height(left), height(right));
                assert!(left.abs_diff(right) <= LEAN, "{left} beside {right}");
                1 + left.max(right)
            }
        }
    }

    #[test]
    fn lists_are_as_vectors_and_stay_as_they_were() {
        let mut seed = 7u64;
        let mut dice = |sides: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % sides
        };
        let (mut rope, mut twin) = (Rope::new(&[]), Vec::<Piece>::new());
        let mut kept = Vec::new();
        for round in 0..6000 {
            // Often in one place, as marks of one class are.
            let from = if round % 3 == 0 { dice(twin.len() + 1) } else { twin.len() / 3 };
            // Sometimes much of the beginning goes.
            let (from, most) = if round % 250 == 249 { (dice(90), twin.len() + 1) } else { (from, 4) };
            let to = twin.len().min(from + dice(most)).max(from.min(twin.len()));
            let from = from.min(to);
            let with: Vec<Piece> = (0..dice(if round % 70 == 0 { 700 } else { 5 }))
                .map(|_| (TokenId(dice(9) as u32), 1 + dice(3) as u32))
                .collect();
            rope = rope.replaced(from, to, &with);
            twin.splice(from..to, with);
            assert!(usize::from(height(&rope)) <= 2 * twin.len().max(2).ilog2() as usize);
            if round % 100 == 0 {
                kept.push((rope.clone(), twin.clone()));
                let at = dice(rope.bytes() + 1);
                let ends: Vec<usize> = twin
                    .iter()
                    .scan(0, |end, &(_, length)| Some(std::mem::replace(end, *end + length as usize) + length as usize))
                    .collect();
                let index = ends.partition_point(|&end| end <= at);
                assert_eq!(rope.find(at), (index, index.checked_sub(1).map_or(0, |before| ends[before])));
            }
        }
        for (rope, twin) in kept {
            let (from, to) = (dice(twin.len() + 1), dice(twin.len() + 1));
            let mut found = Vec::new();
            rope.read(from, to, &mut found);
            assert_eq!(found, twin.get(from..to).unwrap_or_default());
            assert_eq!(
                (rope.count(), rope.bytes()),
                (twin.len(), twin.iter().map(|&(_, length)| length as usize).sum())
            );
            assert_eq!(rope.ids(from), twin[from..].iter().map(|&(id, _)| id).collect::<Vec<_>>());
        }
    }
}
