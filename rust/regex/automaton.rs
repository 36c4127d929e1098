//! Syntax tree -> a deterministic automaton, for the patterns that allow one: one table step a character.
//!
//! A state is the ordered list of the places where a backtracking matcher could be. The matcher would try the first of
//! them first (leftmost-first, as in Perl, Oniguruma and fancy-regex). A match that an earlier place could still better
//! is kept and the walk goes on. A match that nothing can better ends it. So the walk never looks further than the
//! answer needs, and the place where it stopped is how far it looked. Look-ahead of one character is decided by the
//! next symbol.
//!
//! Some patterns have no automaton: longer look-ahead, atomic groups that change the language, many states. They are
//! left to the backtracking machine in `backtrack.rs`, which gives the same matches (the tests of `mod.rs`).

use crate::regex::char_class::CodePoints;
use crate::regex::parse::{Greed, Node};
use crate::util::byte_set::ByteSet;
use crate::util::text::code_point;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// The match ends before the character of this step.
pub(crate) const ENDS_BEFORE: u32 = 1 << 31;
/// The match ends after the character of this step, whatever follows.
pub(crate) const ENDS_BEHIND: u32 = 1 << 30;
pub(crate) const ROW: u32 = ENDS_BEHIND - 1;
/// No place is left: the walk is over.
pub(crate) const DEAD: u32 = 0;

/// Beyond these the tables would cost more than they bring.
const MOST_INSTRUCTIONS: usize = 4096;
const MOST_STATES: u32 = 2048;
const MOST_SETS: usize = 64;
/// NfaStates visited while the states are made; published rules need up to 14,000.
const MOST_WORK: usize = 2_000_000;

/// In a chain: a match, or a gap between matches, begins at this character.
const CUTS: u32 = 1 << 31;
/// In a chain: a match would end before this character if nothing longer is found.
const MAY_END: u32 = 1 << 30;
/// In a chain: the walk is over and no match ends here.
const STUCK: u32 = 1 << 29;
const CHAIN_ROW: u32 = STUCK - 1;
/// Steps between two looks at the cuts that were found.
const BLOCK: usize = 32;
/// Code points that share a leaf: those whose UTF-8 differs in the last byte alone.
const LEAF: usize = 64;
const PAGES: usize = 0x10000 / LEAF;

/// A compiled pattern as a table: one step a character.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    /// For each 64 code points below U+10000 the place of their symbols in `leaves`, in units of 64. Few are distinct,
    /// so that both stay in the nearest cache where one table of the plane, 64 KiB, does not.
    pages: Box<[u16; PAGES]>,
    leaves: Box<[u8]>,
    /// First code point and symbol of each range above.
    above: Box<[(u32, u8)]>,
    /// `steps[row + symbol]` holds the row of the next state, a multiple of `symbols`; the last symbol is the end of
    /// the text.
    steps: Box<[u32]>,
    /// As `steps`, over one match after the other: where a match ends before a character, the step of the first state
    /// over that character. So the cuts of a text are found without a branch on where they are, which would be
    /// mispredicted twice a word.
    chain: Box<[u32]>,
    /// For each byte, whether a match may begin with a character whose UTF-8 begins with it.
    begins: ByteSet,
    symbols: usize,
    /// The row of the first state.
    start: usize,
}

/// A finding of a walk over many matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A match, or a gap between matches, ends here and another begins.
    Cut(usize),
    /// The text from the last cut, or from the begin of the walk, is in no match.
    Gap,
}

/// The first attempt of a walk that looked at or beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// Where it began.
    pub(crate) at: usize,
    /// Whether a match ended there, or the text began.
    pub(crate) behind_match: bool,
}

/// The state of a walk over one match after the other.
#[derive(Clone, Copy)]
struct Chained {
    at: usize,
    row: u32,
    /// Where a match would end if nothing longer is found.
    end: usize,
}

impl Automaton {
    /// The automaton of `node`, if it has one.
    pub(crate) fn compile(node: &Node) -> Option<Self> {
        let mut sets = Sets::default();
        let mut places = NfaStates { list: Vec::new() };
        places.pattern(node, &mut sets)?;
        let alphabet = sets.alphabet()?;
        Determiniser::new(&places.list, alphabet).run()
    }

    /// The row of the first state.
    pub(crate) fn first_row(&self) -> u32 {
        self.start as u32
    }

    /// The number of symbols that are characters.
    pub(super) fn letters(&self) -> usize {
        self.symbols - 1
    }

    /// The step from the state at `row` over `symbol`.
    pub(super) fn step(&self, row: u32, symbol: usize) -> u32 {
        self.steps[row as usize + symbol]
    }

    /// The symbol of `c`.
    #[inline]
    pub(crate) fn symbol(&self, c: char) -> u8 {
        let code = c as u32;
        match self.pages.get(code as usize / LEAF) {
            Some(&page) => self.leaves[usize::from(page) * LEAF + code as usize % LEAF],
            None => self.above[self.above.partition_point(|&(first, _)| first <= code) - 1].1,
        }
    }

    /// The end of the match that begins at `start`, and the last position that was looked at (`text.len()`: its end).
    #[inline]
    pub(crate) fn match_at(&self, text: &str, start: usize) -> (Option<usize>, usize) {
        let bytes = text.as_bytes();
        self.walk(start, bytes.len(), |at| self.symbol_at(bytes, at))
    }

    /// Whether a match may begin with the character at byte `at` of UTF-8.
    #[inline(always)]
    fn may_begin(&self, bytes: &[u8], at: usize) -> bool {
        self.steps[self.start + usize::from(self.symbol_at(bytes, at).0)] != DEAD
    }

    /// The symbol of the character at byte `at` of UTF-8, and its length.
    #[inline(always)]
    fn symbol_at(&self, bytes: &[u8], at: usize) -> (u8, usize) {
        // The first pages are those of ASCII, whose leaves are the first ones.
        let tail = |i: usize| usize::from(bytes[at + i] & 0x3F);
        let leaf = |page: usize, place: usize| self.leaves[LEAF * usize::from(self.pages[page]) + place];
        match bytes[at] {
            byte @ ..0x80 => (self.leaves[usize::from(byte)], 1),
            byte @ ..0xE0 => (leaf(usize::from(byte & 0x1F), tail(1)), 2),
            byte @ ..0xF0 => (leaf(usize::from(byte & 0x0F) << 6 | tail(1), tail(2)), 3),
            _ => (self.symbol(code_point(bytes, at)), 4),
        }
    }

    /// Calls `tell` with the ends of all matches in `text` from `start` on, and with the begins of matches after a gap.
    /// They are ascending and inside the text.
    ///
    /// Returns the first attempt that looked at or beyond `limit`, `text.len()` being "the text ended there". The
    /// matches must not be empty. Complexity: O(text) where matches are not much shorter than the text that they look
    /// at.
    #[inline]
    pub(crate) fn each_cut(&self, text: &str, start: usize, limit: usize, mut tell: impl FnMut(Found)) -> Option<Open> {
        let bytes = text.as_bytes();
        let length = bytes.len();
        let first = self.start as u32;
        let mut open: Option<Open> = None;
        let mut stop = limit.min(length);
        let mut walk = Chained { at: start, row: first, end: start };
        // The match that is walked begins here; if the walk's `end` is after that, it may end there.
        let mut begin = start;
        let mut cuts = [0; BLOCK];
        loop {
            let mut stuck = false;
            while walk.at < stop && !stuck {
                let count;
                (count, stuck) = self.block(bytes, stop, &mut walk, &mut cuts);
                for &found in &cuts[..count] {
                    begin = found;
                    if found > start {
                        tell(Found::Cut(found));
                    }
                }
            }
            if !stuck {
                if limit <= length && open.is_none() {
                    let after = walk.row == first;
                    if !after || walk.at < length {
                        open = Some(Open { at: if after { walk.at } else { begin }, behind_match: true });
                    }
                    stop = length;
                    if walk.at < length {
                        continue;
                    }
                }
                if walk.row == first || self.steps[walk.row as usize + self.symbols - 1] & ENDS_BEFORE != 0 {
                    return open;
                }
            }
            walk.row = first;
            if walk.end > begin {
                walk.at = walk.end;
                begin = walk.end;
                continue;
            }
            tell(Found::Gap);
            let Some((cut, end)) = self.match_after(text, begin, limit, &mut open) else { return open };
            tell(Found::Cut(cut));
            (walk.at, begin, walk.end) = (end, end, end);
            stop = if open.is_some() { length } else { stop };
        }
    }

    /// Takes the walk over one match after the other on, by [`BLOCK`] characters at most, and not beyond `stop`.
    ///
    /// Returns the number of cuts that it has written to the start of `cuts`. Also returns whether it is over because
    /// no match ends at its place.
    #[inline(always)]
    fn block(&self, bytes: &[u8], stop: usize, walk: &mut Chained, cuts: &mut [usize; BLOCK]) -> (usize, bool) {
        let Chained { mut at, mut row, mut end } = *walk;
        let (mut count, mut stuck) = (0, false);
        for _ in 0..BLOCK {
            if at >= stop {
                break;
            }
            let (symbol, width) = self.symbol_at(bytes, at);
            let step = self.chain[row as usize + usize::from(symbol)];
            // Written in any case, kept if it is one.
            cuts[count % BLOCK] = at;
            count += usize::from(step & CUTS != 0);
            end = if step & MAY_END != 0 { at } else { end };
            if step & STUCK != 0 {
                stuck = true;
                break;
            }
            row = step & CHAIN_ROW;
            at += width;
        }
        *walk = Chained { at, row, end };
        (count, stuck)
    }

    /// The first match that begins after `begin`, where none does: its start and its end.
    ///
    /// Notes in `open` the first attempt that looked at or beyond `limit`.
    #[inline(always)]
    fn match_after(&self, text: &str, begin: usize, limit: usize, open: &mut Option<Open>) -> Option<(usize, usize)> {
        let (bytes, length) = (text.as_bytes(), text.len());
        let mut at = begin;
        loop {
            // No character that begins with a byte in between begins a match, and few of the others do.
            at = (at + 1..length)
                .find(|&at| self.begins.contains(bytes[at]) && self.may_begin(bytes, at))
                .unwrap_or(length);
            if at >= limit && limit < length && open.is_none() {
                let at = (limit..at).find(|&at| text.is_char_boundary(at)).unwrap_or(at);
                *open = Some(Open { at, behind_match: false });
            }
            if at >= length {
                return None;
            }
            let (found, looked) = self.match_at(text, at);
            if looked >= limit && open.is_none() {
                *open = Some(Open { at, behind_match: false });
            }
            if let Some(found) = found {
                return Some((at, found));
            }
        }
    }

    /// As [`Automaton::match_at`] over single bytes, `symbols` being the symbol of each.
    pub(crate) fn match_bytes_at(&self, bytes: &[u8], symbols: &[u8; 256], start: usize) -> (Option<usize>, usize) {
        self.walk(start, bytes.len(), |at| (symbols[usize::from(bytes[at])], 1))
    }

    #[inline(always)]
    fn walk(&self, start: usize, length: usize, symbol_at: impl Fn(usize) -> (u8, usize)) -> (Option<usize>, usize) {
        const NONE: usize = usize::MAX;
        let found = |end: usize| (end != NONE).then_some(end);
        let mut row = self.start as u32;
        let mut at = start;
        let mut end = NONE;
        loop {
            // As long as the state stays the same, the next look-up need not wait for this one.
            let (step, width) = loop {
                if at >= length {
                    let last = self.steps[row as usize + self.symbols - 1];
                    return (found(if last & ENDS_BEFORE != 0 { length } else { end }), length);
                }
                let (symbol, width) = symbol_at(at);
                let step = self.steps[row as usize + usize::from(symbol)];
                if step & ENDS_BEFORE != 0 {
                    end = at;
                }
                if step & !ENDS_BEFORE != row {
                    break (step, width);
                }
                at += width;
            };
            if step & ENDS_BEHIND != 0 {
                return (Some(at + width), at);
            }
            row = step & ROW;
            if row == DEAD {
                return (found(end), at);
            }
            at += width;
        }
    }
}

/// Where a matcher can be.
#[derive(Debug, Clone)]
enum NfaState {
    /// One character of the set, then the next place.
    Set(usize),
    /// The first, or else the second.
    Fork(usize, usize),
    Jump(usize),
    /// The next character is in the set (or not, if negated); the end of the text counts as `end`.
    Look {
        sets: Vec<usize>,
        end: bool,
        negative: bool,
    },
    Accept,
}

struct NfaStates {
    list: Vec<NfaState>,
}

/// The character sets of a pattern, each once.
#[derive(Default)]
struct Sets {
    list: Vec<Rc<CodePoints>>,
}

impl Sets {
    fn number(&mut self, set: &Rc<CodePoints>) -> Option<usize> {
        if let Some(number) = self.list.iter().position(|known| Rc::ptr_eq(known, set) || known == set) {
            return Some(number);
        }
        self.list.push(Rc::clone(set));
        (self.list.len() <= MOST_SETS).then(|| self.list.len() - 1)
    }

    /// The classes of code points that no set distinguishes.
    fn alphabet(&self) -> Option<Alphabet> {
        let mut numbers: FxHashMap<u64, u8> = FxHashMap::default();
        let mut members: Vec<u64> = Vec::new();
        let mut symbol = |mask: u64| -> Option<u8> {
            if let Some(&number) = numbers.get(&mask) {
                return Some(number);
            }
            let number = u8::try_from(members.len()).ok().filter(|&n| n < 250)?;
            numbers.insert(mask, number);
            members.push(mask);
            Some(number)
        };
        let mut plane = vec![0u8; 0x10000].into_boxed_slice();
        for word in 0..0x10000 / 64 {
            let words: Vec<u64> = self.list.iter().map(|set| set.plane_word(word)).collect();
            // Most stretches of 64 code points are all in or all out of each set.
            if words.iter().all(|&bits| bits == 0 || bits == u64::MAX) {
                let mask = words.iter().enumerate().fold(0, |mask, (i, &bits)| mask | (bits & 1) << i);
                plane[word * 64..word * 64 + 64].fill(symbol(mask)?);
                continue;
            }
            for bit in 0..64 {
                let mask = words.iter().enumerate().fold(0, |mask, (i, &bits)| mask | (bits >> bit & 1) << i);
                plane[word * 64 + bit] = symbol(mask)?;
            }
        }
        let mut starts: Vec<u32> = self.list.iter().flat_map(|set| set.edges_above()).chain([0x10000]).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut above = Vec::with_capacity(starts.len());
        for first in starts {
            let contains = |set: &CodePoints| char::from_u32(first).is_some_and(|c| set.contains(c));
            let mask = self.list.iter().enumerate().fold(0, |mask, (i, set)| mask | u64::from(contains(set)) << i);
            above.push((first, symbol(mask)?));
        }
        Some(Alphabet { plane, above: above.into_boxed_slice(), members })
    }
}

struct Alphabet {
    plane: Box<[u8]>,
    above: Box<[(u32, u8)]>,
    /// For each symbol the sets that hold it, as bits.
    members: Vec<u64>,
}

/// The sets of characters that can begin a match of the rest of a sequence.
struct First {
    sets: Vec<Rc<CodePoints>>,
    /// The rest matches the empty text whatever follows.
    empty: bool,
    /// Nothing was met that makes the answer uncertain.
    known: bool,
}

fn first_of(nodes: &[Node]) -> First {
    let mut first = First { sets: Vec::new(), empty: true, known: true };
    for node in nodes {
        match node {
            Node::Class(set) => {
                first.sets.push(set.clone());
                first.empty = false;
            }
            Node::Repeat { node, min, .. } => {
                let inner = first_of(std::slice::from_ref(node));
                first.sets.extend(inner.sets);
                first.known &= inner.known;
                first.empty = *min == 0 || inner.empty;
            }
            Node::Sequence(inner) => {
                let inner = first_of(inner);
                first.sets.extend(inner.sets);
                first.known &= inner.known;
                first.empty = inner.empty;
            }
            Node::Alternatives(branches) => {
                first.empty = false;
                for branch in branches {
                    let inner = first_of(std::slice::from_ref(branch));
                    first.sets.extend(inner.sets);
                    first.known &= inner.known;
                    first.empty |= inner.empty;
                }
            }
            // There is no character after the end of the text.
            Node::EndOfText => first.empty = false,
            Node::LookAhead { .. } | Node::Atomic(_) => {
                first.known = false;
                first.empty = false;
            }
        }
        if !first.empty {
            break;
        }
    }
    first
}

/// `steps` over one match after the other.
fn chain(steps: &[u32], symbols: usize, start: usize) -> Box<[u32]> {
    let mut chain = vec![STUCK; steps.len()];
    let mut fill = |row: usize| {
        for symbol in 0..symbols - 1 {
            let step = steps[row + symbol];
            let begins = if row == start { CUTS } else { 0 };
            chain[row + symbol] = if step & ENDS_BEHIND != 0 {
                start as u32 | begins
            } else if step & ROW != DEAD {
                step & ROW | begins | if step & ENDS_BEFORE != 0 && row != start { MAY_END } else { 0 }
            } else if step & ENDS_BEFORE != 0 && row != start {
                // That row is filled first.
                chain[start + symbol]
            } else {
                STUCK | begins
            };
        }
    };
    fill(start);
    (0..steps.len()).step_by(symbols).filter(|&row| row != start).for_each(fill);
    chain.into_boxed_slice()
}

/// The table of a plane as pages of leaves, each leaf once; those of ASCII come first.
fn folded(plane: &[u8]) -> (Box<[u16; PAGES]>, Box<[u8]>) {
    let mut leaves = plane[..2 * LEAF].to_vec();
    let mut known: FxHashMap<&[u8], u16> = FxHashMap::default();
    let mut pages = Box::new([0; PAGES]);
    for (page, leaf) in pages.iter_mut().zip(plane.chunks_exact(LEAF)) {
        *page = *known.entry(leaf).or_insert_with(|| {
            leaves.extend_from_slice(leaf);
            (leaves.len() / LEAF - 1) as u16
        });
    }
    (pages, leaves.into())
}

/// For each byte, whether `may` holds for the symbol of some character that begins with it.
fn begins(plane: &[u8], above: &[(u32, u8)], may: impl Fn(u8) -> bool) -> ByteSet {
    let mut begins = ByteSet::default();
    let mut set = |code: u32| {
        let mut buffer = [0; 4];
        if let Some(c) = char::from_u32(code) {
            begins.insert(c.encode_utf8(&mut buffer).as_bytes()[0]);
        }
    };
    (0..).zip(plane).filter(|(_, &symbol)| may(symbol)).for_each(|(code, _)| set(code));
    for (index, &(first, symbol)) in above.iter().enumerate() {
        let last = above.get(index + 1).map_or(0x10FFFF, |&(next, _)| next - 1);
        if may(symbol) {
            // Each of the bytes F0 to F4 begins the UTF-8 of 2^18 code points.
            (first..=last).step_by(1 << 18).chain([last]).for_each(&mut set);
        }
    }
    begins
}

impl NfaStates {
    fn pattern(&mut self, node: &Node, sets: &mut Sets) -> Option<()> {
        self.emit(node, true, sets)?;
        self.push(NfaState::Accept)
    }

    fn push(&mut self, place: NfaState) -> Option<()> {
        self.list.push(place);
        (self.list.len() <= MOST_INSTRUCTIONS).then_some(())
    }

    /// `last`: the match is complete when the node is.
    fn emit(&mut self, node: &Node, last: bool, sets: &mut Sets) -> Option<()> {
        match node {
            Node::Class(set) => {
                let number = sets.number(set)?;
                self.push(NfaState::Set(number))
            }
            Node::Sequence(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    let rest = &nodes[index + 1..];
                    if let Node::Repeat { node: inner, min, max, greed: Greed::Possessive } = node {
                        if !(last && never_gives_back(inner, rest)) {
                            return None;
                        }
                        self.repeat(inner, *min, *max, Greed::Greedy, sets)?;
                    } else {
                        self.emit(node, last && rest.is_empty(), sets)?;
                    }
                }
                Some(())
            }
            Node::Alternatives(nodes) => self.alternatives(nodes, last, sets),
            Node::Repeat { node, min, max, greed: Greed::Possessive } => {
                if !(last && never_gives_back(node, &[])) {
                    return None;
                }
                self.repeat(node, *min, *max, Greed::Greedy, sets)
            }
            Node::Repeat { node, min, max, greed } => self.repeat(node, *min, *max, *greed, sets),
            Node::LookAhead { node, negative } => {
                let mut look = (Vec::new(), false);
                one_character(node, &mut look, sets)?;
                self.push(NfaState::Look { sets: look.0, end: look.1, negative: *negative })
            }
            Node::EndOfText => self.push(NfaState::Look { sets: Vec::new(), end: true, negative: false }),
            Node::Atomic(_) => None,
        }
    }

    fn alternatives(&mut self, nodes: &[Node], last: bool, sets: &mut Sets) -> Option<()> {
        let mut exits = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            if index + 1 == nodes.len() {
                self.emit(node, last, sets)?;
                break;
            }
            let fork = self.list.len();
            self.push(NfaState::Accept)?;
            self.emit(node, last, sets)?;
            exits.push(self.list.len());
            self.push(NfaState::Accept)?;
            self.list[fork] = NfaState::Fork(fork + 1, self.list.len());
        }
        let end = self.list.len();
        for exit in exits {
            self.list[exit] = NfaState::Jump(end);
        }
        Some(())
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed, sets: &mut Sets) -> Option<()> {
        for _ in 0..min {
            self.emit(node, false, sets)?;
        }
        let fork_between = |body: usize, after: usize| {
            if greed == Greed::Lazy {
                NfaState::Fork(after, body)
            } else {
                NfaState::Fork(body, after)
            }
        };
        match max {
            None => {
                let fork = self.list.len();
                self.push(NfaState::Accept)?;
                self.emit(node, false, sets)?;
                self.push(NfaState::Jump(fork))?;
                self.list[fork] = fork_between(fork + 1, self.list.len());
            }
            Some(max) => {
                let mut forks = Vec::new();
                for _ in min..max {
                    forks.push(self.list.len());
                    self.push(NfaState::Accept)?;
                    self.emit(node, false, sets)?;
                }
                let after = self.list.len();
                for fork in forks {
                    self.list[fork] = fork_between(fork + 1, after);
                }
            }
        }
        Some(())
    }
}

/// Whether a possessive repetition of `node` before `rest`, at the end of an alternative, matches the same text as a
/// greedy one.
///
/// A greedy one would give characters back only where the rest fails. Then the rest would have to begin with a
/// character that was given back.
fn never_gives_back(node: &Node, rest: &[Node]) -> bool {
    let Node::Class(set) = node else { return false };
    let first = first_of(rest);
    if first.empty && first.known {
        return true;
    }
    first.known && first.sets.iter().all(|other| set.is_disjoint(other))
}

/// The characters that satisfy a look-ahead of one character, and whether the end of the text does.
fn one_character(node: &Node, look: &mut (Vec<usize>, bool), sets: &mut Sets) -> Option<()> {
    match node {
        Node::Class(set) => look.0.push(sets.number(set)?),
        Node::EndOfText => look.1 = true,
        Node::Alternatives(nodes) => {
            for node in nodes {
                one_character(node, look, sets)?;
            }
        }
        Node::Sequence(nodes) if nodes.len() == 1 => one_character(&nodes[0], look, sets)?,
        _ => return None,
    }
    Some(())
}

struct Determiniser<'a> {
    places: &'a [NfaState],
    alphabet: Alphabet,
    numbers: FxHashMap<Vec<usize>, u32>,
    states: Vec<Vec<usize>>,
    /// NfaStates that may still be visited.
    work: usize,
}

impl<'a> Determiniser<'a> {
    fn new(places: &'a [NfaState], alphabet: Alphabet) -> Self {
        // State 0 is the dead one.
        Self {
            places,
            alphabet,
            numbers: FxHashMap::from_iter([(Vec::new(), DEAD)]),
            states: vec![Vec::new()],
            work: MOST_WORK,
        }
    }

    fn run(mut self) -> Option<Automaton> {
        let symbols = self.alphabet.members.len() + 1;
        let start = self.number(vec![0])? as usize;
        let mut steps: Vec<u32> = vec![DEAD; symbols];
        let mut next = start;
        while next < self.states.len() {
            let state = self.states[next].clone();
            for symbol in 0..symbols {
                let (places, accepts) = self.step(&state, (symbol + 1 < symbols).then_some(symbol))?;
                let flag = if accepts { ENDS_BEFORE } else { 0 };
                steps.push(self.number(places)? | flag);
            }
            next += 1;
        }
        // A state that accepts whatever comes need not look at it.
        let row = |state: usize| state * symbols..(state + 1) * symbols;
        let over: Vec<bool> =
            (0..self.states.len()).map(|s| steps[row(s)].iter().all(|&step| step == DEAD | ENDS_BEFORE)).collect();
        for step in &mut steps {
            let (state, flag) = (*step & ROW, *step & ENDS_BEFORE);
            *step = flag | if over[state as usize] { ENDS_BEHIND } else { state * symbols as u32 };
        }
        if over[start] {
            return None;
        }
        let Alphabet { plane, above, .. } = self.alphabet;
        let start = start * symbols;
        let begins = begins(&plane, &above, |symbol| steps[start + usize::from(symbol)] != DEAD);
        let (pages, leaves) = folded(&plane);
        let steps = steps.into_boxed_slice();
        Some(Automaton { pages, leaves, above, chain: chain(&steps, symbols, start), steps, begins, symbols, start })
    }

    fn number(&mut self, state: Vec<usize>) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&state) {
            return Some(number);
        }
        let number = u32::try_from(self.states.len()).ok().filter(|&n| n < MOST_STATES)?;
        self.states.push(state.clone());
        self.numbers.insert(state, number);
        Some(number)
    }

    /// The places after `symbol` (`None`: the end of the text), and whether a match ends before it. `None`: the work is
    /// too much.
    fn step(&mut self, state: &[usize], symbol: Option<usize>) -> Option<(Vec<usize>, bool)> {
        let mut seen = vec![false; self.places.len()];
        let mut after = Vec::new();
        for &place in state {
            let mut stack = vec![place];
            while let Some(at) = stack.pop() {
                if std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                self.work = self.work.checked_sub(1)?;
                let within = |sets: &[usize]| {
                    symbol.is_some_and(|s| sets.iter().any(|set| self.alphabet.members[s] >> set & 1 == 1))
                };
                match &self.places[at] {
                    NfaState::Set(set) => {
                        // Each place is visited once, so each is listed once.
                        if within(&[*set]) {
                            after.push(at + 1);
                        }
                    }
                    NfaState::Fork(first, second) => stack.extend([*second, *first]),
                    NfaState::Jump(to) => stack.push(*to),
                    NfaState::Look { sets, end, negative } => {
                        if (within(sets) || symbol.is_none() && *end) != *negative {
                            stack.push(at + 1);
                        }
                    }
                    // Later places would only be tried if this failed.
                    NfaState::Accept => return Some((after, true)),
                }
            }
        }
        Some((after, false))
    }
}
