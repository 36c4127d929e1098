//! bytes -> id, for a whole vocabulary in little memory.

use crate::tokens::token::TokenId;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// A hash table whose keys lie end to end in one array.
#[derive(Debug, Clone, Default)]
pub(crate) struct PieceTable {
    bytes: Vec<u8>,
    /// End of each key in `bytes`, and its id.
    entries: Vec<(u32, TokenId)>,
    /// Upper half of the key's hash and index of its entry plus one; 0 where free.
    slots: Box<[u64]>,
    longest: usize,
}

fn hash(piece: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(piece);
    hasher.finish()
}

/// The upper half of a hash: tells nearly all other keys from this one without looking at their bytes.
const UPPER: u64 = !0 << 32;

impl PieceTable {
    /// The table of `pieces`; the last one of equals counts.
    pub(crate) fn new<B: AsRef<[u8]>>(pieces: impl IntoIterator<Item = (B, TokenId)>) -> Self {
        let mut table = Self::default();
        for (piece, id) in pieces {
            table.bytes.extend_from_slice(piece.as_ref());
            table.entries.push((table.bytes.len() as u32, id));
            table.longest = table.longest.max(piece.as_ref().len());
        }
        let mask = (table.entries.len() * 2).next_power_of_two().max(4) - 1;
        let mut slots = vec![0u64; mask + 1].into_boxed_slice();
        for index in 0..table.entries.len() {
            let piece = table.piece(index);
            let hash = hash(piece);
            let mut at = hash as usize & mask;
            while slots[at] != 0 && !table.is_at(slots[at], hash, piece) {
                at = (at + 1) & mask;
            }
            slots[at] = (hash & UPPER) | (index as u64 + 1);
        }
        table.slots = slots;
        table
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.entries[index - 1].0 as usize };
        &self.bytes[start..self.entries[index].0 as usize]
    }

    fn is_at(&self, slot: u64, hash: u64, piece: &[u8]) -> bool {
        (slot ^ hash) & UPPER == 0 && self.piece(slot as u32 as usize - 1) == piece
    }

    /// The id of `piece`. Complexity: O(bytes).
    #[inline]
    pub(crate) fn get(&self, piece: &[u8]) -> Option<TokenId> {
        if piece.len() > self.longest || self.entries.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let hash = hash(piece);
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            if self.is_at(self.slots[at], hash, piece) {
                return Some(self.entries[self.slots[at] as u32 as usize - 1].1);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_piece_and_the_last_of_equals() {
        let pieces: Vec<(String, TokenId)> = (0..1000).map(|n| (format!("piece {n}"), TokenId(n))).collect();
        let table = PieceTable::new(pieces.iter().cloned().chain([("piece 5".to_string(), TokenId(7777))]));
        for (piece, id) in &pieces {
            let expected = if id.0 == 5 { TokenId(7777) } else { *id };
            assert_eq!(table.get(piece.as_bytes()), Some(expected));
        }
        assert_eq!(table.get(b"piece"), None);
        assert_eq!(PieceTable::default().get(b""), None);
    }
}
