//! The vocabulary of a definition: which ids there are, and which bytes they stand for.

use super::model::Pieces;
use super::{flag, kind, stages, text};
use crate::arena::Arena;
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

/// Refuses a vocabulary that is none.
pub(super) fn check_pieces(pieces: &Pieces) -> Result<()> {
    let broken = |what: &str| Err(Error::definition("model.vocab", format!("{what}: expected entries with ids")));
    match &pieces.broken {
        Some(what) => broken(what),
        None if pieces.is_missing() => broken("missing"),
        None => Ok(()),
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

/// What control tokens are called, and their ids, ascending.
pub(super) fn control_tokens(added: &[Added], unknown: Option<u32>, pieces: &Pieces) -> Vec<(String, u32)> {
    let mut named: Vec<(String, u32)> = added.iter().filter(|token| token.control).map(|token| (token.content.clone(), token.id)).collect();
    let is_unknown = |entry: &(u32, &str)| Some(entry.0) == unknown && !added.iter().any(|token| token.id == entry.0);
    named.extend(pieces.iter().find(is_unknown).map(|(id, piece)| (piece.to_string(), id)));
    named.sort_by_key(|entry| entry.1);
    named
}

pub(super) fn unknown_id(model: &Value, pieces: &Pieces) -> Option<u32> {
    if let Some(id) = model.get("unk_id").and_then(Value::as_u64) {
        return u32::try_from(id).ok();
    }
    pieces.find(text(model, "unk_token")?)
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
    /// Appends the bytes that the vocabulary entry `piece` stands for.
    fn write(&self, piece: &str, bytes: &mut Vec<u8>) {
        match self {
            Self::ByteLevel => byte_alphabet::write(piece, bytes),
            Self::Metaspace { byte_fallback } => match byte_piece(piece) {
                Some(byte) if *byte_fallback => bytes.push(byte),
                _ => write_spaced(piece, bytes),
            },
            Self::WordPiece { prefix } => match piece.strip_prefix(prefix.as_str()) {
                Some(rest) => bytes.extend_from_slice(rest.as_bytes()),
                None => {
                    bytes.push(b' ');
                    bytes.extend_from_slice(piece.as_bytes());
                }
            },
            Self::Plain { suffix } => match suffix.as_ref().and_then(|suffix| piece.strip_suffix(suffix.as_str())) {
                Some(rest) => {
                    bytes.extend_from_slice(rest.as_bytes());
                    bytes.push(b' ');
                }
                None => bytes.extend_from_slice(piece.as_bytes()),
            },
        }
    }

    /// The bytes of all pieces, by their numbers.
    pub(super) fn spelled(&self, pieces: &Pieces) -> Arena {
        let mut spelled = Arena::with_capacity(pieces.len(), pieces.bytes());
        pieces.iter().for_each(|(_, piece)| spelled.push_with(|bytes| self.write(piece, bytes)));
        spelled
    }
}

/// Appends `piece` with plain spaces for U+2581.
pub(super) fn write_spaced(piece: &str, bytes: &mut Vec<u8>) {
    for (index, part) in piece.split(METASPACE).enumerate() {
        if index > 0 {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(part.as_bytes());
    }
}

pub(super) fn vocabulary(pieces: &Pieces, spelled: &Arena, added: &[Added], unknown: Option<u32>, spelling: &Spelling) -> Vocabulary {
    let size = pieces.iter().map(|p| p.0).chain(added.iter().map(|a| a.id)).max().map_or(0, |id| id as usize + 1);
    let mut contents = Arena::default();
    for token in added {
        // Added tokens stand for what they say; only Metaspace decoders still replace the mark.
        contents.push_with(|bytes| match spelling {
            Spelling::Metaspace { .. } => write_spaced(&token.content, bytes),
            _ => bytes.extend_from_slice(token.content.as_bytes()),
        });
    }
    let mut entries: Vec<(Kind, &[u8])> = vec![(Kind::Unused, &[]); size];
    for ((id, _), bytes) in pieces.iter().zip(spelled.iter()) {
        entries[id as usize] = (Kind::Text, bytes);
    }
    for (token, content) in added.iter().zip(contents.iter()) {
        entries[token.id as usize] = if token.control { (Kind::Control, &[]) } else { (Kind::Text, content) };
    }
    if let Some(entry) = unknown.and_then(|id| entries.get_mut(id as usize)) {
        *entry = (Kind::Control, &[]);
    }
    Vocabulary::new(entries)
}
