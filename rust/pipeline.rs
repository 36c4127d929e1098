//! Our own engine: byte-pair encoders whose every stage keeps the bytes of the text.
//!
//! All work happens in *byte space*: the SentencePiece mark U+2581 of the vocabulary is a plain space here, so positions
//! in the text are positions in the pieces, and only NFC ever needs a map back to the text that was passed in.

use crate::bpe::Bpe;
use crate::engine::{Certificate, Engine};
use crate::error::Result;
use crate::normal::{nfc_horizon, Normal};
use crate::pieces::uncrossed;
use crate::splitter::Splitter;
use crate::token::{Place, Token, TokenId};
use crate::trie::PieceTrie;
use rustc_hash::FxHashMap;

/// The space that some tokenizers put before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DummyPrefix {
    None,
    /// Before every text.
    Always,
    /// Before a text that does not begin with a space: a leading space is then lost.
    UnlessSpace,
}

/// Added tokens that are text (`\n\n`, runs of spaces, `<tool_call>`): found first, longest first.
#[derive(Debug, Default)]
pub(crate) struct AddedText {
    pub(crate) trie: PieceTrie,
    pub(crate) ids: FxHashMap<Box<[u8]>, TokenId>,
}

/// The engine.
pub(crate) struct Pipeline {
    pub(crate) added: AddedText,
    pub(crate) nfc: bool,
    /// Spaces are U+2581 in the vocabulary.
    pub(crate) metaspace: bool,
    pub(crate) dummy: DummyPrefix,
    /// The dummy prefix stands before every stretch behind an added token too, not only at the start.
    pub(crate) dummy_everywhere: bool,
    pub(crate) splitter: Splitter,
    pub(crate) bpe: Bpe,
    /// All pieces, where they are the certificate (no pre-token rule).
    pub(crate) pieces: Option<PieceTrie>,
    /// No piece holds a space behind another character: words can be encoded one by one.
    pub(crate) spaces_begin_pieces: bool,
    pub(crate) notes: String,
}

/// A stretch of text between added tokens, or one of those.
struct Stretch {
    start: usize,
    end: usize,
    added: Option<TokenId>,
}

impl AddedText {
    /// The stretches of `text`, and the first position from where a later text could change them.
    fn stretches(&self, text: &str) -> (Vec<Stretch>, usize) {
        let mut stretches = Vec::new();
        let (mut at, mut gap, mut unsure) = (0, 0, text.len());
        if self.trie.is_empty() {
            at = text.len();
        }
        while at < text.len() {
            let (length, open) = self.trie.longest(&text.as_bytes()[at..]);
            if open {
                unsure = unsure.min(at);
            }
            match self.ids.get(&text.as_bytes()[at..at + length]) {
                Some(&id) if length > 0 => {
                    if gap < at {
                        stretches.push(Stretch { start: gap, end: at, added: None });
                    }
                    stretches.push(Stretch { start: at, end: at + length, added: Some(id) });
                    at += length;
                    gap = at;
                }
                _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        if gap < text.len() {
            stretches.push(Stretch { start: gap, end: text.len(), added: None });
        }
        (stretches, unsure)
    }
}

impl Pipeline {
    fn normal<'a>(&self, stretch: &'a str, first: bool, place: Place) -> Normal<'a> {
        let normal = if self.nfc {
            Normal::nfc(stretch)
        } else if self.metaspace {
            Normal::spaced(stretch)
        } else {
            Normal::unchanged(stretch)
        };
        let here = if first { place == Place::Start } else { self.dummy_everywhere };
        let wanted = match self.dummy {
            DummyPrefix::None => false,
            DummyPrefix::Always => true,
            DummyPrefix::UnlessSpace => !normal.text.starts_with(' '),
        };
        if here && wanted && !stretch.is_empty() { normal.behind_space() } else { normal }
    }

    fn encode_stretch(&self, normal: &Normal<'_>, base: usize, word: &mut u32, tokens: &mut Vec<Token>) {
        let text: &str = &normal.text;
        let first = tokens.len();
        let mut start = 0;
        let mut cut = |at: usize, number: u32| {
            self.bpe.encode(&text.as_bytes()[start..at], start, number, tokens);
            start = at;
        };
        if self.splitter.stages.is_empty() {
            if self.spaces_begin_pieces {
                space_starts(text).for_each(|at| cut(at, *word));
            }
        } else {
            for at in self.splitter.cuts(text, text.len()) {
                cut(at.at, *word);
                *word += 1;
            }
        }
        cut(text.len(), *word);
        *word += 1;
        if normal.is_moved() || base > 0 {
            for token in &mut tokens[first..] {
                token.start = base + normal.start(token.start);
                token.end = (base + normal.end(token.end)).max(token.start);
            }
        }
    }

    /// The settled cuts of a stretch in its normal form; `open` is its first byte that is not final, if there is one.
    fn settled_in_stretch(&self, normal: &Normal<'_>, open: Option<usize>) -> Vec<usize> {
        let text: &str = &normal.text;
        let composed = if open.is_some() && self.nfc { nfc_horizon(text) } else { text.len() };
        let horizon = open.map_or(text.len(), |at| normal.position(at)).min(composed);
        match &self.pieces {
            Some(trie) => {
                uncrossed(trie, &text[..horizon], |c| self.bpe.alphabet.is_unknown(c))
            }
            None => {
                let limit = if open.is_some() { horizon } else { usize::MAX };
                let cuts = self.splitter.cuts(text, limit);
                cuts.into_iter().filter(|c| c.settled && text.is_char_boundary(c.at)).map(|c| c.at).collect()
            }
        }
    }
}

/// The starts of runs of spaces.
fn space_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    (1..bytes.len()).filter(move |&at| bytes[at] == b' ' && bytes[at - 1] != b' ')
}

impl Engine for Pipeline {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        let mut word = 0;
        for (index, part) in self.added.stretches(text).0.iter().enumerate() {
            if let Some(id) = part.added {
                tokens.push(Token { id, start: part.start, end: part.end, word });
                word += 1;
                continue;
            }
            let stretch = &text[part.start..part.end];
            let normal = self.normal(stretch, index == 0, place);
            self.encode_stretch(&normal, part.start, &mut word, &mut tokens);
        }
        Ok(tokens)
    }

    fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        let (stretches, unsure) = self.added.stretches(text);
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            // Behind an added token the library begins a stretch with a dummy prefix, which T' would not.
            let prefixed = self.dummy_everywhere && part.added.is_none();
            if part.start > 0 && part.start <= unsure && !prefixed {
                cuts.push(part.start);
            }
            if part.added.is_some() {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let normal = self.normal(stretch, index == 0, place);
            let open = index + 1 == stretches.len() || part.end > unsure;
            let found = self.settled_in_stretch(&normal, open.then(|| unsure.saturating_sub(part.start).min(stretch.len())));
            let inside = found.into_iter().filter_map(|at| normal.cut(at)).map(|at| part.start + at);
            cuts.extend(inside.filter(|&at| at > part.start && at < part.end && at < unsure));
        }
        cuts.retain(|&at| at < text.len() && text.is_char_boundary(at));
        cuts.dedup();
        Ok(cuts)
    }

    fn certificate(&self) -> Certificate {
        if self.pieces.is_some() {
            Certificate::Pieces
        } else {
            Certificate::PreTokens
        }
    }

    fn exact_spans(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}
