//! A long word that goes on growing: see `growing_lattice.rs`, `growing_pieces.rs`, and docs/proofs/unigram-streams.md.
//!
//! It takes windows without a settled cut: one word, or several. `growing_source.rs` has the way from the text to the
//! words. Text that is not carried ends the word, and a window is encoded as before.

use crate::backends::engine::ResumeState;
use crate::backends::lattice::growing_lattice::GrowingLattice;
use crate::backends::normalizing::growing_pieces::{GrowingPieces, WordModel};
use crate::backends::normalizing::growing_said::SaidWords;
use crate::backends::normalizing::growing_source::{Grown, Opening, SavedSource, Source};
use crate::backends::normalizing::rewriting::{Model, Rewriting, Words};
use crate::backends::stretch::{SavedGrowth, Stretch};
use crate::models::unigram::Unigram;
use crate::models::wordpiece::WordPiece;
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::tokens::between::Between;
use crate::tokens::cuts::TokenCuts;
use crate::tokens::edit::Edit;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::said::Said;
use crate::vocabulary::table::{Kind, Vocabulary};

/// The state of a growing word, such as a long run of "a".
#[derive(Debug, Clone)]
pub(crate) struct GrowingWord {
    /// None under other models than Unigram.
    lattice: Option<GrowingLattice>,
    /// The words of WordPiece and of byte pairs.
    pieces: GrowingPieces,
    /// Under byte pairs: the spaces that their tokens say.
    said: SaidWords,
    /// The tokens give the text back in no case: a character of it is said by none (`gone`), or closed words differ.
    differs: bool,
    gone: bool,
    unknown: TokenId,
    source: Source,
    lossless: bool,
    /// No cut of the text up to here can ever become settled.
    quiet: usize,
    /// The number of bytes of text from which looking for settled cuts is worth the time.
    look_at: usize,
    pub(crate) over: bool,
}

/// The saved state of a word, to which it can go back.
#[derive(Debug, Clone)]
pub(crate) struct SavedWord {
    source: SavedSource,
    lossless: bool,
    spaces: usize,
}

impl GrowingWord {
    pub(crate) fn save(&self) -> SavedWord {
        SavedWord { source: self.source.save(), lossless: self.lossless, spaces: self.said.spaces }
    }

    /// Whether the tokens of byte pairs give back the text; None if that is unknown.
    fn said_gives_back(&mut self, vocabulary: &Vocabulary) -> Option<bool> {
        let Self { source, pieces, said, unknown, .. } = self;
        said.give_back((source, pieces), *unknown, vocabulary)
    }

    /// The bytes of the word that may still change.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.source.length() - self.source.fixed
    }

    /// Whether the tokens give back the text, left-out text included.
    pub(crate) fn is_lossless(&self) -> bool {
        self.lossless
    }
}

/// Appends the end of the words to a lattice that already has `same` bytes of it.
fn extend(
    lattice: &mut GrowingLattice,
    model: &Unigram,
    vocabulary: &Vocabulary,
    end: &Grown,
    same: usize,
    raw: &str,
) -> Option<()> {
    let mut at = same;
    for &next in end.begins.iter().filter(|&&next| next >= same) {
        lattice.extend(model, vocabulary, &end.text[at..next], raw)?;
        lattice.begin_word(model, vocabulary);
        at = next;
    }
    lattice.extend(model, vocabulary, &end.text[at..], raw)
}

/// The number of bytes that the lattice already has of `end`, the end of the words from `begin` on. Words must begin
/// alike.
fn common(lattice: &GrowingLattice, begin: usize, end: &Grown) -> usize {
    let mut same = lattice.text.as_bytes()[begin..]
        .iter()
        .zip(end.text.as_bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let (mut before, mut after) = (lattice.begins_from(begin), end.begins.iter().copied());
    loop {
        match (before.next().map(|at| at - begin), after.next()) {
            (Some(one), Some(other)) if one == other => {}
            (None, None) => break,
            (one, other) => {
                same = same.min(one.unwrap_or(usize::MAX)).min(other.unwrap_or(usize::MAX));
                break;
            }
        }
    }
    while !end.text.is_char_boundary(same) || !lattice.text.is_char_boundary(begin + same) {
        same -= 1;
    }
    same
}

/// The model of words whose tokens are kept with the words; None under Unigram.
fn word_model(model: &Model) -> Option<WordModel<'_>> {
    match model {
        Model::Unigram(_) => None,
        Model::WordPiece(model) => Some(WordModel::Pieces(model)),
        Model::Bpe(model) => Some(WordModel::Merges(model)),
    }
}

impl Rewriting {
    /// Takes up the window `text`, the part of `full` that is read, if it is one word of a kind that is carried.
    pub(super) fn grow_word(
        &self,
        text: &str,
        full: &str,
        after: ResumeState,
        vocabulary: &Vocabulary,
    ) -> Option<GrowingWord> {
        let carried = if let ResumeState::Word(carried) = after { Some(carried) } else { None };
        let opening = self.opening_of(text, after);
        let mut source = Source::new(opening);
        source.append(text, full);
        let found = self.read_on(&mut source, text)?;
        (!source.cut).then_some(())?;
        let unknown = match &self.model {
            Model::Unigram(model) => model.unknown,
            Model::WordPiece(model) => model.unknown,
            Model::Bpe(model) => model.alphabet.unknown()?.0,
        };
        let (look_at, lattice) = (2 * text.len(), None);
        let mut word = GrowingWord {
            lattice,
            pieces: GrowingPieces::default(),
            said: SaidWords::default(),
            differs: false,
            gone: false,
            unknown: TokenId(unknown),
            source,
            lossless: false,
            quiet: 0,
            look_at,
            over: false,
        };
        match &self.model {
            Model::Unigram(model) => {
                let mut lattice = GrowingLattice::new(model, carried, [Said::Begin(0), Said::Nothing]);
                extend(&mut lattice, model, vocabulary, &found, 0, word.source.full())?;
                word.lattice = Some(lattice);
                word.lossless = self.gives_back(&mut word, model, vocabulary)?;
            }
            Model::WordPiece(model) => {
                (matches!(self.words, Words::Ruled { .. }) && !opening.lead).then_some(())?;
                word.pieces.replace(WordModel::Pieces(model), 0, &found)?;
                // Else the closed words must differ from the text: `Stretch::proof_of_loss`.
                word.gone = self.has_unsaid(full, model, vocabulary);
                word.differs = word.gone || !word.pieces.closed(word.source.fixed).is_empty();
                self.says_less(&word, model, vocabulary).then_some(())?;
            }
            Model::Bpe(model) => {
                (matches!(self.words, Words::Ruled { .. }) && !opening.lead && self.decodes_plainly).then_some(())?;
                word.pieces.replace(WordModel::Merges(model), 0, &found)?;
                word.said.append(full);
                word.lossless = word.said_gives_back(vocabulary)?;
            }
        }
        Some(word)
    }

    /// How the first word of `text` begins.
    fn opening_of(&self, text: &str, after: ResumeState) -> Opening {
        let (place, inside) = (after.place(), matches!(after, ResumeState::Word(_)));
        let goes_on = || place == TextPosition::Continuation && self.goes_on(text);
        let marked = matches!(self.words, Words::Ruled { marked: true, .. }) && !goes_on();
        Opening {
            inside,
            lead: !inside && (marked || self.dummy_at(0, place)),
            unless_space: !marked && self.dummy == DummyPrefix::UnlessSpace,
            start: place == TextPosition::Start,
            added: after == ResumeState::Added,
        }
    }

    /// All tokens of the word.
    pub(super) fn word_ids(&self, word: &GrowingWord) -> Vec<TokenId> {
        word.lattice.as_ref().map_or_else(|| word.pieces.ids(), |lattice| lattice.tree.lists().ids(lattice.list()))
    }

    /// The change of the word when `text`, the part of `more` that is read, is appended; None where that is not
    /// carried.
    pub(super) fn word_grown(
        &self,
        word: &mut GrowingWord,
        text: &str,
        more: &str,
        vocabulary: &Vocabulary,
    ) -> Option<Edit> {
        let fixed = word.source.fixed;
        word.source.append(text, more);
        let open = self.read_on(&mut word.source, text)?;
        word.over |= word.source.cut || word.source.raw.len() >= word.look_at;
        let (Some(lattice), Model::Unigram(model)) = (&mut word.lattice, &self.model) else {
            return self.pieces_grown(word, (fixed, &open), more, vocabulary);
        };
        // The lists of the removed ways are still to be reported.
        let (tree, list) = (lattice.tree.share(), lattice.list());
        let same = common(lattice, fixed, &open);
        let (before, place) = (lattice.text.len(), fixed + same);
        if place < before {
            lattice.truncate(model, place);
        }
        extend(lattice, model, vocabulary, &open, same, word.source.full())?;
        let between = Between::new(tree, list, lattice.list());
        word.lossless = self.gives_back(word, model, vocabulary)?;
        Some(Edit::between(between, word.lossless))
    }

    /// The change of the words when `more` is appended: from `fixed` on they are now `open`.
    fn pieces_grown(
        &self,
        word: &mut GrowingWord,
        (fixed, open): (usize, &Grown),
        more: &str,
        vocabulary: &Vocabulary,
    ) -> Option<Edit> {
        word.said.append(more);
        let (dropped, ids) = word.pieces.replace(word_model(&self.model)?, fixed, open)?;
        word.lossless = match &self.model {
            Model::WordPiece(model) => self.says_less(word, model, vocabulary).then_some(false)?,
            _ => word.said_gives_back(vocabulary)?,
        };
        Some(Edit::new(dropped, ids, word.lossless))
    }

    /// Whether the tokens of WordPiece never give back the text, with any text appended to the last word.
    fn says_less(&self, word: &GrowingWord, model: &WordPiece, vocabulary: &Vocabulary) -> bool {
        // An unknown token must say less than the text.
        let is_short = || vocabulary.bytes(word.unknown, 0).is_ok_and(|said| said.len() + 1 < word.source.full().len());
        word.differs || word.pieces.is_one_unknown(model, word.pieces.text.len()) && is_short()
    }

    /// Whether some character of `text` is said by no token of WordPiece, because no rewritten text has it.
    fn has_unsaid(&self, text: &str, model: &WordPiece, vocabulary: &Vocabulary) -> bool {
        let Some(c) = text.chars().find(|&c| self.rewriter.never_writes(c)) else { return false };
        let mut buffer = [0; 4];
        let c = c.encode_utf8(&mut buffer).as_bytes();
        let holds = |said: &[u8]| said.windows(c.len()).any(|part| part == c);
        // A piece that is what it says, with that character, is in no rewritten text. One that begins a word may say a
        // space first.
        let is_piece = |said: &[u8], id: TokenId| {
            let said = said.strip_prefix(b" ").unwrap_or(said);
            [&model.first, &model.later].iter().any(|pieces| pieces.longest(said) == Some((said.len(), id.0)))
        };
        vocabulary.bytes(TokenId(model.unknown), 0).is_ok_and(|said| !holds(said))
            && vocabulary.ids(Kind::Text).all(|id| {
                vocabulary.bytes(id, 0).is_ok_and(|said| !holds(said) || is_piece(said, id) && id.0 != model.unknown)
            })
    }

    /// Whether the tokens of the word give back its text, where all but unknown ones give back the word. None if that
    /// is unknown.
    fn gives_back(&self, word: &mut GrowingWord, model: &Unigram, vocabulary: &Vocabulary) -> Option<bool> {
        let Some(lattice) = &word.lattice else { return Some(false) };
        (!lattice.is_odd(model, vocabulary, lattice.text.len())).then_some(())?;
        let lost = lattice.lost(model, lattice.text.len());
        if word.source.loses_space() {
            return Some(false);
        }
        if word.source.adds_space() {
            return (lost == 0).then_some(false);
        }
        if lost == 0 {
            return Some(word.source.is_same(&lattice.text));
        }
        // The unknown token has no text, so the decoded text is shorter, and a space may be lost at the start.
        (vocabulary.kind(word.unknown) == Kind::Control).then_some(())?;
        let (text, said) = word.source.lengths(lost);
        let bare_lead = word.source.lead > 0 && lattice.at[word.source.lead].best.id == model.unknown;
        // With the space that begins the words and without it.
        let differs = || !bare_lead && lattice.at[lattice.text.len()].said == [Said::Other; 2];
        (text != said && text + 1 != said && !(bare_lead && text == said + 1) || differs()).then_some(false)
    }

    /// Takes the word back to the state `saved`. None where that fails, and the state is then of no use.
    pub(super) fn restore_word(
        &self,
        word: &mut GrowingWord,
        saved: &SavedWord,
        vocabulary: &Vocabulary,
    ) -> Option<()> {
        let open = self.restore_source(&mut word.source, &saved.source)?;
        word.lossless = saved.lossless;
        word.quiet = word.quiet.min(word.source.raw.len());
        if let (Some(lattice), Model::Unigram(model)) = (&mut word.lattice, &self.model) {
            lattice.truncate(model, word.source.fixed);
            extend(lattice, model, vocabulary, &open, 0, word.source.full())?;
            if self.pieces_settle() {
                word.quiet = word.quiet.min(self.quiet_before(&word.source, lattice));
            }
        }
        let Some(words) = word_model(&self.model) else { return Some(()) };
        word.said.spaces = saved.spaces;
        word.pieces.replace(words, word.source.fixed, &open)?;
        if matches!(self.model, Model::Bpe(_)) {
            word.said_gives_back(vocabulary)?;
        }
        Some(())
    }

    /// The character boundaries of `near`, the end of the text, after `from` that no token crosses.
    pub(super) fn word_token_cuts(&self, word: &GrowingWord, near: &str, from: usize) -> Option<Vec<usize>> {
        let base = word.source.raw.len().checked_sub(near.len())?;
        let mut tokens = Vec::new();
        let place = word.source.place_after(base + from);
        let found = match &word.lattice {
            Some(lattice) => lattice.tree.lists().tokens(lattice.list(), place),
            None => word.pieces.after(place).collect(),
        };
        for (id, start, end) in found {
            if let Some((start, end)) = word.source.span(start, end) {
                let (start, end) = (start.saturating_sub(base), end.saturating_sub(base));
                tokens.push(Token { id, start, end, word: 0 });
            }
        }
        let cuts = TokenCuts::new(&tokens, near.len());
        Some((from + 1..near.len()).filter(|&at| near.is_char_boundary(at) && cuts.contains(at)).collect())
    }

    /// The settled cuts of the word after `from`, in positions of `near`, its end.
    pub(super) fn word_settled(&self, word: &GrowingWord, near: &str, from: usize) -> Vec<usize> {
        if !self.pieces_settle() {
            let (cuts, sure) = (
                if self.has_cuts() { self.cuts(near) } else { Vec::new() },
                near.len().saturating_sub(word.source.unsure.len()),
            );
            return cuts.into_iter().filter(|&at| at > from && at < sure).collect();
        }
        let base = word.source.raw.len() - near.len();
        let (Some(lattice), Model::Unigram(model), true) = (&word.lattice, &self.model, self.pieces_settle()) else {
            return Vec::new();
        };
        self.settled_after_place(word, lattice, model, base + from).into_iter().map(|at| at - base).collect()
    }

    /// Whether surely no cut of the word is settled.
    pub(super) fn word_is_unsettled(&self, word: &mut GrowingWord) -> bool {
        let (Some(lattice), Model::Unigram(model), true) = (&word.lattice, &self.model, self.pieces_settle()) else {
            return word.source.settled.is_none();
        };
        let quiet = self.quiet_before(&word.source, lattice);
        let unsettled = self.settled_after_place(word, lattice, model, word.quiet).is_empty();
        if unsettled {
            word.quiet = word.quiet.max(quiet);
        }
        unsettled
    }

    /// The settled cuts of the text after byte `from`, ascending. Complexity: O(text after `from`).
    fn settled_after_place(
        &self,
        word: &GrowingWord,
        lattice: &GrowingLattice,
        model: &Unigram,
        from: usize,
    ) -> Vec<usize> {
        let source = &word.source;
        let (last, end) = self.border_of(source, lattice);
        let raw = source.raw.get(from..last).unwrap_or_default();
        let mut first = lattice.open(end);
        let (mut next, mut free) = (end, false);
        let mut cuts = Vec::new();
        let mut right = None;
        for (at, c) in raw.char_indices().rev() {
            if let Some((place, _)) =
                right.replace((from + at, c)).filter(|&(_, right)| self.rewriter.divides(c, right))
            {
                let normal = source.position(place);
                while next > normal {
                    next -= 1;
                    free = lattice.is_uncrossed(model, next, &mut first);
                }
                if free && normal > source.lead {
                    cuts.push(place);
                }
            }
        }
        cuts.reverse();
        cuts
    }

    /// The end of the final text, and of its rewritten form: appended text may change its last character.
    fn border_of(&self, source: &Source, lattice: &GrowingLattice) -> (usize, usize) {
        let sure = source.raw.len() - source.unsure.len();
        match self.rewriter.looks_behind_itself() {
            true if source.divided.0 < sure || source.unsure.is_empty() => source.divided,
            true => {
                let mut right = None;
                let parted = source.raw[..sure].char_indices().rev().find_map(|(at, c)| {
                    right.replace((at, c)).filter(|&(_, right)| self.rewriter.divides(c, right)).map(|(at, _)| at)
                });
                parted.map_or((0, 0), |at| (at, source.position(at)))
            }
            false if source.unsure.is_empty() => (sure, lattice.text.len()),
            false => (sure, source.position(sure)),
        }
    }

    /// The place in the text up to which a later text cannot settle a cut that is not settled now.
    fn quiet_before(&self, source: &Source, lattice: &GrowingLattice) -> usize {
        let (last, end) = self.border_of(source, lattice);
        let open = lattice.open(end);
        let open = open.max(source.lead);
        source.floor(source.span(open, open + 1).map_or(last, |(start, _)| start).min(last))
    }

    /// Whether cuts inside a word may be settled, because no piece crosses them.
    pub(super) fn pieces_settle(&self) -> bool {
        matches!(self.words, Words::Whole) && !self.rewriter.acts_on_runs()
    }

    /// See [`crate::backends::engine::Engine::carries`].
    pub(super) fn carries_words(&self) -> String {
        let carried = match &self.model {
            Model::Unigram(_) => "words".to_string(),
            Model::WordPiece(_) | Model::Bpe(_) => "words without a cut between them".to_string(),
        };
        let held = if self.rewriter.keeps_marks() && !matches!(self.model, Model::WordPiece(_)) {
            "; a mark that a normal form moves before 32 others is read with the text again"
        } else {
            ""
        };
        let unsaid = match &self.model {
            Model::Unigram(_) => "",
            Model::WordPiece(_) => {
                "; several words whose tokens may still give back the text are read again at each push"
            }
            Model::Bpe(_) if !self.decodes_plainly => {
                "; a long word is read again at each push, because its tokens say other text than the pieces"
            }
            Model::Bpe(_) => {
                "; words are read again at each push where it is not sure whether their tokens give back the text"
            }
        };
        format!(
            "{carried}, runs of white space that is dropped or folded, characters that vanish: a push reads what \
            it appends, and what it changes, which may be all tokens of the word, is told when it is \
            read{held}{unsaid}"
        )
    }
}

impl Stretch for GrowingWord {
    fn saved(&self) -> SavedGrowth {
        SavedGrowth::new(self.save())
    }

    fn gives_back(&self) -> bool {
        self.is_lossless()
    }

    fn proof_of_loss(&self) -> Option<Vec<TokenId>> {
        (self.differs && self.lattice.is_none() && !self.gone).then(|| self.pieces.closed(self.source.fixed))
    }

    fn is_over(&self) -> bool {
        self.over
    }

    #[cfg(test)]
    fn open_bytes(&self) -> usize {
        self.open()
    }
}
