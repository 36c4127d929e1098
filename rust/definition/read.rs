//! JSON -> [`Definition`], in one pass and without a value for every piece and merge.

use super::model::{Definition, Merges, Pieces};
use crate::arena::Strings;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Reads JSON; `None` where there is no object under `model`.
///
/// # Errors
/// Malformed JSON, with line and column. Complexity: O(bytes).
pub(crate) fn read(json: &[u8]) -> Result<Option<Definition>, serde_json::Error> {
    serde_json::from_slice::<File>(json).map(|file| file.0)
}

impl Definition {
    /// The definition in a JSON value, `None` where there is no object under `model`.
    ///
    /// # Errors
    /// None that JSON can give; the type is that of the reader.
    pub fn from_json(value: Value) -> Result<Option<Self>, serde_json::Error> {
        File::deserialize(value).map(|file| file.0)
    }
}

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

struct File(Option<Definition>);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
        let mut frame = Map::new();
        let mut model = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "model" {
                model = map.next_value::<Model>()?.0;
            } else {
                frame.insert(key, map.next_value()?);
            }
        }
        Ok(File(model.map(|model| model.definition(frame))))
    }
}

/// The object under `model`.
struct Model(Option<Lists>);

#[derive(Default)]
struct Lists {
    rest: Map<String, Value>,
    pieces: Pieces,
    merges: Option<MergeTexts>,
}

impl Lists {
    fn definition(self, mut frame: Map<String, Value>) -> Definition {
        let merges = self.merges.map(|merges| merges.resolved(&self.pieces));
        frame.insert("model".into(), self.rest.into());
        let ranks = frame.get_mut("coolfusion").and_then(Value::as_object_mut).and_then(|map| map.remove("merge_ranks"));
        let ranks = ranks.and_then(|ranks| {
            let rank = |rank: &Value| rank.as_u64().and_then(|rank| u32::try_from(rank).ok());
            // What is no rank ends the list: the merge without one is named when it is asked for.
            Some(ranks.as_array()?.iter().map_while(rank).collect())
        });
        Definition { frame: frame.into(), pieces: self.pieces, merges, ranks }
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
        let mut lists = Lists::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "vocab" => lists.pieces = map.next_value::<Vocab>()?.0,
                "merges" => lists.merges = Some(map.next_value()?),
                _ => {
                    lists.rest.insert(key, map.next_value()?);
                }
            }
        }
        Ok(Model(Some(lists)))
    }
}

/// `model.vocab`, in either shape.
struct Vocab(Pieces);

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

    otherwise!(Vocab(Pieces::default()));
    otherwise!(numbers Vocab(Pieces::default()));
    otherwise!(text Vocab(Pieces::default()));

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
        let (mut strings, mut ids, mut broken) = (Strings::default(), Vec::new(), None);
        while map.next_key_seed(Text(&mut strings))?.is_some() {
            let id = map.next_value::<Id>()?.0;
            if id.is_none() && broken.is_none() {
                broken = Some(strings.get(strings.len() - 1).to_string());
            }
            ids.push(id.unwrap_or(0));
        }
        Ok(Vocab(Pieces::object(strings, ids, broken)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
        let (mut strings, mut scores, mut broken) = (Strings::default(), Vec::new(), None);
        while let Some(score) = list.next_element_seed(Entry(&mut strings))? {
            if score.is_none() && broken.is_none() {
                broken = Some(format!("entry {}", scores.len()));
            }
            strings.truncate(scores.len() + usize::from(score.is_some()));
            if strings.len() == scores.len() {
                strings.push("");
            }
            scores.push(score.unwrap_or(f64::NAN));
        }
        Ok(Vocab(Pieces::list(strings, scores, broken)))
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

/// A score; NaN where it is no number.
struct Score(f64);

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

    otherwise!(Score(f64::NAN));
    otherwise!(text Score(f64::NAN));
    otherwise!(list Score(f64::NAN));
    otherwise!(object Score(f64::NAN));

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, score: u64) -> Result<Score, E> {
        Ok(Score(score as f64))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, score: i64) -> Result<Score, E> {
        Ok(Score(score as f64))
    }

    fn visit_f64<E>(self, score: f64) -> Result<Score, E> {
        Ok(Score(score))
    }
}

/// `[piece, score]`: appends the piece and answers the score (NaN for none), `None` where there is no piece.
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
        let mut score = entry.next_element::<Score>()?.map_or(f64::NAN, |score| score.0);
        while entry.next_element::<IgnoredAny>()?.is_some() {
            score = f64::NAN;
        }
        Ok(is_text.then_some(score))
    }
}

/// `model.merges` as written: two strings a merge. The vocabulary may come behind it.
#[derive(Default)]
struct MergeTexts {
    strings: Strings,
    broken: Option<String>,
}

impl MergeTexts {
    fn none(what: &str) -> Self {
        Self { broken: Some(what.to_string()), ..Self::default() }
    }

    fn resolved(self, pieces: &Pieces) -> Merges {
        let mut merges = Merges { pairs: Vec::with_capacity(self.strings.len() / 2), broken: None };
        for rank in 0..self.strings.len() / 2 {
            let pair = [self.strings.get(2 * rank), self.strings.get(2 * rank + 1)];
            match pair.map(|piece| pieces.number(piece)) {
                [Some(left), Some(right)] => merges.pairs.push((left as u32, right as u32)),
                [left, _] => {
                    let missing = if left.is_none() { pair[0] } else { pair[1] };
                    merges.broken = Some(format!("merge {rank}: {missing:?} is out of vocabulary"));
                    return merges;
                }
            }
        }
        merges.broken = self.broken;
        merges
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
        let mut rank = 0;
        while let Some(is_pair) = list.next_element_seed(Pair(&mut merges.strings))? {
            if !is_pair {
                merges.strings.truncate(2 * rank);
                merges.broken = Some(format!("merge {rank} is no pair"));
                while list.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            rank += 1;
        }
        Ok(merges)
    }
}

/// `["a", "b"]` or, in old files, `"a b"`; answers whether it was one of these.
struct Pair<'a>(&'a mut Strings);

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f)
    }

    otherwise!(false);
    otherwise!(numbers false);
    otherwise!(object false);

    fn visit_str<E>(self, line: &str) -> Result<bool, E> {
        let Some((left, right)) = line.split_once(' ') else { return Ok(false) };
        self.0.push(left);
        self.0.push(right);
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<bool, A::Error> {
        let left = pair.next_element_seed(Text(self.0))? == Some(true);
        let right = pair.next_element_seed(Text(self.0))? == Some(true);
        while pair.next_element::<IgnoredAny>()?.is_some() {}
        Ok(left && right)
    }
}
