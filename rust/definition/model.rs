//! What a definition holds once it is read: the large lists in arrays, everything small as JSON.

use crate::arena::{Index, Strings};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// A tokenizer definition in the shape of `tokenizer.json`.
///
/// Vocabulary and merges of a file are most of its bytes; as JSON values they would take ten times as many.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// All of it but `model.vocab`, `model.merges` and `coolfusion.merge_ranks`.
    pub(crate) frame: Value,
    pub(crate) pieces: Pieces,
    /// `None` where the model has none.
    pub(crate) merges: Option<Merges>,
    /// `coolfusion.merge_ranks`: ranks that tie cannot be told from the position in the list.
    pub(crate) ranks: Option<Vec<u32>>,
}

/// `model.vocab`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    strings: Strings,
    ids: Vec<u32>,
    /// Of a list: one score an entry, NaN where it has none (no JSON number is NaN).
    scores: Vec<f64>,
    shape: Shape,
    index: Index,
    /// The first entry that is none, in words.
    pub(super) broken: Option<String>,
}

/// How the vocabulary is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Missing,
    /// piece -> id
    Object,
    /// [piece, score]; the position is the id.
    List,
}

/// `model.merges`, as numbers of pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merges {
    pub(crate) pairs: Vec<(u32, u32)>,
    /// The first merge that is none, in words; the list ends before it.
    pub(super) broken: Option<String>,
}

impl Merges {
    /// Merges of pieces with these numbers.
    pub(crate) fn new(pairs: Vec<(u32, u32)>) -> Self {
        Self { pairs, broken: None }
    }
}

impl Pieces {
    /// Pieces with their ids; the last id of a piece counts.
    pub(super) fn object(strings: Strings, ids: Vec<u32>, broken: Option<String>) -> Self {
        let mut pieces = Self { strings, ids, shape: Shape::Object, broken, ..Self::default() };
        let mut index = Index::with_capacity(pieces.len());
        let repeated = (0..pieces.len()).filter(|&n| index.insert(n, &pieces.strings).is_some()).count();
        if repeated > 0 {
            // Rare: a key of the JSON object that comes twice.
            let mut unique = Strings::default();
            let last = |n: &usize| index.find(pieces.strings.get(*n), &pieces.strings) == Some(*n);
            let kept: Vec<usize> = (0..pieces.len()).filter(last).collect();
            kept.iter().for_each(|&n| unique.push(pieces.strings.get(n)));
            let ids = kept.iter().map(|&n| pieces.ids[n]).collect();
            return Self::object(unique, ids, pieces.broken);
        }
        pieces.index = index;
        pieces
    }

    /// Pieces with their scores, in the order of their ids; the last of equal pieces is found.
    pub(super) fn list(strings: Strings, scores: Vec<f64>, broken: Option<String>) -> Self {
        let mut index = Index::with_capacity(strings.len());
        (0..strings.len()).for_each(|n| {
            index.insert(n, &strings);
        });
        Self { ids: (0..strings.len() as u32).collect(), strings, scores, shape: Shape::List, index, broken }
    }

    /// Pieces that a format other than JSON holds, with their ids.
    pub(crate) fn with_ids<S: AsRef<str>>(pieces: impl IntoIterator<Item = (S, u32)>) -> Self {
        let (mut strings, mut ids) = (Strings::default(), Vec::new());
        for (piece, id) in pieces {
            strings.push(piece.as_ref());
            ids.push(id);
        }
        Self::object(strings, ids, None)
    }

    /// Pieces that a format other than JSON holds, with their scores.
    pub(crate) fn with_scores<S: AsRef<str>>(pieces: impl IntoIterator<Item = (S, f64)>) -> Self {
        let (mut strings, mut scores) = (Strings::default(), Vec::new());
        for (piece, score) in pieces {
            strings.push(piece.as_ref());
            scores.push(score);
        }
        Self::list(strings, scores, None)
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.shape == Shape::Missing
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

    /// The score of a piece of a list, if it has one.
    pub(crate) fn score(&self, number: usize) -> Option<f64> {
        self.scores.get(number).copied().filter(|score| !score.is_nan())
    }

    /// All scores: none for an object, NaN for an entry without one.
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
    pub(super) fn joined(&self, left: usize, right: usize, guess: usize, buffer: &mut String) -> Option<usize> {
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
    pub(super) fn renamed(&self, is_hidden: impl Fn(usize) -> bool, name: impl Fn(&str) -> String) -> Self {
        let mut strings = Strings::default();
        for (number, (_, piece)) in self.iter().enumerate() {
            if is_hidden(number) {
                strings.push(&name(piece));
            } else {
                strings.push(piece);
            }
        }
        match self.shape {
            Shape::List => Self::list(strings, self.scores.clone(), self.broken.clone()),
            _ => Self::object(strings, self.ids.clone(), self.broken.clone()),
        }
    }
}

impl Definition {
    /// The model without its large lists.
    pub(crate) fn model(&self) -> &Value {
        &self.frame["model"]
    }

    /// This definition with other small parts, as JSON.
    pub(crate) fn json_with(&self, frame: &Value) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Whole { definition: self, frame })
    }
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Whole { definition: self, frame: &self.frame }.serialize(serializer)
    }
}

/// A definition as it is written in a file.
struct Whole<'a> {
    definition: &'a Definition,
    frame: &'a Value,
}

/// Its model.
struct Model<'a>(&'a Whole<'a>, &'a Value);

/// Its part `coolfusion`.
struct Extension<'a>(&'a Whole<'a>, &'a Value);

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in entries(self.frame) {
            match key.as_str() {
                "model" => map.serialize_entry(key, &Model(self, value))?,
                "coolfusion" => map.serialize_entry(key, &Extension(self, value))?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

impl Serialize for Model<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in entries(self.1) {
            map.serialize_entry(key, value)?;
        }
        if !self.0.definition.pieces.is_missing() {
            map.serialize_entry("vocab", &self.0.definition.pieces)?;
        }
        if let Some(merges) = &self.0.definition.merges {
            map.serialize_entry("merges", &MergePairs(merges, &self.0.definition.pieces))?;
        }
        map.end()
    }
}

impl Serialize for Extension<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in entries(self.1) {
            map.serialize_entry(key, value)?;
        }
        if let Some(ranks) = &self.0.definition.ranks {
            map.serialize_entry("merge_ranks", ranks)?;
        }
        map.end()
    }
}

impl Serialize for Pieces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.shape == Shape::Object {
            return serializer.collect_map(self.iter().map(|(id, piece)| (piece, id)));
        }
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for number in 0..self.len() {
            match self.score(number) {
                Some(score) => list.serialize_element(&(self.piece(number), score))?,
                None => list.serialize_element(&[self.piece(number)])?,
            }
        }
        list.end()
    }
}

struct MergePairs<'a>(&'a Merges, &'a Pieces);

impl Serialize for MergePairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.pairs.iter().map(|&(l, r)| [self.1.piece(l as usize), self.1.piece(r as usize)]))
    }
}
