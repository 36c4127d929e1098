//! The vocabulary of a definition: its ids, the texts in which the model finds them, and their bytes.

use crate::error::{Error, Result};
use crate::load::chain::{byte_piece, Chain, Noted};
use crate::normalizers::unicode_forms::METASPACE;
use crate::spec;
use crate::spec::definition::{AddedIds, Spec};
use crate::spec::json;
use crate::spec::pieces::Pieces;
use crate::spec::pre_tokenizer::PreTokenizer;
use crate::tokens::token::TokenId;
use crate::util::byte_alphabet;
use crate::util::byte_strings::Arena;
use crate::vocabulary::added::AddedEntry;
use crate::vocabulary::table::{Kind, Vocabulary};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// The spelling in which the model sees a text, by normalizer and pre-tokenizer alone. Example: `▁the` under `Marks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// One character of GPT-2's alphabet a byte.
    ByteLevel,
    /// U+2581 for each space.
    Marks,
    /// As written.
    Plain,
}

/// An added token of the definition, such as `<|endoftext|>`.
pub(crate) struct Added {
    pub(super) id: u32,
    /// The id that the file says.
    pub(super) written: u32,
    pub(super) content: String,
    /// The string that the decoder gets for it.
    pub(super) shown: String,
    pub(super) control: bool,
    pub(super) normalized: bool,
    /// Whether it takes the white space before it, and after it.
    pub(super) strips: (bool, bool),
}

impl From<&Added> for AddedEntry {
    fn from(added: &Added) -> Self {
        Self { id: TokenId(added.id), content: added.content.clone(), control: added.control, strips: added.strips }
    }
}

/// The added tokens, with the ids that [`AddedIds`] says.
///
/// `notes` gets a sentence for each id that differs from the file's.
pub(crate) fn added_tokens(spec: &Spec, notes: &mut Vec<String>) -> Result<Vec<Added>> {
    let normalizer = Normal::of(spec)?;
    let mut next = spec.pieces.len() as u32;
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    let mut found: Vec<Added> = Vec::new();
    for token in &spec.added_tokens {
        let (written, content, normalized) = (token.id, token.content.as_str(), token.normalized);
        let control = token.is_control();
        let strips = (token.lstrip, token.rstrip);
        let shown = if normalized && !control { normalizer.shown(content)? } else { content.to_string() };
        let added = |id: u32, control: bool| {
            let content = content.into();
            Added { id, written, content, shown, control, normalized, strips }
        };
        if spec.added_ids == AddedIds::Written {
            found.push(added(written, control));
            continue;
        }
        // The library leaves out tokens without content. Of tokens with one content the last counts, but special stays
        // special.
        if content.is_empty() {
            continue;
        }
        if let Some(&place) = places.get(content) {
            let (id, control) = (found[place].id, control || found[place].control);
            found[place] = added(id, control);
            continue;
        }
        let id = spec.pieces.find(content).unwrap_or_else(|| {
            next += 1;
            if spec.added_ids == AddedIds::Declared {
                written
            } else {
                next - 1
            }
        });
        if id != written {
            notes.push(format!(
                "added token {content:?}: id {id} as in the tokenizers library, not {written} as written"
            ));
        }
        places.insert(content, found.len());
        found.push(added(id, control));
    }
    check_shown(&found)?;
    Ok(found)
}

/// Refuses tokens that the library finds in the same normal form, because it takes either of them, by chance.
fn check_shown(added: &[Added]) -> Result<()> {
    let mut seen: FxHashMap<&str, &Added> = FxHashMap::default();
    for token in added.iter().filter(|a| a.normalized && !a.control) {
        if let Some(other) = seen.insert(&token.shown, token) {
            let said = format!("{:?} and {:?} are both {:?}", other.content, token.content, token.shown);
            let expected = "expected tokens with different normal forms, because the library takes either of them";
            return Err(Error::definition("added_tokens", format!("{said} after the normalizer: {expected}")));
        }
    }
    Ok(())
}

/// The normalizer, for the added tokens that the library shows in their normal form.
struct Normal(Option<NormalizerWrapper>);

impl Normal {
    fn of(spec: &Spec) -> Result<Self> {
        let needed = spec.added_tokens.iter().any(|token| token.normalized && !token.special);
        if spec.added_ids == AddedIds::Written || !needed || spec.normalizers.is_empty() {
            return Ok(Self(None));
        }
        let wrapper = serde_json::from_value(json::normalizer(&spec.normalizers));
        wrapper.map(|wrapper| Self(Some(wrapper))).map_err(|error| Error::definition("normalizer", error.to_string()))
    }

    fn shown(&self, content: &str) -> Result<String> {
        let Some(normalizer) = &self.0 else { return Ok(content.into()) };
        let mut normal = NormalizedString::from(content);
        normalizer.normalize(&mut normal).map_err(|error| Error::definition("normalizer", error.to_string()))?;
        Ok(normal.get().to_string())
    }
}

/// The names of control tokens, and their ids, ascending.
pub(crate) fn control_tokens(added: &[Added], unknown: Option<u32>, pieces: &Pieces) -> Vec<(String, u32)> {
    let mut named: Vec<(String, u32)> =
        added.iter().filter(|token| token.control).map(|token| (token.content.clone(), token.id)).collect();
    let is_unknown = |entry: &(u32, &str)| Some(entry.0) == unknown && !added.iter().any(|token| token.id == entry.0);
    named.extend(pieces.iter().find(is_unknown).map(|(id, piece)| (piece.to_string(), id)));
    named.sort_by_key(|entry| entry.1);
    named
}

/// Whether spaces of a text are U+2581 where the model sees it, or bytes are GPT-2's characters.
pub(crate) fn spelling(spec: &Spec) -> Spelling {
    let rewritten = spec.normalizers.contains(&spec::normalizer::Normalizer::ByteLevel);
    let marked = |stage: &PreTokenizer| matches!(stage, PreTokenizer::Metaspace(metaspace) if metaspace.is_usual());
    if rewritten || spec.pre_tokenizers.iter().any(|stage| matches!(stage, PreTokenizer::ByteLevel { .. })) {
        Spelling::ByteLevel
    } else if spec.normalizers.iter().any(spec::normalizer::Normalizer::marks_spaces)
        || spec.pre_tokenizers.iter().any(marked)
    {
        Spelling::Marks
    } else {
        Spelling::Plain
    }
}

/// Whether a space, or the mark for one, is put before a text.
pub(crate) fn adds_space(spec: &Spec) -> bool {
    let prepends = |stage: &spec::normalizer::Normalizer| match stage {
        spec::normalizer::Normalizer::Prepend(text) => text == "\u{2581}" || text == " ",
        _ => false,
    };
    spec.normalizers.iter().any(prepends)
        || spec.pre_tokenizers.iter().any(|stage| match stage {
            PreTokenizer::ByteLevel { add_prefix_space, .. } => *add_prefix_space,
            PreTokenizer::Metaspace(metaspace) => metaspace.prepends(),
            _ => false,
        })
}

/// The pieces as they occur in the text that the model sees, with plain spaces and bytes.
pub(crate) struct Matched<'a> {
    /// By the numbers of the pieces.
    pub(super) bytes: Cow<'a, Arena>,
    /// No text holds these: a space where the model sees none, a character that is of no alphabet.
    pub(super) absent: FxHashSet<usize>,
}

impl<'a> Matched<'a> {
    /// `decoded`: the decoded text of the pieces, by `chain`. `bytes`: byte pieces represent bytes.
    pub(super) fn new(pieces: &Pieces, spelling: Spelling, bytes: bool, decoded: &'a Arena, chain: &Chain) -> Self {
        let is_absent = |piece: &str| match spelling {
            Spelling::ByteLevel => !piece.chars().all(|c| byte_alphabet::byte(c).is_some()),
            Spelling::Marks => piece.contains(' '),
            Spelling::Plain => false,
        };
        let absent =
            pieces.iter().enumerate().filter(|(_, (_, piece))| is_absent(piece)).map(|(number, _)| number).collect();
        let same = match spelling {
            Spelling::ByteLevel => chain.is_byte_level(),
            Spelling::Marks => chain.is_marked(bytes),
            Spelling::Plain => false,
        };
        if same {
            return Self { bytes: Cow::Borrowed(decoded), absent };
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

/// The decoded text of each piece, by its number.
pub(crate) fn decoded(pieces: &Pieces, chain: &Chain) -> Result<Arena> {
    let mut decoded = Arena::with_capacity(pieces.len(), pieces.bytes());
    let mut outcome = Ok(());
    for (_, piece) in pieces.iter() {
        decoded.push_with(|bytes| {
            let start = bytes.len();
            if let Err(error) = chain.write(piece, bytes) {
                bytes.truncate(start);
                outcome = Err(error);
            }
        });
        outcome.clone()?;
    }
    Ok(decoded)
}

/// Ids, their bytes, and how these make a text.
pub(crate) fn vocabulary(
    pieces: &Pieces,
    decoded: &Arena,
    added: &[Added],
    unknown: Option<u32>,
    chain: &Chain,
) -> Result<(Vocabulary, Noted)> {
    let size = pieces.iter().map(|p| p.0).chain(added.iter().map(|a| a.id)).max().map_or(0, |id| id as usize + 1);
    let ids: FxHashSet<u32> = added.iter().map(|a| a.id).collect();
    let same_id: FxHashMap<u32, &[u8]> = pieces
        .iter()
        .zip(decoded.iter())
        .filter(|((id, _), _)| ids.contains(id))
        .map(|((id, _), bytes)| (id, bytes))
        .collect();
    let mut contents = Arena::default();
    for token in added {
        let mut bytes = Vec::new();
        let is_plain = token.shown == token.content;
        if is_plain && same_id.get(&token.id) == Some(&token.content.as_bytes()) {
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
    for ((id, _), bytes) in pieces.iter().zip(decoded.iter()) {
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
    let plain = pieces
        .iter()
        .zip(decoded.iter())
        .filter(|((id, _), _)| !hidden.contains(id))
        .map(|((id, piece), bytes)| (id, piece, bytes));
    let shown = added
        .iter()
        .zip(contents.iter())
        .filter(|(a, _)| !a.control && Some(a.id) != unknown)
        .map(|(a, bytes)| (a.id, a.shown.as_str(), bytes));
    let joined = chain.noted(plain.chain(shown))?;
    Ok((Vocabulary::new(entries), joined))
}

/// Refuses a vocabulary that is nearly all holes: a table of it would take the memory of the machine.
pub(super) fn check_largest_id(pieces: &Pieces, added: &[Added]) -> Result<()> {
    const HOLES: usize = 1 << 20;
    let largest =
        pieces.iter().map(|p| p.0).chain(added.iter().flat_map(|a| [a.id, a.written])).max().unwrap_or(0) as usize;
    let tokens = pieces.len() + added.len();
    if largest > tokens + HOLES {
        return Err(Error::definition(
            "model.vocab",
            format!("id {largest} in a vocabulary of {tokens} tokens: expected ids without long gaps"),
        ));
    }
    Ok(())
}
