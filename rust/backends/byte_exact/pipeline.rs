//! Our own engine: byte-pair encoders whose every stage keeps the bytes of the text.
//!
//! All work happens in *byte space*: the SentencePiece mark U+2581 of the vocabulary is a plain space here. So
//! positions in the text are positions in the pieces, and only NFC ever needs a map back to the raw text.

use crate::backends::engine::Window;
use crate::models::bpe::model::{Bpe, Scratch};
use crate::normalizers::unicode_forms::{nfc_horizon, Normal};
use crate::pre_tokenizers::added_tokens::{AddedText, Stretch};
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::pre_tokenizers::split::Splitter;
use crate::stability::pieces::{is_uncrossed, uncrossed};
use crate::tokens::token::{Sink, TextPosition};
use crate::util::pool::Pool;
use crate::util::sorted_trie::PieceTrie;
use crate::util::text::{space_starts, stands_before_space};

/// The number of bytes that are much text to have no cut.
pub(super) const MUCH: usize = 128;

/// The engine of definitions that keep all bytes, such as LLaMA-3's.
pub(crate) struct Pipeline {
    pub(crate) added: AddedText,
    pub(crate) nfc: bool,
    /// Spaces are U+2581 in the vocabulary.
    pub(crate) metaspace: bool,
    pub(crate) dummy: DummyPrefix,
    /// The dummy prefix is before every stretch after an added token too, not only at the start.
    pub(crate) dummy_everywhere: bool,
    pub(crate) splitter: Splitter,
    pub(crate) bpe: Bpe,
    /// All pieces, where they are the certificate (no pre-token rule).
    pub(crate) pieces: Option<PieceTrie>,
    pub(crate) notes: String,
    pub(crate) scratch: Pool<Scratch>,
}

impl Pipeline {
    fn normal<'a>(&self, stretch: &'a str, first: bool, place: TextPosition) -> Normal<'a> {
        let normal = if self.nfc {
            Normal::nfc(stretch)
        } else if self.metaspace {
            Normal::spaced(stretch)
        } else {
            Normal::unchanged(stretch)
        };
        let here = if first { place == TextPosition::Start } else { self.dummy_everywhere };
        if here && self.dummy.is_before(&normal.text) {
            normal.after_space()
        } else {
            normal
        }
    }

    /// Passes on the tokens of a stretch in its normal form, positions being those of the normal form.
    ///
    /// `whole`: it does not go on with other text.
    pub(super) fn encode_stretch(
        &self,
        text: &str,
        whole: bool,
        word: &mut u32,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let bytes = text.as_bytes();
        if !whole && self.splitter.stages.is_empty() {
            // The end of a word is no word that could be looked up.
            self.bpe.parts(bytes, (0, bytes.len()), *word, scratch, sink);
            *word += 1;
            return;
        }
        let mut start = 0;
        self.splitter.for_each_cut(text, |at| {
            self.bpe.word(bytes, (start, at), *word, scratch, sink);
            start = at;
            *word += 1;
        });
        self.bpe.word(bytes, (start, bytes.len()), *word, scratch, sink);
        *word += 1;
    }

    /// Calls `visit` with each stretch: one between added tokens with its normal form, an added token without.
    pub(super) fn for_each_stretch(
        &self,
        text: &str,
        place: TextPosition,
        mut visit: impl FnMut(Stretch, Option<&Normal<'_>>),
    ) {
        for part in self.added.stretches_at(text, place) {
            if part.added.is_some() {
                visit(part, None);
                continue;
            }
            let normal = self.normal(&text[part.start..part.end], part.start == 0, place);
            visit(part, Some(&normal));
        }
    }

    /// The settled cuts of a stretch in its normal form; `open` is its first byte that is not final, if there is one.
    fn settled_in_stretch(&self, normal: &Normal<'_>, open: Option<usize>) -> Vec<usize> {
        let text: &str = &normal.text;
        let composed = if open.is_some() && self.nfc { nfc_horizon(text) } else { text.len() };
        let horizon = open.map_or(text.len(), |at| normal.position(at)).min(composed);
        match &self.pieces {
            Some(trie) => {
                let text = &text[..horizon];
                self.cuts_beside_dropped(trie, text)
                    .unwrap_or_else(|| uncrossed(trie, text, |left, right| self.bpe.alphabet.fuses(left, right)))
            }
            None => {
                let limit = if open.is_some() { horizon } else { usize::MAX };
                self.splitter.cuts(text, limit).settled().filter(|&at| text.is_char_boundary(at)).collect()
            }
        }
    }
}

impl Pipeline {
    /// Whether no piece can cross byte `at`, whatever the text around the two characters there.
    pub(crate) fn is_barrier(&self, text: &str, at: usize) -> bool {
        self.bpe.barriers.is_barrier(text.as_bytes(), at) && !self.bpe.alphabet.fuses_at(text.as_bytes(), at)
    }

    /// Whether a text that no stage cuts between characters may be cut inside them, each byte being where it is in the
    /// text.
    pub(super) fn tears(&self) -> bool {
        self.splitter.tears() && !self.nfc && !self.metaspace && self.dummy == DummyPrefix::None
    }

    /// The last character of `text` that is cut inside, whatever follows, and the number of its bytes before the cut.
    pub(super) fn last_torn(&self, text: &str) -> Option<(usize, usize)> {
        let mut walk = self.added.stretches(text);
        walk.next().filter(|part| part.added.is_none() && part.end == text.len())?;
        (!walk.hides()).then_some(())?;
        let at = self.splitter.converging(text, 0, walk.unsure()).torn?;
        let first = (0..at).rev().find(|&at| text.is_char_boundary(at))?;
        Some((first, at - first))
    }

    /// The window of a text without added tokens that is in its normal form already: one walk finds tokens and cuts.
    ///
    /// Answers false, and nothing else, where that is not so, or where barriers alone find no cut in much text.
    pub(super) fn plain_window(&self, text: &str, place: TextPosition, window: &mut Window) -> bool {
        let mut walk = self.added.stretches(text);
        let whole = walk.next().is_none_or(|part| part.added.is_none() && part.end == text.len());
        if !whole || walk.hides() || self.normal(text, true, place).is_moved() {
            return false;
        }
        let unsure = walk.unsure();
        let Window { tokens, cuts } = window;
        tokens.clear();
        cuts.clear();
        let bytes = text.as_bytes();
        let horizon = if self.nfc { unsure.min(nfc_horizon(text)) } else { unsure };
        self.scratch.with(|scratch| {
            if self.pieces.is_some() {
                self.bpe.text(bytes, place == TextPosition::Start, scratch, tokens);
                self.bpe.barriers.for_each(bytes, 0, bytes.len(), |at| {
                    if at < horizon && !self.bpe.alphabet.fuses_at(bytes, at) {
                        cuts.push(at);
                    }
                });
                return !cuts.is_empty() || bytes.len() < MUCH;
            }
            let found = self.splitter.cuts(text, horizon);
            let mut start = 0;
            for (word, at) in found.at.iter().copied().chain([bytes.len()]).enumerate() {
                self.bpe.word(bytes, (start, at), word as u32, scratch, tokens);
                start = at;
            }
            cuts.extend(found.settled().filter(|&at| at < unsure && text.is_char_boundary(at)));
            true
        })
    }

    /// The settled cuts before white space where pieces prove them. None where something is rewritten or dropped.
    ///
    /// White space is then where it is in the text, so no position needs a way back.
    pub(super) fn space_cuts(&self, text: &str, place: TextPosition) -> Option<Vec<usize>> {
        let trie = self.pieces.as_ref()?;
        let mut walk = self.added.stretches_at(text, place);
        let stretches: Vec<Stretch> = walk.by_ref().collect();
        let unsure = walk.unsure();
        let alphabet = &self.bpe.alphabet;
        (!walk.hides() && !alphabet.drops_of(text.as_bytes())).then_some(())?;
        let fuses = |left, right| alphabet.fuses(left, right);
        let spaces_are_apart = !alphabet.fuses_before(' ');
        // Added tokens are pieces for settled cuts, and none for barriers.
        let barriers_hold = !self.added.holds_word_starts();
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            if self.is_cut_at_start(part, unsure) && stands_before_space(text, part.start) {
                cuts.push(part.start);
            }
            if part.added.is_some() {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let normal = self.normal(stretch, index == 0, place);
            (!normal.is_rewritten()).then_some(())?;
            let open = index + 1 == stretches.len() || part.end > unsure;
            let mut horizon = if open { unsure.saturating_sub(part.start).min(stretch.len()) } else { stretch.len() };
            if open && self.nfc {
                horizon = horizon.min(nfc_horizon(stretch));
            }
            let read = &normal.text[..horizon + normal.shift];
            let is_barrier = |at: usize| {
                let is_apart = spaces_are_apart && stretch.as_bytes()[at] == b' ';
                barriers_hold
                    && self.bpe.barriers.is_barrier(stretch.as_bytes(), at)
                    && (is_apart || !alphabet.fuses_at(stretch.as_bytes(), at))
            };
            let is_cut = |&at: &usize| is_barrier(at) || is_uncrossed(trie, read, at + normal.shift, fuses);
            cuts.extend(space_starts(&stretch[..horizon]).filter(is_cut).map(|at| part.start + at));
        }
        Some(cuts)
    }

    /// Whether text after an added token begins as at the start of a text, and not as a continuation does.
    ///
    /// The library begins it with a dummy prefix, or looks up whole words.
    fn begins_as_text(&self) -> bool {
        let looked_up = self.bpe.ignores_merges() && self.splitter.stages.is_empty();
        (self.dummy_everywhere || looked_up) && !self.added.is_empty()
    }

    /// Whether that text begins exactly as a text does, so that encoding can go on there.
    pub(super) fn resumes_after_added(&self) -> bool {
        self.begins_as_text() && (self.dummy_everywhere || self.dummy == DummyPrefix::None)
    }

    /// Whether the start of a stretch is a settled cut, where text before `unsure` is final.
    fn is_cut_at_start(&self, part: &Stretch, unsure: usize) -> bool {
        let as_text = part.added.is_none() && self.begins_as_text();
        part.start > 0 && part.start <= unsure && !as_text
    }

    /// Where text begins after an added token that is final.
    pub(super) fn starts_after_added(&self, text: &str) -> Vec<usize> {
        // No added token is found at the start alone where a dummy prefix stands everywhere, or nowhere.
        let mut walk = self.added.stretches(text);
        let mut starts: Vec<usize> =
            walk.by_ref().filter(|part| part.start > 0 && part.added.is_none()).map(|part| part.start).collect();
        starts.retain(|&at| at <= walk.unsure() && walk.parts(at));
        starts
    }

    pub(super) fn settled_cuts(&self, text: &str, place: TextPosition) -> Vec<usize> {
        let mut walk = self.added.stretches_at(text, place);
        let stretches: Vec<Stretch> = walk.by_ref().collect();
        let unsure = walk.unsure();
        let mut cuts = Vec::new();
        for (index, part) in stretches.iter().enumerate() {
            if self.is_cut_at_start(part, unsure) {
                cuts.push(part.start);
            }
            if part.added.is_some() {
                continue;
            }
            let stretch = &text[part.start..part.end];
            let normal = self.normal(stretch, index == 0, place);
            let open = index + 1 == stretches.len() || part.end > unsure;
            let found =
                self.settled_in_stretch(&normal, open.then(|| unsure.saturating_sub(part.start).min(stretch.len())));
            let inside = found.into_iter().filter_map(|at| normal.cut(at)).map(|at| part.start + at);
            cuts.extend(inside.filter(|&at| at > part.start && at < part.end && at < unsure));
        }
        cuts.retain(|&at| at < text.len() && text.is_char_boundary(at) && walk.parts(at));
        cuts.dedup();
        cuts
    }
}
