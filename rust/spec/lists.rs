//! The large lists of `model`, `vocab` and `merges`, read in one pass and without a value for every piece and merge.
//!
//! In: a serde stream. Out: [`ModelParts`], or the first entry that is none, in words. May import: `arena`, `pieces`,
//! `model`. Read next: `json`, which calls it.

use crate::error::{Error, Result as Own};
use crate::spec::model::Merges;
use crate::spec::pieces::Pieces;
use crate::util::byte_strings::Strings;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Everything that a visitor does not want: read to its end and dropped.
macro_rules! otherwise {
    ($nothing:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
    (numbers $nothing:expr) => {
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        otherwise!(fractions $nothing);
    };
    (fractions $nothing:expr) => {
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
    (text $nothing:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
    (list $nothing:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
    (object $nothing:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

fn expecting(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("a tokenizer definition")
}

/// The object under `model`; `None` where there is another value.
pub(super) struct Model(pub(super) Option<ModelParts>);

/// The parts of the object under `model`.
#[derive(Default)]
pub(crate) struct ModelParts {
    /// All fields but `vocab` and `merges`.
    pub(super) rest: Map<String, Value>,
    vocab: Vocab,
    merges: Option<MergeTexts>,
}

impl ModelParts {
    /// The small fields, the vocabulary, and the merges where there is such a field.
    ///
    /// # Errors
    /// A vocabulary that is missing, or an entry of it that is none.
    #[allow(clippy::type_complexity)]
    pub(super) fn resolved(self) -> Own<(Map<String, Value>, Pieces, Option<Own<Merges>>)> {
        let pieces = self
            .vocab
            .0
            .map_err(|broken| Error::definition("model.vocab", format!("{broken}: expected entries with ids")))?;
        let merges = self.merges.map(|merges| {
            let found = merges.resolved(&pieces);
            found.map_err(|broken| {
                Error::definition("model.merges", format!("{broken}: expected two pieces of model.vocab"))
            })
        });
        Ok((self.rest, pieces, merges))
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModelVisitor)
    }
}

struct ModelVisitor;

impl<'de> Visitor<'de> for ModelVisitor {
    type Value = Model;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(Model(None));
    otherwise!(numbers Model(None));
    otherwise!(text Model(None));
    otherwise!(list Model(None));

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Model, A::Error> {
        let mut parts = ModelParts::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "vocab" => parts.vocab = map.next_value()?,
                "merges" => parts.merges = Some(map.next_value()?),
                _ => {
                    parts.rest.insert(key, map.next_value()?);
                }
            }
        }
        Ok(Model(Some(parts)))
    }
}

/// `model.vocab`, in either shape, or its fault.
struct Vocab(Result<Pieces, String>);

impl Default for Vocab {
    fn default() -> Self {
        Self(Err("missing".into()))
    }
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabVisitor)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = Vocab;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(Vocab::default());
    otherwise!(numbers Vocab::default());
    otherwise!(text Vocab::default());

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
        let (mut strings, mut ids, mut broken) = (Strings::default(), Vec::new(), None);
        while map.next_key_seed(Text(&mut strings))?.is_some() {
            let id = map.next_value::<Id>()?.0;
            if id.is_none() && broken.is_none() {
                broken = Some(strings.get(strings.len() - 1).to_string());
            }
            ids.push(id.unwrap_or(0));
        }
        Ok(Vocab(broken.map_or_else(|| Ok(Pieces::object(strings, ids)), Err)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
        let (mut strings, mut scores) = (Strings::default(), Vec::new());
        while let Some(score) = list.next_element_seed(Entry(&mut strings))? {
            let Some(score) = score else {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Vocab(Err(format!("entry {}", scores.len()))));
            };
            scores.push(score);
        }
        Ok(Vocab(Ok(Pieces::list(strings, scores))))
    }
}

/// A string, appended to the others; answers whether it was one.
struct Text<'a>(&'a mut Strings);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(false);
    otherwise!(numbers false);
    otherwise!(list false);
    otherwise!(object false);

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        self.0.push(text);
        Ok(true)
    }
}

/// An id below 2^32.
struct Id(Option<u32>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(Id(None));
    otherwise!(fractions Id(None));
    otherwise!(text Id(None));
    otherwise!(list Id(None));
    otherwise!(object Id(None));

    fn visit_u64<E>(self, id: u64) -> Result<Id, E> {
        Ok(Id(u32::try_from(id).ok()))
    }
}

/// A score; `None` where it is no number.
struct Score(Option<f64>);

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScoreVisitor)
    }
}

struct ScoreVisitor;

impl<'de> Visitor<'de> for ScoreVisitor {
    type Value = Score;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(Score(None));
    otherwise!(text Score(None));
    otherwise!(list Score(None));
    otherwise!(object Score(None));

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, score: u64) -> Result<Score, E> {
        Ok(Score(Some(score as f64)))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, score: i64) -> Result<Score, E> {
        Ok(Score(Some(score as f64)))
    }

    fn visit_f64<E>(self, score: f64) -> Result<Score, E> {
        Ok(Score(Some(score)))
    }
}

/// `[piece, score]`: appends the piece and answers the score; `None` where the entry is another.
struct Entry<'a>(&'a mut Strings);

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(None);
    otherwise!(numbers None);
    otherwise!(text None);
    otherwise!(object None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut entry: A) -> Result<Option<f64>, A::Error> {
        let is_text = entry.next_element_seed(Text(self.0))? == Some(true);
        let mut score = entry.next_element::<Score>()?.and_then(|score| score.0).filter(|_| is_text);
        while entry.next_element::<IgnoredAny>()?.is_some() {
            score = None;
        }
        Ok(score)
    }
}

/// `model.merges` as written: two strings a merge. The vocabulary may come after it.
#[derive(Default)]
struct MergeTexts {
    strings: Strings,
    broken: Option<String>,
}

impl MergeTexts {
    fn none(what: &str) -> Self {
        Self { broken: Some(what.to_string()), ..Self::default() }
    }

    fn resolved(self, pieces: &Pieces) -> Result<Merges, String> {
        let mut pairs = Vec::with_capacity(self.strings.len() / 2);
        for rank in 0..self.strings.len() / 2 {
            let pair = [self.strings.get(2 * rank), self.strings.get(2 * rank + 1)];
            match pair.map(|piece| pieces.number(piece)) {
                [Some(left), Some(right)] => pairs.push((left as u32, right as u32)),
                [left, _] => {
                    let missing = if left.is_none() { pair[0] } else { pair[1] };
                    return Err(format!("merge {rank}: {missing:?} is out of vocabulary"));
                }
            }
        }
        self.broken.map_or_else(|| Ok(Merges::new(pairs)), Err)
    }
}

impl<'de> Deserialize<'de> for MergeTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergesVisitor)
    }
}

struct MergesVisitor;

impl<'de> Visitor<'de> for MergesVisitor {
    type Value = MergeTexts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(MergeTexts::none("no list"));
    otherwise!(numbers MergeTexts::none("no list"));
    otherwise!(text MergeTexts::none("no list"));
    otherwise!(object MergeTexts::none("no list"));

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<MergeTexts, A::Error> {
        let mut merges = MergeTexts::default();
        let (mut rank, mut shape) = (0, None);
        while let Some(entry) = list.next_element_seed(Pair(&mut merges.strings))? {
            let what = match entry {
                // The first line of `merges.txt`.
                Written::Version => continue,
                Written::None => "is no pair",
                found if shape.is_some_and(|shape| shape != found) => "is written in another way than those before",
                found => {
                    shape = Some(found);
                    rank += 1;
                    continue;
                }
            };
            merges.strings.truncate(2 * rank);
            merges.broken = Some(format!("merge {rank} {what}"));
            while list.next_element::<IgnoredAny>()?.is_some() {}
            break;
        }
        Ok(merges)
    }
}

/// How a merge is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    List,
    Line,
    /// A line that names the version of the list.
    Version,
    None,
}

/// `["a", "b"]` or, in old files, `"a b"`: exactly two pieces.
struct Pair<'a>(&'a mut Strings);

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = Written;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(Written::None);
    otherwise!(numbers Written::None);
    otherwise!(object Written::None);

    fn visit_str<E>(self, line: &str) -> Result<Written, E> {
        if line.starts_with("#version") {
            return Ok(Written::Version);
        }
        let mut parts = line.split(' ');
        let (Some(left), Some(right), None) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(Written::None);
        };
        self.0.push(left);
        self.0.push(right);
        Ok(Written::Line)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Written, A::Error> {
        let left = pair.next_element_seed(Text(self.0))? == Some(true);
        let right = pair.next_element_seed(Text(self.0))? == Some(true);
        let mut more = false;
        while pair.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(if left && right && !more { Written::List } else { Written::None })
    }
}
