//! A long word of a Unigram model that goes on growing: see `growing_lattice.rs`, and docs/proofs/certificates.md, section 9.
//!
//! Taken are windows that are one open word of characters that become the same everywhere, perhaps behind one space.
//! Whatever else comes ends it, and a window is encoded as before.

use super::{Model, Rewriting, Words};
use crate::encoder::Edit;
use crate::engine::Behind;
use crate::boundary::TokenCuts;
use crate::growing_lattice::{Border, GrowingLattice, Open};
use crate::normal::METASPACE;
use crate::token::{Place, Token, TokenId};
use crate::vocabulary::Vocabulary;

/// What rewriting goes on from, and what it has made of the last text.
#[derive(Debug, Clone, Default)]
struct Tail {
    normal: String,
    /// The last character of the text, and of what it becomes.
    last: Option<char>,
    end: Option<char>,
    /// Some character became another: the tokens say something else than the text, and will.
    changed: bool,
}

/// The state of a word.
#[derive(Debug, Clone)]
pub(crate) struct GrowingWord {
    /// None: a word of so many characters that it is one unknown token (WordPiece).
    lattice: Option<GrowingLattice>,
    unknown: TokenId,
    /// The word as the model reads it.
    text: String,
    tail: Tail,
    /// No cut up to here can ever become settled.
    quiet: usize,
    /// So many bytes of text are read, and from so many on it is worth looking for settled cuts.
    read: usize,
    look_at: usize,
    pub(crate) over: bool,
}

/// What a word must know to go back to where it is now.
#[derive(Debug, Clone)]
pub(crate) struct SavedWord {
    length: usize,
    read: usize,
    tail: Tail,
    open: Option<Open>,
}

impl GrowingWord {
    pub(crate) fn save(&self) -> SavedWord {
        SavedWord { length: self.text.len(), read: self.read, tail: self.tail.clone(), open: self.lattice.as_ref().map(GrowingLattice::open) }
    }

    /// Takes the word back to where it was `saved`.
    pub(crate) fn restore(&mut self, saved: &SavedWord) {
        self.text.truncate(saved.length);
        self.read = saved.read;
        self.tail.clone_from(&saved.tail);
        if let (Some(lattice), Some(open)) = (&mut self.lattice, &saved.open) {
            lattice.restore(open);
            self.quiet = self.quiet.min(lattice.before_last().quiet());
        }
    }

    /// The character boundaries of `near`, the end of the word, behind `from` that no token stands across; None where the
    /// word is another text than was written, so that a window must tell.
    pub(crate) fn token_cuts(&self, near: &str, from: usize) -> Option<Vec<usize>> {
        if self.tail.changed {
            return None;
        }
        let Some(lattice) = &self.lattice else { return Some(Vec::new()) };
        let length = self.text.len();
        let before = length.saturating_sub(near.len());
        let tokens = lattice.tokens((length + from).saturating_sub(near.len()), length);
        // A dummy prefix may be longer than what `near` lacks of the text.
        let place = |at: usize| (at + near.len()).saturating_sub(length);
        let tokens: Vec<Token> = tokens.into_iter().filter(|&(_, _, end)| end > before).map(|(id, start, end)| Token { id, start: place(start), end: place(end), word: 0 }).collect();
        let cuts = TokenCuts::new(&tokens, near.len());
        Some((from + 1..near.len()).filter(|&at| near.is_char_boundary(at) && cuts.contains(at)).collect())
    }

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
        self.lattice.is_some() && !self.tail.changed
    }
}

impl Rewriting {
    /// Takes up the window `text`, if it is one word of a kind that is carried.
    pub(super) fn grow_word(&self, text: &str, behind: Behind) -> Option<GrowingWord> {
        if !self.added.ids.is_empty() && !self.added.stretches(text).stretches.iter().all(|stretch| stretch.added.is_none()) {
            return None;
        }
        let (carried, place) = (if let Behind::Word(carried) = behind { Some(carried) } else { None }, behind.place());
        let start = place == Place::Start;
        let (spaced, rest) = match (&self.words, text.strip_prefix(' ')) {
            (Words::Whole, _) | (_, None) => (false, text),
            (_, Some(rest)) => (true, rest),
        };
        if spaced && (start || carried.is_some() || !self.rewriter.keeps(" ", crate::rewriter::Ends::default())) {
            return None;
        }
        let (marked, ruled) = match &self.words {
            Words::Ruled { marked, .. } => (*marked && !(place == Place::Inside && self.goes_on(text)), true),
            Words::Whole | Words::Spaced => (false, false),
        };
        if spaced && !self.rewriter.divides(' ', rest.chars().next()?) {
            return None;
        }
        let mut tail = Tail::default();
        self.rewrite_on(&mut tail, rest)?;
        let dummy = start && self.dummy_at(0, place) && self.wants_dummy(&tail.normal);
        let lead = carried.is_none() && (marked || dummy || spaced && !ruled);
        let word = format!("{}{}", if lead { " " } else { "" }, tail.normal);
        let (lattice, unknown) = match &self.model {
            Model::Unigram(model) => {
                let mut lattice = GrowingLattice::new(carried)?;
                lattice.extend(model, &word)?;
                (Some(lattice), model.unknown)
            }
            Model::WordPiece(model) if ruled && tail.normal.chars().count() > model.longest_word => (None, model.unknown),
            Model::WordPiece(_) => return None,
        };
        tail.normal.clear();
        let (quiet, read, look_at) = (0, text.len(), 2 * text.len());
        Some(GrowingWord { lattice, unknown: TokenId(unknown), quiet, read, look_at, text: word, tail, over: false })
    }

    /// Appends what `text` becomes to `tail.normal`, if what stands before it stays as it is and all of it is of one word.
    fn rewrite_on(&self, tail: &mut Tail, text: &str) -> Option<()> {
        for c in text.chars() {
            let added = !self.added.ids.is_empty() && self.added.begins[usize::from(c.encode_utf8(&mut [0; 4]).as_bytes()[0])];
            if added || tail.last.is_some_and(|last| !self.rewriter.divides(last, c)) {
                return None;
            }
            let output = self.rewriter.alone(c)?;
            let is_marked = !matches!(self.words, Words::Ruled { marked: false, .. });
            let is_space = |c: char| c.is_whitespace() || c == METASPACE && (is_marked || self.rewriter.acts_on_runs());
            // What acts on white space in runs and at ends may do so between two steps.
            if self.rewriter.acts_on_runs() && (is_space(c) || !output.chars().eq([c])) {
                return None;
            }
            for c in output.chars() {
                let is_space = is_space(c);
                let one_word = match &self.words {
                    Words::Ruled { rule, .. } => {
                        !is_space && !rule.is_dropped(c) && tail.end.is_none_or(|left| !crate::word_rule::WordRule::parts(rule.code(left), rule.code(c)))
                    }
                    Words::Spaced => !is_space,
                    Words::Whole => true,
                };
                if !one_word {
                    return None;
                }
                tail.end = Some(c);
            }
            tail.changed |= !output.chars().eq([c]);
            tail.normal.push_str(&output);
            tail.last = Some(c);
        }
        tail.last.map(|_| ())
    }

    /// What appending `text` to the word changes; None where that is not carried.
    pub(super) fn word_grown(&self, word: &mut GrowingWord, text: &str, vocabulary: &Vocabulary) -> Option<Edit> {
        self.rewrite_on(&mut word.tail, text)?;
        let before = word.text.len();
        let normal = std::mem::take(&mut word.tail.normal);
        word.text.push_str(&normal);
        word.read += text.len();
        let after = word.text.len();
        word.over |= word.read >= word.look_at;
        let (Some(lattice), Model::Unigram(model)) = (&mut word.lattice, &self.model) else {
            return Some(Edit { drop: 0, ids: Vec::new(), lossless: false });
        };
        lattice.extend(model, &normal)?;
        let from = lattice.common(before, after);
        let bytes = word.text.as_bytes();
        let mut ids = Vec::new();
        for (id, start, end) in lattice.tokens(from, after) {
            if vocabulary.bytes(id, 0).ok()? != &bytes[start..end] {
                return None;
            }
            ids.push(id);
        }
        Some(Edit { drop: lattice.count(before) - lattice.count(from), ids, lossless: !word.tail.changed })
    }

    /// The settled cuts of the word behind `from`, in positions of `near`, its end; None where a window must tell.
    pub(super) fn word_settled(&self, word: &GrowingWord, near: &str, from: usize) -> Option<Vec<usize>> {
        if !self.pieces_settle() {
            return Some(Vec::new());
        }
        let lattice = word.lattice.as_ref().filter(|_| !word.tail.changed)?;
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
        let carried = match &self.model {
            Model::Unigram(_) => "words of characters that are pieces and become the same everywhere".to_string(),
            Model::WordPiece(model) => format!("words of more than {} characters", model.longest_word),
        };
        format!("{carried}, runs of white space that is dropped or folded, characters that vanish; characters that are read together and stay (runs of marks, U+200D, Hangul letters, flags) are read again at each push")
    }
}
