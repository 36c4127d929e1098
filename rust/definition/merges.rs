//! The byte-pair tables of a definition.

use super::{flag, Own, Reader, Refusal};
use crate::bpe::{Alphabet, Bpe};
use crate::byte_alphabet;
use crate::normal::METASPACE;
use crate::pair_table::PairTable;
use crate::piece_table::PieceTable;
use crate::seams::Seams;
use crate::token::TokenId;
use rustc_hash::{FxHashMap, FxHashSet};

impl Reader<'_> {
    pub(super) fn bpe(&self, byte_level: bool) -> Own<Bpe> {
        let (merges, in_order) = self.merges()?;
        let alphabet = if byte_level { self.byte_symbols() } else { self.character_symbols() };
        let whole_words = (flag(self.model, "ignore_merges") == Some(true)).then(|| self.whole_words());
        Ok(Bpe { alphabet, merges, whole_words, seams: Seams::new(self.spelled.iter()), in_order })
    }

    /// The words that are one token whatever the merges say: all of the vocabulary but its control tokens.
    fn whole_words(&self) -> PieceTable {
        let controls: FxHashSet<u32> = self.added.iter().filter(|a| a.control).map(|a| a.id).chain(self.unknown).collect();
        let words = self.pieces.iter().zip(self.spelled.iter()).filter(|((id, _), _)| !controls.contains(id));
        PieceTable::new(words.map(|((id, _), bytes)| (bytes, TokenId(id))))
    }

    fn character_symbols(&self) -> Alphabet {
        let mut ids: FxHashMap<char, TokenId> = FxHashMap::default();
        for (id, piece) in self.pieces.iter() {
            let mut chars = piece.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                ids.insert(if c == METASPACE { ' ' } else { c }, TokenId(id));
            }
        }
        let byte = |b: usize| self.pieces.find(&format!("<0x{b:02X}>")).map(TokenId);
        let mut bytes = Box::new([None; 256]);
        (0..256).for_each(|b| bytes[b] = byte(b));
        let fallback = Some(bytes).filter(|_| flag(self.model, "byte_fallback") == Some(true));
        let complete = fallback.as_ref().is_some_and(|bytes| bytes.iter().all(Option::is_some));
        let fuse_unknown = flag(self.model, "fuse_unk") == Some(true);
        Alphabet::Characters { ids, fallback, unknown: self.unknown.map(TokenId), fuse_unknown, complete }
    }

    /// (left, right) -> (rank, merged), and whether every merge comes after all merges that make its two sides.
    fn merges(&self) -> Own<(PairTable, bool)> {
        let pairs = self.whole.merges.as_ref().map(|merges| &merges.pairs).ok_or_else(|| Refusal("no merges".into()))?;
        // Ranks that tie (SentencePiece scores, tiktoken splits) cannot be told from the position in the list.
        let ranks = self.whole.ranks.as_ref();
        // The last rank that makes each piece, plus one.
        let mut made = vec![0u64; self.pieces.len()];
        // What each merge makes.
        let mut results: Vec<u32> = Vec::with_capacity(pairs.len());
        let (mut merged, mut buffer) = (0, String::new());
        let rank = |at: usize| ranks.map_or(at as u32, |ranks| ranks[at]);
        if let Some(ranks) = ranks.filter(|ranks| ranks.len() < pairs.len()) {
            return Err(Refusal(format!("merge {} has no rank", ranks.len())));
        }
        for (at, &(left, right)) in pairs.iter().enumerate() {
            let (left, right) = (left as usize, right as usize);
            merged = self.pieces.joined(left, right, merged, &mut buffer).ok_or_else(|| {
                let (left, right) = (self.pieces.piece(left), self.pieces.piece(right));
                Refusal(format!("merge {at}: {left:?} + {right:?} is not of the vocabulary"))
            })?;
            made[merged] = made[merged].max(u64::from(rank(at)) + 1);
            results.push(merged as u32);
        }
        let numbered = pairs.iter().zip(&results).enumerate().map(|(at, (&(left, right), &merged))| (left, right, rank(at), merged));
        let in_order = numbered.clone().all(|(left, right, rank, _)| made[left as usize].max(made[right as usize]) <= u64::from(rank));
        let id = |number: u32| TokenId(self.pieces.id(number as usize));
        let merges = PairTable::new(numbered.map(|(left, right, rank, merged)| (id(left), id(right), rank, id(merged))));
        let merges = merges.ok_or_else(|| Refusal("too many merges".into()))?;
        Ok((merges, in_order))
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
