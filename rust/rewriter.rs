//! Normalizers that rewrite text, run by ourselves, with the way back from every character to what it came from.
//!
//! What the stages of a normalizer do to a text they mostly do to each character by itself. So each character has a
//! [`Class`], found out when it is first met by running the stages on it alone: text of characters that are kept is not touched at all,
//! characters that always become the same are looked up, and only what acts on its neighbours (combining marks, pairs of
//! quotes) runs through the stages, together with the characters beside it.

use crate::char_memo::CharMemo;
use crate::formats::charsmap::Charsmap;
use crate::known_words::{hash, KnownWords, Placed, LONGEST_WORD};
use crate::pattern::CodePoints;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::OnceLock;
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical, decompose_compatible, is_combining_mark};
use unicode_normalization_alignments::{is_nfc_quick, IsNormalized, UnicodeNormalization};
use unicode_segmentation::UnicodeSegmentation;

/// Normalization forms of Unicode Standard Annex 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

/// BERT's normalizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bert {
    pub(crate) clean: bool,
    pub(crate) chinese: bool,
    pub(crate) accents: bool,
    pub(crate) lowercase: bool,
}

/// One stage.
#[derive(Debug)]
pub(crate) enum Step {
    /// SentencePiece's own reading of its rules: the longest at each position. `later`: characters behind the first of a rule.
    Rules { rules: Charsmap, later: HashSet<char> },
    /// The crate's reading of the same: the shortest rule for each grapheme cluster, or else for each of its characters.
    ClusterRules(Charsmap),
    Literal { pattern: Vec<char>, content: Vec<char> },
    /// Each character of a set.
    Each { set: CodePoints, content: Vec<char> },
    /// Runs of two or more spaces.
    SpaceRuns { content: Vec<char> },
    /// Spaces at the start of the text.
    LeadingSpaces,
    /// Spaces (and marks U+2581) at its end.
    TrailingSpaces { marks: bool },
    Strip { left: bool, right: bool },
    Lowercase,
    Form(Form),
    StripAccents,
    Bert(Bert),
    Nmt,
}

/// A character with the bytes of the text that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    c: char,
    start: u32,
    end: u32,
}

/// Which ends of the text the ends of a part are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) start: bool,
    pub(crate) end: bool,
}

/// What the stages do to a character by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing.
    Kept = 0,
    /// Nothing, unless another such stands beside it.
    Sticky = 1,
    /// It becomes the same everywhere.
    Mapped = 2,
    /// It depends on its neighbours, or vanishes.
    Open = 3,
}

const CLASS: u8 = 3;
/// What it becomes, whatever stands beside it, ends with something else than white space. (Not so behind a character that
/// forms a cluster with it.)
const SOLID: u8 = 4;
/// A grapheme cluster ends behind it if a space follows.
const CLOSES: u8 = 8;

/// What is remembered of a character: four bits of code, the number of characters that it becomes, then these, 16 bits each.
const CODE: u64 = 0xF;
const COUNT: u32 = 4;
const OUTPUT: u32 = 8;
/// Three are enough for a Chinese character set apart by spaces and for a Hangul syllable taken apart. Longer outputs and
/// characters above the first plane (ligatures, rare signs) are not remembered.
const SHORT_OUTPUT: usize = 3;

/// The stages.
#[derive(Debug)]
pub(crate) struct Rewriter {
    steps: Vec<Step>,
    known: CharMemo,
    ascii: [u8; 128],
    /// Rules may be switched off by symbols of several characters: no stretch between two spaces can be divided.
    undivided: bool,
    acts_on_start: bool,
    acts_on_end: bool,
}

/// Where parts of a rewritten text came from.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    origins: Vec<Origin>,
    /// The one that was asked for last: tokens come in order.
    last: Cell<usize>,
}

/// A part of the rewritten text up to the next one.
#[derive(Debug, Clone, Copy)]
struct Origin {
    normal: u32,
    start: u32,
    end: u32,
    kept: bool,
}

impl Trace {
    pub(crate) fn clear(&mut self) {
        self.origins.clear();
        self.last.set(0);
    }

    /// `length` bytes from `normal` on stand for the bytes from `start` on, one for one.
    fn keep(&mut self, normal: usize, start: usize) {
        self.origins.push(Origin { normal: normal as u32, start: start as u32, end: 0, kept: true });
    }

    fn replace(&mut self, normal: usize, start: u32, end: u32) {
        self.origins.push(Origin { normal: normal as u32, start, end, kept: false });
    }

    fn at(&self, normal: usize) -> Option<Origin> {
        let holds = |index: usize| {
            let begins = |at: usize| self.origins.get(at).map(|origin| origin.normal as usize);
            begins(index).is_some_and(|begin| begin <= normal) && begins(index + 1).is_none_or(|next| normal < next)
        };
        let last = self.last.get();
        let index = match [last, last + 1].into_iter().find(|&index| holds(index)) {
            Some(index) => index,
            None => self.origins.partition_point(|origin| origin.normal as usize <= normal).checked_sub(1)?,
        };
        self.last.set(index);
        self.origins.get(index).copied()
    }

    /// Where the rewritten bytes from `start` to `end` (more than none) came from.
    pub(crate) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.at(start).map_or(0, |o| if o.kept { o.start as usize + start - o.normal as usize } else { o.start as usize });
        let last = self.at(end.saturating_sub(1)).map_or(0, |o| if o.kept { o.start as usize + end - o.normal as usize } else { o.end as usize });
        (first, last.max(first))
    }

    /// The rewritten position at which what stands at `at` in the text begins; `at` must be a cut.
    pub(crate) fn position(&self, at: usize, length: usize) -> usize {
        let next = self.origins.partition_point(|o| (o.start as usize) < at);
        let here = self.origins.get(next).map_or(length, |o| o.normal as usize);
        match next.checked_sub(1).and_then(|before| self.origins.get(before)) {
            Some(o) if o.kept => (o.normal as usize + at - o.start as usize).min(here),
            _ => here,
        }
    }
}

impl Rewriter {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let acts_on_start = steps.iter().any(|s| matches!(s, Step::LeadingSpaces | Step::Strip { left: true, .. }));
        let acts_on_end = steps.iter().any(|s| matches!(s, Step::TrailingSpaces { .. } | Step::Strip { right: true, .. }));
        let undivided = steps.iter().any(|s| matches!(s, Step::Rules { rules, .. } if rules.keeps_several()));
        let mut rewriter = Self { steps, known: CharMemo::default(), ascii: [0; 128], undivided, acts_on_start, acts_on_end };
        for code in 0..128_u8 {
            rewriter.ascii[usize::from(code)] = (rewriter.remembered(char::from(code)) & CODE) as u8;
        }
        rewriter
    }

    /// Whether something is done at the start of a text only.
    pub(crate) fn acts_on_start(&self) -> bool {
        self.acts_on_start
    }

    /// Whether something is done at the end of a text only.
    pub(crate) fn acts_on_end(&self) -> bool {
        self.acts_on_end
    }

    /// Whether what is done to white space depends on the white space beside it.
    pub(crate) fn acts_on_runs(&self) -> bool {
        self.acts_on_start || self.acts_on_end || self.steps.iter().any(|s| matches!(s, Step::SpaceRuns { .. }))
    }

    /// Whether rules are read by grapheme clusters, which a few characters form with a space behind them.
    pub(crate) fn knows_clusters(&self) -> bool {
        self.steps.iter().any(|s| matches!(s, Step::ClusterRules(_)))
    }

    /// Whether a character may change when another is appended.
    pub(crate) fn looks_behind_itself(&self) -> bool {
        !self.steps.iter().all(|s| matches!(s, Step::Each { .. } | Step::Lowercase | Step::StripAccents | Step::Nmt)
            || matches!(s, Step::Literal { pattern, .. } if pattern.len() == 1))
    }

    #[inline]
    fn code(&self, c: char) -> u8 {
        match self.ascii.get(c as usize) {
            Some(&code) => code,
            None => (self.remembered(c) & CODE) as u8,
        }
    }

    /// The code of `c` and, unless that is long, what it becomes where it is mapped.
    #[inline]
    fn remembered(&self, c: char) -> u64 {
        self.known.get(c, || {
            let (code, output) = self.classify(c);
            let output = output.as_deref().unwrap_or("");
            let is_short = output.chars().count() <= SHORT_OUTPUT && output.chars().all(|c| c <= '\u{ffff}');
            let kept = if is_short { output } else { "" };
            let packed = kept.chars().rev().fold(0, |packed, c| packed << 16 | u64::from(u32::from(c)));
            u64::from(code) | (kept.chars().count() as u64) << COUNT | packed << OUTPUT
        })
    }

    /// The code of `c` and, where it is mapped, what it becomes.
    fn classify(&self, c: char) -> (u8, Option<Box<str>>) {
        if self.steps.is_empty() {
            return (CLOSES | if c.is_whitespace() { 0 } else { SOLID }, None);
        }
        let clusters = self.steps.iter().any(|step| matches!(step, Step::ClusterRules(_)));
        let closes = !clusters || is_cluster(c) || [c, ' '].iter().collect::<String>().graphemes(true).count() == 2;
        let closes = if closes { CLOSES } else { 0 };
        let open = (Class::Open as u8 | closes, None);
        let alone = Item { c, start: 0, end: 1 };
        let mut items = vec![alone];
        let mut sticky = false;
        for step in &self.steps {
            for item in &items {
                match step.meets(item.c, item == &items[0]) {
                    Meeting::Indifferent => {}
                    Meeting::Equals if items == [alone] => sticky = true,
                    _ => return open,
                }
            }
            if items != [alone] || !step.leaves(c) {
                items = step.apply(items, Ends::default());
            }
            if items.is_empty() {
                return open;
            }
        }
        let solid = if items.last().is_some_and(|item| item.c.is_whitespace()) { 0 } else { SOLID };
        let kept = items.len() == 1 && items[0].c == c;
        match (kept, sticky) {
            (true, false) => (Class::Kept as u8 | solid | closes, None),
            (true, true) => (Class::Sticky as u8 | closes, None),
            (false, true) => open,
            (false, false) => (Class::Mapped as u8 | solid | closes, Some(items.iter().map(|item| item.c).collect())),
        }
    }

    /// What `c` becomes everywhere, if so it is.
    pub(crate) fn alone(&self, c: char) -> Option<String> {
        match self.code(c) & CLASS {
            code if code <= Class::Sticky as u8 => Some(c.to_string()),
            code if code == Class::Mapped as u8 => {
                let mut output = String::new();
                self.push_output(c, &mut output);
                Some(output)
            }
            _ => None,
        }
    }

    /// The first and the last character of what `c` becomes everywhere, if so it is.
    pub(crate) fn edges(&self, c: char) -> Option<(char, char)> {
        let known = self.remembered(c);
        let count = known >> COUNT & SHORT_OUTPUT as u64;
        match (known as u8 & CLASS, count) {
            (class, _) if class <= Class::Sticky as u8 => Some((c, c)),
            (class, 1..) if class == Class::Mapped as u8 => {
                let output = |index: u64| char::from_u32((known >> (u64::from(OUTPUT) + 16 * index)) as u32 & 0xffff);
                Some((output(0)?, output(count - 1)?))
            }
            _ => {
                let output = self.alone(c)?;
                Some((output.chars().next()?, output.chars().next_back()?))
            }
        }
    }

    /// Appends what `c`, which is mapped, becomes.
    fn push_output(&self, c: char, normal: &mut String) {
        let known = self.remembered(c);
        match known >> COUNT & SHORT_OUTPUT as u64 {
            0 => normal.push_str(self.classify(c).1.as_deref().unwrap_or("")),
            count => normal.extend((0..count as u32).filter_map(|index| char::from_u32((known >> (OUTPUT + 16 * index)) as u32 & 0xffff))),
        }
    }

    /// Whether a space behind `c` begins a part that is rewritten by itself, with something before it that stays.
    #[inline]
    pub(crate) fn is_solid(&self, c: char) -> bool {
        self.code(c) & SOLID != 0
    }

    /// Whether a space behind `c` is rewritten by itself.
    #[inline]
    pub(crate) fn is_closed(&self, c: char) -> bool {
        self.code(c) & CLOSES != 0
    }

    /// What [`Rewriter::divides_classes`] needs to know of `c`.
    pub(crate) fn class(&self, c: char) -> u8 {
        self.code(c) & CLASS
    }

    /// The same as [`Rewriter::divides`] where that is not always false.
    #[inline]
    pub(crate) fn divides_classes(left: u8, right: u8) -> bool {
        !touch(left, right)
    }

    /// Whether the text can be cut between `left` and `right`, each side being rewritten by itself.
    pub(crate) fn divides(&self, left: char, right: char) -> bool {
        !self.undivided && !touch(self.code(left), self.code(right))
    }

    /// Whether `part` stays as it is.
    #[inline]
    pub(crate) fn keeps(&self, part: &str, ends: Ends) -> bool {
        if self.steps.is_empty() {
            return true;
        }
        let mut before = Class::Kept as u8;
        let (mut first, mut last) = (None, 'a');
        let bytes = part.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let c = if byte < 0x80 {
                at += 1;
                char::from(byte)
            } else {
                let Some(c) = part[at..].chars().next() else { return false };
                at += c.len_utf8();
                c
            };
            let code = self.code(c) & CLASS;
            if code > Class::Sticky as u8 || code & before == Class::Sticky as u8 {
                return false;
            }
            before = code;
            first = first.or(Some(c));
            last = c;
        }
        // White space at an end of the text may be dropped.
        !(ends.start && self.acts_on_start && first.is_some_and(char::is_whitespace) || ends.end && self.acts_on_end && is_trailing(last))
    }

    /// Appends what `part` becomes to `normal`, and where it came from to `trace`; positions in the part count from `base`.
    /// Stretches that cannot be divided are remembered in `groups`: the syllables of Thai are few.
    pub(crate) fn rewrite(&self, part: &str, base: usize, ends: Ends, normal: &mut String, trace: &mut Trace, groups: &mut KnownWords) {
        if self.keeps(part, ends) {
            return Self::copy(part, 0..part.len(), base, normal, trace);
        }
        if self.undivided || ends.start && self.acts_on_start || ends.end && self.acts_on_end {
            return self.run(part, ends, |c, start, end| {
                trace.replace(normal.len(), (base + start) as u32, (base + end) as u32);
                normal.push(c);
            });
        }
        let mut chars = part.char_indices().map(|(at, c)| (at, c, self.code(c)));
        // Where the run of kept characters began, and the stretch that cannot be divided.
        let (mut kept, mut start) = (0, 0);
        let mut next = chars.next();
        while let Some((at, c, code)) = next {
            let end = at + c.len_utf8();
            next = chars.next();
            if next.is_some_and(|(_, _, next)| touch(code, next)) {
                continue;
            }
            if start < at || code & CLASS > Class::Sticky as u8 {
                Self::copy(part, kept..start, base, normal, trace);
                if start < at || code & CLASS == Class::Open as u8 {
                    self.group(&part[start..end], base + start, normal, trace, groups);
                } else {
                    trace.replace(normal.len(), (base + at) as u32, (base + end) as u32);
                    self.push_output(c, normal);
                }
                kept = end;
            }
            start = end;
        }
        Self::copy(part, kept..part.len(), base, normal, trace);
    }

    fn copy(part: &str, range: std::ops::Range<usize>, base: usize, normal: &mut String, trace: &mut Trace) {
        if !range.is_empty() {
            trace.keep(normal.len(), base + range.start);
            normal.push_str(&part[range]);
        }
    }

    /// Appends what `part`, which cannot be divided, becomes where nothing is done at its ends.
    fn group(&self, part: &str, base: usize, normal: &mut String, trace: &mut Trace, groups: &mut KnownWords) {
        let mut push = |c: char, start: usize, end: usize| {
            trace.replace(normal.len(), (base + start) as u32, (base + end) as u32);
            normal.push(c);
        };
        if part.len() > LONGEST_WORD {
            return self.run(part, Ends::default(), push);
        }
        let key = hash(part.as_bytes(), 0);
        if let Some((known, _)) = groups.get(part.as_bytes(), 0, key) {
            for item in known {
                push(char::from_u32(item.id).unwrap_or(char::REPLACEMENT_CHARACTER), usize::from(item.start), usize::from(item.end));
            }
            return;
        }
        let mut found = Vec::new();
        self.run(part, Ends::default(), |c, start, end| {
            found.push(Placed { id: u32::from(c), start: start as u16, end: end as u16, word: 0 });
            push(c, start, end);
        });
        groups.insert(part.as_bytes(), 0, key, &found, 0);
    }

    /// All stages, on a part that cannot be divided: `push` gets each character with the bytes of the part it stands for.
    fn run(&self, part: &str, ends: Ends, mut push: impl FnMut(char, usize, usize)) {
        let place = |(at, c): (usize, char)| Item { c, start: at as u32, end: (at + c.len_utf8()) as u32 };
        let mut items: Vec<Item> = part.char_indices().map(place).collect();
        for step in &self.steps {
            items = step.apply(items, ends);
        }
        items.iter().for_each(|item| push(item.c, item.start as usize, item.end as usize));
    }
}

/// Whether neighbours of these codes must be rewritten together.
#[inline]
fn touch(left: u8, right: u8) -> bool {
    let (left, right) = (left & CLASS, right & CLASS);
    left == Class::Open as u8 || right == Class::Open as u8 || left == Class::Sticky as u8 && right == Class::Sticky as u8
}

fn is_trailing(c: char) -> bool {
    c.is_whitespace() || c == '\u{2581}'
}

/// How a stage treats a character that it meets between others.
enum Meeting {
    /// By itself.
    Indifferent,
    /// Together with a neighbour of the same kind.
    Equals,
    /// Together with its neighbours.
    Neighbours,
}

impl Step {
    fn meets(&self, c: char, first: bool) -> Meeting {
        let neighbours = |is: bool| if is { Meeting::Neighbours } else { Meeting::Indifferent };
        match self {
            Self::Rules { later, .. } => neighbours(later.contains(&c)),
            Self::ClusterRules(_) => neighbours(!is_cluster(c)),
            Self::Literal { pattern, .. } if pattern.len() > 1 && pattern.contains(&c) => Meeting::Equals,
            Self::SpaceRuns { .. } if c == ' ' => Meeting::Equals,
            Self::TrailingSpaces { marks: true } => neighbours(c == '\u{2581}'),
            Self::Form(form) => neighbours(first && !form.starts_anew(c)),
            Self::Bert(bert) => neighbours(bert.accents && first && !Form::Nfd.starts_anew(c)),
            _ => Meeting::Indifferent,
        }
    }

    /// Whether `c` by itself stays as it is; false where that takes long to tell.
    fn leaves(&self, c: char) -> bool {
        let mut buffer = [0; 4];
        match self {
            Self::Rules { rules, .. } => rules.longest_prefix(c.encode_utf8(&mut buffer)).is_none(),
            Self::ClusterRules(rules) => rules.shortest_prefix(c.encode_utf8(&mut buffer)).is_none(),
            Self::Literal { pattern, .. } => *pattern != [c],
            Self::Each { set, .. } => !set.contains(c),
            Self::SpaceRuns { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => true,
            Self::Lowercase => c.to_lowercase().eq([c]),
            Self::Form(form) => form.leaves(c),
            Self::StripAccents => !is_combining_mark(c),
            Self::Bert(_) | Self::Nmt => false,
        }
    }

    fn apply(&self, items: Vec<Item>, ends: Ends) -> Vec<Item> {
        match self {
            Self::Rules { rules, .. } => by_text(&items, |text, push| {
                let mut at = 0;
                while let Some(c) = text[at..].chars().next() {
                    let rule = rules.longest_prefix(&text[at..]);
                    let length = rule.map_or(c.len_utf8(), |(length, _)| length.max(1));
                    push(at, at + length, rule.map(|(_, replacement)| replacement));
                    at += length;
                }
            }),
            Self::ClusterRules(rules) if is_idle(rules, &items) => items,
            Self::ClusterRules(rules) => by_text(&items, |text, push| {
                for (at, cluster) in text.grapheme_indices(true) {
                    if let Some(replacement) = Some(cluster).filter(|c| c.len() < 6).and_then(|c| rules.shortest_prefix(c)) {
                        push(at, at + cluster.len(), Some(replacement));
                        continue;
                    }
                    for (inside, c) in cluster.char_indices() {
                        let (from, to) = (at + inside, at + inside + c.len_utf8());
                        push(from, to, rules.shortest_prefix(&text[from..to]));
                    }
                }
            }),
            Self::Literal { pattern, content } => {
                let mut output = Vec::with_capacity(items.len());
                let mut rest = &items[..];
                while let Some((&first, behind)) = rest.split_first() {
                    let matches = rest.len() >= pattern.len() && rest.iter().zip(pattern).all(|(item, c)| item.c == *c);
                    if matches {
                        let (found, behind) = rest.split_at(pattern.len());
                        replace_all(found, content, &mut output);
                        rest = behind;
                    } else {
                        output.push(first);
                        rest = behind;
                    }
                }
                output
            }
            Self::Each { set, content } => each(items, |c, push| {
                if set.contains(c) { content.iter().for_each(|&c| push(c)) } else { push(c) }
            }),
            Self::SpaceRuns { content } => {
                let mut output = Vec::with_capacity(items.len());
                for run in items.chunk_by(|a, b| a.c == ' ' && b.c == ' ') {
                    if run.len() > 1 { replace_all(run, content, &mut output) } else { output.extend_from_slice(run) }
                }
                output
            }
            Self::LeadingSpaces if ends.start => items.into_iter().skip_while(|item| item.c == ' ').collect(),
            Self::TrailingSpaces { marks } if ends.end => {
                drop_end(items, |c| c == ' ' || *marks && c == '\u{2581}')
            }
            Self::LeadingSpaces | Self::TrailingSpaces { .. } => items,
            Self::Strip { left, right } => {
                let items = if *right && ends.end { drop_end(items, char::is_whitespace) } else { items };
                if *left && ends.start { items.into_iter().skip_while(|item| item.c.is_whitespace()).collect() } else { items }
            }
            Self::Lowercase => each(items, |c, push| c.to_lowercase().for_each(push)),
            Self::Form(form) => form.apply(&items),
            Self::StripAccents => items.into_iter().filter(|item| !is_combining_mark(item.c)).collect(),
            Self::Bert(bert) => bert.apply(items),
            Self::Nmt => each(items, nmt),
        }
    }
}

/// `items` with each character replaced by what `change` pushes.
fn each(items: Vec<Item>, change: impl Fn(char, &mut dyn FnMut(char))) -> Vec<Item> {
    let mut output = Vec::with_capacity(items.len());
    for item in items {
        change(item.c, &mut |c| output.push(Item { c, ..item }));
    }
    output
}

fn replace_all(found: &[Item], content: &[char], output: &mut Vec<Item>) {
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        output.extend(content.iter().map(|&c| Item { c, start: first.start, end: last.end }));
    }
}

fn drop_end(mut items: Vec<Item>, is_dropped: impl Fn(char) -> bool) -> Vec<Item> {
    while items.last().is_some_and(|item| is_dropped(item.c)) {
        items.pop();
    }
    items
}

/// `items` with parts of their text replaced: `change` pushes (start, end, replacement or None for as it is), in order.
fn by_text<'r>(items: &[Item], change: impl FnOnce(&str, &mut dyn FnMut(usize, usize, Option<&'r str>))) -> Vec<Item> {
    let text: String = items.iter().map(|item| item.c).collect();
    let mut output = Vec::with_capacity(items.len());
    let mut rest = items;
    change(&text, &mut |start, end, replacement| {
        let count = text[start..end].chars().count();
        let (found, behind) = rest.split_at(count.min(rest.len()));
        rest = behind;
        match (replacement, found.first(), found.last()) {
            (Some(replacement), Some(first), Some(last)) => {
                output.extend(replacement.chars().map(|c| Item { c, start: first.start, end: last.end }));
            }
            _ => output.extend_from_slice(found),
        }
    });
    output
}

/// Whether no rule begins anywhere: then it makes no difference where clusters end.
fn is_idle(rules: &Charsmap, items: &[Item]) -> bool {
    let text: String = items.iter().map(|item| item.c).collect();
    text.char_indices().all(|(at, _)| rules.shortest_prefix(&text[at..]).is_none())
}

/// Whether `c` is a grapheme cluster by itself between any others of which the same is true (UAX 29).
///
/// Code points that are not assigned are left out, so that it does no harm if they are in another Unicode version.
fn is_cluster(c: char) -> bool {
    const JOINING: &str = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=RI}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=CR}\p{Cn}]";
    static SET: OnceLock<Option<CodePoints>> = OnceLock::new();
    let set = SET.get_or_init(|| CodePoints::parse(JOINING, false).ok());
    set.as_ref().is_some_and(|set| !set.contains(c))
}

impl Form {
    fn decompose(self, c: char, mut push: impl FnMut(char)) {
        match self {
            Self::Nfc | Self::Nfd => decompose_canonical(c, &mut push),
            Self::Nfkc | Self::Nfkd => decompose_compatible(c, &mut push),
        }
    }

    /// Whether nothing before `c` can act on it: its decomposition begins with a starter that never composes to the left.
    fn starts_anew(self, c: char) -> bool {
        if c.is_ascii() {
            return true;
        }
        let mut first = None;
        self.decompose(c, |c| first = first.or(Some(c)));
        first.is_some_and(|c| {
            let composes = matches!(self, Self::Nfc | Self::Nfkc) && is_nfc_quick(std::iter::once(c)) != IsNormalized::Yes;
            canonical_combining_class(c) == 0 && !composes
        })
    }

    /// Whether `c` by itself is in this form already; false where that takes long to tell.
    fn leaves(self, c: char) -> bool {
        let mut parts = [None; 2];
        self.decompose(c, |c| parts = [parts[1], Some(c)]);
        parts == [None, Some(c)]
    }

    fn apply(self, items: &[Item]) -> Vec<Item> {
        let mut output = Vec::with_capacity(items.len());
        for part in items.chunk_by(|_, item| !self.starts_anew(item.c)) {
            let chars = part.iter().map(|item| item.c);
            let normal: Vec<char> = match self {
                Self::Nfc => chars.nfc().map(|(c, _)| c).collect(),
                Self::Nfd => chars.nfd().map(|(c, _)| c).collect(),
                Self::Nfkc => chars.nfkc().map(|(c, _)| c).collect(),
                Self::Nfkd => chars.nfkd().map(|(c, _)| c).collect(),
            };
            if normal.iter().copied().eq(part.iter().map(|item| item.c)) {
                output.extend_from_slice(part);
            } else {
                replace_all(part, &normal, &mut output);
            }
        }
        output
    }
}

impl Bert {
    /// `BertNormalizer` of the `tokenizers` crate; what is a control character is a matter of its Unicode tables.
    fn apply(self, mut items: Vec<Item>) -> Vec<Item> {
        if self.clean {
            let is_space = |c: char| matches!(c, '\t' | '\n' | '\r') || c.is_whitespace();
            let is_dropped = |c: char| c == '\0' || c == '\u{fffd}' || !matches!(c, '\t' | '\n' | '\r') && c.is_other();
            items.retain(|item| !is_dropped(item.c));
            items.iter_mut().filter(|item| is_space(item.c)).for_each(|item| item.c = ' ');
        }
        if self.chinese {
            items = each(items, |c, push| if is_chinese(c) { [' ', c, ' '].into_iter().for_each(push) } else { push(c) });
        }
        if self.accents {
            items = Form::Nfd.apply(&items);
            items.retain(|item| !item.c.is_mark_nonspacing());
        }
        if self.lowercase {
            items = each(items, |c, push| c.to_lowercase().for_each(push));
        }
        items
    }
}

/// What BERT sets apart from its neighbours: the blocks of CJK ideographs.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0x2F800..=0x2FA1F)
}

/// SentencePiece's `nmt` rules without NFKC, as the `tokenizers` crate has them.
fn nmt(c: char, push: &mut dyn FnMut(char)) {
    match u32::from(c) {
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0x8F | 0x9F => {}
        0x09 | 0x0A | 0x0C | 0x0D | 0x1680 | 0x200B..=0x200F | 0x2028 | 0x2029 | 0x2581 | 0xFEFF | 0xFFFD => push(' '),
        _ => push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_those_of_the_segmenter() {
        let divides = |pair: [char; 2]| pair.iter().collect::<String>().graphemes(true).count() == 2;
        let alone = ('\0'..=char::MAX).filter(|&c| is_cluster(c)).collect::<Vec<_>>();
        assert!(alone.len() > 200_000);
        for c in alone {
            assert!(c != '\r' && divides(['a', c]) && divides([c, 'a']) && divides([c, c]), "{c:?}");
        }
    }

    fn rewritten(rewriter: &Rewriter, text: &str) -> (String, Vec<(usize, usize)>) {
        let (mut normal, mut trace) = (String::new(), Trace::default());
        rewriter.rewrite(text, 0, Ends { start: true, end: true }, &mut normal, &mut trace, &mut KnownWords::default());
        let spans = normal.char_indices().map(|(at, c)| trace.span(at, at + c.len_utf8())).collect();
        (normal, spans)
    }

    #[test]
    fn every_character_knows_where_it_came_from() {
        let quotes = Step::Literal { pattern: vec!['`', '`'], content: vec!['"'] };
        let rewriter = Rewriter::new(vec![quotes, Step::Form(Form::Nfkd), Step::StripAccents, Step::Lowercase]);
        let (normal, spans) = rewritten(&rewriter, "aE\u{301}\u{fb01}``` \u{e9}");
        assert_eq!(normal, "aefi\"` e");
        assert_eq!(spans, [(0, 1), (1, 2), (4, 7), (4, 7), (7, 9), (9, 10), (10, 11), (11, 13)]);
        assert!(rewriter.keeps("a`b", Ends::default()) && !rewriter.keeps("``", Ends::default()));
        assert!(rewriter.divides('e', ' ') && !rewriter.divides('e', '\u{301}') && !rewriter.divides('`', '`'));
    }

    #[test]
    fn edges_are_those_of_what_a_character_becomes() {
        let rewriter = Rewriter::new(vec![Step::Bert(Bert { clean: true, chinese: true, accents: true, lowercase: true }), Step::Form(Form::Nfkd)]);
        let mut mapped = 0;
        for c in ('\0'..='\u{ffff}').chain('\u{1d400}'..='\u{1d7ff}') {
            let alone = rewriter.alone(c);
            let edges = alone.as_deref().and_then(|output| Some((output.chars().next()?, output.chars().next_back()?)));
            assert_eq!(rewriter.edges(c), edges, "{c:?}");
            mapped += usize::from(alone.is_some_and(|output| output != c.to_string()));
        }
        assert!(mapped > 20_000);
    }

    #[test]
    fn groups_that_come_again_are_as_before() {
        let rewriter = Rewriter::new(vec![Step::Form(Form::Nfkd), Step::StripAccents, Step::Lowercase]);
        let (mut groups, text) = (KnownWords::default(), "\u{e01}\u{e33}E\u{301}b \u{301}\u{fb01}E\u{301}\u{e01}\u{e33}");
        let mut rewritten = || {
            let (mut normal, mut trace) = (String::new(), Trace::default());
            rewriter.rewrite(text, 7, Ends::default(), &mut normal, &mut trace, &mut groups);
            let spans: Vec<_> = normal.char_indices().map(|(at, c)| trace.span(at, at + c.len_utf8())).collect();
            (normal, spans)
        };
        let first = rewritten();
        assert!(first.0.starts_with("\u{e01}\u{e32}eb fie"), "{:?}", first.0);
        assert_eq!(rewritten(), first);
    }

    #[test]
    fn runs_and_ends_of_spaces() {
        let rewriter = Rewriter::new(vec![
            Step::LeadingSpaces,
            Step::SpaceRuns { content: vec![' '] },
            Step::TrailingSpaces { marks: true },
        ]);
        assert_eq!(rewritten(&rewriter, "  a  b \u{2581}"), ("a b".into(), vec![(2, 3), (3, 5), (5, 6)]));
        assert_eq!(rewritten(&rewriter, "   ").0, "");
        let strip = Rewriter::new(vec![Step::Strip { left: true, right: true }]);
        assert_eq!(rewritten(&strip, "\n a \u{3000}").0, "a");
    }

    #[test]
    fn bert_cleans_text() {
        let bert = |lowercase| Rewriter::new(vec![Step::Bert(Bert { clean: true, chinese: true, accents: lowercase, lowercase })]);
        let spans = vec![(0, 2), (2, 3), (4, 5), (5, 8), (5, 8), (5, 8), (8, 9)];
        assert_eq!(rewritten(&bert(true), "\u{c9}t\u{0}\t\u{4f60}B"), ("et  \u{4f60} b".into(), spans));
        assert_eq!(rewritten(&bert(false), "\u{c9}\u{200d}").0, "\u{c9}");
    }
}
