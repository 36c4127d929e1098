//! SentencePiece models (`tokenizer.model`, `spiece.model`) as tokenizer definitions that give the same ids.
//!
//! What the definition must reproduce is SentencePiece's own encoder, not the conversion that came with a model:
//! `src/normalizer.cc`, `src/bpe_model.cc`, `src/unigram_model.cc` and `src/model_interface.cc` of
//! <https://github.com/google/sentencepiece>, format in `src/sentencepiece_model.proto`. Where the shape of
//! `tokenizer.json` cannot say it, a key under `coolfusion` does (see the parent module).

use std::collections::HashMap;

use base64::{engine::general_purpose::STANDARD, Engine};
use serde_json::{json, Value};

use super::charsmap::Charsmap;
use super::model_proto::{Kind, ModelProto, ModelType, Piece};
use super::added_token;
use crate::error::Result;

/// SentencePiece's mark for a space, U+2581.
const SPACE_MARK: &str = "\u{2581}";

/// Symbols longer than this are matched by a flat alternation: one group per character would nest too deep.
const MAX_NESTED_SYMBOL: usize = 100;

/// The definition of the tokenizer in a serialized `ModelProto`; `source` names it in errors and in `describe()`.
///
/// Costs O(p + c log c) for p pieces of c characters in all: each piece of a BPE model is looked up at each split.
///
/// # Errors
/// [`Error::File`] if the bytes are not a `ModelProto`; [`Error::Definition`] if the model is of type WORD or CHAR,
/// marks spaces at the end of words, or breaks a rule that SentencePiece itself checks on loading.
pub fn definition(model: &[u8], source: &str) -> Result<Value> {
    let proto = ModelProto::parse(model, source)?;
    let mut notes = Vec::new();
    let normalizer = normalizer(&proto, &mut notes)?;
    let mut extension = json!({
        "source_format": "sentencepiece",
        "source": source,
        "exact_charsmap": !proto.charsmap.is_empty(),
        "unmatchable": ids(&proto, |kind| matches!(kind, Kind::Unknown | Kind::Control | Kind::Byte)),
    });
    let (model, pre_tokenizer) = match proto.model_type {
        ModelType::Unigram => (unigram(&proto, &mut notes)?, Value::Null),
        ModelType::Bpe => {
            let (model, ranks) = bpe(&proto, &mut notes);
            extension["merge_ranks"] = json!(ranks);
            extension["whole_words"] = json!(ids(&proto, |kind| kind == Kind::UserDefined));
            (model, if symbols_in_raw_text(&proto) { Value::Null } else { user_defined_split(&proto) })
        }
    };
    extension["notes"] = json!(notes);
    let added: Vec<Value> = indexed(&proto)
        .filter_map(|(id, piece)| match piece.kind {
            Kind::Unknown | Kind::Control => Some(added_token(id, &piece.text, true)),
            Kind::UserDefined if symbols_in_raw_text(&proto) => Some(added_token(id, &piece.text, false)),
            _ => None,
        })
        .collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": decoder(&proto),
        "model": model,
        "coolfusion": extension,
    }))
}

/// `Normalizer::Normalize`: charsmap, then spaces stripped and collapsed, then the dummy prefix and the space mark.
fn normalizer(proto: &ModelProto, notes: &mut Vec<String>) -> Result<Value> {
    let mut steps = Vec::new();
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let protected = if proto.charsmap.is_empty() {
        Vec::new()
    } else {
        notes.push(format!("the normalizer {:?} rewrites text before it is split", proto.normalizer_name));
        protected_symbols(proto, &Charsmap::new(&proto.charsmap)?)
    };
    steps.extend(protected.iter().map(|(symbol, stand_in)| replace(json!({"String": symbol}), stand_in)));
    if !proto.charsmap.is_empty() {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(&proto.charsmap)}));
    }
    if proto.remove_extra_whitespaces {
        steps.push(replace(json!({"Regex": "\\A +"}), ""));
        steps.push(replace(json!({"Regex": " {2,}"}), " "));
        notes.push("spaces at both ends are dropped and runs of spaces become one".to_owned());
    }
    steps.extend(protected.iter().map(|(symbol, stand_in)| replace(json!({"String": stand_in}), symbol)));
    if !protected.is_empty() {
        notes.push(format!(
            "{} user-defined symbols are hidden from the normalizer as code points from U+F0000 on, which a text \
             should not hold",
            protected.len()
        ));
    }
    // A literal space mark at the end of the text goes as well, because SentencePiece strips after the replacement.
    if proto.remove_extra_whitespaces {
        let trailing = if proto.escape_whitespaces { format!("[ {SPACE_MARK}]+\\z") } else { " +\\z".to_owned() };
        steps.push(replace(json!({"Regex": trailing}), ""));
    }
    // `Prepend` leaves an empty text empty, as SentencePiece does.
    let mark = if proto.escape_whitespaces { SPACE_MARK } else { " " };
    if proto.add_dummy_prefix {
        steps.push(json!({"type": "Prepend", "prepend": mark}));
    }
    if proto.escape_whitespaces {
        steps.push(replace(json!({"String": " "}), SPACE_MARK));
    }
    if proto.denormalizes {
        notes.push("the model has a denormalizer, which SentencePiece applies on decoding and this definition does not".into());
    }
    Ok(json!({"type": "Sequence", "normalizers": steps}))
}

/// (symbol, stand-in) for each user-defined symbol, the longest first: SentencePiece leaves them alone
/// (`NormalizePrefix` asks its matcher first), the charsmap would rewrite them (a line break under `nmt_nfkc`) or
/// compose their last letter with an accent that follows.
fn protected_symbols(proto: &ModelProto, charsmap: &Charsmap) -> Vec<(String, String)> {
    let symbols = proto.pieces.iter().filter(|piece| piece.kind == Kind::UserDefined).map(|piece| piece.text.clone());
    let mut symbols: Vec<String> = symbols.collect();
    symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
    let free = |stand_in: &String| {
        charsmap.longest_prefix(stand_in).is_none() && !proto.pieces.iter().any(|piece| piece.text.contains(stand_in.as_str()))
    };
    symbols.into_iter().zip(('\u{f0000}'..='\u{ffffd}').map(String::from).filter(free)).collect()
}

/// `SentencePieceProcessor::Decode`: marks to spaces, byte pieces to bytes, and the dummy prefix taken away.
fn decoder(proto: &ModelProto) -> Value {
    let mut steps = Vec::new();
    if proto.escape_whitespaces {
        steps.push(json!({"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "}));
    }
    if proto.byte_fallback {
        steps.push(json!({"type": "ByteFallback"}));
    }
    steps.push(json!({"type": "Fuse"}));
    if proto.add_dummy_prefix || proto.remove_extra_whitespaces {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// The Unigram model; user-defined symbols are pieces with the score that makes SentencePiece always choose them.
fn unigram(proto: &ModelProto, notes: &mut Vec<String>) -> Result<Value> {
    // `Model::PopulateNodes`: characters * max_score - 0.1. That the maximum is at least 0.1 is what the scores of
    // sentencepiece 0.2.3 show (`<eop>` of XLNet: 0.4); versions before began at 0, with the same choices but for
    // rounding.
    let normal = proto.pieces.iter().filter(|piece| piece.kind == Kind::Normal).map(|piece| f64::from(piece.score));
    let max_score = normal.fold(0.1, f64::max);
    let vocab: Vec<Value> = indexed(proto)
        .map(|(id, piece)| match piece.kind {
            Kind::UserDefined => {
                #[allow(clippy::cast_precision_loss)]
                let length = piece.text.chars().count() as f64;
                json!([piece.text, length * max_score - 0.1])
            }
            // The lattice of the crate knows no types: an entry that no text can spell keeps the id out of it.
            Kind::Unused => json!([format!("\u{10ffff}unused {id}"), piece.score]),
            _ => json!([piece.text, piece.score]),
        })
        .collect();
    let unused = ids(proto, |kind| kind == Kind::Unused);
    if !unused.is_empty() {
        notes.push(format!("{} pieces are marked unused and are never produced; their ids have no text", unused.len()));
    }
    let unk_id = proto.unknown_id()?;
    Ok(json!({"type": "Unigram", "unk_id": unk_id, "vocab": vocab, "byte_fallback": proto.byte_fallback}))
}

/// The BPE model and the rank of each of its merges.
///
/// SentencePiece merges the adjacent pair whose concatenation is the piece of the best score, the leftmost if two are
/// equally good. So every split of a piece into two symbols is a merge, ranks follow the scores, and pieces with one
/// score share a rank. (LLaMA-2 has 15 runs of spaces with the score -1e9: which of two is merged depends on where
/// they stand.) A symbol is a piece or any single character, as that is what the text is cut into at first.
fn bpe(proto: &ModelProto, notes: &mut Vec<String>) -> (Value, Vec<u32>) {
    let by_text: HashMap<&str, usize> = indexed(proto)
        .filter(|(_, piece)| piece.kind == Kind::Normal || piece.text.chars().nth(1).is_none())
        .map(|(id, piece)| (piece.text.as_str(), id))
        .collect();
    let mut merges: Vec<(f32, usize, usize, usize)> = Vec::new();
    let mut unreachable = 0;
    for (id, piece) in indexed(proto).filter(|(_, piece)| piece.kind == Kind::Normal) {
        for (cut, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(cut);
            if let (Some(left), Some(right)) = (by_text.get(left), by_text.get(right)) {
                merges.push((piece.score, *left, *right, id));
            }
        }
        let known = |character: char| by_text.contains_key(character.encode_utf8(&mut [0; 4]) as &str);
        unreachable += usize::from(!piece.text.chars().all(known));
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.3, a.1, a.2).cmp(&(b.3, b.1, b.2))));
    if unreachable > 0 {
        notes.push(format!(
            "{unreachable} pieces hold a character that is not a piece itself: SentencePiece can reach them, this \
             definition may not"
        ));
    }
    let unused = proto.pieces.iter().filter(|piece| piece.kind == Kind::Unused && piece.text.chars().nth(1).is_some());
    let unused = unused.count();
    if unused > 0 {
        notes.push(format!("{unused} pieces are marked unused; SentencePiece merges them and takes them apart again, \
                            this definition never merges them: ids can differ"));
    }
    let text = |id: usize| proto.pieces.get(id).map_or("", |piece| piece.text.as_str());
    let pairs: Vec<Value> = merges.iter().map(|(_, left, right, _)| json!([text(*left), text(*right)])).collect();
    let vocab: serde_json::Map<String, Value> =
        indexed(proto).map(|(id, piece)| (piece.text.clone(), json!(id))).collect();
    let unknown = proto.pieces.iter().find(|piece| piece.kind == Kind::Unknown).map(|piece| piece.text.as_str());
    let model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": proto.byte_fallback,
        // A frozen symbol is a pre-token of its own and must not be merged out of its characters; a reader that knows
        // `whole_words` applies this to those alone, for any other it is the nearest that the format can say.
        "ignore_merges": !symbols_in_raw_text(proto) && proto.pieces.iter().any(|piece| piece.kind == Kind::UserDefined && piece.text.chars().nth(1).is_some()),
        "vocab": vocab,
        "merges": pairs,
    });
    (model, dense_ranks(merges.iter().map(|(score, ..)| *score)))
}

/// The number of different scores before each one; `scores` are sorted.
fn dense_ranks(scores: impl Iterator<Item = f32>) -> Vec<u32> {
    let mut rank = 0;
    let mut last = None;
    scores
        .map(|score| {
            // By value, so that 0.0 and -0.0 (chatglm3) tie as they do in SentencePiece.
            if last.is_some_and(|last: f32| last != score) {
                rank += 1;
            }
            last = Some(score);
            rank
        })
        .collect()
}

/// Whether searching the raw text for the user-defined symbols of a BPE model finds what SentencePiece finds in the
/// normalized text, so that they can be ordinary added tokens (Gemma's HTML tags).
///
/// Not so with a dummy prefix, which added tokens get one by one and SentencePiece only at the start of the text.
fn symbols_in_raw_text(proto: &ModelProto) -> bool {
    let rewrites = proto.add_dummy_prefix || proto.remove_extra_whitespaces || !proto.charsmap.is_empty();
    let spaced = |piece: &Piece| piece.kind == Kind::UserDefined && piece.text.contains([' ', '\u{2581}']);
    proto.model_type == ModelType::Bpe && !rewrites && !proto.pieces.iter().any(spaced)
}

/// `PrefixMatcher`: user-defined symbols are cut out of the normalized text, the longest first, and never merged.
fn user_defined_split(proto: &ModelProto) -> Value {
    let symbols = proto.pieces.iter().filter(|piece| piece.kind == Kind::UserDefined);
    let mut symbols: Vec<Vec<char>> = symbols.map(|piece| piece.text.chars().collect()).collect();
    if symbols.is_empty() {
        return Value::Null;
    }
    symbols.sort();
    let pattern = if symbols.iter().any(|symbol| symbol.len() > MAX_NESTED_SYMBOL) {
        symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
        let escaped: Vec<String> = symbols.iter().map(|symbol| symbol.iter().copied().map(escape).collect()).collect();
        escaped.join("|")
    } else {
        prefix_tree_pattern(&symbols, 0)
    };
    json!({
        "type": "Sequence",
        "pretokenizers": [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}],
    })
}

/// A pattern for the longest of the sorted `symbols` (equal in their first `depth` characters): common beginnings are
/// tried once, so that a matcher does not try each of a few hundred symbols at each position.
fn prefix_tree_pattern(symbols: &[Vec<char>], depth: usize) -> String {
    let mut branches = Vec::new();
    let ends_here = symbols.iter().any(|symbol| symbol.len() == depth);
    let longer: Vec<&[Vec<char>]> =
        symbols.chunk_by(|a, b| a.get(depth) == b.get(depth)).filter(|group| group.iter().all(|s| s.len() > depth)).collect();
    for group in longer {
        let first = group.first().and_then(|symbol| symbol.get(depth)).copied();
        let first = first.map(escape).unwrap_or_default();
        branches.push(first + &prefix_tree_pattern(group, depth + 1));
    }
    match (branches.as_slice(), ends_here) {
        ([], _) => String::new(),
        ([branch], false) if depth > 0 => branch.clone(),
        (_, false) if depth == 0 => branches.join("|"),
        (_, ends_here) => format!("(?:{}){}", branches.join("|"), if ends_here { "?" } else { "" }),
    }
}

/// A character as itself in a regular expression. (Only the operators: `\<` would be an operator in some engines.)
fn escape(character: char) -> String {
    if r"\.+*?()|[]{}^$".contains(character) {
        format!("\\{character}")
    } else {
        character.to_string()
    }
}

fn indexed(proto: &ModelProto) -> impl Iterator<Item = (usize, &Piece)> {
    proto.pieces.iter().enumerate()
}

fn ids(proto: &ModelProto, wanted: impl Fn(Kind) -> bool) -> Vec<usize> {
    indexed(proto).filter(|(_, piece)| wanted(piece.kind)).map(|(id, _)| id).collect()
}
