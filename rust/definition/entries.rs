//! The vocabulary of a definition: which ids there are, and which bytes they stand for.

use super::{flag, kind, stages, text};
use crate::byte_alphabet;
use crate::error::{Error, Result};
use crate::normal::METASPACE;
use crate::vocabulary::{Kind, Vocabulary};
use serde_json::Value;

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
pub(super) struct Added {
    pub(super) id: u32,
    pub(super) content: String,
    pub(super) control: bool,
    pub(super) normalized: bool,
}

/// (id, entry) of the model's own vocabulary.
pub(super) fn vocabulary_entries(model: &Value) -> Result<Vec<(u32, String)>> {
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

pub(super) fn added_tokens(definition: &Value) -> Result<Vec<Added>> {
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

pub(super) fn unknown_id(model: &Value, pieces: &[(u32, String)]) -> Option<u32> {
    if let Some(id) = model.get("unk_id").and_then(Value::as_u64) {
        return u32::try_from(id).ok();
    }
    let unknown = text(model, "unk_token")?;
    pieces.iter().find(|(_, piece)| piece == unknown).map(|&(id, _)| id)
}

pub(super) fn spelling(definition: &Value, model: &Value, decoders: &[&Value]) -> Spelling {
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

pub(super) fn drops_first_space(decoders: &[&Value]) -> bool {
    decoders.iter().any(|decoder| match kind(decoder) {
        "Strip" => text(decoder, "content") == Some(" ") && decoder.get("start").and_then(Value::as_u64) >= Some(1),
        "Metaspace" => prepend_scheme(decoder) != "never",
        "WordPiece" => true,
        _ => false,
    })
}

pub(super) fn adds_space(normalizers: &[&Value], pre_tokenizers: &[&Value]) -> bool {
    let prepends = normalizers.iter().any(|n| kind(n) == "Prepend" && matches!(text(n, "prepend"), Some("\u{2581}" | " ")));
    prepends
        || pre_tokenizers.iter().any(|stage| match kind(stage) {
            "ByteLevel" => flag(stage, "add_prefix_space") == Some(true),
            "Metaspace" => prepend_scheme(stage) != "never",
            _ => false,
        })
}

/// When a `Metaspace` stage puts its mark before a text; old files only know whether.
pub(super) fn prepend_scheme(stage: &Value) -> &str {
    text(stage, "prepend_scheme").unwrap_or(if flag(stage, "add_prefix_space") == Some(false) { "never" } else { "always" })
}

/// `<0xNN>` -> NN.
fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

impl Spelling {
    /// The bytes that the vocabulary entry `piece` stands for.
    pub(super) fn bytes(&self, piece: &str) -> Vec<u8> {
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

pub(super) fn vocabulary(pieces: &[(u32, String)], added: &[Added], unknown: Option<u32>, spelling: &Spelling) -> Vocabulary {
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
