//! A definition in the shape of `tokenizer.json` -> vocabulary and engine.
//!
//! Source: the file format of the `tokenizers` library, version "1.0". Formats that are not JSON are brought into this
//! shape first (rust/formats/), so that there is one way in.

use crate::bpe::{Alphabet, Bpe};
use crate::byte_alphabet;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::formats::charsmap::Charsmap;
use crate::library::{Facts, Library};
use crate::pattern::{CodePoints, Dialect, Pattern};
use crate::normal::METASPACE;
use crate::pipeline::{AddedText, DummyPrefix, Pipeline};
use crate::splitter::{Behaviour, Finder, Splitter, Stage};
use crate::token::TokenId;
use crate::trie::PieceTrie;
use crate::vocabulary::{Kind, Vocabulary};
use base64::Engine as _;
use rustc_hash::FxHashMap;
use serde_json::Value;
use unicode_categories::UnicodeCategories;

/// GPT-2's pre-token rule, which `ByteLevel` carries (Radford et al. 2019).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// How the decoder makes bytes of a vocabulary entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// One character of GPT-2's alphabet a byte.
    ByteLevel,
    /// U+2581 is a space; `<0xNN>` is a byte where `byte_fallback`.
    Metaspace { byte_fallback: bool },
    /// `##` glues to the word before, everything else begins with a space.
    WordPiece { prefix: String },
    /// As written, `suffix` being a space.
    Plain { suffix: Option<String> },
}

/// An added token of the definition.
struct Added {
    id: u32,
    content: String,
    control: bool,
    normalized: bool,
}

/// What a definition turns into.
pub(crate) struct Loaded {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) spelling: Spelling,
    /// Decoding drops one space at the start of a text.
    pub(crate) drops_first_space: bool,
    pub(crate) model: String,
    pub(crate) split_rule: String,
    pub(crate) normalizer: String,
    pub(crate) added_text: Vec<String>,
    pub(crate) source_notes: Vec<String>,
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
pub(crate) fn load(definition: &Value) -> Result<Loaded> {
    let model = definition.get("model").filter(|m| m.is_object());
    let model = model.ok_or_else(|| Error::definition("model", "missing: expected an object with a vocab"))?;
    let pieces = vocabulary_entries(model)?;
    let added = added_tokens(definition)?;
    let decoders = stages(&definition["decoder"], "decoders");
    let spelling = spelling(definition, model, &decoders);
    let unknown = unknown_id(model, &pieces);
    let vocabulary = vocabulary(&pieces, &added, unknown, &spelling);
    let normalizers = stages(&definition["normalizer"], "normalizers");
    let pre_tokenizers = stages(&definition["pre_tokenizer"], "pretokenizers");
    let reader = Reader { definition, model, pieces: &pieces, added: &added, spelling: &spelling, normalizers: &normalizers, pre_tokenizers: &pre_tokenizers, unknown };
    // Whatever puts a space before a text, reading it back takes one away: else plain text would not come back.
    let drops_first_space = drops_first_space(&decoders) || adds_space(&normalizers, &pre_tokenizers);
    let engine: Box<dyn Engine> = match reader.pipeline() {
        Ok(pipeline) => Box::new(pipeline),
        Err(Refusal(reason)) => {
            let charsmap = reader.exact_charsmap()?;
            let definition = reader.guarded(charsmap.is_some());
            Box::new(Library::new(&definition, reader.facts(&vocabulary, drops_first_space, charsmap, &reason))?)
        }
    };
    let notes = definition.pointer("/coolfusion/notes").and_then(Value::as_array);
    Ok(Loaded {
        engine,
        drops_first_space,
        model: model_name(model).into(),
        split_rule: rule_text(&pre_tokenizers),
        normalizer: normalizers.iter().map(|n| kind(n)).collect::<Vec<_>>().join(", "),
        added_text: added.iter().filter(|a| !a.control).map(|a| a.content.clone()).collect(),
        source_notes: notes.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect(),
        vocabulary,
        spelling,
    })
}

fn model_name(model: &Value) -> &'static str {
    match kind(model) {
        "BPE" => "BPE",
        "Unigram" => "Unigram",
        "WordPiece" => "WordPiece",
        "WordLevel" => "WordLevel",
        // Old files carry no type: tell them by what they hold.
        _ if model.get("merges").is_some() => "BPE",
        _ if model.get("unk_id").is_some() => "Unigram",
        _ if model.get("continuing_subword_prefix").is_some() => "WordPiece",
        _ => "WordLevel",
    }
}

/// (id, entry) of the model's own vocabulary.
fn vocabulary_entries(model: &Value) -> Result<Vec<(u32, String)>> {
    let broken = |what: &str| Error::definition("model.vocab", format!("{what}: expected entries with ids"));
    match model.get("vocab") {
        Some(Value::Object(map)) => map
            .iter()
            .map(|(piece, id)| {
                let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| broken(piece))?;
                Ok((id, piece.clone()))
            })
            .collect(),
        Some(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(id, entry)| {
                let piece = entry.get(0).and_then(Value::as_str).ok_or_else(|| broken(&entry.to_string()))?;
                Ok((id as u32, piece.to_string()))
            })
            .collect(),
        _ => Err(broken("missing")),
    }
}

fn added_tokens(definition: &Value) -> Result<Vec<Added>> {
    let list = definition.get("added_tokens").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|token| {
            let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            let (Some(id), Some(content)) = (id, text(token, "content")) else {
                return Err(Error::definition("added_tokens", format!("{token}: expected an id and a content")));
            };
            let is = |key| flag(token, key) == Some(true);
            // A token that eats the white space around it cannot be part of a text that must come back byte for byte.
            let control = is("special") || is("lstrip") || is("rstrip") || is("single_word") || content.is_empty();
            Ok(Added { id, content: content.into(), control, normalized: is("normalized") })
        })
        .collect()
}

fn unknown_id(model: &Value, pieces: &[(u32, String)]) -> Option<u32> {
    if let Some(id) = model.get("unk_id").and_then(Value::as_u64) {
        return u32::try_from(id).ok();
    }
    let unknown = text(model, "unk_token")?;
    pieces.iter().find(|(_, piece)| piece == unknown).map(|&(id, _)| id)
}

fn spelling(definition: &Value, model: &Value, decoders: &[&Value]) -> Spelling {
    let has = |name: &str| decoders.iter().find(|d| kind(d) == name);
    let replaces = decoders.iter().any(|d| kind(d) == "Replace" && d.pointer("/pattern/String").and_then(Value::as_str) == Some("\u{2581}"));
    let pre_byte_level = stages(&definition["pre_tokenizer"], "pretokenizers").iter().any(|p| kind(p) == "ByteLevel");
    if has("ByteLevel").is_some() || pre_byte_level && !replaces {
        Spelling::ByteLevel
    } else if replaces || has("Metaspace").is_some() {
        Spelling::Metaspace { byte_fallback: has("ByteFallback").is_some() || flag(model, "byte_fallback") == Some(true) }
    } else if let Some(decoder) = has("WordPiece") {
        Spelling::WordPiece { prefix: text(decoder, "prefix").unwrap_or("##").into() }
    } else {
        Spelling::Plain { suffix: has("BPEDecoder").and_then(|d| text(d, "suffix")).map(String::from) }
    }
}

fn drops_first_space(decoders: &[&Value]) -> bool {
    decoders.iter().any(|decoder| match kind(decoder) {
        "Strip" => text(decoder, "content") == Some(" ") && decoder.get("start").and_then(Value::as_u64) >= Some(1),
        "Metaspace" => prepend_scheme(decoder) != "never",
        "WordPiece" => true,
        _ => false,
    })
}

fn adds_space(normalizers: &[&Value], pre_tokenizers: &[&Value]) -> bool {
    let prepends = normalizers.iter().any(|n| kind(n) == "Prepend" && matches!(text(n, "prepend"), Some("\u{2581}" | " ")));
    prepends
        || pre_tokenizers.iter().any(|stage| match kind(stage) {
            "ByteLevel" => flag(stage, "add_prefix_space") == Some(true),
            "Metaspace" => prepend_scheme(stage) != "never",
            _ => false,
        })
}

/// When a `Metaspace` stage puts its mark before a text; old files only know whether.
fn prepend_scheme(stage: &Value) -> &str {
    text(stage, "prepend_scheme").unwrap_or(if flag(stage, "add_prefix_space") == Some(false) { "never" } else { "always" })
}

/// `<0xNN>` -> NN.
fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

impl Spelling {
    /// The bytes that the vocabulary entry `piece` stands for.
    fn bytes(&self, piece: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => byte_alphabet::bytes(piece).unwrap_or_else(|| piece.as_bytes().to_vec()),
            Self::Metaspace { byte_fallback } => match byte_piece(piece) {
                Some(byte) if *byte_fallback => vec![byte],
                _ => piece.replace(METASPACE, " ").into_bytes(),
            },
            Self::WordPiece { prefix } => match piece.strip_prefix(prefix.as_str()) {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {piece}").into_bytes(),
            },
            Self::Plain { suffix: Some(suffix) } => match piece.strip_suffix(suffix.as_str()) {
                Some(rest) => format!("{rest} ").into_bytes(),
                None => piece.as_bytes().to_vec(),
            },
            Self::Plain { suffix: None } => piece.as_bytes().to_vec(),
        }
    }
}

fn vocabulary(pieces: &[(u32, String)], added: &[Added], unknown: Option<u32>, spelling: &Spelling) -> Vocabulary {
    let size = pieces.iter().map(|p| p.0).chain(added.iter().map(|a| a.id)).max().map_or(0, |id| id as usize + 1);
    let mut entries = vec![(Kind::Unused, Vec::new()); size];
    for (id, piece) in pieces {
        entries[*id as usize] = (Kind::Text, spelling.bytes(piece));
    }
    for token in added {
        entries[token.id as usize] = if token.control {
            (Kind::Control, Vec::new())
        } else {
            // Added tokens stand for what they say; only Metaspace decoders still replace the mark.
            let content = match spelling {
                Spelling::Metaspace { .. } => token.content.replace(METASPACE, " "),
                _ => token.content.clone(),
            };
            (Kind::Text, content.into_bytes())
        };
    }
    if let Some(entry) = unknown.and_then(|id| entries.get_mut(id as usize)) {
        *entry = (Kind::Control, Vec::new());
    }
    Vocabulary::new(entries)
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
    if rules.is_empty() { "none: the whole text is one word".into() } else { rules.join(" | ") }
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
    definition: &'a Value,
    model: &'a Value,
    pieces: &'a [(u32, String)],
    added: &'a [Added],
    spelling: &'a Spelling,
    normalizers: &'a [&'a Value],
    pre_tokenizers: &'a [&'a Value],
    unknown: Option<u32>,
}

impl Reader<'_> {
    fn dialect(&self) -> Dialect {
        let source = self.definition.pointer("/coolfusion/source_format").and_then(Value::as_str);
        if source == Some("tiktoken") { Dialect::Tiktoken } else { Dialect::Oniguruma }
    }

    /// Our own engine, or why not.
    fn pipeline(&self) -> Own<Pipeline> {
        if model_name(self.model) != "BPE" {
            return refuse(format!("{} model", model_name(self.model)));
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if text(self.model, key).is_some_and(|t| !t.is_empty()) {
                return refuse(format!("{key} in the model"));
            }
        }
        if self.model.get("dropout").and_then(Value::as_f64).is_some_and(|d| d > 0.0) {
            return refuse("dropout in the model");
        }
        let mut plan = Plan::default();
        self.normalizer(&mut plan)?;
        self.pre_tokenizer(&mut plan)?;
        let byte_level = plan.byte_level;
        if !byte_level && !plan.metaspace || byte_level != (*self.spelling == Spelling::ByteLevel) {
            return refuse("neither byte-level nor with U+2581 for spaces throughout");
        }
        let added = self.added_text(&plan)?;
        let bpe = self.bpe(byte_level)?;
        let (pieces, spaces_begin_pieces) = if plan.stages.is_empty() {
            let trie = self.piece_trie();
            let glued = trie.any(holds_inner_space);
            (Some(trie), !glued && !byte_level)
        } else {
            (None, false)
        };
        let how = if pieces.is_some() { "no pre-token rule" } else { "pre-token rule matched by coolfusion" };
        Ok(Pipeline {
            added,
            nfc: plan.nfc,
            metaspace: plan.metaspace,
            dummy: plan.dummy,
            dummy_everywhere: plan.dummy == DummyPrefix::Always && plan.dummy_by_normalizer,
            splitter: Splitter { stages: plan.stages },
            bpe,
            pieces,
            spaces_begin_pieces,
            notes: format!("coolfusion's own byte-pair encoder, {how}"),
        })
    }

    fn normalizer(&self, plan: &mut Plan) -> Own<()> {
        for stage in self.normalizers {
            let replaces = stage.pointer("/pattern/String").and_then(Value::as_str);
            match kind(stage) {
                "NFC" if !plan.metaspace => plan.nfc = true,
                "Prepend" if text(stage, "prepend") == Some("\u{2581}") => {
                    plan.dummy = DummyPrefix::Always;
                    plan.dummy_by_normalizer = true;
                }
                "Replace" if replaces == Some(" ") && text(stage, "content") == Some("\u{2581}") => plan.metaspace = true,
                other => return refuse(format!("normalizer {other}")),
            }
        }
        if plan.dummy == DummyPrefix::Always && !plan.metaspace {
            return refuse("a dummy prefix without U+2581 for spaces");
        }
        if plan.nfc && plan.metaspace {
            return refuse("NFC together with U+2581 for spaces");
        }
        Ok(())
    }

    fn pre_tokenizer(&self, plan: &mut Plan) -> Own<()> {
        for (index, stage) in self.pre_tokenizers.iter().enumerate() {
            match kind(stage) {
                "Split" => self.split(stage, plan)?,
                "ByteLevel" => self.byte_level(stage, index, plan)?,
                "Digits" => {
                    let behaviour = if flag(stage, "individual_digits") == Some(true) { Behaviour::Isolated } else { Behaviour::Contiguous };
                    plan.add(Finder::Class(CodePoints::from_predicate(char::is_numeric)), behaviour, false)?;
                }
                "Punctuation" => {
                    let behaviour = behaviour(text(stage, "behavior").unwrap_or("Isolated"))?;
                    let punctuation = |c: char| c.is_ascii_punctuation() || c.is_punctuation();
                    plan.add(Finder::Class(CodePoints::from_predicate(punctuation)), behaviour, false)?;
                }
                "Metaspace" => self.metaspace(stage, plan)?,
                other => return refuse(format!("pre-tokenizer {other}")),
            }
        }
        Ok(())
    }

    fn metaspace(&self, stage: &Value, plan: &mut Plan) -> Own<()> {
        if text(stage, "replacement").is_some_and(|mark| mark != "\u{2581}") {
            return refuse("Metaspace with another mark than U+2581");
        }
        match (prepend_scheme(stage), plan.metaspace, plan.dummy) {
            // The normalizer has put the mark there already.
            ("never", ..) | (_, true, DummyPrefix::Always) => {}
            (_, false, _) => plan.dummy = DummyPrefix::UnlessSpace,
            _ => return refuse("Metaspace that adds a mark behind a normalizer that does not"),
        }
        plan.metaspace = true;
        // `split` only makes the words shorter: merges never cross a space where no piece does.
        if flag(stage, "split") != Some(false) && self.piece_trie().any(holds_inner_space) {
            return refuse("Metaspace that splits words which pieces could join");
        }
        Ok(())
    }

    fn split(&self, stage: &Value, plan: &mut Plan) -> Own<()> {
        let invert = flag(stage, "invert") == Some(true);
        let behaviour = behaviour(text(stage, "behavior").unwrap_or("Isolated"))?;
        let literal = stage.pointer("/pattern/String").and_then(Value::as_str);
        let regex = stage.pointer("/pattern/Regex").and_then(Value::as_str);
        if plan.metaspace {
            // Spaces are gone by now, so this stage (Gemma's) never finds one.
            return if literal == Some(" ") && !invert { Ok(()) } else { refuse("Split behind U+2581 for spaces") };
        }
        let pattern = match (literal, regex) {
            (Some(literal), _) => Pattern::new(&escape(literal), self.dialect())?,
            (None, Some(regex)) => Pattern::new(regex, self.dialect())?,
            (None, None) => return refuse("Split without a pattern"),
        };
        plan.add(Finder::Pattern(pattern), behaviour, invert)
    }

    fn byte_level(&self, stage: &Value, index: usize, plan: &mut Plan) -> Own<()> {
        if plan.byte_level || plan.metaspace {
            return refuse("ByteLevel twice, or behind U+2581 for spaces");
        }
        if flag(stage, "add_prefix_space") == Some(true) {
            if index > 0 {
                return refuse("ByteLevel with add_prefix_space behind other stages");
            }
            plan.dummy = DummyPrefix::UnlessSpace;
        }
        if flag(stage, "use_regex") != Some(false) {
            plan.add(Finder::Pattern(Pattern::new(GPT2, Dialect::Oniguruma)?), Behaviour::Isolated, false)?;
        }
        plan.byte_level = true;
        Ok(())
    }

    fn added_text(&self, plan: &Plan) -> Own<AddedText> {
        let tokens: Vec<&Added> = self.added.iter().filter(|a| !a.control).collect();
        if tokens.iter().any(|a| a.normalized) && tokens.iter().any(|a| !a.normalized) {
            return refuse("added text tokens both before and behind the normalizer");
        }
        // Gemma's runs of U+2581 are matched before spaces become that mark, so only a text that holds the mark has them.
        let spaced = |a: &&Added| plan.metaspace && a.normalized && a.content.contains([' ', METASPACE]);
        if tokens.iter().any(spaced) || plan.dummy_by_normalizer && tokens.iter().any(|a| a.normalized) {
            return refuse("added text tokens that hold spaces behind the normalizer");
        }
        let ids = tokens.iter().map(|a| (a.content.as_bytes().into(), TokenId(a.id))).collect();
        Ok(AddedText { trie: PieceTrie::new(tokens.iter().map(|a| a.content.as_bytes().into()).collect()), ids })
    }

    fn bpe(&self, byte_level: bool) -> Own<Bpe> {
        let by_piece: FxHashMap<&str, TokenId> = self.pieces.iter().map(|(id, p)| (p.as_str(), TokenId(*id))).collect();
        let merges = self.merges(&by_piece)?;
        let alphabet = if byte_level { byte_symbols(&by_piece) } else { self.character_symbols(&by_piece) };
        let whole_words = (flag(self.model, "ignore_merges") == Some(true)).then(|| {
            let control = |id: u32| self.added.iter().any(|a| a.control && a.id == id) || self.unknown == Some(id);
            let controls: Vec<u32> = self.pieces.iter().map(|p| p.0).filter(|&id| control(id)).collect();
            let words = self.pieces.iter().filter(|(id, _)| !controls.contains(id));
            words.map(|(id, piece)| (self.spelling.bytes(piece).into(), TokenId(*id))).collect()
        });
        Ok(Bpe { alphabet, merges, whole_words })
    }

    fn character_symbols(&self, by_piece: &FxHashMap<&str, TokenId>) -> Alphabet {
        let mut ids: FxHashMap<char, TokenId> = FxHashMap::default();
        for (id, piece) in self.pieces {
            let mut chars = piece.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                ids.insert(if c == METASPACE { ' ' } else { c }, TokenId(*id));
            }
        }
        let byte = |b: usize| by_piece.get(format!("<0x{b:02X}>").as_str()).copied();
        let mut bytes = Box::new([None; 256]);
        (0..256).for_each(|b| bytes[b] = byte(b));
        let wanted = flag(self.model, "byte_fallback") == Some(true);
        Alphabet::Characters {
            ids,
            fallback: wanted.then_some(bytes),
            unknown: self.unknown.map(TokenId),
            fuse_unknown: flag(self.model, "fuse_unk") == Some(true),
        }
    }

    /// (left, right) -> (rank, merged). An entry is `["a", "b"]` or, in old files, `"a b"`.
    fn merges(&self, by_piece: &FxHashMap<&str, TokenId>) -> Own<FxHashMap<(TokenId, TokenId), (u32, TokenId)>> {
        let list = self.model.get("merges").and_then(Value::as_array);
        let list = list.ok_or_else(|| Refusal("no merges".into()))?;
        // Ranks that tie (SentencePiece scores, tiktoken splits) cannot be told from the position in the list.
        let ranks = self.definition.pointer("/coolfusion/merge_ranks").and_then(Value::as_array);
        let mut merges = FxHashMap::with_capacity_and_hasher(list.len(), rustc_hash::FxBuildHasher);
        let mut joined = String::new();
        for (rank, merge) in list.iter().enumerate() {
            let pair = match merge {
                Value::String(line) => line.split_once(' '),
                Value::Array(pair) => pair.first().and_then(Value::as_str).zip(pair.get(1).and_then(Value::as_str)),
                _ => None,
            };
            let Some((left, right)) = pair else { return refuse(format!("merge {rank}: {merge}")) };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            let ids = (by_piece.get(left), by_piece.get(right), by_piece.get(joined.as_str()));
            let (Some(&left), Some(&right), Some(&merged)) = ids else {
                return refuse(format!("merge {rank}: {merge} is not of the vocabulary"));
            };
            let rank = match ranks {
                Some(ranks) => ranks.get(rank).and_then(Value::as_u64).ok_or_else(|| Refusal(format!("merge {rank} has no rank")))?,
                None => rank as u64,
            };
            merges.insert((left, right), (rank as u32, merged));
        }
        Ok(merges)
    }

    /// All pieces in byte space.
    fn piece_trie(&self) -> PieceTrie {
        let added = self.added.iter().filter(|a| !a.control).map(|a| a.content.clone().into_bytes().into());
        PieceTrie::new(self.pieces.iter().map(|(_, piece)| self.spelling.bytes(piece).into()).chain(added).collect())
    }

    /// The charsmap that we apply ourselves, because the library's reading of it is not SentencePiece's.
    fn exact_charsmap(&self) -> Result<Option<Charsmap>> {
        if self.definition.pointer("/coolfusion/exact_charsmap").and_then(Value::as_bool) != Some(true) {
            return Ok(None);
        }
        let stage = self.normalizers.iter().find(|n| kind(n) == "Precompiled");
        let blob = stage.and_then(|stage| text(stage, "precompiled_charsmap"));
        let decoded = blob.map(|blob| base64::engine::general_purpose::STANDARD.decode(blob)).transpose();
        let blob = decoded.map_err(|error| Error::definition("normalizer", format!("precompiled_charsmap: {error}")))?;
        // User-defined symbols of SentencePiece are not rewritten.
        let keeps = self.definition.pointer("/coolfusion/charsmap_keeps").and_then(Value::as_array);
        let keeps: Vec<String> = keeps.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect();
        blob.map(|blob| Ok(Charsmap::new(&blob)?.keeping(keeps))).transpose()
    }

    /// The definition for the library: no control token can be found in a text.
    fn guarded(&self, without_charsmap: bool) -> Value {
        let mut definition = self.definition.clone();
        if without_charsmap {
            if let Some(steps) = definition.pointer_mut("/normalizer/normalizers").and_then(Value::as_array_mut) {
                steps.retain(|step| kind(step) != "Precompiled");
            }
        }
        let controls: Vec<(u32, &str)> = self.added.iter().filter(|a| a.control).map(|a| (a.id, a.content.as_str())).collect();
        // A Unigram model finds its control pieces in any text; no text holds this name.
        let unigram = model_name(self.model) == "Unigram";
        let hidden = |content: &str| format!("\u{10FFFE} control {content}");
        if let Some(list) = definition.get_mut("added_tokens").and_then(Value::as_array_mut) {
            for token in list {
                let content = text(token, "content").unwrap_or_default().to_string();
                if controls.iter().any(|c| c.1 == content) {
                    for (key, value) in [("special", true), ("lstrip", false), ("rstrip", false), ("single_word", false)] {
                        token[key] = value.into();
                    }
                    if unigram {
                        token["content"] = hidden(&content).into();
                    }
                }
            }
        }
        if unigram {
            for (id, content) in &controls {
                if let Some(entry) = definition.pointer_mut(&format!("/model/vocab/{id}/0")).filter(|e| e.as_str() == Some(content)) {
                    *entry = hidden(content).into();
                }
            }
        }
        for key in ["truncation", "padding", "post_processor"] {
            definition[key] = Value::Null;
        }
        if let Some(map) = definition.as_object_mut() {
            map.remove("coolfusion");
        }
        definition
    }

    fn facts(&self, vocabulary: &Vocabulary, drops_first_space: bool, charsmap: Option<Charsmap>, reason: &str) -> Facts {
        let pieces = self.piece_trie();
        let keeps = |n: &&Value| match kind(n) {
            "Prepend" => true,
            "Replace" => n.pointer("/pattern/String").and_then(Value::as_str) == Some(" ") && text(n, "content") == Some("\u{2581}"),
            _ => false,
        };
        let plain = self.pre_tokenizers.iter().all(|p| kind(p) == "Metaspace") && matches!(self.spelling, Spelling::Metaspace { .. });
        let fallback = flag(self.model, "byte_fallback") == Some(true) && !vocabulary.is_empty();
        Facts {
            charsmap,
            normalizes: !(self.normalizers.iter().all(keeps) && plain),
            spaces_begin_pieces: !pieces.any(holds_inner_space),
            may_be_unknown: !fallback,
            unigram: model_name(self.model) == "Unigram",
            splits_at_spaces: self.pre_tokenizers.iter().any(|stage| match kind(stage) {
                "WhitespaceSplit" => true,
                "Metaspace" => flag(stage, "split") != Some(false),
                _ => false,
            }),
            opaque: self.pre_tokenizers.iter().any(|stage| self.is_opaque(stage)),
            vocabulary: vocabulary.clone(),
            drops_first_space,
            notes: format!("tokenizers crate ({reason})"),
            pieces,
        }
    }
}

impl Reader<'_> {
    /// Whether a pre-tokenizer stage may look further than one can tell (a pattern that our matcher does not read).
    fn is_opaque(&self, stage: &Value) -> bool {
        match kind(stage) {
            "Split" => {
                let pattern = stage.pointer("/pattern/Regex").and_then(Value::as_str);
                pattern.is_some_and(|pattern| Pattern::new(pattern, self.dialect()).is_err())
            }
            "Metaspace" | "WhitespaceSplit" | "Whitespace" | "BertPreTokenizer" | "ByteLevel" | "Punctuation" | "Digits"
            | "CharDelimiterSplit" => false,
            _ => true,
        }
    }
}

/// Whether a piece holds a space behind another character.
fn holds_inner_space(piece: &[u8]) -> bool {
    piece.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' ')
}

fn byte_symbols(by_piece: &FxHashMap<&str, TokenId>) -> Alphabet {
    let mut ids = [None; 256];
    for (byte, c) in byte_alphabet::characters().into_iter().enumerate() {
        ids[byte] = by_piece.get(c.to_string().as_str()).copied();
    }
    Alphabet::Bytes(Box::new(ids))
}

fn behaviour(name: &str) -> Own<Behaviour> {
    match name {
        "Isolated" => Ok(Behaviour::Isolated),
        "Contiguous" => Ok(Behaviour::Contiguous),
        "MergedWithPrevious" => Ok(Behaviour::MergedWithPrevious),
        "MergedWithNext" => Ok(Behaviour::MergedWithNext),
        other => refuse(format!("behaviour {other}")),
    }
}

/// `literal` as a pattern that matches just it.
fn escape(literal: &str) -> String {
    regex_syntax::escape(literal)
}

/// What the stages amount to.
struct Plan {
    nfc: bool,
    metaspace: bool,
    byte_level: bool,
    dummy: DummyPrefix,
    dummy_by_normalizer: bool,
    stages: Vec<Stage>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { nfc: false, metaspace: false, byte_level: false, dummy: DummyPrefix::None, dummy_by_normalizer: false, stages: Vec::new() }
    }
}

impl Plan {
    fn add(&mut self, finder: Finder, behaviour: Behaviour, invert: bool) -> Own<()> {
        if self.metaspace {
            return refuse("a pre-token rule behind U+2581 for spaces");
        }
        self.stages.push(Stage { finder, behaviour, invert, on_bytes: self.byte_level });
        Ok(())
    }
}
