//! SentencePiece's `precompiled_charsmap`: rewriting rules in a double array, and the longest rule at a position.
//!
//! The blob is `<u32 size of the trie in bytes><trie: u32 units><replacements, each ended by NUL>`, all little-endian.
//! The trie is a Darts double array (<https://github.com/s-yata/darts-clone>) whose values are offsets into the
//! replacements. SentencePiece takes the longest rule that matches at the current byte, writes its replacement, and
//! goes on after the match. It copies one character where no rule matches. The `tokenizers` crate instead works
//! grapheme by grapheme with the *shortest* rule, which gives other text for CRLF, stacked combining marks and joiners.

use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// The rules of one model. Example: U+FB01 becomes "fi".
#[derive(Clone, Debug)]
pub struct Charsmap {
    units: Vec<u32>,
    replacements: Vec<u8>,
    /// By first character, the longest first.
    kept: HashMap<char, Vec<String>>,
    /// All characters of the kept symbols but the first of each.
    inside: HashSet<char>,
}

impl Charsmap {
    /// Reads the blob. Costs its length. Every unit is checked when it is used, so a broken trie only fails to match.
    ///
    /// # Errors
    /// [`Error::Definition`] if the sizes do not fit, or the replacements are not UTF-8.
    pub fn new(blob: &[u8]) -> Result<Self> {
        let broken = |reason: String| Error::definition("normalizer", format!("precompiled_charsmap: {reason}"));
        let Some((size, rest)) = blob.split_first_chunk::<4>() else {
            return Err(broken(format!("{} bytes, expected at least 4", blob.len())));
        };
        let size = u32::from_le_bytes(*size) as usize;
        if size > rest.len() || !size.is_multiple_of(4) {
            return Err(broken(format!("a trie of {size} bytes, but {} bytes are there", rest.len())));
        }
        let (trie, replacements) = rest.split_at(size);
        if let Err(error) = std::str::from_utf8(replacements) {
            return Err(broken(format!("replacements are not UTF-8: {error}")));
        }
        let units =
            trie.chunks_exact(4).map(|unit| unit.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)));
        Ok(Self {
            units: units.collect(),
            replacements: replacements.to_vec(),
            kept: HashMap::new(),
            inside: HashSet::new(),
        })
    }

    /// The same rules, but `symbols` stay unchanged and take no part in a rule.
    ///
    /// The user-defined symbols of a model are read in this way: `Normalizer::NormalizePrefix` asks for the longest of
    /// them first. (Under `nmt_nfkc` a line break would become a space, and a letter would be composed with its
    /// accent.)
    #[must_use]
    pub fn keeping(mut self, symbols: impl IntoIterator<Item = String>) -> Self {
        for symbol in symbols {
            let mut chars = symbol.chars();
            if let Some(first) = chars.next() {
                self.inside.extend(chars);
                self.kept.entry(first).or_default().push(symbol);
            }
        }
        for symbols in self.kept.values_mut() {
            symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
        }
        self
    }

    /// The longest rule that matches at the start of `text`: (bytes that it replaces, replacement).
    ///
    /// None means that one character is copied unchanged. Costs the length of the longest key that `text` begins like,
    /// a few dozen bytes at most, whatever the length of `text`.
    pub fn longest_prefix(&self, text: &str) -> Option<(usize, &str)> {
        let kept = text.chars().next().and_then(|first| self.kept.get(&first));
        if let Some(symbol) = kept.into_iter().flatten().find(|symbol| text.starts_with(symbol.as_str())) {
            return Some((symbol.len(), symbol));
        }
        self.longest_match(text.as_bytes()).and_then(|(length, at)| {
            // A rule that ends inside a character can only come from a broken file.
            let replacement = self.replacements.get(at..)?.split(|byte| *byte == 0).next()?;
            text.is_char_boundary(length).then_some((length, std::str::from_utf8(replacement).ok()?))
        })
    }

    /// As [`Charsmap::longest_prefix`] without the kept symbols, and whether more text could make the rule longer.
    pub(crate) fn longest_rule(&self, text: &str) -> (Option<(usize, &str)>, bool) {
        let (found, grows) = self.walk(text.as_bytes());
        let rule = found.and_then(|(length, at)| {
            let replacement = self.replacements.get(at..)?.split(|byte| *byte == 0).next()?;
            text.is_char_boundary(length).then_some((length, std::str::from_utf8(replacement).ok()?))
        });
        (rule, grows)
    }

    /// The whole text rewritten, from left to right. Costs O(length).
    pub fn normalize(&self, text: &str) -> String {
        let mut output = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match self.longest_prefix(rest) {
                Some((length, replacement)) => {
                    output.push_str(replacement);
                    length
                }
                None => {
                    output.push(first);
                    first.len_utf8()
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        output
    }

    /// The replacement of the shortest rule that `text` begins with, as the `tokenizers` crate asks for it.
    pub(crate) fn shortest_prefix(&self, text: &str) -> Option<&str> {
        let mut node = offset(*self.units.first()?);
        for byte in text.bytes().take_while(|&byte| byte != 0) {
            node ^= usize::from(byte);
            let unit = *self.units.get(node)?;
            if unit & 0x8000_00ff != u32::from(byte) {
                return None;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let at = *self.units.get(node)? & 0x7fff_ffff;
                let replacement = self.replacements.get(at as usize..)?.split(|byte| *byte == 0).next()?;
                return std::str::from_utf8(replacement).ok();
            }
        }
        None
    }

    /// Whether a rule writes two spaces side by side.
    pub(crate) fn writes_runs(&self) -> bool {
        self.replacements.windows(2).any(|pair| pair == b"  ")
    }

    /// Whether a symbol that is left alone has `c` after another character.
    pub(crate) fn keeps_inside(&self, c: char) -> bool {
        self.inside.contains(&c)
    }

    /// Whether a symbol of several characters that is left alone begins with `c`.
    pub(crate) fn keeps_from(&self, c: char) -> bool {
        self.kept.get(&c).into_iter().flatten().any(|symbol| symbol.len() > c.len_utf8())
    }

    /// Whether more text could make [`Charsmap::longest_prefix`] longer.
    pub(crate) fn grows(&self, text: &str) -> bool {
        let kept = text.chars().next().and_then(|first| self.kept.get(&first)).into_iter().flatten();
        let (mut grows, mut found) = (false, false);
        for symbol in kept {
            grows |= symbol.len() > text.len() && symbol.starts_with(text);
            found |= text.starts_with(symbol.as_str());
        }
        grows || !found && self.longest_rule(text).1
    }

    /// Whether a symbol with a space in it is left alone.
    pub(crate) fn keeps_spaces(&self) -> bool {
        self.kept.values().flatten().any(|symbol| symbol.contains(' '))
    }

    /// The characters after the first of a rule; None if the trie is no list of rules in UTF-8.
    ///
    /// A unit of zeros at the place of a value lets NUL through, so that rules hold NUL anywhere: that is no such list.
    /// (`darts-clone` labels the units that it leaves unused.)
    pub(crate) fn later_characters(&self) -> Option<HashSet<char>> {
        // Longer rules, or more of them, can only come from a broken trie whose nodes lead back to each other. (Nodes
        // are shared between rules that end alike.)
        const LONGEST: usize = 256;
        let mut found = HashSet::new();
        let mut steps = 1_usize << 21;
        let mut pending = vec![(offset(*self.units.first()?), Vec::new())];
        while let Some((node, key)) = pending.pop() {
            if self.units.get(node).is_some_and(|unit| unit & 0x8000_00ff == 0) {
                return None;
            }
            for byte in 1..=255_u8 {
                let at = node ^ usize::from(byte);
                let Some(&unit) = self.units.get(at) else { continue };
                if unit & 0x8000_00ff != u32::from(byte) {
                    continue;
                }
                steps = steps.checked_sub(1)?;
                let mut longer = key.clone();
                longer.push(byte);
                if longer.len() > LONGEST {
                    return None;
                }
                if unit >> 8 & 1 == 1 {
                    found.extend(std::str::from_utf8(&longer).ok()?.chars().skip(1));
                }
                pending.push((at ^ offset(unit), longer));
            }
        }
        Some(found)
    }

    /// (length of the key, its value) for the longest key that `bytes` begins with.
    fn longest_match(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        self.walk(bytes).0
    }

    /// The same, and whether the walk was still going on at the end of `bytes`.
    fn walk(&self, bytes: &[u8]) -> (Option<(usize, usize)>, bool) {
        let mut longest = None;
        let Some(&root) = self.units.first() else { return (None, false) };
        let mut node = offset(root);
        for (index, byte) in bytes.iter().enumerate() {
            node ^= usize::from(*byte);
            let Some(&unit) = self.units.get(node) else { return (longest, false) };
            // A value's unit has bit 31 set, so it is never taken for the label 0.
            if unit & 0x8000_00ff != u32::from(*byte) {
                return (longest, false);
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let Some(value) = self.units.get(node) else { return (longest, false) };
                longest = Some((index + 1, (value & 0x7fff_ffff) as usize));
            }
        }
        (longest, true)
    }
}

/// The place of the children of a unit, relative to it (darts-clone, `DoubleArrayUnit::offset`).
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The rules of `pairs`, each node in a block of its own.
    pub(crate) fn charsmap_of(pairs: &[(&str, &str)]) -> Charsmap {
        Charsmap::new(&blob_of(pairs)).unwrap()
    }

    /// The same rules as a file has them.
    pub(crate) fn blob_of(pairs: &[(&str, &str)]) -> Vec<u8> {
        let nodes: Vec<&[u8]> = {
            let mut nodes: Vec<&[u8]> =
                pairs.iter().flat_map(|(key, _)| (0..=key.len()).map(|end| &key.as_bytes()[..end])).collect();
            nodes.sort_unstable();
            nodes.dedup();
            nodes
        };
        let base = |node: &[u8]| (nodes.binary_search(&node).unwrap() as u32 + 1) << 8;
        let mut units: Vec<u32> = (0..(nodes.len() as u32 + 1) << 8).map(|slot| slot & 0xff ^ 1).collect();
        units[0] = base(b"") << 10;
        let mut replacements = Vec::new();
        for &node in &nodes[1..] {
            let (before, byte) = (base(&node[..node.len() - 1]), u32::from(node[node.len() - 1]));
            let pair = pairs.iter().find(|(key, _)| key.as_bytes() == node);
            units[(before ^ byte) as usize] =
                byte | u32::from(pair.is_some()) << 8 | (base(node) ^ before ^ byte) << 10;
            if let Some((_, replacement)) = pair {
                units[base(node) as usize] = 0x8000_0000 | replacements.len() as u32;
                replacements.extend([replacement.as_bytes(), b"\0"].concat());
            }
        }
        let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [&(trie.len() as u32).to_le_bytes()[..], &trie, &replacements].concat()
    }

    /// A double array for the keys "a" -> "X" and "ab" -> "", built by hand. The child of node n by byte b is at n ^ b.
    fn blob() -> Vec<u8> {
        let mut units = vec![0_u32; 1024];
        units[0] = 256 << 10;
        units[256 ^ 0x61] = 0x61 | 1 << 8 | ((512 ^ 256 ^ 0x61) << 10);
        units[512] = 0x8000_0000;
        units[512 ^ 0x62] = 0x62 | 1 << 8 | ((768 ^ 512 ^ 0x62) << 10);
        units[768] = 0x8000_0000 | 2;
        let mut blob = 4096_u32.to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(b"X\0\0");
        blob
    }

    #[test]
    fn the_longest_rule_wins_and_other_characters_are_copied() {
        let charsmap = Charsmap::new(&blob()).unwrap();
        assert_eq!(charsmap.longest_prefix("aé"), Some((1, "X")));
        assert_eq!(charsmap.longest_prefix("abc"), Some((2, "")));
        assert_eq!(charsmap.longest_prefix("é"), None);
        assert_eq!(charsmap.normalize("éa abba\0"), "éX bX\0");
    }

    #[test]
    fn kept_symbols_come_before_every_rule() {
        let charsmap = Charsmap::new(&blob()).unwrap().keeping(["ab", "abc", "", "é"].map(String::from));
        assert_eq!(charsmap.longest_prefix("abcd"), Some((3, "abc")));
        assert_eq!(charsmap.longest_prefix("abd"), Some((2, "ab")));
        assert_eq!(charsmap.normalize("aabé"), "Xabé");
    }

    #[test]
    fn broken_blobs_are_errors_or_do_not_match() {
        for (blob, words) in [
            (&b"\x01"[..], "1 bytes, expected at least 4"),
            (b"\x08\0\0\0abcd", "a trie of 8 bytes, but 4 bytes are there"),
            (b"\0\0\0\0\xff\0", "not UTF-8"),
        ] {
            let error = Charsmap::new(blob).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(Charsmap::new(b"\0\0\0\0").unwrap().normalize("ab"), "ab");
        assert_eq!(Charsmap::new(b"\x04\0\0\0\xff\xff\xff\x7f").unwrap().normalize("ab"), "ab");
    }
}
