//! SentencePiece models (`tokenizer.model`, `spiece.model`) -> [`Spec`].
//!
//! The specification must reproduce SentencePiece's own encoder, not the conversion that came with a model. The source
//! is `src/normalizer.cc`, `src/bpe_model.cc`, `src/unigram_model.cc` and `src/model_interface.cc` of
//! <https://github.com/google/sentencepiece>. The format is in `src/sentencepiece_model.proto`. Flags of the file that
//! no normalizer holds are the rules in `Origin`.

use crate::error::{Error, Result};
use crate::formats::model_proto::{Kind, ModelProto, ModelType, Piece, WRAP};
use crate::normalizers::charsmap::Charsmap;
use crate::spec::decoder::Decoder;
use crate::spec::definition::{AddedToken, Spec};
use crate::spec::model::{Bpe, Merges, Model, Unigram};
use crate::spec::normalizer::{Normalizer, Pattern};
use crate::spec::origin::{Format, Origin, SentencePiece};
use crate::spec::pieces::Pieces;
use rustc_hash::FxHashMap;

/// SentencePiece's mark for a space, U+2581.
pub(super) const SPACE_MARK: &str = "\u{2581}";

/// The specification in a serialized `ModelProto`; `source` names it in errors.
///
/// Complexity: O(p + c log c) for p pieces of c characters in all, because each piece is looked up at each split.
///
/// # Errors
/// [`Error::File`] if the bytes are not a `ModelProto`. [`Error::Definition`] if the model is of type WORD or CHAR, or
/// marks spaces at the end of words. The same if it breaks a rule that SentencePiece itself checks on loading.
pub fn read(model: &[u8], source: &str) -> Result<Spec> {
    let proto = ModelProto::parse(model, source)?;
    let mut notes = Vec::new();
    let normalizers = normalizers(&proto, &mut notes)?;
    let mut rules = SentencePiece {
        dummy_prefix: proto.add_dummy_prefix,
        remove_extra_whitespaces: proto.remove_extra_whitespaces,
        escape_whitespaces: proto.escape_whitespaces,
        literally: literally(&proto),
        symbols: ids(&proto, |kind| kind == Kind::UserDefined),
        unmatchable: ids(&proto, |kind| matches!(kind, Kind::Unknown | Kind::Control | Kind::Byte)),
        unused: ids(&proto, |kind| kind == Kind::Unused),
        lowest_score: None,
        bare_merges: Vec::new(),
    };
    let (model, pieces) = match proto.model_type {
        ModelType::Unigram => {
            // `Model::Model`: the least score of the normal pieces, from which that of unknown characters follows.
            let normal = proto.pieces.iter().filter(|piece| piece.kind == Kind::Normal).map(|piece| piece.score);
            rules.lowest_score = Some(normal.fold(f32::MAX, f32::min));
            unigram(&proto)?
        }
        ModelType::Bpe => {
            let (merges, bare) = merges(&proto)?;
            rules.literally |= !bare.is_empty();
            rules.bare_merges = bare;
            bpe(&proto, merges)
        }
    };
    if !rules.unused.is_empty() {
        notes.push(format!("{} pieces are marked unused and are never produced", rules.unused.len()));
    }
    let origin = Origin { sentencepiece: Some(rules), ..Origin::new(Format::SentencePiece, notes) };
    let mut spec = Spec::new(model, pieces, origin);
    let controls = indexed(&proto).filter(|(_, piece)| matches!(piece.kind, Kind::Unknown | Kind::Control));
    spec.added_tokens = controls.map(|(id, piece)| AddedToken::new(id, &piece.text, true)).collect();
    spec.normalizers = normalizers;
    spec.decoders = Some(decoders(&proto));
    Ok(spec)
}

/// User-defined symbols: text that is always one token.
fn symbols(proto: &ModelProto) -> impl Iterator<Item = &str> {
    proto.pieces.iter().filter(|piece| piece.kind == Kind::UserDefined).map(|piece| piece.text.as_str())
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
        let runs =
            proto.remove_extra_whitespaces && Charsmap::new(&proto.charsmap).is_ok_and(|rules| rules.writes_runs());
        return runs || symbols(proto).any(|text| text.contains(' '));
    }
    let marked = proto.pieces.iter().any(|piece| piece.kind == Kind::Normal && piece.text == SPACE_MARK);
    let odd =
        |piece: &Piece| piece.text.contains(' ') || piece.kind != Kind::Normal && piece.text.chars().nth(1).is_none();
    let rewrites = proto.remove_extra_whitespaces || !proto.charsmap.is_empty();
    !marked || rewrites || symbols(proto).next().is_some() || proto.pieces.iter().any(odd)
}

/// `Normalizer::Normalize`: charsmap, then spaces stripped and collapsed, then the dummy prefix and the space mark.
fn normalizers(proto: &ModelProto, notes: &mut Vec<String>) -> Result<Vec<Normalizer>> {
    let mut steps = Vec::new();
    if !proto.charsmap.is_empty() {
        // Only to refuse a broken one here; the engine reads it again from the step.
        Charsmap::new(&proto.charsmap)?;
        steps.push(Normalizer::Precompiled(proto.charsmap.clone()));
        notes.push(format!("the normalizer {:?} rewrites text before it is split", proto.normalizer_name));
    }
    if proto.remove_extra_whitespaces {
        steps.push(Normalizer::regex("\\A +", ""));
        steps.push(Normalizer::regex(" {2,}", " "));
        notes.push("spaces at both ends are dropped and runs of spaces become one".to_owned());
        // A literal mark at the end of the text goes as well, because SentencePiece strips after the replacement.
        let trailing = if proto.escape_whitespaces { format!("[ {SPACE_MARK}]+\\z") } else { " +\\z".to_owned() };
        steps.push(Normalizer::regex(&trailing, ""));
    }
    // `Prepend` leaves an empty text empty, as SentencePiece does.
    if proto.add_dummy_prefix && proto.escape_whitespaces {
        steps.push(Normalizer::Prepend(SPACE_MARK.into()));
    } else if proto.add_dummy_prefix {
        // Decoding does not take this space away, so it is no dummy prefix in the sense of `Prepend`.
        steps.push(Normalizer::regex("\\A", " "));
    }
    if proto.escape_whitespaces {
        steps.push(Normalizer::literal(" ", SPACE_MARK));
    }
    Ok(steps)
}

/// `SentencePieceProcessor::Decode`: marks to spaces, byte pieces to bytes, and the dummy prefix taken away.
fn decoders(proto: &ModelProto) -> Vec<Decoder> {
    let mark = Pattern::String(SPACE_MARK.into());
    let mut steps = vec![Decoder::Replace { pattern: mark, content: " ".into() }];
    steps.extend(proto.byte_fallback.then_some(Decoder::ByteFallback));
    steps.push(Decoder::Fuse);
    // A dummy prefix that is a space, no mark, stays.
    if proto.escape_whitespaces && (proto.add_dummy_prefix || proto.remove_extra_whitespaces) {
        steps.push(Decoder::Strip { content: ' ', start: 1, stop: 0 });
    }
    steps
}

/// The Unigram model; user-defined symbols are pieces with the score that makes SentencePiece always choose them.
fn unigram(proto: &ModelProto) -> Result<(Model, Pieces)> {
    // The score of sentencepiece 0.2.3, found by bisection, is 0.1 for each byte but one, whatever the other scores
    // are. Versions before took the largest score of a piece for 0.1, with the same choices where no score is above 0.
    let pieces = Pieces::with_scores(indexed(proto).map(|(_, piece)| match piece.kind {
        Kind::UserDefined => {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            let score = (piece.text.len() as f64 * 0.1 - 0.1) as f32;
            (piece.text.as_str(), f64::from(score))
        }
        _ => (piece.text.as_str(), f64::from(piece.score)),
    }));
    let unknown = u32::try_from(proto.unknown_id()?).ok();
    Ok((Model::Unigram(Unigram { unknown, byte_fallback: proto.byte_fallback }), pieces))
}

/// A merge of two texts, with its rank.
type Bare = (String, String, u32);

/// The merges of a BPE model with their ranks, and (left, right, rank) of those with a character that is no piece.
///
/// SentencePiece merges the adjacent pair whose concatenation is the piece of the best score, the leftmost if two are
/// equally good. So every split of a piece into two symbols is a merge, ranks follow the scores, and pieces with one
/// score share a rank. (LLaMA-2 has 15 runs of spaces with the score -1e9: which of two is merged depends on their
/// positions.) A symbol is a piece or any single character, because text is first cut into characters.
fn merges(proto: &ModelProto) -> Result<(Merges, Vec<Bare>)> {
    let is_single = |text: &str| text.chars().nth(1).is_none();
    let built = |kind: Kind| matches!(kind, Kind::Normal | Kind::Unused);
    let by_text: FxHashMap<&str, (u32, Kind)> =
        indexed(proto).map(|(id, piece)| (piece.text.as_str(), (id, piece.kind))).collect();
    let is_symbol = |text: &str| is_single(text) || by_text.get(text).is_some_and(|(_, kind)| built(*kind));
    // Pieces with a character that is no piece, or of a type that text never gives.
    let id = |text: &str| {
        by_text.get(text).filter(|(_, kind)| matches!(kind, Kind::Normal | Kind::UserDefined)).map(|(id, _)| *id)
    };
    let mut merges: Vec<(f32, u32, &str, &str)> = Vec::new();
    for (number, piece) in indexed(proto).filter(|(_, piece)| built(piece.kind)) {
        for (cut, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(cut);
            if !(is_symbol(left) && is_symbol(right)) {
                continue;
            }
            if piece.kind == Kind::Unused {
                let reason = format!(
                    "piece {number} {:?} is marked unused: SentencePiece merges it and takes it apart again, expected \
                        unused \
                                      pieces that no merge builds: {WRAP}",
                    piece.text
                );
                return Err(Error::definition("model", reason));
            }
            merges.push((piece.score, number, left, right));
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
            _ => bare.push((left.to_owned(), right.to_owned(), rank)),
        }
    }
    Ok((Merges::ranked(pairs, pair_ranks), bare))
}

fn bpe(proto: &ModelProto, merges: Merges) -> (Model, Pieces) {
    let unknown = proto.pieces.iter().find(|piece| piece.kind == Kind::Unknown).map(|piece| piece.text.clone());
    let byte_fallback = proto.byte_fallback;
    let model = Bpe { merges, unknown, fuse_unknown: true, byte_fallback, ..Bpe::default() };
    (Model::Bpe(model), Pieces::with_ids(proto.pieces.iter().map(|piece| piece.text.as_str()).zip(0..)))
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

fn indexed(proto: &ModelProto) -> impl Iterator<Item = (u32, &Piece)> {
    (0..).zip(&proto.pieces)
}

fn ids(proto: &ModelProto, wanted: impl Fn(Kind) -> bool) -> Vec<u32> {
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

    fn load(pieces: &[(&str, f32, u8)], trainer: &[u8], normalizer: &[u8]) -> Result<Spec> {
        read(&model(pieces, trainer, normalizer), "x.model")
    }

    fn rules(spec: &Spec) -> &SentencePiece {
        spec.origin.sentencepiece.as_ref().unwrap()
    }

    #[test]
    fn merges_are_all_splits_by_score_and_equal_scores_share_a_rank() {
        let pieces = [UNK, ("aa", -1.0, 1), ("aaa", -9.0, 1), ("ab", -9.0, 1), ("a", -10.0, 1), ("b", -11.0, 1)];
        let spec = load(&pieces, BPE, PLAIN).unwrap();
        let merges = spec.model.merges().unwrap();
        let named = |&(left, right): &(u32, u32)| [left, right].map(|number| spec.pieces.piece(number as usize));
        let pairs: Vec<[&str; 2]> = merges.pairs.iter().map(named).collect();
        assert_eq!(pairs, [["a", "a"], ["a", "aa"], ["aa", "a"], ["a", "b"]]);
        assert_eq!(merges.ranks(), Some(&[0, 1, 1, 1][..]));
        assert_eq!((spec.pieces.find("ab"), spec.model.looks_up_words()), (Some(3), false));
        assert!(spec.pre_tokenizers.is_empty() && spec.origin.notes.is_empty());
    }

    #[test]
    fn unused_pieces_and_user_defined_symbols_are_not_merged() {
        let pieces = [UNK, ("ba", 0.0, 4), ("a", -2.0, 1), ("b", -3.0, 1), ("abc", -4.0, 1), ("xyz", -1.0, 5)];
        let spec = load(&pieces, BPE, PLAIN).unwrap();
        assert!(spec.model.merges().unwrap().pairs.is_empty());
        assert_eq!((&rules(&spec).symbols[..], &rules(&spec).unused[..]), (&[1][..], &[5][..]));
        assert!(rules(&spec).literally);
        // SentencePiece merges unused pieces, and takes them apart as it merged the last one of a text.
        let error = load(&[UNK, ("ab", -1.0, 5), ("a", -2.0, 1)], BPE, PLAIN).unwrap_err().to_string();
        assert!(
            error.contains("piece 1 \"ab\" is marked unused") && error.contains("wrap the SentencePieceProcessor"),
            "{error}"
        );
    }

    #[test]
    fn characters_without_a_piece_merge_too() {
        let pieces = [UNK, ("<", 0.0, 3), ("ax", -1.0, 1), ("a", -2.0, 1), ("<a", -3.0, 1)];
        let spec = load(&pieces, BPE, PLAIN).unwrap();
        let expected =
            [("a", "x", 0), ("<", "a", 1)].map(|(left, right, rank)| (left.to_owned(), right.to_owned(), rank));
        assert_eq!(rules(&spec).bare_merges, expected);
        assert!(spec.model.merges().unwrap().pairs.is_empty());
    }

    #[test]
    fn normalizer_and_decoder_follow_the_flags() {
        let normalizers = |spec: &Spec| spec.normalizers.iter().map(Normalizer::kind).collect::<Vec<_>>();
        let decoders = |spec: &Spec| spec.decoders.iter().flatten().map(Decoder::kind).collect::<Vec<_>>();
        let plain = load(&[UNK], BPE, PLAIN).unwrap();
        assert_eq!((normalizers(&plain), decoders(&plain)), (vec!["Replace"], vec!["Replace", "Fuse"]));
        // The defaults: dummy prefix, and spaces removed at both ends and collapsed.
        let default = load(&[UNK], BPE, &[]).unwrap();
        assert_eq!(normalizers(&default), ["Replace", "Replace", "Replace", "Prepend", "Replace"]);
        assert_eq!(decoders(&default), ["Replace", "Fuse", "Strip"]);
        let raw_spaces = load(&[UNK], BPE, &[0x20, 0, 0x28, 0]).unwrap();
        assert_eq!((normalizers(&raw_spaces), decoders(&raw_spaces)), (vec!["Replace"], vec!["Replace", "Fuse"]));
    }

    #[test]
    fn a_charsmap_is_the_first_step_and_keeps_the_symbols() {
        let blob = b"\x04\0\0\0\0\0\0\0\0";
        let spec = load(&[UNK, ("\n", 0.0, 4)], &[], &[field(2, blob), PLAIN.to_vec()].concat()).unwrap();
        assert_eq!(spec.normalizers[0], Normalizer::Precompiled(blob.to_vec()));
        assert_eq!(rules(&spec).symbols, [1]);
        let broken = load(&[UNK], &[], &field(2, b"\x04\0\0\0")).unwrap_err().to_string();
        assert!(broken.contains("precompiled_charsmap: a trie of 4 bytes"), "{broken}");
    }

    #[test]
    fn unigram_user_defined_symbols_outscore_and_unused_pieces_are_listed() {
        let pieces = [UNK, ("abc", 0.0, 4), ("a", -2.0, 1), ("b", -3.0, 5)];
        let spec = load(&pieces, &[], PLAIN).unwrap();
        assert_eq!([1, 2].map(|number| spec.pieces.score(number)), [Some(f64::from(0.2_f32)), Some(-2.0)]);
        assert_eq!(
            (&rules(&spec).unused[..], rules(&spec).lowest_score, spec.unknown_id()),
            (&[3][..], Some(-2.0), Some(0))
        );
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
        let error = read(b"\x7a\x00", "x.model").unwrap_err().to_string();
        assert!(error.contains("no pieces found"), "{error}");
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let bytes = model(&[UNK, ("a", -1.0, 1), ("aa", -2.0, 1)], BPE, PLAIN);
        for cut in 0..bytes.len() {
            let _ = read(&bytes[..cut], "x.model");
            let mut broken = bytes.clone();
            broken[cut] ^= 0x55;
            let _ = read(&broken, "x.model");
        }
    }
}
