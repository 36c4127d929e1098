//! A long word of a Unigram model that goes on growing: see `growing_lattice.rs`, and docs/design.md, section 10.9.
//!
//! Taken are windows that are one open word of characters that the normalizer keeps, each by itself, perhaps behind one
//! space. Whatever else comes ends it, and a window is encoded as before.

use super::{Model, Rewriting, Words};
use crate::encoder::Edit;
use crate::engine::Behind;
use crate::growing_lattice::GrowingLattice;
use crate::normal::METASPACE;
use crate::token::{Place, TokenId};
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
    /// From this length on it is worth looking for settled cuts.
    look_at: usize,
    pub(crate) over: bool,
}

impl GrowingWord {
    /// All tokens of the word.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        match &self.lattice {
            Some(lattice) => lattice.tokens(0, self.text.len()).into_iter().map(|(id, ..)| id).collect(),
            None => vec![self.unknown],
        }
    }

    /// Whether the tokens stay as they are, whatever is appended to the word.
    pub(crate) fn is_constant(&self) -> bool {
        self.lattice.is_none()
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
        Some(GrowingWord { lattice, unknown: TokenId(unknown), look_at: 2 * word.len(), text: word, last, over: false })
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
}
