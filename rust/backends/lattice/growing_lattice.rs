//! The best segmentation of every prefix of a growing word, for Unigram models. One more byte costs only the pieces
//! that are open there.
//!
//! `Unigram::encode` goes through the same edges in the same order, so sums and ties are the same to the last bit
//! (docs/proofs/unigram-streams.md). `growing_path.rs` turns the ways into tokens.

use crate::models::unigram::{Best, Carried, Unigram, NOWHERE};
use crate::tokens::tree::{List, Lists, TokenTree, EMPTY};
use crate::util::double_array::Node;
use crate::vocabulary::said::{says, Said};
use crate::vocabulary::table::Vocabulary;

/// In [`At::run`]: no unknown text ends here.
pub(crate) const NO_RUN: u32 = u32::MAX;

/// A position of the word, and the best way to it. Example: in "cats" the position 3, reached by the piece "cat".
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) best: Best,
    /// The begin of the longest piece that ends here; the position itself where none does.
    longest: u32,
    /// The begin of the first piece that may go on here; the position itself where none does.
    open: u32,
    /// The begin of the unknown text that ends here.
    pub(crate) run: u32,
    /// The tokens up to here.
    pub(crate) list: List,
    /// The same tokens, with that text as single bytes.
    pub(crate) spelled: List,
    /// The bytes that tokens before that text do not give back.
    pub(crate) lost: u32,
    /// The character that ends here is no piece.
    bare: bool,
    /// A word begins here.
    pub(crate) begins: bool,
    /// Some token before that text decodes to other bytes than those of its place. Unknown tokens do not count.
    pub(crate) odd: bool,
    /// The text of [`At::run`] can be written as single bytes.
    pub(crate) spelt: bool,
    /// The bytes that the tokens up to here say, from each of two beginnings; and the same with single bytes.
    pub(crate) said: [Said; 2],
    pub(crate) spelled_said: [Said; 2],
}

const NO_WAY: At = At {
    best: NOWHERE,
    longest: 0,
    open: 0,
    run: NO_RUN,
    list: EMPTY,
    spelled: EMPTY,
    lost: 0,
    bare: false,
    begins: false,
    odd: false,
    spelt: true,
    said: [Said::Other; 2],
    spelled_said: [Said::Other; 2],
};

/// A word, the best ways to its positions, and the pieces that may still grow. Example: "cat", where "cats" may follow.
#[derive(Debug, Clone)]
pub(crate) struct GrowingLattice {
    pub(crate) text: String,
    pub(crate) at: Vec<At>,
    /// The begin of each walk through the pieces, and its present node; ascending.
    walks: Vec<(u32, Node)>,
    /// The word begins inside unknown text, which is no piece as a whole.
    pub(crate) torn: bool,
    /// The begins of the words after the first one, with the ends of the words before them.
    begins: Vec<(usize, At)>,
    /// The tokens of the ways.
    pub(crate) tree: TokenTree,
}

impl GrowingLattice {
    /// A word that begins after the `carried` text, and two ways to read its first token.
    pub(crate) fn new(model: &Unigram, carried: Option<Carried>, said: [Said; 2]) -> Self {
        let torn = carried.is_some_and(Carried::is_unknown);
        let best = Best { sum: carried.map_or(0.0, Carried::sum), ..NOWHERE };
        let run = if torn { 0 } else { NO_RUN };
        let first = At { best, run, said, spelled_said: said, ..NO_WAY };
        let (text, at, tree) = (String::new(), vec![first], TokenTree::default());
        let mut lattice = Self { text, at, walks: Vec::new(), torn, begins: Vec::new(), tree };
        lattice.begin(model);
        lattice
    }

    /// The tokens of the word.
    pub(crate) fn list(&self) -> List {
        self.at[self.text.len()].list
    }

    /// Ends the word: appended text is another one.
    pub(crate) fn begin_word(&mut self, model: &Unigram, vocabulary: &Vocabulary) {
        let end = self.text.len();
        self.begins.push((end, self.at[end]));
        let (lost, odd) = (self.lost(model, end) as u32, self.is_odd(model, vocabulary, end));
        let here = &mut self.at[end];
        (here.best.sum, here.longest, here.open) = (0.0, end as u32, end as u32);
        (here.run, here.lost, here.odd, here.bare, here.begins) = (NO_RUN, lost, odd, false, true);
        self.walks.clear();
    }

    /// The begins of words from `at` on, but for the first one.
    pub(crate) fn begins_from(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let first = self.begins.partition_point(|&(begin, _)| begin < at);
        self.begins[first..].iter().map(|&(begin, _)| begin)
    }

    /// Appends `text`, which stands for text of `raw`; None where unknown characters are spelled in a way that is not
    /// carried.
    ///
    /// Complexity: O(text · longest piece) at worst.
    pub(crate) fn extend(&mut self, model: &Unigram, vocabulary: &Vocabulary, text: &str, raw: &str) -> Option<()> {
        // Whether unknown text that begins before the word can be spelled is not known.
        (!self.torn || model.bytes.is_none() || model.spells_all).then_some(())?;
        let tree = self.tree.share();
        let mut lists = tree.lists();
        for c in text.chars() {
            let begin = self.text.len();
            self.text.push(c);
            self.walks.push((begin as u32, model.pieces.root()));
            let mut known = false;
            for index in begin..self.text.len() {
                let (byte, end) = (self.text.as_bytes()[index], index + 1);
                let mut here = NOWHERE;
                let mut longest = end as u32;
                let at = &self.at;
                self.walks.retain_mut(|(start, node)| {
                    let Some(next) = model.pieces.step(*node, byte) else { return false };
                    *node = next;
                    if let Some(index) = next.value() {
                        let (score, id) = model.entries[index as usize];
                        longest = longest.min(*start);
                        let start = *start as usize;
                        known |= start == begin && end - begin == c.len_utf8();
                        // As `reach` in unigram.rs: of equal sums the first one stays.
                        let sum = model.rounded(score + at[start].best.sum);
                        if here.length == 0 || sum > here.sum {
                            here = Best { sum, id, length: (end - start) as u32 };
                        }
                    }
                    next.goes_on()
                });
                let open = self.walks.first().map_or(end as u32, |&(start, _)| start);
                self.at.push(At { best: here, longest, open, ..NO_WAY });
            }
            if !known {
                self.reach_unknown(model, vocabulary, c, begin)?;
            }
            self.end_way(model, vocabulary, &mut lists, raw);
        }
        Some(())
    }

    /// The way over a single character that is no piece comes last.
    fn reach_unknown(&mut self, model: &Unigram, vocabulary: &Vocabulary, c: char, begin: usize) -> Option<()> {
        if let Some(bytes) = model.bytes.as_ref().filter(|_| model.marks) {
            // A space may be spelled in the three bytes of its mark.
            let said = |byte: u8| bytes[usize::from(byte)].is_none_or(|id| says(vocabulary, id, &[byte]));
            (c != ' ' && c.encode_utf8(&mut [0; 4]).bytes().all(said)).then_some(())?;
        }
        let sum = model.rounded(model.unknown_score + self.at[begin].best.sum);
        let last = self.at.last_mut()?;
        last.bare = true;
        if last.best.length == 0 || sum > last.best.sum {
            last.best = Best { sum, id: model.unknown, length: c.len_utf8() as u32 };
        }
        Some(())
    }

    /// Writes the tokens of the way to the end, and counts the bytes that they do not give back.
    fn end_way(&mut self, model: &Unigram, vocabulary: &Vocabulary, lists: &mut Lists<'_>, raw: &str) {
        let end = self.text.len();
        let Best { id, length, .. } = self.at[end].best;
        // The loss of the unknown runs that the way has passed is counted with the token that follows.
        let start = end - length as usize;
        let before = self.at[start];
        let (run, lost) = if id != model.unknown {
            (NO_RUN, self.lost(model, start) as u32)
        } else if before.run == NO_RUN {
            (start as u32, before.lost)
        } else {
            (before.run, before.lost)
        };
        let odd = if id == model.unknown {
            before.odd
        } else {
            self.is_odd(model, vocabulary, start) || !says(vocabulary, id, &self.text.as_bytes()[start..])
        };
        let spelt = model
            .bytes
            .as_ref()
            .is_some_and(|bytes| self.text.as_bytes()[start..].iter().all(|&byte| bytes[usize::from(byte)].is_some()));
        let here = &mut self.at[end];
        here.odd = odd;
        (here.run, here.lost) = (run, lost);
        here.spelt = id == model.unknown && spelt && (before.run == NO_RUN || before.spelt);
        self.write(model, end, lists, vocabulary, raw);
    }

    /// Forgets the text after the character boundary `length`. Complexity: O(bytes that are forgotten, longest piece).
    pub(crate) fn truncate(&mut self, model: &Unigram, length: usize) {
        self.text.truncate(length);
        self.at.truncate(length + 1);
        let last = self.last_list(length);
        self.tree.forget_above(last);
        let first = self.begins.partition_point(|&(begin, _)| begin < length);
        if let Some(&(_, end)) = self.begins.get(first).filter(|&&(begin, _)| begin == length) {
            self.at[length] = end;
        }
        self.begins.truncate(first);
        self.walks.clear();
        let bytes = self.text.as_bytes();
        for start in self.open(length)..length {
            let walk = bytes[start..].iter().try_fold(model.pieces.root(), |node, &byte| model.pieces.step(node, byte));
            if let Some(node) = walk.filter(|node| self.text.is_char_boundary(start) && node.goes_on()) {
                self.walks.push((start as u32, node));
            }
        }
    }

    /// The begin of the first piece that may cross `length` with any appended text.
    pub(crate) fn open(&self, length: usize) -> usize {
        self.at[length].open as usize
    }

    /// Whether no piece can cross the place `at` of a word that ends at `length`, with any appended text. `first` is
    /// the begin of the first piece that crosses a place between. Must be called for each place, in descending order.
    pub(crate) fn is_uncrossed(&self, model: &Unigram, at: usize, first: &mut usize) -> bool {
        *first = (*first).min(self.at[at + 1].longest as usize);
        let fused = || {
            let next = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            !model.spells_all && self.at[at].bare && self.at[next].bare
        };
        *first >= at && self.text.is_char_boundary(at) && !fused()
    }
}
