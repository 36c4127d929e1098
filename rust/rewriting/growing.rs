//! A long word of a Unigram model that goes on growing: see `growing_lattice.rs`, and docs/design.md, section 10.9.
//!
//! Taken are windows that are one open word of characters that the normalizer keeps, each by itself, perhaps behind one
//! space. Whatever else comes ends it, and a window is encoded as before.

use super::{Model, Rewriting, Words};
use crate::encoder::Edit;
use crate::engine::Behind;
use crate::boundary::TokenCuts;
use crate::growing_lattice::{Border, GrowingLattice, Open};
use crate::normal::METASPACE;
use crate::token::{Place, Token, TokenId};
use crate::vocabulary::Vocabulary;

/// The state of a word.
#[derive(Debug, Clone)]
pub(crate) struct GrowingWord {
    /// None: a word of so many characters that it is one unknown token (WordPiece).
    lattice: Option<GrowingLattice>,
    unknown: TokenId,
    /// The word as the model reads it.
    text: String,
    /// Its last character.
    last: char,
    /// No cut up to here can ever become settled.
    quiet: usize,
    /// From this length on it is worth looking for settled cuts.
    look_at: usize,
    pub(crate) over: bool,
}

/// What a word must know to go back to where it is now.
#[derive(Debug, Clone)]
pub(crate) struct SavedWord {
    length: usize,
    last: char,
    open: Option<Open>,
}

impl GrowingWord {
    pub(crate) fn save(&self) -> SavedWord {
        SavedWord { length: self.text.len(), last: self.last, open: self.lattice.as_ref().map(GrowingLattice::open) }
    }

    /// Takes the word back to where it was `saved`.
    pub(crate) fn restore(&mut self, saved: &SavedWord) {
        self.text.truncate(saved.length);
        self.last = saved.last;
        if let (Some(lattice), Some(open)) = (&mut self.lattice, &saved.open) {
            lattice.restore(open);
            self.quiet = self.quiet.min(lattice.before_last().quiet());
        }
    }

    /// The character boundaries of `near`, the end of the word, behind `from` that no token stands across.
    pub(crate) fn token_cuts(&self, near: &str, from: usize) -> Vec<usize> {
        let Some(lattice) = &self.lattice else { return Vec::new() };
        let length = self.text.len();
        let before = length.saturating_sub(near.len());
        let tokens = lattice.tokens((length + from).saturating_sub(near.len()), length);
        // A dummy prefix may be longer than what `near` lacks of the text.
        let place = |at: usize| (at + near.len()).saturating_sub(length);
        let tokens: Vec<Token> = tokens.into_iter().filter(|&(_, _, end)| end > before).map(|(id, start, end)| Token { id, start: place(start), end: place(end), word: 0 }).collect();
        let cuts = TokenCuts::new(&tokens, near.len());
        (from + 1..near.len()).filter(|&at| near.is_char_boundary(at) && cuts.contains(at)).collect()
    }


    /// All tokens of the word.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        match &self.lattice {
            Some(lattice) => lattice.tokens(0, self.text.len()).into_iter().map(|(id, ..)| id).collect(),
            None => vec![self.unknown],
        }
    }

    /// Whether the tokens give back the text.
    pub(crate) fn is_lossless(&self) -> bool {
        self.lattice.is_some()
    }
}

impl Rewriting {
    /// Takes up the window `text`, if it is one word of a kind that is carried.
    pub(super) fn grow_word(&self, text: &str, behind: Behind) -> Option<GrowingWord> {
        if !self.added.ids.is_empty() && !self.added.stretches(text).stretches.iter().all(|stretch| stretch.added.is_none()) {
            return None;
        }
        let (carried, place) = (if let Behind::Word(carried) = behind { Some(carried) } else { None }, behind.place());
        let spaced = text.starts_with(' ');
        let start = place == Place::Start;
        let rest = text.strip_prefix(' ').unwrap_or(text);
        if spaced && (start || carried.is_some() || !self.rewriter.keeps(" ", crate::rewriter::Ends::default())) {
            return None;
        }
        let dummy = start && self.dummy_at(0, place) && self.wants_dummy(rest);
        let (marked, ruled) = match &self.words {
            Words::Ruled { marked, .. } => (*marked && !(place == Place::Inside && self.goes_on(text)), true),
            Words::Whole | Words::Spaced => (false, false),
        };
        let lead = carried.is_none() && (marked || dummy || spaced && !ruled);
        let mut chars = rest.chars();
        let first = chars.next()?;
        if spaced && !self.rewriter.divides(' ', first) || !self.is_carried(None, first) {
            return None;
        }
        let last = chars.try_fold(first, |left, c| self.is_carried(Some(left), c).then_some(c))?;
        let word = format!("{}{rest}", if lead { " " } else { "" });
        let (lattice, unknown) = match &self.model {
            Model::Unigram(model) => {
                let mut lattice = GrowingLattice::new(carried)?;
                lattice.extend(model, &word)?;
                (Some(lattice), model.unknown)
            }
            Model::WordPiece(model) if ruled && rest.chars().count() > model.longest_word => (None, model.unknown),
            Model::WordPiece(_) => return None,
        };
        Some(GrowingWord { lattice, unknown: TokenId(unknown), quiet: 0, look_at: 2 * word.len(), text: word, last, over: false })
    }

    /// Whether `c` goes on with a word behind `left`, and stays as it is.
    fn is_carried(&self, left: Option<char>, c: char) -> bool {
        let kept = !c.is_whitespace() && c != METASPACE && self.rewriter.alone(c).is_some_and(|alone| alone.chars().eq([c]));
        let divided = left.is_none_or(|left| self.rewriter.divides(left, c));
        let one_word = match &self.words {
            Words::Ruled { rule, .. } => !rule.is_dropped(c) && left.is_none_or(|left| !crate::word_rule::WordRule::parts(rule.code(left), rule.code(c))),
            Words::Whole | Words::Spaced => true,
        };
        let added = !self.added.ids.is_empty() && self.added.begins[usize::from(c.encode_utf8(&mut [0; 4]).as_bytes()[0])];
        kept && divided && one_word && !added
    }

    /// What appending `text` to the word changes; None where that is not carried.
    pub(super) fn word_grown(&self, word: &mut GrowingWord, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        word.last = text.chars().try_fold(word.last, |left, c| self.is_carried(Some(left), c).then_some(c))?;
        let before = word.text.len();
        word.text.push_str(text);
        let after = word.text.len();
        word.over |= after >= word.look_at;
        let (Some(lattice), Model::Unigram(model)) = (&mut word.lattice, &self.model) else {
            return Some(Edit { drop: 0, ids: Vec::new(), lossless: false });
        };
        lattice.extend(model, text)?;
        let from = lattice.common(before, after);
        let bytes = word.text.as_bytes();
        let mut ids = Vec::new();
        for (id, start, end) in lattice.tokens(from, after) {
            if vocabulary.bytes(id, 0).ok()? != &bytes[start..end] {
                return None;
            }
            ids.push(id);
        }
        Some(Edit { drop: lattice.count(before) - lattice.count(from), ids, lossless: true })
    }

    /// The settled cuts of the word behind `from`, in positions of `near`, its end; None where a window must tell.
    pub(super) fn word_settled(&self, word: &GrowingWord, near: &str, from: usize) -> Option<Vec<usize>> {
        if !self.pieces_settle() {
            return Some(Vec::new());
        }
        let lattice = word.lattice.as_ref()?;
        let length = word.text.len();
        let cuts = lattice.uncrossed((length + from).saturating_sub(near.len()), self.border_of(lattice));
        let mut cuts: Vec<usize> = cuts.map(|at| (at + near.len()).saturating_sub(length)).filter(|&at| at > from && near.is_char_boundary(at)).collect();
        cuts.reverse();
        Some(cuts)
    }

    /// Whether it is sure that no cut of the word is settled.
    pub(super) fn word_is_unsettled(&self, word: &mut GrowingWord) -> bool {
        let Some(lattice) = word.lattice.as_ref().filter(|_| self.pieces_settle()) else { return true };
        let border = self.border_of(lattice);
        let unsettled = lattice.uncrossed(word.quiet, border).all(|at| !word.text.is_char_boundary(at));
        if unsettled {
            word.quiet = word.quiet.max(border.quiet());
        }
        unsettled
    }

    /// Up to where the word is final: what is appended may change its last character.
    fn border_of(&self, lattice: &GrowingLattice) -> Border {
        if self.rewriter.looks_behind_itself() { lattice.before_last() } else { lattice.border() }
    }

    /// Whether cuts inside a word may be settled, because no piece stands across.
    fn pieces_settle(&self) -> bool {
        matches!(self.words, Words::Whole) && !self.rewriter.acts_on_runs()
    }

    /// See [`crate::engine::Engine::carries`].
    pub(super) fn carries_words(&self) -> String {
        match &self.model {
            Model::Unigram(_) => "words of characters that are pieces and that the normalizer keeps, each by itself; other stretches without a cut (white space, unknown or rewritten characters) are read again at each push".into(),
            Model::WordPiece(model) => format!("words of more than {} characters; white space and rewritten characters without a cut are read again at each push", model.longest_word),
        }
    }
}
