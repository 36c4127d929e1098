//! The byte-pair tables of a definition.

use super::{flag, refuse, Own, Reader, Refusal};
use crate::bpe::{Alphabet, Bpe};
use crate::byte_alphabet;
use crate::normal::METASPACE;
use crate::pair_table::PairTable;
use crate::piece_table::PieceTable;
use crate::seams::Seams;
use crate::token::TokenId;
use rustc_hash::FxHashMap;
use serde_json::Value;

impl Reader<'_> {
    pub(super) fn bpe(&self, byte_level: bool) -> Own<Bpe> {
        let by_piece: FxHashMap<&str, TokenId> = self.pieces.iter().map(|(id, p)| (p.as_str(), TokenId(*id))).collect();
        let merges = self.merges(&by_piece)?;
        let alphabet = if byte_level { byte_symbols(&by_piece) } else { self.character_symbols(&by_piece) };
        let whole_words = (flag(self.model, "ignore_merges") == Some(true)).then(|| {
            let control = |id: u32| self.added.iter().any(|a| a.control && a.id == id) || self.unknown == Some(id);
            let controls: Vec<u32> = self.pieces.iter().map(|p| p.0).filter(|&id| control(id)).collect();
            let words = self.pieces.iter().filter(|(id, _)| !controls.contains(id));
            PieceTable::new(words.map(|(id, piece)| (self.spelling.bytes(piece), TokenId(*id))))
        });
        let pieces: Vec<Vec<u8>> = self.pieces.iter().map(|(_, piece)| self.spelling.bytes(piece)).collect();
        let seams = Seams::new(pieces.iter().map(Vec::as_slice));
        Ok(Bpe { alphabet, merges, whole_words, seams })
    }

    fn character_symbols(&self, by_piece: &FxHashMap<&str, TokenId>) -> Alphabet {
        let mut ids: FxHashMap<char, TokenId> = FxHashMap::default();
        for (id, piece) in self.pieces {
            let mut chars = piece.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                ids.insert(if c == METASPACE { ' ' } else { c }, TokenId(*id));
            }
        }
        let byte = |b: usize| by_piece.get(format!("<0x{b:02X}>").as_str()).copied();
        let mut bytes = Box::new([None; 256]);
        (0..256).for_each(|b| bytes[b] = byte(b));
        let fallback = Some(bytes).filter(|_| flag(self.model, "byte_fallback") == Some(true));
        let complete = fallback.as_ref().is_some_and(|bytes| bytes.iter().all(Option::is_some));
        let fuse_unknown = flag(self.model, "fuse_unk") == Some(true);
        Alphabet::Characters { ids, fallback, unknown: self.unknown.map(TokenId), fuse_unknown, complete }
    }

    /// (left, right) -> (rank, merged). An entry is `["a", "b"]` or, in old files, `"a b"`.
    fn merges(&self, by_piece: &FxHashMap<&str, TokenId>) -> Own<PairTable> {
        let list = self.model.get("merges").and_then(Value::as_array);
        let list = list.ok_or_else(|| Refusal("no merges".into()))?;
        // Ranks that tie (SentencePiece scores, tiktoken splits) cannot be told from the position in the list.
        let ranks = self.definition.pointer("/coolfusion/merge_ranks").and_then(Value::as_array);
        let mut merges = PairTable::with_capacity(list.len());
        let mut joined = String::new();
        for (rank, merge) in list.iter().enumerate() {
            let pair = match merge {
                Value::String(line) => line.split_once(' '),
                Value::Array(pair) => pair.first().and_then(Value::as_str).zip(pair.get(1).and_then(Value::as_str)),
                _ => None,
            };
            let Some((left, right)) = pair else { return refuse(format!("merge {rank}: {merge}")) };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            let ids = (by_piece.get(left), by_piece.get(right), by_piece.get(joined.as_str()));
            let (Some(&left), Some(&right), Some(&merged)) = ids else {
                return refuse(format!("merge {rank}: {merge} is not of the vocabulary"));
            };
            let rank = match ranks {
                Some(ranks) => ranks.get(rank).and_then(Value::as_u64).ok_or_else(|| Refusal(format!("merge {rank} has no rank")))?,
                None => rank as u64,
            };
            merges.insert(left, right, rank as u32, merged);
        }
        Ok(merges)
    }

}

fn byte_symbols(by_piece: &FxHashMap<&str, TokenId>) -> Alphabet {
    let mut ids = [None; 256];
    for (byte, c) in byte_alphabet::characters().into_iter().enumerate() {
        ids[byte] = by_piece.get(c.to_string().as_str()).copied();
    }
    // These bytes are in no text (RFC 3629).
    let absent = |byte: usize| matches!(byte, 0xC0 | 0xC1 | 0xF5..);
    let complete = ids.iter().enumerate().all(|(byte, id)| id.is_some() || absent(byte));
    Alphabet::Bytes { ids: Box::new(ids), complete }
}
