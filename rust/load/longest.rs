//! Specifications with [`crate::spec::model::Model::LongestMatch`], which no `tokenizer.json` of the library has: see
//! `rust/longest.rs`.

use crate::backends::longest_match::Longest;
use crate::error::{Error, Result};
use crate::load::chain::Chain;
use crate::load::entries::{added_tokens, check_largest_id, control_tokens, decoded, vocabulary, Spelling};
use crate::load::loaded::Loaded;
use crate::spec::decoder::Decoder;
use crate::spec::definition::Spec;
use crate::util::byte_alphabet;
use crate::vocabulary::decode_rules::DecodeRules;

/// Loads `spec`, whose pieces are written in GPT-2's byte alphabet.
pub(super) fn load(spec: &Spec) -> Result<Loaded> {
    let pieces = &spec.pieces;
    let mut notes = Vec::new();
    let added = added_tokens(spec, &mut notes)?;
    if let Some(token) = added.iter().find(|token| !token.control) {
        let reason = format!("{:?} is text: expected control tokens only beside the model LongestMatch", token.content);
        return Err(Error::definition("added_tokens", reason));
    }
    check_largest_id(pieces, &added)?;
    let mut tokens = Vec::with_capacity(pieces.len());
    for (id, piece) in pieces.iter() {
        let bytes = byte_alphabet::bytes(piece)
            .ok_or_else(|| Error::definition("model.vocab", format!("{piece:?}, expected GPT-2's byte alphabet")))?;
        tokens.push((bytes.into_boxed_slice(), id));
    }
    let engine = Longest::new(tokens).ok_or_else(|| {
        Error::definition(
            "model.vocab",
            "a byte of UTF-8 is no token, or an id is 2^23 - 1 or larger: expected a token for each byte",
        )
    })?;
    notes.extend(spec.origin.notes.iter().cloned());
    let chain = Chain::new(Some(&[Decoder::ByteLevel]), false)?;
    let (vocabulary, _) = vocabulary(pieces, &decoded(pieces, &chain)?, &added, None, &chain)?;
    Ok(Loaded {
        vocabulary,
        engine: Box::new(engine),
        spelling: Spelling::ByteLevel,
        byte_fallback: false,
        unknown: None,
        decode_rules: DecodeRules::plain(false),
        check: "not compared with another library at load".into(),
        model: "LongestMatch".into(),
        split_rule: "none: the whole text is one word".into(),
        normalizer: String::new(),
        added: Vec::new(),
        prefixes_once: false,
        control_tokens: control_tokens(&added, None, pieces),
        source_notes: notes,
    })
}
