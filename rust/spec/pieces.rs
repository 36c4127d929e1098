//! A vocabulary, in a few arrays instead of one allocation per piece.
//!
//! In: pieces with ids or scores, in the order of the file. Out: [`Pieces`], which finds a piece by its text. May
//! import: `arena`. Read next: `model`.
//!
//! Vocabulary and merges of a file are most of its bytes; as JSON values they would take ten times as many.

use crate::util::byte_strings::{Index, Strings};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// The pieces with their ids and scores: `model.vocab`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    strings: Strings,
    ids: Vec<u32>,
    /// Of a list: one score an entry.
    scores: Vec<f64>,
    shape: Shape,
    index: Index,
}

/// How the vocabulary is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shape {
    /// piece -> id
    #[default]
    Object,
    /// [piece, score]; the position is the id.
    List,
}

impl Pieces {
    /// Pieces with their ids; the last id of a piece counts.
    pub(super) fn object(strings: Strings, ids: Vec<u32>) -> Self {
        let mut pieces = Self { strings, ids, shape: Shape::Object, ..Self::default() };
        let mut index = Index::with_capacity(pieces.len());
        let repeated = (0..pieces.len()).filter(|&n| index.insert(n, &pieces.strings).is_some()).count();
        if repeated > 0 {
            // Rare: a key of the JSON object that comes twice.
            let mut unique = Strings::default();
            let last = |n: &usize| index.find(pieces.strings.get(*n), &pieces.strings) == Some(*n);
            let kept: Vec<usize> = (0..pieces.len()).filter(last).collect();
            kept.iter().for_each(|&n| unique.push(pieces.strings.get(n)));
            let ids = kept.iter().map(|&n| pieces.ids[n]).collect();
            return Self::object(unique, ids);
        }
        pieces.index = index;
        pieces
    }

    /// Pieces with their scores, in the order of their ids; the last of equal pieces is found.
    pub(super) fn list(strings: Strings, scores: Vec<f64>) -> Self {
        let mut index = Index::with_capacity(strings.len());
        (0..strings.len()).for_each(|n| {
            index.insert(n, &strings);
        });
        Self { ids: (0..strings.len() as u32).collect(), strings, scores, shape: Shape::List, index }
    }

    /// Pieces that a format other than JSON holds, with their ids.
    pub(crate) fn with_ids<S: AsRef<str>>(pieces: impl IntoIterator<Item = (S, u32)>) -> Self {
        let (mut strings, mut ids) = (Strings::default(), Vec::new());
        for (piece, id) in pieces {
            strings.push(piece.as_ref());
            ids.push(id);
        }
        Self::object(strings, ids)
    }

    /// Pieces that a format other than JSON holds, with their scores.
    pub(crate) fn with_scores<S: AsRef<str>>(pieces: impl IntoIterator<Item = (S, f64)>) -> Self {
        let (mut strings, mut scores) = (Strings::default(), Vec::new());
        for (piece, score) in pieces {
            strings.push(piece.as_ref());
            scores.push(score);
        }
        Self::list(strings, scores)
    }

    /// Whether it is a list of pieces with scores.
    pub(crate) fn has_scores(&self) -> bool {
        self.shape == Shape::List
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of all pieces as they are written.
    pub(crate) fn bytes(&self) -> usize {
        self.strings.bytes()
    }

    /// The piece with this number; numbers are positions in the file.
    pub(crate) fn piece(&self, number: usize) -> &str {
        self.strings.get(number)
    }

    pub(crate) fn id(&self, number: usize) -> u32 {
        self.ids[number]
    }

    /// The score of a piece of a list.
    pub(crate) fn score(&self, number: usize) -> Option<f64> {
        self.scores.get(number).copied()
    }

    /// All scores: none for an object.
    pub(super) fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Replaces all scores; false, and nothing done, where their number is another.
    pub(super) fn set_scores(&mut self, scores: Vec<f64>) -> bool {
        let fits = scores.len() == self.scores.len();
        if fits {
            self.scores = scores;
        }
        fits
    }

    /// The number of `piece`. Complexity: O(1).
    pub(crate) fn number(&self, piece: &str) -> Option<usize> {
        self.index.find(piece, &self.strings)
    }

    /// The id of `piece`.
    pub(crate) fn find(&self, piece: &str) -> Option<u32> {
        self.number(piece).map(|number| self.ids[number])
    }

    /// (id, piece), in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str)> + Clone {
        self.ids.iter().copied().zip(self.strings.iter())
    }

    /// The number of the piece that `left` and `right` make; `guess` is where to look first.
    pub(crate) fn joined(&self, left: usize, right: usize, guess: usize, buffer: &mut String) -> Option<usize> {
        let (left, right) = (self.piece(left), self.piece(right));
        let is = |number: usize| number < self.len() && self.piece(number).strip_prefix(left) == Some(right);
        // Merges are written in the order of the pieces that they make, so most of them need no look-up.
        if self.shape == Shape::Object {
            if let Some(number) = [guess, guess + 1].into_iter().find(|&number| is(number)) {
                return Some(number);
            }
        }
        buffer.clear();
        buffer.push_str(left);
        buffer.push_str(right);
        self.number(buffer)
    }

    /// The same pieces with their numbers, some under another name.
    pub(crate) fn renamed(&self, is_hidden: impl Fn(usize) -> bool, name: impl Fn(&str) -> String) -> Self {
        let mut strings = Strings::default();
        for (number, (_, piece)) in self.iter().enumerate() {
            if is_hidden(number) {
                strings.push(&name(piece));
            } else {
                strings.push(piece);
            }
        }
        match self.shape {
            Shape::List => Self::list(strings, self.scores.clone()),
            Shape::Object => Self::object(strings, self.ids.clone()),
        }
    }
}

impl Serialize for Pieces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.shape == Shape::Object {
            return serializer.collect_map(self.iter().map(|(id, piece)| (piece, id)));
        }
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for number in 0..self.len() {
            list.serialize_element(&(self.piece(number), self.score(number)))?;
        }
        list.end()
    }
}
