//! A definition in the shape of `tokenizer.json` -> vocabulary and engine.
//!
//! Source: the file format of the `tokenizers` library, version "1.0". Formats that are not JSON are brought into this
//! shape first (rust/formats/), so that there is one way in. [`model`] holds what was read and [`read`] reads it from JSON;
//! [`stages`] builds our own engine or says why it cannot;
//! [`guarded`] prepares the definition for the library then; [`merges`] reads byte-pair tables; [`state`] carries a definition to another process; [`entries`] the bytes of
//! the vocabulary.

mod chain;
mod entries;
mod guarded;
mod judge;
mod longest;
mod merges;
mod model;
mod read;
mod rewriting;
mod sentencepiece;
mod space_cuts;
mod stages;
mod state;

pub(crate) use entries::Spelling;
pub use model::Definition;
pub(crate) use model::{Merges, Pieces};
pub(crate) use read::read;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::library::Library;
use crate::pattern;
use crate::pieces::holds_inner_space;
use crate::reading::Reading;
use crate::trie::PieceTrie;
use crate::vocabulary::Vocabulary;
use chain::{byte_piece, Chain};
use entries::{added_tokens, adds_space, check_pieces, control_tokens, spelling, told, unknown_id, vocabulary, Added, Matched};
use serde_json::Value;

/// GPT-2's pre-token rule, which `ByteLevel` carries (Radford et al. 2019).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// What a definition turns into.
pub(crate) struct Loaded {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) spelling: Spelling,
    /// Some pieces stand for single bytes of a text.
    pub(crate) byte_fallback: bool,
    pub(crate) reading: Reading,
    /// The token of text that has no other.
    pub(crate) unknown: Option<u32>,
    pub(crate) model: String,
    pub(crate) split_rule: String,
    pub(crate) normalizer: String,
    pub(crate) added_text: Vec<String>,
    pub(crate) control_tokens: Vec<(String, u32)>,
    pub(crate) source_notes: Vec<String>,
    /// What the load-time comparison with another library says.
    pub(crate) check: String,
}

/// All stages of a possibly nested `Sequence`.
fn stages<'a>(stage: &'a Value, key: &str) -> Vec<&'a Value> {
    if stage.is_null() {
        return Vec::new();
    }
    match stage.get(key).and_then(Value::as_array) {
        Some(list) => list.iter().flat_map(|s| stages(s, key)).collect(),
        None => vec![stage],
    }
}

fn kind(stage: &Value) -> &str {
    stage.get("type").and_then(Value::as_str).unwrap_or("")
}

fn flag(stage: &Value, key: &str) -> Option<bool> {
    stage.get(key).and_then(Value::as_bool)
}

fn text<'a>(stage: &'a Value, key: &str) -> Option<&'a str> {
    stage.get(key).and_then(Value::as_str)
}

/// Loads `definition`.
pub(crate) fn load(whole: &Definition) -> Result<Loaded> {
    let (definition, model, pieces) = (&whole.frame, whole.model(), &whole.pieces);
    if kind(model) == "LongestMatch" {
        return longest::load(whole);
    }
    check_kinds(definition, model)?;
    check_rules(definition)?;
    if let Some(dropout) = model.get("dropout").and_then(Value::as_f64).filter(|&dropout| dropout > 0.0) {
        return Err(Error::definition("model.dropout", format!("{dropout}: ids would be drawn by chance, expected null")));
    }
    check_pieces(pieces)?;
    let notes = definition.pointer("/coolfusion/notes").and_then(Value::as_array);
    let mut notes: Vec<String> = notes.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect();
    let added = added_tokens(definition, pieces, &mut notes)?;
    let unknown = unknown_id(model, pieces);
    check_largest_id(pieces, &added)?;
    if let Some(broken) = whole.merges.as_ref().and_then(|merges| merges.broken.as_ref()).filter(|_| model_name(whole) == "BPE") {
        return Err(Error::definition("model.merges", format!("{broken}: expected two pieces of model.vocab")));
    }
    let has_bytes = pieces.iter().map(|(_, piece)| piece).chain(added.iter().map(|a| a.shown.as_str())).any(|piece| byte_piece(piece).is_some());
    let chain = Chain::new(&definition["decoder"], has_bytes)?;
    notes.extend(chain.notes().iter().cloned());
    let told = told(pieces, &chain)?;
    let (vocabulary, joined) = vocabulary(pieces, &told, &added, unknown, &chain)?;
    let normalizers = stages(&definition["normalizer"], "normalizers");
    let pre_tokenizers = stages(&definition["pre_tokenizer"], "pretokenizers");
    let spelling = spelling(&normalizers, &pre_tokenizers);
    let byte_fallback = flag(model, "byte_fallback") == Some(true);
    // Where whole words are looked up, a byte piece is found under its own name.
    let bytes = byte_fallback && flag(model, "ignore_merges") != Some(true);
    let matched = Matched::new(pieces, spelling, bytes, &told, &chain);
    // Whatever puts a space before a text, reading it back takes one away: else plain text would not come back.
    let adds = adds_space(&normalizers, &pre_tokenizers);
    let drops = adds && !joined.drops_first_space && joined.joints.strip.is_none();
    if drops {
        notes.push("decode drops the space that encoding puts before a text; the tokenizers library keeps it".into());
    }
    let reading = if drops { Reading::dropping(joined.joints) } else { Reading::with(joined.drops_first_space, joined.joints) };
    let reader = Reader {
        whole,
        definition,
        model,
        pieces,
        matched: &matched,
        chain: &chain,
        added: &added,
        normalizers: &normalizers,
        pre_tokenizers: &pre_tokenizers,
        unknown,
    };
    let library = |reason: &str| -> Result<Box<dyn Engine>> {
        let charsmap = reader.exact_charsmap()?;
        let definition = reader.guarded(charsmap.is_some());
        Ok(Box::new(Library::new(&definition, reader.facts(&vocabulary, &reading, charsmap, reason))?))
    };
    let (mut engine, own) = match reader.own_engine()? {
        Ok(engine) => (engine, true),
        Err(Refusal(reason)) => (library(&reason)?, false),
    };
    let mut check = "not compared with another library at load".to_string();
    if let Some(judge) = reader.judge() {
        let mut differs = judge.ids_differ(engine.as_ref())?;
        if let Some(difference) = differs.take_if(|_| own) {
            engine = library(&difference.reason())?;
            differs = judge.ids_differ(engine.as_ref())?;
        }
        if let Some(difference) = differs {
            return Err(difference.refusal("model", "the encoding"));
        }
        if let Some(difference) = judge.text_differs(&vocabulary, &reading, drops)? {
            return Err(difference.refusal("decoder", "the text"));
        }
        check = format!("ids and decoded text equal those of the tokenizers library on {} texts of the file's own pieces", judge.texts());
    }
    Ok(Loaded {
        engine,
        byte_fallback: byte_fallback || chain.reads_bytes(),
        reading,
        unknown,
        model: model_name(whole).into(),
        split_rule: rule_text(&pre_tokenizers),
        normalizer: normalizers.iter().map(|n| kind(n)).collect::<Vec<_>>().join(", "),
        added_text: added.iter().filter(|a| !a.control).map(|a| a.content.clone()).collect(),
        control_tokens: control_tokens(&added, unknown, pieces),
        source_notes: notes,
        check,
        vocabulary,
        spelling,
    })
}

/// Refuses stages that neither we nor the library know, by name (tokenizers 0.23).
fn check_kinds(definition: &Value, model: &Value) -> Result<()> {
    const MODELS: &[&str] = &["BPE", "Unigram", "WordPiece", "WordLevel"];
    const NORMALIZERS: &[&str] = &[
        "BertNormalizer",
        "ByteLevel",
        "Lowercase",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Nmt",
        "Precompiled",
        "Prepend",
        "Replace",
        "Strip",
        "StripAccents",
    ];
    const PRE_TOKENIZERS: &[&str] = &[
        "BertPreTokenizer",
        "ByteLevel",
        "CharDelimiterSplit",
        "Digits",
        "FixedLength",
        "Metaspace",
        "Punctuation",
        "Split",
        "UnicodeScripts",
        "Whitespace",
        "WhitespaceSplit",
    ];
    const DECODERS: &[&str] = &["BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece"];
    let lists = [
        ("model", vec![model], MODELS),
        ("normalizer", stages(&definition["normalizer"], "normalizers"), NORMALIZERS),
        ("pre_tokenizer", stages(&definition["pre_tokenizer"], "pretokenizers"), PRE_TOKENIZERS),
        ("decoder", stages(&definition["decoder"], "decoders"), DECODERS),
    ];
    for (part, found, known) in lists {
        // Old files have a model without a type.
        let wrong = found.into_iter().map(kind).find(|name| !known.contains(name) && (part != "model" || !name.is_empty()));
        if let Some(name) = wrong {
            return Err(Error::definition(part, format!("type {name:?} is unknown: expected one of {}", known.join(", "))));
        }
    }
    Ok(())
}

/// Refuses rules of an absurd size, which nobody should compile: neither we nor the library.
fn check_rules(definition: &Value) -> Result<()> {
    for (part, list) in [("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("decoder", "decoders")] {
        for stage in stages(&definition[part], list) {
            stage.pointer("/pattern/Regex").and_then(Value::as_str).map_or(Ok(()), |rule| pattern::check(part, rule))?;
        }
    }
    Ok(())
}

/// Refuses a vocabulary that is nearly all holes: a table of it would take the memory of the machine.
fn check_largest_id(pieces: &Pieces, added: &[Added]) -> Result<()> {
    const HOLES: usize = 1 << 20;
    let largest = pieces.iter().map(|p| p.0).chain(added.iter().flat_map(|a| [a.id, a.written])).max().unwrap_or(0) as usize;
    let tokens = pieces.len() + added.len();
    if largest > tokens + HOLES {
        return Err(Error::definition("model.vocab", format!("id {largest} in a vocabulary of {tokens} tokens: expected ids without long gaps")));
    }
    Ok(())
}

fn model_name(whole: &Definition) -> &'static str {
    let model = whole.model();
    match kind(model) {
        "BPE" => "BPE",
        "Unigram" => "Unigram",
        "WordPiece" => "WordPiece",
        "WordLevel" => "WordLevel",
        // Old files carry no type: tell them by what they hold.
        _ if whole.merges.is_some() => "BPE",
        _ if model.get("unk_id").is_some() => "Unigram",
        _ if model.get("continuing_subword_prefix").is_some() => "WordPiece",
        _ => "WordLevel",
    }
}

/// The pre-token rule in words that a person can compare with the file.
fn rule_text(pre_tokenizers: &[&Value]) -> String {
    let rules = pre_tokenizers.iter().map(|stage| {
        let pattern = stage.pointer("/pattern/Regex").or_else(|| stage.pointer("/pattern/String")).and_then(Value::as_str);
        match (kind(stage), pattern) {
            ("ByteLevel", _) if flag(stage, "use_regex") != Some(false) => format!("ByteLevel({GPT2})"),
            (name, Some(pattern)) => format!("{name}({pattern})"),
            (name, None) => name.to_string(),
        }
    });
    let rules: Vec<String> = rules.collect();
    if rules.is_empty() {
        "none: the whole text is one word".into()
    } else {
        rules.join(" | ")
    }
}

/// Why the definition is run by the library instead of our own engine.
struct Refusal(String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

type Own<T> = std::result::Result<T, Refusal>;

fn refuse<T>(reason: impl Into<String>) -> Own<T> {
    Err(Refusal(reason.into()))
}

/// The parts of a definition, for building either engine.
struct Reader<'a> {
    whole: &'a Definition,
    /// All of it but the large lists.
    definition: &'a Value,
    model: &'a Value,
    pieces: &'a Pieces,
    matched: &'a Matched<'a>,
    chain: &'a Chain,
    added: &'a [Added],
    normalizers: &'a [&'a Value],
    pre_tokenizers: &'a [&'a Value],
    unknown: Option<u32>,
}

impl Reader<'_> {
    /// One of our own engines, or why the library must run the definition.
    fn own_engine(&self) -> Result<Own<Box<dyn Engine>>> {
        let of_library = |reason: &str| Refusal(reason.into());
        let byte_exact = if self.is_literal() { Err(of_library("a SentencePiece file")) } else { self.pipeline() };
        let reason = match byte_exact {
            Ok(pipeline) => return Ok(Ok(Box::new(pipeline))),
            Err(Refusal(reason)) => reason,
        };
        let normalizing = if self.is_literal() { Err(of_library("a SentencePiece file")) } else { self.rewriting() };
        let other = match normalizing {
            Ok(rewriting) => return Ok(Ok(Box::new(rewriting))),
            Err(Refusal(other)) => other,
        };
        // The library reads neither the ranks nor the scores of such a file as SentencePiece does.
        if self.is_sentencepiece() {
            return match self.sentencepiece() {
                Ok(engine) => Ok(Ok(Box::new(engine))),
                Err(Refusal(reason)) => Err(Error::definition("model", reason)),
            };
        }
        // The engine that would be the one for this model says what it misses.
        Ok(refuse(if matches!(model_name(self.whole), "Unigram" | "WordPiece") { other } else { reason }))
    }

    /// All pieces in byte space.
    fn piece_trie(&self) -> PieceTrie {
        PieceTrie::new(self.matched.iter().map(|(_, bytes)| bytes).chain(self.added_text_bytes()))
    }

    /// The added tokens that are text.
    fn added_text_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.added.iter().filter(|a| !a.control).map(|a| a.content.as_bytes())
    }
}
