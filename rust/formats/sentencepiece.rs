//! SentencePiece models (`tokenizer.model`, `spiece.model`) as tokenizer definitions that give the same ids.
//!
//! What the definition must reproduce is SentencePiece's own encoder, not the conversion that came with a model:
//! `src/normalizer.cc`, `src/bpe_model.cc`, `src/unigram_model.cc` and `src/model_interface.cc` of
//! <https://github.com/google/sentencepiece>, format in `src/sentencepiece_model.proto`. Where the shape of
//! `tokenizer.json` cannot say it, a key under `coolfusion` does (see the parent module).

use base64::{engine::general_purpose::STANDARD, Engine};
use rustc_hash::FxHashMap;
use serde_json::{json, Value};

use super::added_token;
use super::charsmap::Charsmap;
use super::model_proto::{Kind, ModelProto, ModelType, Piece, WRAP};
use crate::definition::{Definition, Merges, Pieces};
use crate::error::{Error, Result};

/// SentencePiece's mark for a space, U+2581.
pub(super) const SPACE_MARK: &str = "\u{2581}";

/// The definition of the tokenizer in a serialized `ModelProto`; `source` names it in errors and in `describe()`.
///
/// Costs O(p + c log c) for p pieces of c characters in all: each piece of a BPE model is looked up at each split.
///
/// # Errors
/// [`Error::File`] if the bytes are not a `ModelProto`; [`Error::Definition`] if the model is of type WORD or CHAR,
/// marks spaces at the end of words, or breaks a rule that SentencePiece itself checks on loading.
pub fn definition(model: &[u8], source: &str) -> Result<Definition> {
    let proto = ModelProto::parse(model, source)?;
    let mut notes = Vec::new();
    let normalizer = normalizer(&proto, &mut notes)?;
    let mut extension = json!({
        "source_format": "sentencepiece",
        "source": source,
        "exact_charsmap": !proto.charsmap.is_empty(),
        "charsmap_keeps": symbols(&proto).map(|(_, text)| text).collect::<Vec<_>>(),
        "unmatchable": ids(&proto, |kind| matches!(kind, Kind::Unknown | Kind::Control | Kind::Byte)),
        "unused": ids(&proto, |kind| kind == Kind::Unused),
        "symbols": symbols(&proto).map(|(id, _)| id).collect::<Vec<_>>(),
        "dummy": proto.add_dummy_prefix,
        "remove_extra": proto.remove_extra_whitespaces,
        "escape": proto.escape_whitespaces,
        "literally": literally(&proto),
    });
    let (model, pieces, merges) = match proto.model_type {
        ModelType::Unigram => {
            // `Model::Model`: the least score of the normal pieces, from which that of unknown characters follows.
            let normal = proto.pieces.iter().filter(|piece| piece.kind == Kind::Normal).map(|piece| piece.score);
            extension["lowest_score"] = json!(normal.fold(f32::MAX, f32::min));
            let (model, pieces) = unigram(&proto)?;
            (model, pieces, None)
        }
        ModelType::Bpe => {
            let (merges, ranks, bare) = merges(&proto)?;
            if !bare.is_empty() {
                extension["literally"] = true.into();
            }
            extension["bare_merges"] = json!(bare);
            let pieces = Pieces::with_ids(proto.pieces.iter().map(|piece| piece.text.as_str()).zip(0..));
            (bpe(&proto), pieces, Some((merges, ranks)))
        }
    };
    let unused = ids(&proto, |kind| kind == Kind::Unused).len();
    if unused > 0 {
        notes.push(format!("{unused} pieces are marked unused and are never produced"));
    }
    let (merges, ranks) = merges.unzip();
    extension["notes"] = json!(notes);
    let controls = indexed(&proto).filter(|(_, piece)| matches!(piece.kind, Kind::Unknown | Kind::Control));
    let added: Vec<Value> = controls.map(|(id, piece)| added_token(id, &piece.text, true)).collect();
    let frame = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": decoder(&proto),
        "model": model,
        "coolfusion": extension,
    });
    Ok(Definition { frame, pieces, merges, ranks })
}

/// User-defined symbols: text that is always one token, with its id.
fn symbols(proto: &ModelProto) -> impl Iterator<Item = (usize, &str)> {
    indexed(proto).filter(|(_, piece)| piece.kind == Kind::UserDefined).map(|(id, piece)| (id, piece.text.as_str()))
}

/// Whether the model must run on the normal form as it is written, on the engine made for that (`rust/sentencepiece/`).
///
/// The faster engines take U+2581 for a space, know no symbols, and rewrite nothing before merges.
fn literally(proto: &ModelProto) -> bool {
    if !proto.escape_whitespaces {
        return true;
    }
    if proto.model_type == ModelType::Unigram {
        // A rule that writes two spaces writes both.
        let runs = proto.remove_extra_whitespaces && Charsmap::new(&proto.charsmap).is_ok_and(|rules| rules.writes_runs());
        return runs || symbols(proto).any(|(_, text)| text.contains(' '));
    }
    let marked = proto.pieces.iter().any(|piece| piece.kind == Kind::Normal && piece.text == SPACE_MARK);
    let odd = |piece: &Piece| piece.text.contains(' ') || piece.kind != Kind::Normal && piece.text.chars().nth(1).is_none();
    let rewrites = proto.remove_extra_whitespaces || !proto.charsmap.is_empty();
    !marked || rewrites || symbols(proto).next().is_some() || proto.pieces.iter().any(odd)
}

/// `Normalizer::Normalize`: charsmap, then spaces stripped and collapsed, then the dummy prefix and the space mark.
fn normalizer(proto: &ModelProto, notes: &mut Vec<String>) -> Result<Value> {
    let mut steps = Vec::new();
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    if !proto.charsmap.is_empty() {
        // Only to refuse a broken one here; who honours `exact_charsmap` reads it again from the step.
        Charsmap::new(&proto.charsmap)?;
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(&proto.charsmap)}));
        notes.push(format!("the normalizer {:?} rewrites text before it is split", proto.normalizer_name));
    }
    if proto.remove_extra_whitespaces {
        steps.push(replace(json!({"Regex": "\\A +"}), ""));
        steps.push(replace(json!({"Regex": " {2,}"}), " "));
        notes.push("spaces at both ends are dropped and runs of spaces become one".to_owned());
        // A literal mark at the end of the text goes as well, because SentencePiece strips after the replacement.
        let trailing = if proto.escape_whitespaces { format!("[ {SPACE_MARK}]+\\z") } else { " +\\z".to_owned() };
        steps.push(replace(json!({"Regex": trailing}), ""));
    }
    // `Prepend` leaves an empty text empty, as SentencePiece does.
    if proto.add_dummy_prefix && proto.escape_whitespaces {
        steps.push(json!({"type": "Prepend", "prepend": SPACE_MARK}));
    } else if proto.add_dummy_prefix {
        // Decoding does not take this space away, so it is no dummy prefix in the sense of this form.
        steps.push(replace(json!({"Regex": "\\A"}), " "));
    }
    if proto.escape_whitespaces {
        steps.push(replace(json!({"String": " "}), SPACE_MARK));
    }
    Ok(json!({"type": "Sequence", "normalizers": steps}))
}

/// `SentencePieceProcessor::Decode`: marks to spaces, byte pieces to bytes, and the dummy prefix taken away.
fn decoder(proto: &ModelProto) -> Value {
    let mut steps = Vec::new();
    steps.push(json!({"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "}));
    if proto.byte_fallback {
        steps.push(json!({"type": "ByteFallback"}));
    }
    steps.push(json!({"type": "Fuse"}));
    // A dummy prefix that is a space, no mark, stays.
    if proto.escape_whitespaces && (proto.add_dummy_prefix || proto.remove_extra_whitespaces) {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// The Unigram model; user-defined symbols are pieces with the score that makes SentencePiece always choose them.
fn unigram(proto: &ModelProto) -> Result<(Value, Pieces)> {
    // The score of sentencepiece 0.2.3, found by bisection, is 0.1 for each byte but one, whatever the other scores are. Versions
    // before took the largest score of a piece for 0.1, with the same choices where no score is above 0.
    let pieces = Pieces::with_scores(indexed(proto).map(|(_, piece)| match piece.kind {
        Kind::UserDefined => {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            let score = (piece.text.len() as f64 * 0.1 - 0.1) as f32;
            (piece.text.as_str(), f64::from(score))
        }
        _ => (piece.text.as_str(), f64::from(piece.score)),
    }));
    let unk_id = proto.unknown_id()?;
    Ok((json!({"type": "Unigram", "unk_id": unk_id, "byte_fallback": proto.byte_fallback}), pieces))
}

type Merged<'a> = (Merges, Vec<u32>, Vec<(&'a str, &'a str, u32)>);

/// The merges of a BPE model, the rank of each, and (left, right, rank) of those with a character that is no piece.
///
/// SentencePiece merges the adjacent pair whose concatenation is the piece of the best score, the leftmost if two are
/// equally good. So every split of a piece into two symbols is a merge, ranks follow the scores, and pieces with one
/// score share a rank. (LLaMA-2 has 15 runs of spaces with the score -1e9: which of two is merged depends on where
/// they stand.) A symbol is a piece or any single character, as that is what the text is cut into at first.
fn merges(proto: &ModelProto) -> Result<Merged<'_>> {
    let is_single = |text: &str| text.chars().nth(1).is_none();
    let built = |kind: Kind| matches!(kind, Kind::Normal | Kind::Unused);
    let by_text: FxHashMap<&str, (u32, Kind)> = indexed(proto).map(|(id, piece)| (piece.text.as_str(), (id as u32, piece.kind))).collect();
    let is_symbol = |text: &str| is_single(text) || by_text.get(text).is_some_and(|(_, kind)| built(*kind));
    // Pieces of which a character is none by itself, or of a type that text never gives.
    let id = |text: &str| by_text.get(text).filter(|(_, kind)| matches!(kind, Kind::Normal | Kind::UserDefined)).map(|(id, _)| *id);
    let mut merges: Vec<(f32, u32, &str, &str)> = Vec::new();
    for (number, piece) in indexed(proto).filter(|(_, piece)| built(piece.kind)) {
        for (cut, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(cut);
            if !(is_symbol(left) && is_symbol(right)) {
                continue;
            }
            if piece.kind == Kind::Unused {
                let reason = format!(
                    "piece {number} {:?} is marked unused: SentencePiece merges it and takes it apart again, expected unused \
                                      pieces that no merge builds: {WRAP}",
                    piece.text
                );
                return Err(Error::definition("model", reason));
            }
            merges.push((piece.score, number as u32, left, right));
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2.len()).cmp(&(b.1, b.2.len()))));
    let ranks = dense_ranks(merges.iter().map(|(score, ..)| *score));
    let (mut pairs, mut pair_ranks, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for ((_, _, left, right), rank) in merges.into_iter().zip(ranks) {
        match (id(left), id(right)) {
            (Some(left), Some(right)) => {
                pairs.push((left, right));
                pair_ranks.push(rank);
            }
            _ => bare.push((left, right, rank)),
        }
    }
    Ok((Merges::new(pairs), pair_ranks, bare))
}

/// The BPE model without its vocabulary and merges.
fn bpe(proto: &ModelProto) -> Value {
    let unknown = proto.pieces.iter().find(|piece| piece.kind == Kind::Unknown).map(|piece| piece.text.as_str());
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": proto.byte_fallback,
        "ignore_merges": false,
    })
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

fn indexed(proto: &ModelProto) -> impl Iterator<Item = (usize, &Piece)> {
    proto.pieces.iter().enumerate()
}

fn ids(proto: &ModelProto, wanted: impl Fn(Kind) -> bool) -> Vec<usize> {
    indexed(proto).filter(|(_, piece)| wanted(piece.kind)).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        // All messages here are shorter than 128 bytes.
        [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
    }

    /// A model of the pieces (text, score, type), with the fields `trainer` and `normalizer` as they are on the wire.
    fn model(pieces: &[(&str, f32, u8)], trainer: &[u8], normalizer: &[u8]) -> Vec<u8> {
        let piece = |(text, score, kind): &(&str, f32, u8)| {
            let score = [&[0x15][..], &score.to_le_bytes()].concat();
            field(1, &[field(1, text.as_bytes()), score, vec![0x18, *kind]].concat())
        };
        let pieces: Vec<u8> = pieces.iter().flat_map(piece).collect();
        [pieces, field(2, trainer), field(3, normalizer)].concat()
    }

    const UNK: (&str, f32, u8) = ("<unk>", 0.0, 2);
    const BPE: &[u8] = &[0x18, 2];
    /// Neither dummy prefix nor removal of spaces.
    const PLAIN: &[u8] = &[0x18, 0, 0x20, 0];

    fn load(pieces: &[(&str, f32, u8)], trainer: &[u8], normalizer: &[u8]) -> Result<Value> {
        Ok(serde_json::to_value(definition(&model(pieces, trainer, normalizer), "x.model")?).unwrap())
    }

    #[test]
    fn merges_are_all_splits_by_score_and_equal_scores_share_a_rank() {
        let pieces = [UNK, ("aa", -1.0, 1), ("aaa", -9.0, 1), ("ab", -9.0, 1), ("a", -10.0, 1), ("b", -11.0, 1)];
        let definition = load(&pieces, BPE, PLAIN).unwrap();
        let merges = json!([["a", "a"], ["a", "aa"], ["aa", "a"], ["a", "b"]]);
        assert_eq!(definition["model"]["merges"], merges);
        assert_eq!(definition["coolfusion"]["merge_ranks"], json!([0, 1, 1, 1]));
        assert_eq!(definition["model"]["vocab"]["ab"], 3);
        assert_eq!(definition["model"]["ignore_merges"], false);
        assert_eq!(definition["pre_tokenizer"], Value::Null);
        assert_eq!(definition["coolfusion"]["notes"], json!([]));
    }

    #[test]
    fn unused_pieces_and_user_defined_symbols_are_not_merged() {
        let pieces = [UNK, ("ba", 0.0, 4), ("a", -2.0, 1), ("b", -3.0, 1), ("abc", -4.0, 1), ("xyz", -1.0, 5)];
        let definition = load(&pieces, BPE, PLAIN).unwrap();
        assert_eq!(definition["model"]["merges"], json!([]));
        assert_eq!(definition["coolfusion"]["symbols"], json!([1]));
        assert_eq!(definition["coolfusion"]["unused"], json!([5]));
        assert_eq!(definition["coolfusion"]["literally"], true);
        // SentencePiece merges unused pieces, and takes them apart as it merged the last one of a text.
        let error = load(&[UNK, ("ab", -1.0, 5), ("a", -2.0, 1)], BPE, PLAIN).unwrap_err().to_string();
        assert!(error.contains("piece 1 \"ab\" is marked unused") && error.contains("wrap the SentencePieceProcessor"), "{error}");
    }

    #[test]
    fn characters_without_a_piece_merge_too() {
        let pieces = [UNK, ("<", 0.0, 3), ("ax", -1.0, 1), ("a", -2.0, 1), ("<a", -3.0, 1)];
        let definition = load(&pieces, BPE, PLAIN).unwrap();
        assert_eq!(definition["coolfusion"]["bare_merges"], json!([["a", "x", 0], ["<", "a", 1]]));
        assert_eq!(definition["model"]["merges"], json!([]));
    }

    #[test]
    fn normalizer_and_decoder_follow_the_flags() {
        let types = |value: &Value, key: &str| -> Vec<String> {
            value[key].as_array().unwrap().iter().map(|step| step["type"].as_str().unwrap().to_owned()).collect()
        };
        let plain = load(&[UNK], BPE, PLAIN).unwrap();
        assert_eq!(types(&plain["normalizer"], "normalizers"), ["Replace"]);
        assert_eq!(types(&plain["decoder"], "decoders"), ["Replace", "Fuse"]);
        // The defaults: dummy prefix, and spaces removed at both ends and collapsed.
        let default = load(&[UNK], BPE, &[]).unwrap();
        assert_eq!(types(&default["normalizer"], "normalizers"), ["Replace", "Replace", "Replace", "Prepend", "Replace"]);
        assert_eq!(types(&default["decoder"], "decoders"), ["Replace", "Fuse", "Strip"]);
        let raw_spaces = load(&[UNK], BPE, &[0x20, 0, 0x28, 0]).unwrap();
        assert_eq!(types(&raw_spaces["normalizer"], "normalizers"), ["Replace"]);
        assert_eq!(types(&raw_spaces["decoder"], "decoders"), ["Replace", "Fuse"]);
    }

    #[test]
    fn a_charsmap_is_the_first_step_and_keeps_the_symbols() {
        let charsmap = field(2, b"\x04\0\0\0\0\0\0\0\0");
        let definition = load(&[UNK, ("\n", 0.0, 4)], &[], &[charsmap, PLAIN.to_vec()].concat()).unwrap();
        let first = &definition["normalizer"]["normalizers"][0];
        assert_eq!(*first, json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAAA"}));
        assert_eq!(definition["coolfusion"]["exact_charsmap"], true);
        assert_eq!(definition["coolfusion"]["charsmap_keeps"], json!(["\n"]));
        let broken = load(&[UNK], &[], &field(2, b"\x04\0\0\0")).unwrap_err().to_string();
        assert!(broken.contains("precompiled_charsmap: a trie of 4 bytes"), "{broken}");
    }

    #[test]
    fn unigram_user_defined_symbols_outscore_and_unused_pieces_are_listed() {
        let pieces = [UNK, ("abc", 0.0, 4), ("a", -2.0, 1), ("b", -3.0, 5)];
        let definition = load(&pieces, &[], PLAIN).unwrap();
        let vocab = &definition["model"]["vocab"];
        assert_eq!(vocab[1][1].as_f64(), Some(f64::from(0.2_f32)));
        assert_eq!(vocab[2], json!(["a", -2.0]));
        assert_eq!(definition["coolfusion"]["unused"], json!([3]));
        assert_eq!(definition["model"]["unk_id"], 0);
    }

    #[test]
    fn what_sentencepiece_refuses_is_refused() {
        for (pieces, trainer, words) in [
            (&[UNK][..], &[0x18, 4][..], "type CHAR (4)"),
            (&[UNK], &[0x18, 3], "type WORD (3)"),
            (&[UNK], &[0xc0, 1, 1], "treat_whitespace_as_suffix"),
            (&[("a", 0.0, 1)], BPE, "no piece of type UNKNOWN"),
            (&[UNK, ("?", 0.0, 2)], BPE, "pieces 0 and 1 are of type UNKNOWN"),
            (&[UNK, ("", 0.0, 1)], BPE, "piece 1 is empty"),
            (&[UNK, ("a", 0.0, 1), ("a", 0.0, 4)], BPE, "piece 2 \"a\" is already defined"),
            (&[UNK, ("a", f32::NAN, 1)], BPE, "the score NaN"),
            (&[UNK, ("<0x00>", 0.0, 6)], BPE, "byte_fallback is false"),
            (&[UNK, ("<0x00>", 0.0, 6)], &[0x98, 2, 1], "no piece <0x01>"),
            (&[UNK, ("a", 0.0, 9)], BPE, "of type 9"),
            (&[UNK, ("a\0", 0.0, 1)], BPE, "piece 1 \"a\\0\" holds the character NUL"),
            (&[UNK, ("<0xzz>", 0.0, 6)], &[0x98, 2, 1], "of type BYTE, expected <0x00> to <0xFF>"),
        ] {
            let error = load(pieces, trainer, &[]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = definition(b"\x7a\x00", "x.model").unwrap_err().to_string();
        assert!(error.contains("no pieces found"), "{error}");
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let bytes = model(&[UNK, ("a", -1.0, 1), ("aa", -2.0, 1)], BPE, PLAIN);
        for cut in 0..bytes.len() {
            let _ = definition(&bytes[..cut], "x.model");
            let mut broken = bytes.clone();
            broken[cut] ^= 0x55;
            let _ = definition(&broken, "x.model");
        }
    }
}
