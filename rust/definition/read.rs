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
        let (Some(left), Some(right), None) = (parts.next(), parts.next(), parts.next()) else { return Ok(Written::None) };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn of(json: &str) -> Definition {
        read(json.as_bytes()).unwrap().unwrap()
    }

    /// Reading and writing again gives what a plain JSON reader reads.
    fn same(json: &str) -> Definition {
        let definition = of(json);
        let plain: Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_value(&definition).unwrap(), plain);
        assert_eq!(serde_json::to_value(Definition::from_json(plain.clone()).unwrap().unwrap()).unwrap(), plain);
        definition
    }

    #[test]
    fn what_was_read_is_what_was_written() {
        let byte_pairs = r#"{"version": "1.0", "added_tokens": [{"id": 9}], "model": {"type": "BPE", "x": [1, {"vocab": 2}],
            "vocab": {"a": 0, "": 7, "\u00e9\n\"": 1, "aa": 4294967295, "aaaaaaaaa": 3},
            "merges": [["a", "a"], ["aa", ""], ["", "aaaaaaaaa"]]}, "coolfusion": {"merge_ranks": [3, 3, 4], "notes": []}}"#;
        let definition = same(byte_pairs);
        assert_eq!(definition.ranks.as_deref(), Some(&[3, 3, 4][..]));
        assert_eq!(definition.merges.unwrap().pairs, [(0, 0), (3, 1), (1, 4)]);
        assert_eq!(definition.pieces.find("aa"), Some(u32::MAX));
        assert_eq!(definition.pieces.find("b"), None);
        let unigram = same(r#"{"model": {"vocab": [["a", -1.5], ["b", 0.0], ["a", -2.0], ["c"]], "unk_id": 0}}"#);
        assert_eq!(unigram.pieces.number("a"), Some(2), "the last of equal pieces");
        assert_eq!([0, 1, 3].map(|n| unigram.pieces.score(n)), [Some(-1.5), Some(0.0), None]);
        same(r#"{"model": {}}"#);
        same(r#"{"model": {"vocab": {}, "merges": []}, "coolfusion": {}}"#);
    }

    #[test]
    fn merges_may_be_lines_and_stand_before_the_vocabulary() {
        let definition = of(r##"{"model": {"merges": ["#version: 0.2", "a b", "ab c"], "vocab": {"c": 3, "a": 0, "b": 1, "ab": 2}}}"##);
        assert_eq!(definition.merges.unwrap().pairs, [(1, 2), (3, 0)]);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let definition = of(r#"{"model": 3, "model": {"vocab": {"z": 1}, "vocab": {"a": 0, "b": 1, "a": 5}}, "x": 1, "x": 2}"#);
        assert_eq!(definition.pieces.iter().collect::<Vec<_>>(), [(1, "b"), (5, "a")]);
        assert_eq!(definition.frame, json!({"model": {}, "x": 2}));
    }

    #[test]
    fn without_an_object_under_model_there_is_no_definition() {
        for json in [r#"{}"#, r#"{"model": null}"#, r#"{"model": [1, {"a": 2}]}"#, r#"{"model": "x"}"#, r#"{"model": -1.5}"#, r#"{"model": true}"#] {
            assert!(read(json.as_bytes()).unwrap().is_none(), "{json}");
        }
    }

    #[test]
    fn the_first_wrong_entry_is_remembered() {
        for (vocab, words) in [
            (r#"{"a": 0, "b": -1, "c": "x"}"#, "b"),
            (r#"{"a": 4294967296}"#, "a"),
            (r#"{"a": 1.0}"#, "a"),
            (r#"{"a": [1, [2]]}"#, "a"),
            (r#"{"a": {"b": {}}}"#, "a"),
            (r#"[["a", 1], "b", 3]"#, "entry 1"),
            (r#"[["a", 1], []]"#, "entry 1"),
            (r#"[[1, "a"]]"#, "entry 0"),
        ] {
            let definition = of(&format!(r#"{{"model": {{"vocab": {vocab}}}}}"#));
            assert_eq!(definition.pieces.broken.as_deref(), Some(words), "{vocab}");
        }
        for vocab in ["3", "null", "\"a\"", "false", "-2"] {
            assert!(of(&format!(r#"{{"model": {{"vocab": {vocab}}}}}"#)).pieces.is_missing(), "{vocab}");
        }
        for (merges, words, before) in [
            (r#"[["a", "a"], ["a", "b"]]"#, "merge 1: \"b\" is out of vocabulary", 1),
            (r#"["a a", "aa"]"#, "merge 1 is no pair", 1),
            (r#"[["a", 1]]"#, "merge 0 is no pair", 0),
            (r#"[["a"], 3]"#, "merge 0 is no pair", 0),
            (r#"[{"a": "a"}]"#, "merge 0 is no pair", 0),
            (r#"[["a", "a"], ["a", "a", "a"]]"#, "merge 1 is no pair", 1),
            (r#"["a a", "a a a"]"#, "merge 1 is no pair", 1),
            (r##"["#version: 0.2", "a a", "a  a"]"##, "merge 1 is no pair", 1),
            (r#"[["a", "a"], "a a"]"#, "merge 1 is written in another way than those before", 1),
            (r#"{"a": "a"}"#, "no list", 0),
            (r#"null"#, "no list", 0),
        ] {
            let definition = of(&format!(r#"{{"model": {{"vocab": {{"a": 0, "aa": 1}}, "merges": {merges}}}}}"#));
            let merges = definition.merges.unwrap();
            assert_eq!((merges.broken.as_deref(), merges.pairs.len()), (Some(words), before));
        }
    }

    #[test]
    fn malformed_json_is_an_error_with_its_place() {
        let whole = r#"{"model": {"vocab": {"a": 0, "\u00e9": 1}, "merges": [["a", "a"], "a a"]}, "b": [1, null, {"c": "d"}]}"#;
        assert!(read(whole.as_bytes()).is_ok());
        for length in 0..whole.len() {
            let error = read(&whole.as_bytes()[..length]).unwrap_err().to_string();
            assert!(error.contains("line 1 column"), "{error}");
        }
        for (json, words) in [
            (&b"{\"model\":\n {\"vocab\": {\"a\": 0,}}}"[..], "line 2 column"),
            (b"{\"model\": {\"vocab\": {\"\xff\": 0}}}", "line 1 column"),
            (b"{\"model\": {\"vocab\": {\"\\ud800\": 0}}}", "line 1 column"),
            (b"{\"model\": {\"merges\": [[\"a\", \"a\"], nul]}}", "line 1 column"),
            (b"{\"model\": {}} x", "trailing characters at line 1 column 15"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
