//! Our own engine: byte-pair encoders whose every stage keeps the bytes of the text.
//!
//! All work happens in *byte space*: the SentencePiece mark U+2581 of the vocabulary is a plain space here, so positions
//! in the text are positions in the pieces, and only NFC ever needs a map back to the text that was passed in.

use crate::backends::engine::{Behind, Certificate, Engine, Proof, Resume, Window};
use crate::backends::stretch::{Growth, SavedGrowth};
use crate::backends::byte_exact::growing::Growing;
use crate::backends::byte_exact::growing_back::Saved;
use crate::error::Result;
use crate::models::bpe::model::{Bench, Bpe};
use crate::normalizers::unicode_forms::{Normal, nfc_horizon};
use crate::pre_tokenizers::added_tokens::{AddedText, Stretch};
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::pre_tokenizers::split::Splitter;
use crate::stability::pieces::{holds_inner_space, is_uncrossed, uncrossed};
use crate::tokens::cuts::tokens_before;
use crate::tokens::edit::Edit;
use crate::tokens::token::{Place, Sink, Token, TokenId};
use crate::util::pool::Pool;
use crate::util::sorted_trie::PieceTrie;
use crate::util::text::{space_starts, stands_before_space};
use crate::vocabulary::table::Vocabulary;

/// So many bytes are much text to have no cut.
const MUCH: usize = 128;

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
    pub(crate) notes: String,
    pub(crate) benches: Pool<Bench>,
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
        if here && wanted && !stretch.is_empty() {
            normal.behind_space()
        } else {
            normal
        }
    }

    /// Passes on the tokens of a stretch in its normal form, positions being those of the normal form.
    ///
    /// `whole`: it does not go on with other text.
    fn encode_stretch(&self, text: &str, whole: bool, word: &mut u32, bench: &mut Bench, sink: &mut impl Sink) {
        let bytes = text.as_bytes();
        if !whole && self.splitter.stages.is_empty() {
            // The end of a word is no word that could be looked up.
            self.bpe.parts(bytes, (0, bytes.len()), *word, bench, sink);
            *word += 1;
            return;
        }
        let mut start = 0;
        self.splitter.for_each_cut(text, |at| {
            self.bpe.word(bytes, (start, at), *word, bench, sink);
            start = at;
            *word += 1;
        });
        self.bpe.word(bytes, (start, bytes.len()), *word, bench, sink);
        *word += 1;
    }

    /// Calls `visit` with each stretch: one between added tokens with its normal form, an added token without.
    fn for_each_stretch(&self, text: &str, place: Place, mut visit: impl FnMut(Stretch, Option<&Normal<'_>>)) {
        for part in self.added.stretches(text) {
            if part.added.is_some() {
                visit(part, None);
                continue;
            }
            let normal = self.normal(&text[part.start..part.end], part.start == 0, place);
            visit(part, Some(&normal));
        }
    }

    /// The settled cuts of a stretch in its normal form; `open` is its first byte that is not final, if there is one.
    ///
    /// `before_space`: those before white space are enough, if that is less work.
    fn settled_in_stretch(&self, normal: &Normal<'_>, open: Option<usize>, before_space: bool) -> Vec<usize> {
        let text: &str = &normal.text;
        let composed = if open.is_some() && self.nfc { nfc_horizon(text) } else { text.len() };
        let horizon = open.map_or(text.len(), |at| normal.position(at)).min(composed);
        match &self.pieces {
            Some(trie) => {
                let text = &text[..horizon];
                let fuses = |left, right| self.bpe.alphabet.fuses(left, right);
                // Where marks have become spaces, other places stand before a space here than in the text.
                if !before_space || normal.is_rewritten() {
                    return uncrossed(trie, text, fuses);
                }
                let is_cut = |&at: &usize| self.is_seam(text, at) || is_uncrossed(trie, text, at, fuses);
                space_starts(text).filter(is_cut).collect()
            }
            None => {
                let limit = if open.is_some() { horizon } else { usize::MAX };
                self.splitter.cuts(text, limit).settled().filter(|&at| text.is_char_boundary(at)).collect()
            }
        }
    }
}

impl Engine for Pipeline {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<Token>> {
        let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4 + 1);
        let mut word = 0;
        self.benches.with(|bench| {
            self.for_each_stretch(text, place, |part, normal| {
                let first = tokens.len();
                match (part.added, normal) {
                    (None, Some(normal)) => {
                        self.encode_stretch(&normal.text, place == Place::Start || part.start > 0, &mut word, bench, &mut tokens);
                        if normal.is_moved() || part.start > 0 {
                            for token in &mut tokens[first..] {
                                token.start = part.start + normal.start(token.start);
                                token.end = (part.start + normal.end(token.end)).max(token.start);
                            }
                        }
                    }
                    (id, _) => {
                        tokens.extend(id.map(|id| Token { id, start: part.start, end: part.end, word }));
                        word += 1;
                    }
                }
            });
            bench.trim(text.len());
        });
        Ok(tokens)
    }

    fn ids(&self, text: &str, place: Place, ids: &mut Vec<TokenId>) -> Result<()> {
        self.benches.with(|bench| {
            self.for_each_stretch(text, place, |part, normal| match (part.added, normal) {
                (None, Some(normal)) => self.encode_stretch(&normal.text, place == Place::Start || part.start > 0, &mut 0, bench, ids),
                (id, _) => ids.extend(id),
            });
            bench.trim(text.len());
        });
        Ok(())
    }

    fn settled(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        Ok(self.settled_cuts(text, place, false))
    }

    fn window(&self, text: &str, place: Place, window: &mut Window) -> Result<()> {
        if self.plain_window(text, place, window) {
            return Ok(());
        }
        window.tokens = self.encode(text, place)?;
        window.cuts = self.settled_cuts(text, place, false);
        Ok(())
    }

    fn resume(&self, text: &str, behind: Behind, window: &mut Window, resumes: &mut Vec<Resume>) -> Result<()> {
        self.window(text, behind.place(), window)?;
        let torn = behind.torn();
        if torn > 0 {
            window.tokens.drain(..tokens_before(&window.tokens, torn));
        }
        resumes.clear();
        if self.tears() {
            let place = |at: usize, behind: Behind| Resume { at, tokens: tokens_before(&window.tokens, at + behind.torn()), behind };
            resumes.extend(window.cuts.iter().map(|&at| place(at, Behind::Text)));
            if resumes.is_empty() && text.len() >= MUCH {
                resumes.extend(self.last_torn(text).map(|(at, bytes)| place(at, Behind::Torn(bytes))));
            }
        }
        Ok(())
    }

    fn resumes(&self) -> bool {
        self.tears()
    }

    fn settled_before_space(&self, text: &str, place: Place) -> Result<Vec<usize>> {
        let mut cuts = self.settled_cuts(text, place, true);
        cuts.retain(|&at| stands_before_space(text, at));
        Ok(cuts)
    }

    fn grow(&self, text: &str, behind: Behind, vocabulary: &Vocabulary) -> Option<Growth> {
        (behind.torn() == 0).then_some(())?;
        let growing = self.grow_stretch(text, behind.place(), vocabulary)?;
        Some(Growth::new(growing))
    }

    fn grown(&self, growth: &mut Growth, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        growth.of_mut::<Growing>().and_then(|growing| self.stretch_grown(growing, text, vocabulary))
    }

    fn carried_ids(&self, growth: &Growth) -> Vec<TokenId> {
        growth.of::<Growing>().map_or_else(Vec::new, |growing| growing.ids())
    }

    fn token_cuts_behind(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of::<Growing>().and_then(|growing| self.stretch_token_cuts(growing, near, from))
    }

    fn settled_behind(&self, growth: &Growth, near: &str, from: usize) -> Option<Vec<usize>> {
        growth.of::<Growing>().and_then(|growing| self.stretch_settled(growing, near, from))
    }

    fn is_unsettled(&self, growth: &mut Growth) -> bool {
        growth.of_mut::<Growing>().is_some_and(|growing| self.stretch_is_unsettled(growing))
    }

    fn restore(&self, growth: &mut Growth, saved: &SavedGrowth, _vocabulary: &Vocabulary) -> Option<()> {
        self.restore_stretch(growth.of_mut::<Growing>()?, saved.of::<Saved>()?)
    }

    fn carries(&self) -> String {
        self.carries_stretches()
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

    fn proof(&self) -> Proof {
        let (unit, open, why) = match &self.pieces {
            Some(pieces) if pieces.any(holds_inner_space) => {
                ("settled cuts", None, "no piece can stand across a settled cut; some pieces hold a space behind another character")
            }
            Some(_) => ("words", Some(1), "no piece holds a space behind another character, so none stands across the start of a word"),
            None => match self.splitter.open_pre_tokens() {
                Some(open) => ("pre-tokens", Some(open), "proved for all texts by going through the states of the compiled rule"),
                None => ("pre-tokens", None, "the matcher tells how far it looked; no bound for all texts is proved for this rule"),
            },
        };
        let mut reach = Vec::new();
        if self.nfc {
            reach.push("NFC: what stands behind the last character that no mark can change is not final; the window counts from there".into());
        }
        if self.bpe.ignores_merges() {
            reach.push("ignore_merges: a pre-token that is a piece is one token, so a window begins with a pre-token, not inside one".into());
        }
        if self.dummy != DummyPrefix::None {
            reach.push("a dummy prefix stands at the start of the text only: a window behind it is encoded without".into());
        }
        if let Some(length) = self.added.longest() {
            reach.push(format!("added tokens that are text: an unfinished one at the end is not final, at most {length} bytes"));
        }
        Proof { matcher: self.splitter.describe(), unit, open, why: why.into(), reach }
    }

    fn describe(&self) -> String {
        self.notes.clone()
    }
}

impl Pipeline {
    /// Whether no piece can stand across byte `at`, whatever the text around the two characters there.
    pub(crate) fn is_seam(&self, text: &str, at: usize) -> bool {
        self.bpe.seams.is_seam(text.as_bytes(), at) && !self.bpe.alphabet.fuses_at(text.as_bytes(), at)
    }

    /// Whether a text that no stage cuts between characters may be cut inside them, each byte being where it is in the text.
    fn tears(&self) -> bool {
        self.splitter.tears() && !self.nfc && !self.metaspace && self.dummy == DummyPrefix::None
    }

    /// The last character of `text` that is cut inside, whatever follows, and so many bytes of it stand before the cut.
    fn last_torn(&self, text: &str) -> Option<(usize, usize)> {
        let mut walk = self.added.stretches(text);
        walk.next().filter(|part| part.added.is_none() && part.end == text.len())?;
        let at = self.splitter.converging(text, 0, walk.unsure()).torn?;
        let first = (0..at).rev().find(|&at| text.is_char_boundary(at))?;
        Some((first, at - first))
    }

    /// The window of a text without added tokens that is in its normal form already: one walk finds tokens and cuts.
    ///
    /// Answers false, and nothing else, where that is not so, or where seams alone find no cut in much text.
    fn plain_window(&self, text: &str, place: Place, window: &mut Window) -> bool {
        let mut walk = self.added.stretches(text);
        let whole = walk.next().is_none_or(|part| part.added.is_none() && part.end == text.len());
        if !whole || self.normal(text, true, place).is_moved() {
            return false;
        }
        let unsure = walk.unsure();
        let Window { tokens, cuts } = window;
        tokens.clear();
        cuts.clear();
        let bytes = text.as_bytes();
        let horizon = if self.nfc { unsure.min(nfc_horizon(text)) } else { unsure };
        self.benches.with(|bench| {
            if self.pieces.is_some() {
                self.bpe.text(bytes, place == Place::Start, bench, tokens);
                self.bpe.seams.for_each(bytes, 0, bytes.len(), |at| {
                    if at < horizon && !self.bpe.alphabet.fuses_at(bytes, at) {
                        cuts.push(at);
                    }
                });
                return !cuts.is_empty() || bytes.len() < MUCH;
            }
            let found = self.splitter.cuts(text, horizon);
            let mut start = 0;
            for (word, at) in found.at.iter().copied().chain([bytes.len()]).enumerate() {
                self.bpe.word(bytes, (start, at), word as u32, bench, tokens);
                start = at;
            }
            cuts.extend(found.settled().filter(|&at| at < unsure && text.is_char_boundary(at)));
            true
        })
    }

    fn settled_cuts(&self, text: &str, place: Place, before_space: bool) -> Vec<usize> {
        let mut walk = self.added.stretches(text);
        let stretches: Vec<Stretch> = walk.by_ref().collect();
        let unsure = walk.unsure();
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            // Behind an added token the library begins a stretch with a dummy prefix, which T' would not.
            // What it looks up as a whole word, T' would not.
            let looked_up = self.bpe.ignores_merges() && self.splitter.stages.is_empty();
            let prefixed = (self.dummy_everywhere || looked_up) && part.added.is_none();
            if part.start > 0 && part.start <= unsure && !prefixed {
                cuts.push(part.start);
            }
            if part.added.is_some() {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let normal = self.normal(stretch, index == 0, place);
            let open = index + 1 == stretches.len() || part.end > unsure;
            let found = self.settled_in_stretch(&normal, open.then(|| unsure.saturating_sub(part.start).min(stretch.len())), before_space);
            let inside = found.into_iter().filter_map(|at| normal.cut(at)).map(|at| part.start + at);
            cuts.extend(inside.filter(|&at| at > part.start && at < part.end && at < unsure));
        }
        cuts.retain(|&at| at < text.len() && text.is_char_boundary(at));
        cuts.dedup();
        cuts
    }
}
