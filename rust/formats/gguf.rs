//! The tokenizer inside a GGUF file -> [`Spec`].
//!
//! Keys: <https://github.com/ggml-org/ggml>, `docs/gguf.md`, "Tokenizer". The judge is the tokenizer that the file was
//! made from, by the converter of llama.cpp. A `tokenizer.huggingface.json` inside is that tokenizer itself.

use crate::error::{Error, Result};
use crate::formats::gguf_header::Item;
use crate::formats::gguf_splitting::Splitting;
use crate::formats::{gguf_header, gguf_splitting, rwkv, sentencepiece, word_pieces};
use crate::spec::decoder::Decoder;
use crate::spec::definition::{AddedToken, Spec};
use crate::spec::json;
use crate::spec::model::{Bpe, Merges, Model};
use crate::spec::origin::{Declared, Format, Origin};
use crate::spec::pieces::Pieces;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// `tokenizer.ggml.token_type`, which is `SentencePiece`'s.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

struct File<'a> {
    entries: BTreeMap<String, Item>,
    source: &'a str,
}

/// The specification in the header of a file; `pattern` replaces a `tokenizer.ggml.pre` that is unknown here.
///
/// # Errors
/// [`Error::File`] with the key and the index in it. Complexity: O(bytes).
pub(super) fn read(header: &[u8], source: &str, pattern: Option<&str>) -> Result<Spec> {
    let file = File { entries: gguf_header::entries(header, source)?, source };
    if let Some(Item::Text(text)) = file.entries.get("tokenizer.huggingface.json") {
        let wrong = |reason: String| file.wrong(format!("tokenizer.huggingface.json: {reason}"));
        let read = json::read(text.as_bytes()).map_err(|error| wrong(format!("broken JSON: {error}")))?;
        return read?.ok_or_else(|| wrong("a JSON object without `model`, expected a tokenizer.json".into()));
    }
    let Some(Item::Text(model)) = file.entries.get("tokenizer.ggml.model") else {
        return Err(file.wrong("no key tokenizer.ggml.model, expected a GGUF file with a tokenizer".into()));
    };
    let (tokens, types) = (file.texts("tokens")?, file.types()?);
    let mut spec = match model.as_str() {
        "gpt2" => file.byte_level(tokens, &types, pattern)?,
        "llama" | "t5" => sentencepiece::read(&file.model_proto(tokens, &types, model == "t5")?, source)?,
        "bert" => file.word_pieces(tokens)?,
        "rwkv" => file.longest(tokens)?,
        other => {
            let reason = format!("tokenizer.ggml.model is {other:?}, expected one of gpt2, llama, t5, bert, rwkv");
            return Err(file.wrong(reason));
        }
    };
    spec.origin.format = Format::Gguf;
    spec.origin.declared = Some(file.declared(tokens.len(), model == "llama")?);
    Ok(spec)
}

impl File<'_> {
    fn wrong(&self, reason: String) -> Error {
        Error::File { path: self.source.to_owned(), reason }
    }

    fn get(&self, key: &str) -> Option<&Item> {
        self.entries.get(&format!("tokenizer.ggml.{key}"))
    }

    fn texts(&self, key: &str) -> Result<&[String]> {
        match self.get(key) {
            Some(Item::Texts(texts)) => Ok(texts),
            // An empty array of any type.
            Some(Item::Integers(none)) if none.is_empty() => Ok(&[]),
            _ => Err(self.wrong(format!("tokenizer.ggml.{key} is missing or no array of strings"))),
        }
    }

    fn flag(&self, key: &str, otherwise: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(otherwise),
            Some(Item::Flag(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(format!("tokenizer.ggml.{key} is {other:?}, expected a bool"))),
        }
    }

    /// One type a token.
    fn types(&self) -> Result<Vec<i64>> {
        let count = self.texts("tokens")?.len();
        let types = match self.get("token_type") {
            None => vec![NORMAL; count],
            Some(Item::Integers(types)) => types.clone(),
            Some(_) => return Err(self.wrong("tokenizer.ggml.token_type is no array of integers".into())),
        };
        if types.len() != count {
            return Err(self.wrong(format!(
                "tokenizer.ggml.token_type has {} entries, expected one for each of {count} tokens",
                types.len()
            )));
        }
        match types.iter().position(|kind| !(NORMAL..=BYTE).contains(kind)) {
            Some(at) => Err(self.wrong(format!("tokenizer.ggml.token_type[{at}] is {}, expected 1 to 6", types[at]))),
            None => Ok(types),
        }
    }

    /// BOS, EOS, whether BOS is put before every text (`adds`: without the key), and the chat template.
    fn declared(&self, count: usize, adds: bool) -> Result<Declared> {
        let id = |key: &str| match self.get(key) {
            None => Ok(None),
            Some(Item::Integer(id)) if usize::try_from(*id).is_ok_and(|id| id < count) => Ok(u32::try_from(*id).ok()),
            Some(other) => Err(self.wrong(format!("tokenizer.ggml.{key} is {other:?}, expected an id below {count}"))),
        };
        let chat_template = match self.entries.get("tokenizer.chat_template") {
            Some(Item::Text(template)) => Some(template.clone()),
            _ => None,
        };
        let adds_bos = self.flag("add_bos_token", adds)?;
        Ok(Declared { bos_id: id("bos_token_id")?, eos_id: id("eos_token_id")?, adds_bos, chat_template })
    }

    fn byte_level(&self, tokens: &[String], types: &[i64], pattern: Option<&str>) -> Result<Spec> {
        let splitting = self.splitting(pattern)?;
        let merged = self.merges(tokens)?;
        let used: FxHashSet<u32> = merged.iter().flatten().copied().collect();
        // Pieces keep their order, without those that are no pieces; merges count pieces.
        let (mut pieces, mut places, mut added) = (Vec::new(), vec![0u32; tokens.len()], Vec::new());
        for ((id, token), kind) in (0u32..).zip(tokens).zip(types) {
            match *kind {
                UNKNOWN | CONTROL => added.push(AddedToken::new(id, token, true)),
                USER_DEFINED => added.push(AddedToken::new(id, token, false)),
                _ => {}
            }
            if matches!(*kind, NORMAL | BYTE) || used.contains(&id) {
                places[id as usize] = pieces.len() as u32;
                pieces.push((token.as_str(), id));
            }
        }
        let pairs =
            merged.into_iter().map(|[left, right, _]| (places[left as usize], places[right as usize])).collect();
        let (merges, ignore_merges) = (Merges::new(pairs), splitting.ignore_merges);
        let unused = types.iter().filter(|kind| **kind == UNUSED).count();
        let notes = (unused > 0).then(|| format!("{unused} ids are marked unused and have no text"));
        let origin = Origin::new(Format::Gguf, notes.into_iter().collect());
        let model = Model::Bpe(Bpe { merges, ignore_merges, ..Bpe::default() });
        let mut spec = Spec::new(model, Pieces::with_ids(pieces), origin);
        spec.added_tokens = added;
        spec.normalizers = splitting.normalizers;
        spec.pre_tokenizers = splitting.pre_tokenizers;
        spec.decoders = Some(vec![Decoder::ByteLevel]);
        Ok(spec)
    }

    fn splitting(&self, pattern: Option<&str>) -> Result<Splitting> {
        match (pattern, self.get("pre")) {
            (Some(pattern), _) => Ok(gguf_splitting::pattern(pattern, false)),
            (None, Some(Item::Text(name))) => gguf_splitting::named(name).ok_or_else(|| {
                let unknown = "whose split pattern is not known for certain";
                self.wrong(format!("tokenizer.ggml.pre is {name:?}, {unknown}: expected it in the argument `pattern`"))
            }),
            (None, _) => {
                let reason = "no key tokenizer.ggml.pre names the split pattern: expected it in the argument `pattern`";
                Err(self.wrong(reason.into()))
            }
        }
    }

    /// The ids of both tokens of each merge, and of the one that they make.
    fn merges(&self, tokens: &[String]) -> Result<Vec<[u32; 3]>> {
        let mut numbers: FxHashMap<&str, u32> = FxHashMap::default();
        for (token, number) in tokens.iter().zip(0..) {
            if let Some(first) = numbers.insert(token, number) {
                let reason = format!("tokenizer.ggml.tokens[{number}] {token:?} is tokens[{first}] again");
                return Err(self.wrong(format!("{reason}, expected different tokens")));
            }
        }
        let merge = |(index, merge): (usize, &String)| {
            let space = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
            let parts = space.map(|at| (&merge[..at], &merge[at + 1..]));
            let number = |token: &str| numbers.get(token).copied();
            let found = parts
                .and_then(|(left, right)| Some([number(left)?, number(right)?, number(&format!("{left}{right}"))?]));
            let wrong =
                || format!("tokenizer.ggml.merges[{index}] is {merge:?}, expected two tokens that make a third");
            found.ok_or_else(|| self.wrong(wrong()))
        };
        self.texts("merges")?.iter().enumerate().map(merge).collect()
    }

    /// The `SentencePiece` model that the file was made from, in its own format.
    fn model_proto(&self, tokens: &[String], types: &[i64], unigram: bool) -> Result<Vec<u8>> {
        let scores = match self.get("scores") {
            Some(Item::Fractions(scores)) if scores.len() == tokens.len() => scores,
            _ => {
                return Err(self.wrong(format!(
                    "tokenizer.ggml.scores is missing, or not one number for each of {} tokens",
                    tokens.len()
                )))
            }
        };
        // Converters write the unknown piece as a control token in some files, and name it by its id.
        let mut types = types.to_vec();
        if let (false, Some(Item::Integer(id))) = (types.contains(&UNKNOWN), self.get("unknown_token_id")) {
            let place = usize::try_from(*id).ok().and_then(|id| types.get_mut(id));
            *place.ok_or_else(|| {
                self.wrong(format!("tokenizer.ggml.unknown_token_id is {id}, expected an id below {}", tokens.len()))
            })? = UNKNOWN;
        }
        let mut proto = Vec::new();
        for ((token, score), kind) in tokens.iter().zip(scores).zip(&types) {
            // Converters write the marks of user-defined symbols as spaces, which no text holds after escaping.
            let token =
                if *kind == USER_DEFINED { Cow::Owned(token.replace(' ', "\u{2581}")) } else { Cow::Borrowed(token) };
            let mut piece = Vec::with_capacity(token.len() + 12);
            field(&mut piece, 1, token.as_bytes());
            piece.push(0x15);
            piece.extend(score.to_le_bytes());
            piece.extend([0x18, *kind as u8]);
            field(&mut proto, 1, &piece);
        }
        let bytes = types.contains(&BYTE);
        // TrainerSpec: model_type = 3, byte_fallback = 35.
        field(&mut proto, 2, &[0x18, if unigram { 1 } else { 2 }, 0x98, 0x02, bytes.into()]);
        let mut normalizer = Vec::new();
        match self.get("precompiled_charsmap") {
            None => {}
            Some(Item::Integers(values)) => {
                let charsmap: Vec<u8> = values.iter().map(|&value| value as u8).collect();
                field(&mut normalizer, 2, &charsmap);
            }
            Some(_) => return Err(self.wrong("tokenizer.ggml.precompiled_charsmap is no array of bytes".into())),
        }
        let (dummy, collapse) = (self.flag("add_space_prefix", true)?, self.flag("remove_extra_whitespaces", false)?);
        normalizer.extend([0x18, dummy.into(), 0x20, collapse.into(), 0x28, 1]);
        field(&mut proto, 3, &normalizer);
        Ok(proto)
    }

    /// Pieces that begin a word have a mark here, instead of `##` on those that do not.
    fn word_pieces(&self, tokens: &[String]) -> Result<Spec> {
        let piece = |token: &String| match token.strip_prefix('\u{2581}') {
            Some(first) => first.to_owned(),
            None if token.len() > 1 && token.starts_with('[') && token.ends_with(']') => token.clone(),
            None => format!("##{token}"),
        };
        let pieces: Vec<String> = tokens.iter().map(piece).collect();
        let cased =
            pieces.iter().filter(|piece| !piece.starts_with('[')).any(|piece| piece.chars().any(char::is_uppercase));
        let options = word_pieces::Options { lowercase: !cased, ..word_pieces::Options::default() };
        let mut spec = word_pieces::from_pieces(pieces.into_iter().zip(0..), self.source, &options)?;
        let note = if cased {
            "the vocabulary holds capital letters, so text is taken as cased"
        } else {
            "the vocabulary holds no capital letters: text is taken as lower-cased, without accents"
        };
        spec.origin.notes = vec![note.into()];
        Ok(spec)
    }

    /// Tokens are the insides of Python's `bytes` literals.
    fn longest(&self, tokens: &[String]) -> Result<Spec> {
        let mut found = Vec::with_capacity(tokens.len());
        for (token, id) in tokens.iter().zip(0u32..).skip(1) {
            let bytes = rwkv::unescape(token, true, None);
            let bytes = bytes
                .map_err(|(at, reason)| self.wrong(format!("tokenizer.ggml.tokens[{id}], character {at}: {reason}")))?;
            if !bytes.is_empty() {
                found.push((id, bytes));
            }
        }
        rwkv::from_tokens(found, self.source)
    }
}

/// A length-delimited field of a protobuf message.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}
