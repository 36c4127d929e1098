//! The fields of SentencePiece's `ModelProto` that encoding depends on, and the rules that they must keep.
//!
//! Field numbers and defaults are those of `src/sentencepiece_model.proto`, the checks those of
//! `ModelInterface::InitializePieces` (<https://github.com/google/sentencepiece>).

use crate::error::{Error, Result};
use crate::formats::protobuf::{Reader, Value};
use std::collections::HashSet;

/// `ModelProto.SentencePiece.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The advice for a model that cannot be run here.
pub(crate) const WRAP: &str = "wrap the SentencePieceProcessor object instead";

/// One entry of the vocabulary; its id is its index.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// `TrainerSpec.ModelType`, without the two that no backend can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelType {
    Unigram,
    Bpe,
}

/// A model as far as encoding and decoding need it.
#[derive(Clone, Debug)]
pub(crate) struct ModelProto {
    pub(super) pieces: Vec<Piece>,
    pub(super) model_type: ModelType,
    pub(super) byte_fallback: bool,
    pub(super) normalizer_name: String,
    pub(super) charsmap: Vec<u8>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
    /// Whether decoding rewrites the text once more.
    denormalizes: bool,
    treat_whitespace_as_suffix: bool,
}

impl ModelProto {
    /// Parses and checks a whole file. Costs O(length).
    pub(super) fn parse(bytes: &[u8], source: &str) -> Result<Self> {
        let mut proto = Self {
            pieces: Vec::new(),
            model_type: ModelType::Unigram,
            byte_fallback: false,
            normalizer_name: String::new(),
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            denormalizes: false,
            treat_whitespace_as_suffix: false,
        };
        let mut reader = Reader::new(bytes, source);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Bytes(message)) => proto.pieces.push(piece(message)?),
                (2, Value::Bytes(message)) => proto.trainer_spec(message)?,
                (3, Value::Bytes(message)) => proto.normalizer_spec(message)?,
                (5, Value::Bytes(message)) => proto.denormalizer_spec(message)?,
                _ => {}
            }
        }
        if proto.pieces.is_empty() {
            return Err(Error::File {
                path: source.to_owned(),
                reason: "no pieces found, expected a SentencePiece model".to_owned(),
            });
        }
        if proto.byte_fallback {
            // SentencePiece 0.2.3 treats this piece as unused; versions before refuse it or cannot find it.
            proto.pieces.iter_mut().filter(|piece| piece.text == "\0").for_each(|piece| piece.kind = Kind::Unused);
        }
        proto.check()?;
        Ok(proto)
    }

    /// The id of the only piece of type UNKNOWN.
    pub(super) fn unknown_id(&self) -> Result<usize> {
        let mut unknown = self.pieces.iter().enumerate().filter(|(_, piece)| piece.kind == Kind::Unknown);
        match (unknown.next(), unknown.next()) {
            (Some((id, _)), None) => Ok(id),
            (None, _) => Err(Error::definition("model", "no piece of type UNKNOWN, expected one")),
            (Some((first, _)), Some((second, _))) => Err(Error::definition(
                "model",
                format!("pieces {first} and {second} are of type UNKNOWN, expected one"),
            )),
        }
    }

    fn trainer_spec(&mut self, mut message: Reader) -> Result<()> {
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (3, Value::Varint(1)) => self.model_type = ModelType::Unigram,
                (3, Value::Varint(2)) => self.model_type = ModelType::Bpe,
                (3, Value::Varint(other)) => {
                    let name = match other {
                        3 => "WORD",
                        4 => "CHAR",
                        _ => "unknown",
                    };
                    let reason = format!(
                        "SentencePiece model of type {name} ({other}), expected UNIGRAM (1) or BPE (2): {WRAP}"
                    );
                    return Err(Error::definition("model", reason));
                }
                (24, Value::Varint(flag)) => self.treat_whitespace_as_suffix = flag != 0,
                (35, Value::Varint(flag)) => self.byte_fallback = flag != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn normalizer_spec(&mut self, mut message: Reader) -> Result<()> {
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (1, Value::Bytes(name)) => name.text()?.clone_into(&mut self.normalizer_name),
                (2, Value::Bytes(blob)) => self.charsmap = blob.bytes().to_vec(),
                (3, Value::Varint(flag)) => self.add_dummy_prefix = flag != 0,
                (4, Value::Varint(flag)) => self.remove_extra_whitespaces = flag != 0,
                (5, Value::Varint(flag)) => self.escape_whitespaces = flag != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn denormalizer_spec(&mut self, mut message: Reader) -> Result<()> {
        while let Some((number, value)) = message.field()? {
            if let (2, Value::Bytes(blob)) = (number, value) {
                self.denormalizes = !blob.bytes().is_empty();
            }
        }
        Ok(())
    }

    /// The checks of SentencePiece on loading, and those for settings that no backend can run.
    fn check(&self) -> Result<()> {
        let wrong = |reason: String| Err(Error::definition("model", reason));
        if self.treat_whitespace_as_suffix {
            return wrong(format!(
                "treat_whitespace_as_suffix is true (the space mark ends a word), expected false: {WRAP}"
            ));
        }
        if self.denormalizes {
            return wrong(format!("the model has a denormalizer, which rewrites decoded text, expected none: {WRAP}"));
        }
        self.unknown_id()?;
        let mut seen = HashSet::with_capacity(self.pieces.len());
        let mut bytes = HashSet::new();
        for (id, piece) in self.pieces.iter().enumerate() {
            if piece.text.is_empty() {
                return wrong(format!("piece {id} is empty"));
            }
            // SentencePiece allows a control piece to be spelled like a normal one; `model.vocab` is one table.
            if !seen.insert(piece.text.as_str()) {
                return wrong(format!("piece {id} {:?} is already defined", piece.text));
            }
            let is_nul = piece.text == "\0" && self.byte_fallback && piece.kind == Kind::Unused;
            if piece.text.contains('\0') && !is_nul {
                return wrong(format!(
                    "piece {id} {:?} holds the character NUL, which SentencePiece refuses",
                    piece.text
                ));
            }
            if !piece.score.is_finite() {
                return wrong(format!("piece {id} {:?} has the score {}, expected a number", piece.text, piece.score));
            }
            if piece.kind == Kind::Byte {
                if !self.byte_fallback {
                    return wrong(format!("piece {id} {:?} is a byte, but byte_fallback is false", piece.text));
                }
                let digits = piece.text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                if byte.is_none_or(|byte| format!("<0x{byte:02X}>") != piece.text) {
                    return wrong(format!("piece {id} {:?} is of type BYTE, expected <0x00> to <0xFF>", piece.text));
                }
                bytes.insert(piece.text.as_str());
            }
        }
        if self.byte_fallback {
            if let Some(missing) =
                (0..=255).map(|byte| format!("<0x{byte:02X}>")).find(|name| !bytes.contains(name.as_str()))
            {
                return wrong(format!("byte_fallback is true, but there is no piece {missing} of type BYTE"));
            }
        }
        Ok(())
    }
}

/// One `ModelProto.SentencePiece`.
fn piece(mut message: Reader) -> Result<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
    while let Some((number, value)) = message.field()? {
        match (number, value) {
            (1, Value::Bytes(text)) => text.text()?.clone_into(&mut piece.text),
            (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Varint(kind)) => {
                piece.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    other => {
                        return Err(message.error(format!("piece {:?} of type {other}, expected 1 to 6", piece.text)))
                    }
                };
            }
            _ => {}
        }
    }
    Ok(piece)
}
