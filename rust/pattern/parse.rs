//! Pattern text -> syntax tree, for the part of the language that pre-token rules use.
//!
//! Everything outside that part (look-behind, back references, word anchors) is refused, not approximated: the caller
//! then runs the `tokenizers` crate's own matcher and knows that it has no certificate of stability.

use super::class::CodePoints;
use super::Dialect;
use crate::error::{Error, Result};

/// How a repetition gives characters back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// A node of the syntax tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Class(CodePoints),
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
}

/// Parses `source`.
pub(crate) fn parse(source: &str, dialect: Dialect) -> Result<Node> {
    let mut parser = Parser { source, at: 0, dialect, ignore_case: false };
    let node = parser.alternatives()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.refuse("unbalanced )")),
    }
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    dialect: Dialect,
    ignore_case: bool,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
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

    fn alternatives(&mut self) -> Result<Node> {
        let case = self.ignore_case;
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
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
                Ok(Node::Class(CodePoints::parse(r"[^\n]", false)?))
            }
            // Oniguruma's `$` also matches before a newline; fancy-regex's only at the end of the text.
            '$' if self.dialect == Dialect::Tiktoken => {
                self.at += 1;
                Ok(Node::EndOfText)
            }
            '^' | '$' | '*' | '+' | '?' => Err(self.refuse("an anchor or a repetition of nothing")),
            _ => {
                self.at += c.len_utf8();
                self.class(&regex_syntax::escape(&c.to_string()))
            }
        }
    }

    fn class(&self, source: &str) -> Result<Node> {
        Ok(Node::Class(CodePoints::parse(source, self.ignore_case)?))
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
                        self.at = start + offset + 1;
                        return self.class(&self.source[start..self.at]);
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
                self.class(&self.source[start..self.at])
            }
            's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'r' | 'n' | 't' | 'f' | 'v' => self.class(&self.source[start..self.at]),
            _ if !kind.is_alphanumeric() => self.class(&regex_syntax::escape(&kind.to_string())),
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
