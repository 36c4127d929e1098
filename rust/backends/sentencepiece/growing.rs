//! A long text of a byte-pair model with user-defined symbols that goes on growing: a push reads only the text that may
//! still change.
//!
//! Three things are carried: the normal form, the sure steps of the walk for symbols, and the tokens of every prefix
//! between symbols. The proof is docs/proofs/sentencepiece-streams.md. Text that is not carried ends the stretch, and a
//! window is encoded as before.

use crate::backends::engine::ResumeState;
use crate::backends::lattice::growing_lattice::GrowingLattice;
use crate::backends::sentencepiece::normalizer::{Normal, SavedNormal};
use crate::backends::sentencepiece::parts::{Merges, Model, SentencePiece};
use crate::backends::sentencepiece::written::{At, Writer};
use crate::backends::stretch::{SavedGrowth, Stretch};
use crate::models::bpe::prefixes::{Pairs, Prefixes};
use crate::models::unigram::Unigram;
use crate::stability::growing_cuts::GrowingCuts;
use crate::tokens::between::Between;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, TokenId};
use crate::tokens::tree::{List, TokenTree};
use crate::vocabulary::said::Said;
use crate::vocabulary::table::Vocabulary;

/// Text between symbols and unknown characters.
#[derive(Debug, Clone)]
struct Word {
    begin: usize,
    prefixes: Prefixes,
}

/// The position of the walk for symbols.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    at: usize,
    /// The number of parts, and of words, that begin before.
    parts: usize,
    words: usize,
    /// The last one goes on.
    in_part: bool,
    in_word: bool,
}

/// A symbol, or text between symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) begin: usize,
    pub(super) is_symbol: bool,
}

/// The state of a growing text.
#[derive(Debug, Clone)]
pub(crate) struct GrowingParts {
    pub(super) raw: String,
    pub(super) normal: Normal,
    parts: Vec<Part>,
    words: Vec<Word>,
    /// By byte of the normal form.
    at: Vec<At>,
    /// The walk up to where a later text could change it.
    cursor: Cursor,
    /// A part begins there in any case.
    begins: bool,
    pairs: Pairs,
    tree: TokenTree,
    /// Of a Unigram model, whose symbols are pieces: all of the text. There are no words then.
    lattice: Option<GrowingLattice>,
    /// Those cuts after the last symbol that no piece crosses.
    pub(super) cuts: GrowingCuts,
    /// No cut before here can ever become settled.
    pub(super) quiet: usize,
    /// The number of bytes of text from which on it is worth looking for settled cuts.
    look_at: usize,
    pub(crate) over: bool,
}

/// A saved state of a text, to which it can go back.
#[derive(Debug, Clone)]
pub(crate) struct SavedParts {
    raw: usize,
    normal: SavedNormal,
    cursor: Cursor,
}

impl GrowingParts {
    pub(crate) fn save(&self) -> SavedParts {
        SavedParts { raw: self.raw.len(), normal: self.normal.save(), cursor: self.cursor }
    }

    /// The bytes of the normal form that a push reads again.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.normal.text().len() - self.cursor.at
    }

    /// Whether the tokens give back the text.
    pub(crate) fn is_lossless(&self) -> bool {
        let length = self.normal.text().len();
        match self.lattice.as_ref().map_or_else(|| self.at[length].said, |lattice| lattice.at[length].said[0]) {
            Said::Begin(length) => length as usize == self.raw.len(),
            Said::Nothing => self.raw.is_empty(),
            Said::More | Said::Other => false,
        }
    }

    /// All tokens.
    pub(super) fn ids(&self) -> Vec<TokenId> {
        self.tree().lists().ids(self.list())
    }

    /// The tokens that end after `from`, each with its begin and end in the normal form.
    pub(super) fn tokens(&self, from: usize) -> Vec<(TokenId, usize, usize)> {
        self.tree().lists().tokens(self.list(), from)
    }

    fn tree(&self) -> &TokenTree {
        self.lattice.as_ref().map_or(&self.tree, |lattice| &lattice.tree)
    }

    fn list(&self) -> List {
        self.lattice.as_ref().map_or_else(|| self.at[self.normal.text().len()].list, GrowingLattice::list)
    }

    /// Up to here the walk for symbols is sure.
    pub(super) fn sure(&self) -> usize {
        self.cursor.at
    }

    /// The parts before there; and whether one more begins there.
    pub(super) fn sure_parts(&self) -> (&[Part], bool) {
        (&self.parts[..self.cursor.parts], self.begins)
    }

    /// Forgets the state after the cursor.
    fn go_back(&mut self) {
        let Cursor { at, parts, words, in_word, .. } = self.cursor;
        self.parts.truncate(parts);
        self.words.truncate(words);
        if let Some(word) = self.words.last_mut().filter(|_| in_word) {
            word.prefixes.truncate(at - word.begin);
        }
        self.at.truncate(at + 1);
        self.tree.forget_above(self.at[at].list);
    }
}

impl SentencePiece {
    /// Takes up `text`; None where the model is not carried.
    pub(super) fn grow_parts(&self, text: &str, after: ResumeState, vocabulary: &Vocabulary) -> Option<GrowingParts> {
        let start = after.place() == TextPosition::Start;
        let said = if start && self.normalizer.drops_first_space() { Said::Nothing } else { Said::Begin(0) };
        let lattice = match &self.model {
            Model::Merges(merges) => {
                merges.bpe.prepare(self.pieces.iter());
                None
            }
            Model::Unigram(unigram) => Some(GrowingLattice::new(unigram, None, [said; 2])),
        };
        let mut growing = GrowingParts {
            raw: text.into(),
            lattice,
            normal: self.normalizer.begin(start),
            parts: Vec::new(),
            words: Vec::new(),
            at: vec![At::start(said)],
            cursor: Cursor::default(),
            begins: false,
            pairs: Pairs::default(),
            tree: TokenTree::default(),
            cuts: GrowingCuts::default(),
            quiet: 0,
            look_at: 2 * text.len(),
            over: false,
        };
        self.read_on(&mut growing, vocabulary)?;
        Some(growing)
    }

    /// The edit of appending `text`; None where that is not carried, and the state is then of no use.
    pub(super) fn parts_grown(&self, growing: &mut GrowingParts, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        let (tree, before) = (growing.tree().share(), growing.list());
        growing.raw.push_str(text);
        self.read_on(growing, vocabulary)?;
        growing.over |= growing.raw.len() >= growing.look_at;
        Some(Edit::between(Between::new(tree, before, growing.list()), growing.is_lossless()))
    }

    /// Takes the text back to where it was `saved`; None where that fails, and the state is then of no use.
    pub(super) fn restore_parts(
        &self,
        growing: &mut GrowingParts,
        saved: &SavedParts,
        vocabulary: &Vocabulary,
    ) -> Option<()> {
        growing.raw.truncate(saved.raw);
        growing.normal.restore(saved.normal);
        growing.cursor = saved.cursor;
        growing.cuts = GrowingCuts::default();
        growing.quiet = growing.quiet.min(self.quiet_before(saved.cursor.at));
        self.read_on(growing, vocabulary)
    }

    /// Reads the text from where it may have changed.
    fn read_on(&self, growing: &mut GrowingParts, vocabulary: &Vocabulary) -> Option<()> {
        let merges = match &self.model {
            Model::Merges(merges) => merges,
            Model::Unigram(unigram) => return self.read_scores(growing, unigram, vocabulary),
        };
        growing.go_back();
        self.normalizer.go_on(&mut growing.normal, &growing.raw);
        let before = growing.cursor.at;
        self.walk(growing, merges, vocabulary)?;
        // Such tokens could come to say the text, if it catches up.
        growing.at[before..=growing.cursor.at].iter().all(|at| at.said != Said::More).then_some(())
    }

    /// The same under a Unigram model: the best ways to the positions from there on.
    fn read_scores(&self, growing: &mut GrowingParts, unigram: &Unigram, vocabulary: &Vocabulary) -> Option<()> {
        let GrowingParts { raw, normal, parts, cursor, lattice, .. } = growing;
        let (lattice, before) = (lattice.as_mut()?, cursor.at);
        self.normalizer.go_on(normal, raw);
        let text = normal.text();
        if before < lattice.text.len() {
            lattice.truncate(unigram, before);
        }
        lattice.extend(unigram, vocabulary, &text[before..], raw)?;
        if parts.is_empty() {
            parts.push(Part { begin: 0, is_symbol: false });
        }
        *cursor = Cursor { at: normal.last_final(), parts: 1, ..Cursor::default() };
        lattice.at[before..=cursor.at.max(before)].iter().all(|at| at.said[0] != Said::More).then_some(())
    }

    /// Takes the walk for symbols from the cursor to the end of the normal form, and the cursor to where it is sure.
    fn walk(&self, growing: &mut GrowingParts, merges: &Merges, vocabulary: &Vocabulary) -> Option<()> {
        let GrowingParts { raw, normal, parts, words, at, cursor, begins, pairs, tree, .. } = growing;
        let (text, last_final, tree) = (normal.text(), normal.last_final(), tree.share());
        let bytes = text.as_bytes();
        let mut writer = Writer { vocabulary, lists: tree.lists(), raw, at };
        let (mut now, mut is_sure) = (*cursor, true);
        *begins = false;
        while let Some(c) = text[now.at..].chars().next() {
            let mut found = None;
            if is_sure {
                let open;
                (found, open) =
                    if now.at < last_final { self.symbols.at(&bytes[..last_final], now.at) } else { (None, true) };
                if open {
                    is_sure = false;
                    *cursor = now;
                    *begins = now.at < last_final && (found.is_some() || !now.in_part);
                }
            }
            if !is_sure {
                found = self.symbols.at(bytes, now.at).0;
            }
            let is_unknown = found.is_none() && merges.bpe.alphabet.is_unknown(c);
            if found.is_some() || is_unknown {
                if let Some(word) = words.last_mut().filter(|_| now.in_word) {
                    self.spell(merges, word, &bytes[..now.at], pairs, &mut writer)?;
                }
                now.in_word = false;
            }
            if found.is_some() || !now.in_part {
                parts.push(Part { begin: now.at, is_symbol: found.is_some() });
                now.in_part = found.is_none();
            }
            let start = now.at;
            now.at += found.map_or(c.len_utf8(), |(_, length)| length);
            match found {
                Some((id, _)) => writer.symbol(id, now.at)?,
                None if is_unknown => writer.unknown(self.unknown, start, now.at)?,
                None if !now.in_word => {
                    words.push(Word { begin: start, prefixes: Prefixes::default() });
                    now.in_word = true;
                }
                None => {}
            }
            (now.parts, now.words) = (parts.len(), words.len());
        }
        if is_sure {
            *cursor = now;
        }
        if let Some(word) = words.last_mut().filter(|_| now.in_word) {
            self.spell(merges, word, bytes, pairs, &mut writer)?;
        }
        Some(())
    }

    /// Writes the tokens of the prefixes of `word`, which `text` ends with.
    fn spell(
        &self,
        merges: &Merges,
        word: &mut Word,
        text: &[u8],
        pairs: &mut Pairs,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        word.prefixes.extend(&merges.bpe, &text[word.begin..], pairs)?;
        for end in writer.at.len()..=text.len() {
            let Some((id, length)) = word.prefixes.last(end - word.begin) else {
                writer.nothing();
                continue;
            };
            let start = end - length;
            let is_bare = id.0 >= merges.first_bare;
            match &merges.bytes {
                None if is_bare || id == self.unknown => writer.unknown(self.unknown, start, end)?,
                Some(bytes) if is_bare => {
                    let mut here = writer.at[start];
                    for at in start..end {
                        here = writer.append(here, bytes[usize::from(text[at])], at + 1)?;
                    }
                    writer.at.push(here);
                }
                _ => {
                    let here = writer.append(writer.at[start], id, end)?;
                    writer.at.push(here);
                }
            }
        }
        Some(())
    }
}

impl Stretch for GrowingParts {
    fn saved(&self) -> SavedGrowth {
        SavedGrowth::new(self.save())
    }

    fn gives_back(&self) -> bool {
        self.is_lossless()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    #[cfg(test)]
    fn open_bytes(&self) -> usize {
        self.open()
    }
}
