//! The byte-pair tables of a definition.

use crate::load::build::{Own, Reader, Refusal};
use crate::load::chain::byte_piece;
use crate::load::entries::Spelling;
use crate::models::bpe::initial_symbols::{Alphabet, CharSymbols};
use crate::models::bpe::merge_table::PairTable;
use crate::models::bpe::model::Bpe;
use crate::models::bpe::whole_pieces::MOST_IDS;
use crate::normalizers::unicode_forms::METASPACE;
use crate::spec::model::Bpe as Model;
use crate::tokens::token::TokenId;
use crate::util::byte_alphabet;
use rustc_hash::FxHashSet;

impl Reader<'_> {
    /// The encoder of words that are spelled so where the model sees them.
    pub(super) fn bpe(&self, model: &Model, spelling: Spelling) -> Own<Bpe> {
        let merges = self.merges(model)?;
        let byte_level = spelling == Spelling::ByteLevel;
        let alphabet =
            if byte_level { self.byte_symbols() } else { self.character_symbols(model, spelling == Spelling::Marks) };
        let complete =
            matches!(alphabet, Alphabet::Bytes { complete: true, .. } | Alphabet::Characters { complete: true, .. });
        let names_unknown = model.unknown.is_some();
        if !complete && names_unknown && (byte_level || self.unknown.is_none()) {
            return Err(Refusal("an unknown token for bytes, or one that is not in the vocabulary".into()));
        }
        if let Alphabet::Characters { ids, fallback: Some(bytes), unknown: Some(_), complete: false, .. } = &alphabet {
            // These bytes are in no text (RFC 3629).
            let absent =
                |byte: u8| matches!(byte, 0xC0 | 0xC1 | 0xF5..) || byte.is_ascii() && ids.get(byte.into()).is_some();
            let covered = (0..=255u8).all(|byte| bytes[usize::from(byte)].is_some() || absent(byte));
            // The library writes an unknown token after the byte pieces that follow it.
            let any = bytes.iter().any(Option::is_some);
            if any && !covered && self.spec.is_of_library() {
                return Err(Refusal("an unknown token beside byte pieces for some characters".into()));
            }
        }
        if !complete && byte_level && model.byte_fallback {
            return Err(Refusal("byte fallback for some of the bytes".into()));
        }
        if let Alphabet::Characters { unknown: Some(unknown), complete: false, .. } = alphabet {
            // It stands for text that no piece tells, so no barrier is known between it and its neighbours.
            if merges.iter().any(|(left, right, _)| [left, right].contains(&unknown)) {
                return Err(Refusal("a merge of the unknown token".into()));
            }
        }
        let controls: FxHashSet<u32> =
            self.added.iter().filter(|a| a.control).map(|a| a.id).chain(self.unknown).collect();
        if let Some((id, _)) = self.pieces.iter().find(|&(id, _)| id >= MOST_IDS) {
            return Err(Refusal(format!("id {id}, expected ids below {MOST_IDS}")));
        }
        let pieces = self.matched.iter().map(|(number, bytes)| {
            let id = self.pieces.id(number);
            (TokenId(id), bytes, controls.contains(&id))
        });
        Ok(Bpe::new(alphabet, merges, model.ignore_merges, pieces))
    }

    /// The symbols of characters; `marks`: U+2581 represents a space, so that the model sees none.
    fn character_symbols(&self, model: &Model, marks: bool) -> Alphabet {
        let mut ids = CharSymbols::default();
        for (id, piece) in self.pieces.iter() {
            let mut chars = piece.chars();
            if let (Some(c), None) = (chars.next().filter(|&c| !marks || c != ' '), chars.next()) {
                ids.insert(if marks && c == METASPACE { ' ' } else { c }, TokenId(id));
            }
        }
        let byte = |b: usize| self.pieces.find(&format!("<0x{b:02X}>")).map(TokenId);
        let mut bytes = Box::new([None; 256]);
        (0..256).for_each(|b| bytes[b] = byte(b));
        let fallback = Some(bytes).filter(|_| model.byte_fallback);
        let complete = fallback.as_ref().is_some_and(|bytes| bytes.iter().all(Option::is_some));
        let fuse_unknown = model.fuse_unknown;
        Alphabet::Characters { ids, fallback, unknown: self.unknown.map(TokenId), fuse_unknown, complete }
    }

    /// (left, right) -> (rank, merged).
    fn merges(&self, model: &Model) -> Own<PairTable> {
        let pairs = &model.merges.pairs;
        // The result of each merge.
        let mut results: Vec<u32> = Vec::with_capacity(pairs.len());
        let (mut merged, mut buffer) = (0, String::new());
        let fallback = model.byte_fallback;
        for (at, &(left, right)) in pairs.iter().enumerate() {
            let (left, right) = (left as usize, right as usize);
            merged = self.pieces.joined(left, right, merged, &mut buffer).ok_or_else(|| {
                let (left, right) = (self.pieces.piece(left), self.pieces.piece(right));
                Refusal(format!("merge {at}: {left:?} + {right:?} is not of the vocabulary"))
            })?;
            results.push(merged as u32);
            if fallback
                && [left, right, merged].into_iter().any(|number| byte_piece(self.pieces.piece(number)).is_some())
            {
                return Err(Refusal(format!("merge {at} is of byte pieces")));
            }
        }
        let numbered = pairs
            .iter()
            .zip(&results)
            .enumerate()
            .map(|(at, (&(left, right), &merged))| (left, right, model.merges.rank(at), merged));
        let id = |number: u32| TokenId(self.pieces.id(number as usize));
        let merges =
            PairTable::new(numbered.map(|(left, right, rank, merged)| (id(left), id(right), rank, id(merged))));
        merges.ok_or_else(|| Refusal("too many merges".into()))
    }

    fn byte_symbols(&self) -> Alphabet {
        let mut ids = [None; 256];
        for (byte, c) in byte_alphabet::characters().into_iter().enumerate() {
            ids[byte] = self.pieces.find(c.encode_utf8(&mut [0; 4])).map(TokenId);
        }
        // These bytes are in no text (RFC 3629).
        let absent = |byte: usize| matches!(byte, 0xC0 | 0xC1 | 0xF5..);
        let complete = ids.iter().enumerate().all(|(byte, id)| id.is_some() || absent(byte));
        Alphabet::Bytes { ids: Box::new(ids), complete }
    }
}
