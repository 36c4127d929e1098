//! Token id <-> bytes.

use crate::error::{Error, Result};
use crate::tokens::token::TokenId;

/// The kind of an id of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A token with bytes of text.
    Text,
    /// Directs the model (BOS, END, chat marks, padding, the unknown token): never text.
    Control,
    /// No token has this id.
    Unused,
    /// A token whose bytes are unknown (wrapped tokenizers only).
    Opaque,
}

/// The bytes of every token, whole from the start: decoding is concatenation.
///
/// Each id has an entry of eight bytes, so that decoding touches one cache line a token. Tokens of up to seven bytes
/// are in the entry itself, longer ones in `long`.
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// use coolfusion::{Kind, TokenId, Vocabulary};
/// let vocabulary = Vocabulary::new([(Kind::Text, "the"), (Kind::Control, "")]);
/// assert_eq!(vocabulary.bytes(TokenId(0), 0)?, b"the");
/// assert!(vocabulary.bytes(TokenId(2), 0).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    entries: Vec<Entry>,
    long: Vec<u8>,
    /// Tokens that no entry can point at: of 16 MiB or more, or after the first 4 GiB of `long`.
    huge: Vec<Vec<u8>>,
}

/// Up to seven bytes of text and a tag. Tags below `FAR` hold the length in their three lowest bits.
#[derive(Debug, Clone, Copy)]
struct Entry([u8; 8]);

const INLINE: usize = 7;
const CONTROL: u8 = 0x10;
const FAR: u8 = 0x80;
const LONG: u8 = FAR;
const HUGE: u8 = FAR | 1;
const UNUSED: u8 = FAR | 2;
const OPAQUE: u8 = FAR | 3;

impl Entry {
    fn tagged(tag: u8) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, tag])
    }

    fn tag(self) -> u8 {
        self.0[INLINE]
    }

    /// Four bytes of offset and three of length.
    fn long(offset: u32, length: usize) -> Self {
        let ([a, b, c, d], [x, y, z, ..]) = (offset.to_le_bytes(), length.to_le_bytes());
        Self([a, b, c, d, x, y, z, LONG])
    }

    fn offset(self) -> usize {
        let [a, b, c, d, ..] = self.0;
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    fn length(self) -> usize {
        let [_, _, _, _, x, y, z, _] = self.0;
        u32::from_le_bytes([x, y, z, 0]) as usize
    }
}

/// Long tokens are copied in steps of this size; as many zeros follow the last.
const STEP: usize = 16;
/// Ids between two looks at the room that is left.
const CHUNK: usize = 512;

impl Vocabulary {
    /// A vocabulary of `entries`, in the order of their ids.
    pub fn new<B: AsRef<[u8]>>(entries: impl IntoIterator<Item = (Kind, B)>) -> Self {
        let mut vocabulary = Self::default();
        for (kind, bytes) in entries {
            let entry = match kind {
                Kind::Text => vocabulary.stored(bytes.as_ref()),
                Kind::Control => Entry::tagged(CONTROL),
                Kind::Unused => Entry::tagged(UNUSED),
                Kind::Opaque => Entry::tagged(OPAQUE),
            };
            vocabulary.entries.push(entry);
        }
        vocabulary.long.extend_from_slice(&[0; STEP]);
        vocabulary.entries.shrink_to_fit();
        vocabulary.long.shrink_to_fit();
        vocabulary
    }

    fn stored(&mut self, bytes: &[u8]) -> Entry {
        if bytes.len() <= INLINE {
            let mut entry = Entry::tagged(bytes.len() as u8);
            entry.0[..bytes.len()].copy_from_slice(bytes);
            return entry;
        }
        match u32::try_from(self.long.len()) {
            Ok(offset) if bytes.len() < 1 << 24 => {
                self.long.extend_from_slice(bytes);
                Entry::long(offset, bytes.len())
            }
            _ => {
                self.huge.push(bytes.to_vec());
                let mut entry = Entry::long(self.huge.len() as u32 - 1, 0);
                entry.0[INLINE] = HUGE;
                entry
            }
        }
    }

    /// One past the largest id.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, id: TokenId) -> Entry {
        self.entries.get(id.0 as usize).copied().unwrap_or(Entry([0, 0, 0, 0, 0, 0, 0, UNUSED]))
    }

    /// The kind of `id`; `Unused` beyond the end.
    #[must_use]
    pub fn kind(&self, id: TokenId) -> Kind {
        kind(self.entry(id))
    }

    /// The bytes of `id`, empty for a control token.
    ///
    /// # Errors
    /// `UnknownToken` (with `position`, its index in the caller's list) and `NoTokenBytes`. Complexity: O(1).
    pub fn bytes(&self, id: TokenId, position: usize) -> Result<&[u8]> {
        match self.entries.get(id.0 as usize) {
            Some(entry) if entry.tag() < FAR => Ok(&entry.0[..usize::from(entry.tag()) & INLINE]),
            _ => self.far(id, position),
        }
    }

    /// The bytes of a token that are not in its entry, or the reason why it has none.
    #[inline(never)]
    fn far(&self, id: TokenId, position: usize) -> Result<&[u8]> {
        let entry = self.entry(id);
        match entry.tag() {
            LONG => Ok(&self.long[entry.offset()..entry.offset() + entry.length()]),
            HUGE => Ok(&self.huge[entry.offset()]),
            OPAQUE => Err(Error::NoTokenBytes {
                id: id.0,
                reason: "decoding it alone and between others gave no whole characters".into(),
            }),
            _ => Err(Error::UnknownToken { id: id.0, position, vocab_size: self.len() }),
        }
    }

    /// Appends the bytes of `ids` to `bytes`; errors name the index in `ids` plus `first`.
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]; `bytes` is then as it was. Complexity: O(bytes).
    pub fn append(&self, ids: &[TokenId], first: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let before = bytes.len();
        let mut end = before;
        // At most one allocation where there are few.
        bytes.reserve(8 * ids.len().min(CHUNK) + 4 * ids.len().saturating_sub(CHUNK));
        for (number, chunk) in ids.chunks(CHUNK).enumerate() {
            // Every entry is copied whole and the end moved by the length of its text: no branch on lengths. So there
            // must be room for eight bytes an id.
            bytes.resize(bytes.len().max(end + 8 * chunk.len()), 0);
            for (index, &id) in chunk.iter().enumerate() {
                match self.entries.get(id.0 as usize) {
                    Some(entry) if entry.tag() < FAR => {
                        bytes[end..end + 8].copy_from_slice(&entry.0);
                        end += usize::from(entry.tag()) & INLINE;
                    }
                    Some(entry) if entry.tag() == LONG => {
                        let (offset, length) = (entry.offset(), entry.length());
                        let room = end + length + 8 * (chunk.len() - index) + STEP;
                        if bytes.len() < room {
                            bytes.resize(room, 0);
                        }
                        for at in (0..length).step_by(STEP) {
                            let step = &self.long[offset + at..offset + at + STEP];
                            bytes[end + at..end + at + STEP].copy_from_slice(step);
                        }
                        end += length;
                    }
                    _ => {
                        let found = self.far(id, first + number * CHUNK + index);
                        let Ok(token) = found else {
                            bytes.truncate(before);
                            return found.map(|_| ());
                        };
                        bytes.truncate(end);
                        bytes.extend_from_slice(token);
                        end = bytes.len();
                        bytes.resize(end + 8 * (chunk.len() - index), 0);
                    }
                }
            }
        }
        bytes.truncate(end);
        Ok(())
    }

    /// Whether the bytes of `ids` are those of `text`; calls `end` with where each token ends and whether it has bytes.
    ///
    /// `drops_space`: one space at the start of the bytes is no text. Ids without known bytes give `false`. Complexity:
    /// O(text); of tokens of up to seven bytes the text and the entry are compared as one number. Choosing between
    /// short and long tokens without a branch is a third slower: each position then waits for the entry before.
    #[inline(always)]
    pub(crate) fn spells(
        &self,
        ids: &[TokenId],
        text: &[u8],
        drops_space: bool,
        mut end: impl FnMut(usize, bool),
    ) -> bool {
        let (mut at, head) = match drops_space.then(|| self.spells_start(ids, text, &mut end)) {
            Some(None) => return false,
            Some(Some(start)) => start,
            None => (0, 0),
        };
        let number = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 8).and_then(|next| next.try_into().ok()).map(u64::from_le_bytes)
        };
        let mut differing = 0;
        for &id in &ids[head..] {
            let Some(entry) = self.entries.get(id.0 as usize) else { return false };
            let packed = u64::from_le_bytes(entry.0);
            let tag = (packed >> 56) as u8;
            let length = match number(text, at) {
                Some(next) if tag < FAR => {
                    let length = usize::from(tag) & INLINE;
                    differing |= (packed ^ next) & ((1 << (8 * length)) - 1);
                    length
                }
                Some(next) if tag == LONG => {
                    let (offset, length) = (packed as u32 as usize, (packed >> 32 & 0xFF_FFFF) as usize);
                    let last = length - 8;
                    let (Some(first), Some(tail), Some(own)) =
                        (number(&self.long, offset), number(text, at + last), number(&self.long, offset + last))
                    else {
                        return false;
                    };
                    differing |= (first ^ next) | (tail ^ own);
                    if length > 16 && text[at..at + length] != self.long[offset..offset + length] {
                        return false;
                    }
                    length
                }
                _ => match self.bytes(id, 0) {
                    Ok(bytes) if text[at..].starts_with(bytes) => bytes.len(),
                    _ => return false,
                },
            };
            at += length;
            end(at, length > 0);
        }
        differing == 0 && at == text.len()
    }

    /// The start of a text at which one space is dropped: bytes and tokens up to the first token that has text.
    ///
    /// None where that token is not the start of `text`.
    fn spells_start(&self, ids: &[TokenId], text: &[u8], end: &mut impl FnMut(usize, bool)) -> Option<(usize, usize)> {
        let mut head = 0;
        while head < ids.len() {
            let bytes = self.bytes(ids[head], head).ok()?;
            let rest = bytes.strip_prefix(b" ").unwrap_or(bytes);
            if !text.starts_with(rest) {
                return None;
            }
            head += 1;
            end(rest.len(), !rest.is_empty());
            if !bytes.is_empty() {
                return Some((rest.len(), head));
            }
        }
        Some((0, head))
    }

    /// The ids of one kind, ascending.
    pub fn ids(&self, kind: Kind) -> impl Iterator<Item = TokenId> + '_ {
        self.entries.iter().enumerate().filter(move |(_, &e)| self::kind(e) == kind).map(|(id, _)| TokenId(id as u32))
    }
}

fn kind(entry: Entry) -> Kind {
    match entry.tag() {
        CONTROL => Kind::Control,
        UNUSED => Kind::Unused,
        OPAQUE => Kind::Opaque,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn append_is_the_concatenation_of_the_bytes() {
        let texts: Vec<Vec<u8>> =
            (0..80).map(|length| (0..length).map(|at| (length * 7 + at) as u8).collect()).collect();
        let big = vec![b'x'; 1 << 24];
        let entries = texts.iter().map(|t| (Kind::Text, t.as_slice())).chain([
            (Kind::Control, b"".as_slice()),
            (Kind::Text, &big),
            (Kind::Unused, b""),
            (Kind::Opaque, b""),
        ]);
        let vocabulary = Vocabulary::new(entries);
        let kinds: Vec<Kind> = (79..86).map(|id| vocabulary.kind(TokenId(id))).collect();
        let rest = [Kind::Text, Kind::Control, Kind::Text, Kind::Unused, Kind::Opaque, Kind::Unused, Kind::Unused];
        assert_eq!(kinds, rest);
        // All orders of short, long and huge around the ends of chunks.
        let ids: Vec<TokenId> = (0..3000u32).map(|n| TokenId(n.wrapping_mul(2_654_435_761) % 81)).collect();
        for ids in
            [&ids[..], &ids[..CHUNK], &ids[..CHUNK + 1], &[], &[TokenId(81), TokenId(3), TokenId(81), TokenId(79)]]
        {
            let mut bytes = b"before".to_vec();
            let mut expected = bytes.clone();
            for &id in ids {
                let token = vocabulary.bytes(id, 0).map(<[u8]>::to_vec);
                expected.extend(token.unwrap_or_default());
            }
            let text = &expected[6..];
            for drops in [false, true] {
                let (mut ends, mut reached) = (Vec::new(), 0);
                assert!(vocabulary.spells(ids, text, drops, |at, any| ends.push((at, any))));
                let lengths = ids.iter().map(|&id| vocabulary.bytes(id, 0).map_or(0, <[u8]>::len));
                let all: Vec<_> = lengths
                    .map(|length| {
                        reached += length;
                        (reached, length > 0)
                    })
                    .collect();
                assert_eq!(ends, all);
                for wrong in (0..text.len()).take(if text.len() < big.len() { 3000 } else { 3 }) {
                    let mut other = text.to_vec();
                    other[wrong] ^= 1;
                    assert!(!vocabulary.spells(ids, &other, drops, |_, _| ()), "{wrong}");
                }
                assert!(text.is_empty() || !vocabulary.spells(ids, &text[..text.len() - 1], drops, |_, _| ()));
                assert!(!vocabulary.spells(ids, &[text, b"x"].concat(), drops, |_, _| ()));
            }
            assert_eq!(vocabulary.append(ids, 0, &mut bytes), Ok(()));
            assert!(bytes == expected);
        }
        let mut bytes = b"before".to_vec();
        let mut broken = ids.clone();
        broken[2000] = TokenId(82);
        assert!(!vocabulary.spells(&broken, b"", false, |_, _| ()));
        let error = vocabulary.append(&broken, 5, &mut bytes);
        assert_eq!(error, Err(Error::UnknownToken { id: 82, position: 2005, vocab_size: 84 }));
        assert_eq!(bytes, b"before");
    }
}
