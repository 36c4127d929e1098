//! The vocabulary of a definition: which ids there are, which texts the model finds them in, which bytes they stand for.

use super::chain::{byte_piece, Chain, Told};
use super::model::Pieces;
use super::{flag, kind, text};
use crate::arena::Arena;
use crate::byte_alphabet;
use crate::error::{Error, Result};
use crate::normal::METASPACE;
use crate::vocabulary::{Kind, Vocabulary};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use std::borrow::Cow;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// How the model sees a text: what follows from normalizer and pre-tokenizer alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// One character of GPT-2's alphabet a byte.
    ByteLevel,
    /// U+2581 for each space.
    Marks,
    /// As written.
    Plain,
}

/// An added token of the definition.
pub(super) struct Added {
    pub(super) id: u32,
    /// The id that the file says.
    pub(super) written: u32,
    pub(super) content: String,
    /// What the decoder is given for it.
    pub(super) shown: String,
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

/// The added tokens, with the ids that the library gives them: that of the model's piece, else the next free one.
///
/// `notes` tells of ids that the file says otherwise. Formats with ids of their own (`coolfusion`) keep them, and so do
/// tokens that are no pieces where a folder declares them (`declared_ids`).
pub(super) fn added_tokens(definition: &Value, pieces: &Pieces, notes: &mut Vec<String>) -> Result<Vec<Added>> {
    let own_ids = definition.get("coolfusion").is_some();
    let normalizer = Normal::of(definition, own_ids)?;
    let list = definition.get("added_tokens").and_then(Value::as_array);
    let declared = flag(definition, "declared_ids") == Some(true);
    let mut next = pieces.len() as u32;
    let mut places: FxHashMap<String, usize> = FxHashMap::default();
    let mut found: Vec<Added> = Vec::new();
    for token in list.into_iter().flatten() {
        let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let (Some(written), Some(content)) = (id, text(token, "content")) else {
            return Err(Error::definition("added_tokens", format!("{token}: expected an id and a content")));
        };
        let is = |key| flag(token, key) == Some(true);
        // A token that eats the white space around it cannot be part of a text that must come back byte for byte.
        let control = is("special") || is("lstrip") || is("rstrip") || is("single_word") || content.is_empty();
        let normalized = is("normalized");
        let shown = if normalized && !control { normalizer.shown(content)? } else { content.to_string() };
        if own_ids {
            found.push(Added { id: written, written, content: content.into(), shown, control, normalized });
            continue;
        }
        // The library leaves out what has no content; of tokens with one content the last counts, but special stays special.
        if content.is_empty() {
            continue;
        }
        if let Some(&place) = places.get(content) {
            let control = control || found[place].control;
            found[place] = Added { id: found[place].id, written, content: content.into(), shown, control, normalized };
            continue;
        }
        let id = pieces.find(content).unwrap_or_else(|| {
            next += 1;
            if declared {
                written
            } else {
                next - 1
            }
        });
        if id != written {
            notes.push(format!("added token {content:?}: id {id} as in the tokenizers library, not {written} as written"));
        }
        places.insert(content.into(), found.len());
        found.push(Added { id, written, content: content.into(), shown, control, normalized });
    }
    Ok(found)
}

/// The normalizer, for the added tokens that the library shows in their normal form.
struct Normal(Option<NormalizerWrapper>);

impl Normal {
    fn of(definition: &Value, own_ids: bool) -> Result<Self> {
        let list = definition.get("added_tokens").and_then(Value::as_array);
        let needed = list.into_iter().flatten().any(|token| flag(token, "normalized") == Some(true) && flag(token, "special") != Some(true));
        let stage = &definition["normalizer"];
        if own_ids || !needed || stage.is_null() {
            return Ok(Self(None));
        }
        let wrapper = serde_json::from_value(stage.clone());
        wrapper.map(|wrapper| Self(Some(wrapper))).map_err(|error| Error::definition("normalizer", error.to_string()))
    }

    fn shown(&self, content: &str) -> Result<String> {
        let Some(normalizer) = &self.0 else { return Ok(content.into()) };
        let mut normal = NormalizedString::from(content);
        normalizer.normalize(&mut normal).map_err(|error| Error::definition("normalizer", error.to_string()))?;
        Ok(normal.get().to_string())
    }
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

/// Whether spaces of a text are U+2581 where the model sees it, or bytes are GPT-2's characters.
pub(super) fn spelling(normalizers: &[&Value], pre_tokenizers: &[&Value]) -> Spelling {
    let marks = |stage: &&&Value| match kind(stage) {
        "Replace" => stage.pointer("/pattern/String").and_then(Value::as_str) == Some(" ") && text(stage, "content") == Some("\u{2581}"),
        "Metaspace" => text(stage, "replacement").is_none_or(|mark| mark == "\u{2581}"),
        _ => false,
    };
    if normalizers.iter().chain(pre_tokenizers).any(|stage| kind(stage) == "ByteLevel") {
        Spelling::ByteLevel
    } else if normalizers.iter().chain(pre_tokenizers).any(|stage| marks(&stage)) {
        Spelling::Marks
    } else {
        Spelling::Plain
    }
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

/// The pieces as they occur in what the model sees, spaces being spaces and bytes bytes.
pub(super) struct Matched<'a> {
    /// By the numbers of the pieces.
    pub(super) bytes: Cow<'a, Arena>,
    /// No text holds these: a space where the model sees none, a character that is of no alphabet.
    pub(super) absent: FxHashSet<usize>,
}

impl<'a> Matched<'a> {
    /// `told`: what the pieces are decoded to, by `chain`. `bytes`: byte pieces stand for bytes.
    pub(super) fn new(pieces: &Pieces, spelling: Spelling, bytes: bool, told: &'a Arena, chain: &Chain) -> Self {
        let is_absent = |piece: &str| match spelling {
            Spelling::ByteLevel => !piece.chars().all(|c| byte_alphabet::byte(c).is_some()),
            Spelling::Marks => piece.contains(' '),
            Spelling::Plain => false,
        };
        let absent = pieces.iter().enumerate().filter(|(_, (_, piece))| is_absent(piece)).map(|(number, _)| number).collect();
        let same = match spelling {
            Spelling::ByteLevel => chain.is_byte_level(),
            Spelling::Marks => chain.is_marked(bytes),
            Spelling::Plain => false,
        };
        if same {
            return Self { bytes: Cow::Borrowed(told), absent };
        }
        let mut matched = Arena::with_capacity(pieces.len(), pieces.bytes());
        for (_, piece) in pieces.iter() {
            matched.push_with(|all| match (spelling, byte_piece(piece).filter(|_| bytes)) {
                (Spelling::ByteLevel, _) => byte_alphabet::write(piece, all),
                (_, Some(byte)) => all.push(byte),
                (Spelling::Marks, None) => write_spaced(piece, all),
                (Spelling::Plain, None) => all.extend_from_slice(piece.as_bytes()),
            });
        }
        Self { bytes: Cow::Owned(matched), absent }
    }

    /// The pieces that a text can hold, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> + Clone {
        self.bytes.iter().enumerate().filter(|(number, _)| self.absent.is_empty() || !self.absent.contains(number))
    }
}

/// Appends `piece` with plain spaces for U+2581.
fn write_spaced(piece: &str, bytes: &mut Vec<u8>) {
    for (index, part) in piece.split(METASPACE).enumerate() {
        if index > 0 {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(part.as_bytes());
    }
}

/// What the decoder makes of each piece, by its number.
pub(super) fn told(pieces: &Pieces, chain: &Chain) -> Result<Arena> {
    let mut told = Arena::with_capacity(pieces.len(), pieces.bytes());
    let mut outcome = Ok(());
    for (_, piece) in pieces.iter() {
        told.push_with(|bytes| {
            let start = bytes.len();
            if let Err(error) = chain.write(piece, bytes) {
                bytes.truncate(start);
                outcome = Err(error);
            }
        });
        outcome.clone()?;
    }
    Ok(told)
}

/// Ids, their bytes, and how these make a text.
pub(super) fn vocabulary(pieces: &Pieces, told: &Arena, added: &[Added], unknown: Option<u32>, chain: &Chain) -> Result<(Vocabulary, Told)> {
    let size = pieces.iter().map(|p| p.0).chain(added.iter().map(|a| a.id)).max().map_or(0, |id| id as usize + 1);
    let ids: FxHashSet<u32> = added.iter().map(|a| a.id).collect();
    let same_id: FxHashMap<u32, &[u8]> =
        pieces.iter().zip(told.iter()).filter(|((id, _), _)| ids.contains(id)).map(|((id, _), bytes)| (id, bytes)).collect();
    let mut contents = Arena::default();
    for token in added {
        let mut bytes = Vec::new();
        if same_id.get(&token.id) == Some(&token.content.as_bytes()) {
            // A folder may declare in plain text a token that the vocabulary spells in GPT-2's alphabet.
            bytes.extend_from_slice(token.content.as_bytes());
        } else if pieces.find(&token.content) == Some(token.id) {
            chain.write(&token.shown, &mut bytes)?;
        } else {
            chain.write_added(&token.shown, &mut bytes)?;
        }
        contents.push(&bytes);
    }
    let mut entries: Vec<(Kind, &[u8])> = vec![(Kind::Unused, &[]); size];
    for ((id, _), bytes) in pieces.iter().zip(told.iter()) {
        entries[id as usize] = (Kind::Text, bytes);
    }
    for (token, content) in added.iter().zip(contents.iter()) {
        entries[token.id as usize] = if token.control { (Kind::Control, &[]) } else { (Kind::Text, content) };
    }
    if let Some(entry) = unknown.and_then(|id| entries.get_mut(id as usize)) {
        *entry = (Kind::Control, &[]);
    }
    // An added token hides the piece that has its id.
    let hidden: FxHashSet<u32> = added.iter().map(|a| a.id).chain(unknown).collect();
    let plain = pieces.iter().zip(told.iter()).filter(|((id, _), _)| !hidden.contains(id)).map(|((id, piece), bytes)| (id, piece, bytes));
    let shown =
        added.iter().zip(contents.iter()).filter(|(a, _)| !a.control && Some(a.id) != unknown).map(|(a, bytes)| (a.id, a.shown.as_str(), bytes));
    let joined = chain.told(plain.chain(shown))?;
    Ok((Vocabulary::new(entries), joined))
}
