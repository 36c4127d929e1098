//! Pattern text -> syntax tree, for the part of the language that pre-token rules use.
//!
//! Everything outside that part (look-behind, back references, word anchors) is refused, not approximated. The caller
//! then runs the `tokenizers` crate's own matcher and knows that it has no certificate of stability. Syntax that
//! Oniguruma and `regex-syntax`, which reads our classes, understand differently is refused too
//! ([`crate::regex::doubtful`]).

use crate::error::{Error, Result};
use crate::regex::char_class::CodePoints;
use crate::regex::dialect::Dialect;
use crate::regex::doubtful;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// The way in which a repetition gives characters back: `a*`, `a*?` and `a*+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// A node of the syntax tree. Example: `\s+(?!\S)` is a sequence of a repetition and a look-ahead.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Class(Rc<CodePoints>),
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    Repeat { node: Box<Node>, min: u32, max: Option<u32>, greed: Greed },
    LookAhead { node: Box<Node>, negative: bool },
    Atomic(Box<Node>),
    EndOfText,
}

impl Node {
    /// Whether the node can match without consuming anything.
    pub(crate) fn can_be_empty(&self) -> bool {
        match self {
            Self::Class(_) => false,
            Self::Sequence(nodes) => nodes.iter().all(Self::can_be_empty),
            Self::Alternatives(nodes) => nodes.iter().any(Self::can_be_empty),
            Self::Repeat { node, min, .. } => *min == 0 || node.can_be_empty(),
            Self::LookAhead { .. } | Self::EndOfText => true,
            Self::Atomic(node) => node.can_be_empty(),
        }
    }

    /// Whether backtracking may take more than polynomial time of a small degree.
    pub(crate) fn may_explode(&self) -> bool {
        self.choices() > MOST_CHOICES
    }

    /// The most choices on a way through the node; each may be taken back for every other.
    fn choices(&self) -> u32 {
        match self {
            Self::Class(_) | Self::EndOfText => 0,
            Self::Sequence(nodes) => nodes.iter().fold(0, |sum, node| sum.saturating_add(node.choices())),
            Self::Alternatives(nodes) => nodes.iter().map(Self::choices).max().unwrap_or(0).saturating_add(1),
            Self::LookAhead { node, .. } | Self::Atomic(node) => node.choices(),
            Self::Repeat { node, min, max, .. } => {
                let inner = node.choices();
                let often = match max {
                    _ if inner == 0 => 0,
                    Some(max) => inner.saturating_mul(*max),
                    None if Decided::by_each_next_character(node) => inner,
                    None => u32::MAX,
                };
                // How often to repeat is one choice.
                often.saturating_add(u32::from(*max != Some(*min)))
            }
        }
    }
}

/// More than the published rules, which have up to five.
const MOST_CHOICES: u32 = 16;
/// More sets than these are not compared with one another.
const MOST_SETS: usize = 32;

/// The sets of characters with which a node may begin; see [`Decided::by_each_next_character`].
#[derive(Clone)]
struct Decided {
    first: Vec<Rc<CodePoints>>,
    empty: bool,
}

impl Decided {
    /// Whether no two ways through repetitions of `node` read the same text: one look at the next character decides.
    fn by_each_next_character(node: &Node) -> bool {
        let first = Self::of(node, None);
        first.is_some_and(|first| Self::of(node, Some(&first.first)).is_some())
    }

    /// The beginnings of `node`. `None` if it holds a choice that the next character does not decide, or anything but
    /// characters. `next` are the sets that may follow the node (`None`: choices are not checked).
    fn of(node: &Node, next: Option<&[Rc<CodePoints>]>) -> Option<Self> {
        match node {
            Node::Class(set) => Some(Self { first: vec![Rc::clone(set)], empty: false }),
            Node::Sequence(nodes) => {
                let mut after = Self { first: Vec::new(), empty: true };
                for node in nodes.iter().rev() {
                    let rest = next.map(|next| after.before(next));
                    let here = Self::of(node, rest.as_deref())?;
                    after =
                        if here.empty { Self { first: here.before(&after.first), empty: after.empty } } else { here };
                    after.is_small()?;
                }
                Some(after)
            }
            Node::Alternatives(nodes) => {
                let mut all = Self { first: Vec::new(), empty: false };
                for node in nodes {
                    let here = Self::of(node, next)?;
                    let begins = if here.empty { here.before(next.unwrap_or_default()) } else { here.first.clone() };
                    let known = if all.empty { all.before(next.unwrap_or_default()) } else { all.first.clone() };
                    if next.is_some() && !are_disjoint(&begins, &known) {
                        return None;
                    }
                    all.first.extend(here.first);
                    all.empty |= here.empty;
                    all.is_small()?;
                }
                Some(all)
            }
            Node::Repeat { node, min, max, .. } => {
                let body = Self::of(node, None)?;
                let again = |next: &[Rc<CodePoints>]| body.first.iter().chain(next).cloned().collect::<Vec<_>>();
                let around = next.map(|next| if *max == Some(1) { next.to_vec() } else { again(next) });
                Self::of(node, around.as_deref())?;
                if max != &Some(*min) && next.is_some_and(|next| !are_disjoint(&body.first, next)) {
                    return None;
                }
                Some(Self { first: body.first, empty: body.empty || *min == 0 })
            }
            Node::LookAhead { .. } | Node::Atomic(_) | Node::EndOfText => None,
        }
    }

    /// The sets that may come first where `next` follows.
    fn before(&self, next: &[Rc<CodePoints>]) -> Vec<Rc<CodePoints>> {
        let more = if self.empty { next } else { &[] };
        self.first.iter().chain(more).cloned().collect()
    }

    fn is_small(&self) -> Option<()> {
        (self.first.len() <= MOST_SETS).then_some(())
    }
}

fn are_disjoint(one: &[Rc<CodePoints>], other: &[Rc<CodePoints>]) -> bool {
    one.iter().all(|a| other.iter().all(|b| a.is_disjoint(b)))
}

/// Parses `source`, whose size the caller has checked: the parser recurses.
pub(crate) fn parse(source: &str, dialect: Dialect) -> Result<Node> {
    let mut parser = Parser {
        source,
        at: 0,
        dialect,
        ignore_case: false,
        tail: doubtful::Tail::default(),
        classes: FxHashMap::default(),
    };
    let node = parser.alternatives()?;
    match parser.peek() {
        // Libraries differ in where they look next after an empty match.
        None if node.can_be_empty() => Err(parser.refuse("a rule that may match the empty text")),
        None => Ok(node),
        Some(_) => Err(parser.refuse("unbalanced )")),
    }
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    dialect: Dialect,
    ignore_case: bool,
    /// The letter before the cursor, where it and the next may be one character in Oniguruma's eyes.
    tail: doubtful::Tail,
    /// The classes met so far by their text and whether case matters: a table each, so each is made once.
    classes: FxHashMap<(String, bool), Rc<CodePoints>>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn refuse(&self, what: &str) -> Error {
        Error::definition("pre_tokenizer", format!("pattern {:?}, byte {}: {what}", self.source, self.at))
    }

    /// Fails with `reason`, if there is one and the pattern is read as Oniguruma would.
    fn doubt(&self, reason: Option<&str>) -> Result<()> {
        match reason {
            Some(reason) if self.dialect == Dialect::Oniguruma => Err(self.refuse(reason)),
            _ => Ok(()),
        }
    }

    fn alternatives(&mut self) -> Result<Node> {
        let case = self.ignore_case;
        let before = self.tail;
        let mut branches = vec![self.sequence()?];
        let mut tails = before.or(self.tail);
        while self.eat("|") {
            self.tail = before;
            branches.push(self.sequence()?);
            tails = tails.or(self.tail);
        }
        self.tail = tails;
        // `(?i)` holds to the end of its group.
        self.ignore_case = case;
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternatives(branches) })
    }

    fn sequence(&mut self) -> Result<Node> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            if self.eat("(?i)") {
                self.doubt(
                    (!nodes.is_empty()).then_some("(?i) after something: alternatives that follow would be its own"),
                )?;
                self.ignore_case = true;
                continue;
            }
            let atom = self.atom(c)?;
            nodes.push(self.repeated(atom)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Sequence(nodes) })
    }

    fn atom(&mut self, c: char) -> Result<Node> {
        match c {
            '(' => self.group(),
            '[' => self.bracket(),
            '\\' => self.escape(),
            '.' => {
                self.at += 1;
                self.class(r"[^\n]")
            }
            // Oniguruma's `$` also matches before a newline; fancy-regex's only at the end of the text.
            '$' if self.dialect == Dialect::Tiktoken => {
                self.at += 1;
                Ok(Node::EndOfText)
            }
            '^' | '$' | '*' | '+' | '?' | '{' => Err(self.refuse("an anchor or a repetition of nothing")),
            _ => {
                self.at += c.len_utf8();
                self.literal(c)
            }
        }
    }

    fn literal(&mut self, c: char) -> Result<Node> {
        let tail = std::mem::take(&mut self.tail);
        if self.ignore_case {
            self.doubt(tail.doubt(c))?;
        }
        let node = self.class(&regex_syntax::escape(&c.to_string()))?;
        if self.ignore_case {
            self.tail = doubtful::Tail::of(c);
        }
        Ok(node)
    }

    fn class(&mut self, source: &str) -> Result<Node> {
        self.tail = doubtful::Tail::default();
        let key = (source.to_string(), self.ignore_case);
        if let Some(class) = self.classes.get(&key) {
            return Ok(Node::Class(Rc::clone(class)));
        }
        let class = Rc::new(CodePoints::parse(source, self.ignore_case)?);
        self.classes.insert(key, Rc::clone(&class));
        Ok(Node::Class(class))
    }

    fn group(&mut self) -> Result<Node> {
        let opening = ["(?i:", "(?:", "(?=", "(?!", "(?>"].into_iter().find(|o| self.rest().starts_with(o));
        let opening = match opening {
            Some(opening) => opening,
            None if self.rest().starts_with("(?") => return Err(self.refuse("a group that is not supported")),
            None => "(",
        };
        self.at += opening.len();
        let case = self.ignore_case;
        self.ignore_case |= opening == "(?i:";
        let node = self.alternatives()?;
        self.ignore_case = case;
        if !self.eat(")") {
            return Err(self.refuse("expected )"));
        }
        Ok(match opening {
            "(?=" => Node::LookAhead { node: Box::new(node), negative: false },
            "(?!" => Node::LookAhead { node: Box::new(node), negative: true },
            "(?>" => Node::Atomic(Box::new(node)),
            _ => node,
        })
    }

    /// Takes the text of a bracket class, nested brackets and escapes included.
    fn bracket(&mut self) -> Result<Node> {
        let start = self.at;
        let mut depth = 0usize;
        let mut chars = self.source[start..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '[' => depth += 1,
                ']' => {
                    depth -= 1;
                    if depth == 0 {
                        let source = &self.source[start..start + offset + 1];
                        self.doubt(doubtful::bracket(source, self.ignore_case))?;
                        self.at = start + offset + 1;
                        return self.class(source);
                    }
                }
                _ => {}
            }
        }
        Err(self.refuse("expected ]"))
    }

    fn escape(&mut self) -> Result<Node> {
        let start = self.at;
        let mut chars = self.rest().chars();
        chars.next();
        let Some(kind) = chars.next() else { return Err(self.refuse("a lone backslash")) };
        self.at += 1 + kind.len_utf8();
        match kind {
            'p' | 'P' => {
                if self.peek() == Some('{') {
                    let close = self.rest().find('}').ok_or_else(|| self.refuse("expected }"))?;
                    self.at += close + 1;
                } else {
                    self.at += self.peek().map_or(0, char::len_utf8);
                }
                let source = &self.source[start..self.at];
                self.doubt(doubtful::property(&source[2..], self.ignore_case))?;
                self.class(source)
            }
            'w' | 'W' if self.dialect == Dialect::Oniguruma => Err(self.refuse(doubtful::WORD)),
            's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'r' | 'n' | 't' | 'f' | 'v' => self.class(&self.source[start..self.at]),
            _ if !kind.is_alphanumeric() => self.literal(kind),
            _ => {
                self.at = start;
                Err(self.refuse("an escape that is not supported"))
            }
        }
    }

    fn repeated(&mut self, node: Node) -> Result<Node> {
        let mut node = node;
        loop {
            let (min, max, counted) = match self.peek() {
                Some('*') => (0, None, false),
                Some('+') => (1, None, false),
                Some('?') => (0, Some(1), false),
                Some('{') => match self.counts() {
                    Some((min, max, length)) => {
                        self.at += length - 1;
                        (min, max, true)
                    }
                    None => return Err(self.refuse("a { that counts nothing")),
                },
                _ => return Ok(node),
            };
            self.at += 1;
            let greed = if self.eat("?") {
                Greed::Lazy
            } else if (!counted || self.dialect == Dialect::Tiktoken) && self.eat("+") {
                // In Oniguruma's Ruby syntax x{1,3}+ repeats x{1,3}; in fancy-regex it is possessive.
                Greed::Possessive
            } else {
                Greed::Greedy
            };
            if max.is_none() && node.can_be_empty() {
                return Err(self.refuse("an endless repetition of something that may be empty"));
            }
            if max.is_some_and(|max| max < min) {
                return Err(self.refuse("a repetition of at least more than at most"));
            }
            let asserts = matches!(node, Node::LookAhead { .. });
            self.doubt(asserts.then_some("a repeated look-ahead, which Oniguruma repeats in its own way"))?;
            self.doubt(
                (max == Some(min) && greed == Greed::Lazy)
                    .then_some("{n}?, which Oniguruma reads as n times or not at all"),
            )?;
            self.doubt((max != Some(1) && !self.tail.is_empty()).then_some(doubtful::SEVERAL))?;
            node = Node::Repeat { node: Box::new(node), min, max, greed };
        }
    }

    /// Reads `{m}`, `{m,}`, `{,n}` or `{m,n}` at the cursor: counts and length in bytes.
    fn counts(&self) -> Option<(u32, Option<u32>, usize)> {
        let close = self.rest().find('}')?;
        let inside = &self.rest()[1..close];
        let (min, max) = match inside.split_once(',') {
            None => {
                let count = inside.parse().ok()?;
                (count, Some(count))
            }
            Some((low, high)) => {
                let low_count = if low.is_empty() { 0 } else { low.parse().ok()? };
                let high_count = if high.is_empty() { None } else { Some(high.parse().ok()?) };
                (low_count, high_count)
            }
        };
        Some((min, max, close + 1))
    }
}
