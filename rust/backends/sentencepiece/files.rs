//! Models for tests, as bytes of a `.model` file.

#![allow(clippy::unwrap_used)]

use crate::normalizers::charsmap::tests::blob_of;
use crate::spec::model::{Merges, Model};
use crate::spec::pieces::Pieces;
use crate::tokenizer::Tokenizer;
use std::sync::Arc;

/// The settings of a file for the text around its pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags<'a> {
    pub(crate) byte_fallback: bool,
    pub(crate) dummy: bool,
    pub(crate) remove_extra: bool,
    pub(crate) literal_spaces: bool,
    pub(crate) rules: &'a [(&'a str, &'a str)],
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(number as u8 & 127 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.into()].concat()
}

fn flag(number: usize, value: bool) -> Vec<u8> {
    [varint(number << 3), vec![u8::from(value)]].concat()
}

/// The kinds of models, as files have them.
const UNIGRAM: u8 = 1;
const BYTE_PAIRS: u8 = 2;

/// A file of `pieces`, the best first, and `symbols`.
fn file(model: u8, pieces: &[&str], symbols: &[&str], flags: Flags<'_>) -> Vec<u8> {
    let piece = |text: &str, score: f32, kind: u8| {
        field(1, &[field(1, text.as_bytes()), vec![0x15], score.to_le_bytes().into(), vec![0x18, kind]].concat())
    };
    let mut file = piece("<unk>", 0.0, 2);
    if flags.byte_fallback {
        file.extend((0..256).flat_map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, 6)));
    }
    file.extend(symbols.iter().flat_map(|text| piece(text, 0.0, 4)));
    file.extend(pieces.iter().zip(0_u8..).flat_map(|(text, number)| piece(text, -1.0 - f32::from(number), 1)));
    file.extend(field(2, &[vec![0x18, model], flag(35, flags.byte_fallback)].concat()));
    let mut normalizer = [flag(3, flags.dummy), flag(4, flags.remove_extra), flag(5, !flags.literal_spaces)].concat();
    if !flags.rules.is_empty() {
        normalizer.extend(field(2, &blob_of(flags.rules)));
    }
    file.extend(field(3, &normalizer));
    file
}

/// The tokenizer of such a file.
pub(crate) fn merges(pieces: &[&str], symbols: &[&str], flags: Flags<'_>) -> Arc<Tokenizer> {
    of_file(&file(BYTE_PAIRS, pieces, symbols, flags))
}

/// The same with scores. A symbol that holds a space brings it to the engine for such files.
pub(crate) fn scores(pieces: &[&str], symbols: &[&str], flags: Flags<'_>) -> Arc<Tokenizer> {
    of_file(&file(UNIGRAM, pieces, symbols, flags))
}

fn of_file(file: &[u8]) -> Arc<Tokenizer> {
    let tokenizer = Tokenizer::from_sentencepiece(file, "file").unwrap();
    assert!(tokenizer.engine().describe().contains("SentencePiece"), "{}", tokenizer.engine().describe());
    tokenizer
}

#[test]
fn a_merge_of_the_unknown_token_is_refused() {
    let file = file(BYTE_PAIRS, &["aa", "\u{2581}", "a"], &["\n"], Flags::default());
    let mut spec = crate::formats::sentencepiece::read(&file, "x.model").unwrap();
    assert!(Tokenizer::from_spec(spec.clone(), "as it is").is_ok());
    // A text holds the unknown token for any character, so no certificate by pieces would be one.
    let pieces = spec.pieces.iter().map(|(id, piece)| (piece.to_string(), id)).chain([("<unk>a".into(), 5)]);
    spec.pieces = Pieces::with_ids(pieces.collect::<Vec<_>>());
    let Model::Bpe(bpe) = &mut spec.model else { unreachable!("a model of byte pairs") };
    let number = |piece: &str| spec.pieces.number(piece).unwrap() as u32;
    let pairs = bpe.merges.pairs.iter().copied().chain([(number("<unk>"), number("a"))]).collect();
    let ranks = bpe.merges.ranks().unwrap().iter().copied().chain([9]).collect();
    bpe.merges = Merges::ranked(pairs, ranks);
    let error = Tokenizer::from_spec(spec, "merged").err().unwrap().to_string();
    assert!(error.contains("a merge of the unknown token"), "{error}");
}
