//! bytes -> id, for a whole vocabulary in little memory.

use crate::token::TokenId;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// A hash table whose keys lie end to end in one array.
#[derive(Debug, Clone, Default)]
pub(crate) struct PieceTable {
    bytes: Vec<u8>,
    /// End of each key in `bytes`, and its id.
    entries: Vec<(u32, TokenId)>,
    /// Index of an entry plus one, 0 where free.
    slots: Box<[u32]>,
    longest: usize,
}

fn hash(piece: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(piece);
    hasher.finish() as usize
}

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
        let mut slots = vec![0u32; mask + 1].into_boxed_slice();
        for index in 0..table.entries.len() {
            let piece = table.piece(index);
            let mut at = hash(piece) & mask;
            while slots[at] != 0 && table.piece(slots[at] as usize - 1) != piece {
                at = (at + 1) & mask;
            }
            slots[at] = index as u32 + 1;
        }
        table.slots = slots;
        table
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.entries[index - 1].0 as usize };
        &self.bytes[start..self.entries[index].0 as usize]
    }

    /// The id of `piece`. Complexity: O(bytes).
    #[inline]
    pub(crate) fn get(&self, piece: &[u8]) -> Option<TokenId> {
        if piece.len() > self.longest || self.entries.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(piece) & mask;
        while self.slots[at] != 0 {
            let index = self.slots[at] as usize - 1;
            if self.piece(index) == piece {
                return Some(self.entries[index].1);
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
