//! Syntax tree -> instructions, and the backtracking machine that runs them and remembers how far it looked.

use crate::regex::char_class::CodePoints;
use crate::regex::parse::{Greed, Node};
use rustc_hash::{FxHashMap, FxHashSet};
use std::rc::Rc;

#[derive(Debug, Clone)]
enum Step {
    /// One character of the class.
    One(usize),
    /// Between `min` and `max` characters of the class, giving back one at a time if `gives_back`.
    Run {
        class: usize,
        min: u32,
        max: u32,
        gives_back: bool,
    },
    /// Try `first`, then `second`.
    Fork {
        first: usize,
        second: usize,
    },
    Jump(usize),
    /// The instructions at `body` must (not) match here; continue at `next`.
    Look {
        body: usize,
        next: usize,
        negative: bool,
    },
    /// The first match of `body` is kept; continue at `next`.
    Atomic {
        body: usize,
        next: usize,
    },
    EndOfText,
    Accept,
}

/// A compiled pattern as a program of steps.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    steps: Vec<Step>,
    classes: Vec<CodePoints>,
}

/// A program in the making.
struct Compiler {
    steps: Vec<Step>,
    classes: Vec<Rc<CodePoints>>,
    /// The numbers of `classes`, by their addresses.
    numbers: FxHashMap<*const CodePoints, usize>,
}

/// From this number of returns on, a match remembers the states that it has tried: its time is polynomial then,
/// whatever the pattern.
const WELL_BEHAVED: u32 = 1000;

/// A choice that is left to try when the current path fails.
enum Choice {
    At {
        step: usize,
        at: usize,
    },
    /// A run that may still give back characters down to `floor`.
    Shorter {
        step: usize,
        at: usize,
        floor: usize,
    },
}

impl Program {
    pub(crate) fn compile(node: &Node) -> Self {
        let mut compiler = Compiler { steps: Vec::new(), classes: Vec::new(), numbers: FxHashMap::default() };
        compiler.body(node);
        Self { steps: compiler.steps, classes: compiler.classes.iter().map(|class| CodePoints::clone(class)).collect() }
    }

    /// The end of the match that begins at `start`, if there is one.
    ///
    /// `looked` is raised to the largest byte position whose character had any part in the answer. (At the end of
    /// `text` its absence counts.) Text after `looked` may change without changing the answer.
    pub(crate) fn match_at(&self, text: &str, start: usize, looked: &mut usize) -> Option<usize> {
        self.run(text, 0, start, looked)
    }

    fn run(&self, text: &str, step: usize, at: usize, looked: &mut usize) -> Option<usize> {
        let mut choices: Vec<Choice> = Vec::new();
        let (mut step, mut at) = (step, at);
        let (mut returns, mut tried) = (0, FxHashSet::default());
        loop {
            let advanced = match &self.steps[step] {
                Step::Accept => return Some(at),
                Step::One(class) => self.one(text, *class, at, looked).map(|end| (step + 1, end)),
                Step::Run { class, min, max, gives_back } => {
                    self.many(text, *class, (*min, *max), at, looked).map(|(floor, end)| {
                        if *gives_back && end > floor {
                            choices.push(Choice::Shorter { step: step + 1, at: end, floor });
                        }
                        (step + 1, end)
                    })
                }
                Step::Fork { first, second } => {
                    choices.push(Choice::At { step: *second, at });
                    Some((*first, at))
                }
                Step::Jump(target) => Some((*target, at)),
                Step::Look { body, next, negative } => {
                    (self.run(text, *body, at, looked).is_some() != *negative).then_some((*next, at))
                }
                Step::Atomic { body, next } => self.run(text, *body, at, looked).map(|end| (*next, end)),
                Step::EndOfText => {
                    *looked = (*looked).max(at);
                    (at == text.len()).then_some((step + 1, at))
                }
            };
            if let Some(state) = advanced {
                (step, at) = state;
                continue;
            }
            loop {
                (step, at) = match choices.pop()? {
                    Choice::At { step, at } => (step, at),
                    Choice::Shorter { step, at, floor } => {
                        let shorter = previous(text, at);
                        if shorter > floor {
                            choices.push(Choice::Shorter { step, at: shorter, floor });
                        }
                        (step, shorter)
                    }
                };
                returns += 1;
                // A place that was tried has failed, and would again: nothing but the place decides.
                if returns < WELL_BEHAVED || tried.insert((step, at)) {
                    break;
                }
            }
        }
    }

    fn one(&self, text: &str, class: usize, at: usize, looked: &mut usize) -> Option<usize> {
        *looked = (*looked).max(at);
        let c = text[at..].chars().next()?;
        self.classes[class].contains(c).then(|| at + c.len_utf8())
    }

    /// The longest run of the class from `at`: where its first `min` characters end, and where it ends.
    fn many(
        &self,
        text: &str,
        class: usize,
        (min, max): (u32, u32),
        at: usize,
        looked: &mut usize,
    ) -> Option<(usize, usize)> {
        let class = &self.classes[class];
        let mut chars = text[at..].chars();
        let (mut end, mut floor, mut count) = (at, at, 0);
        while count < max {
            match chars.next() {
                Some(c) if class.contains(c) => {
                    end += c.len_utf8();
                    count += 1;
                    if count <= min {
                        floor = end;
                    }
                }
                _ => {
                    *looked = (*looked).max(end);
                    break;
                }
            }
        }
        if end > at {
            *looked = (*looked).max(previous(text, end));
        }
        (count >= min).then_some((floor, end))
    }
}

impl Compiler {
    fn emit(&mut self, node: &Node) {
        match node {
            Node::Class(class) => {
                let class = self.class(class);
                self.steps.push(Step::One(class));
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|n| self.emit(n)),
            Node::Alternatives(nodes) => self.alternatives(nodes),
            Node::Repeat { node, min, max, greed } => self.repeat(node, *min, *max, *greed),
            Node::LookAhead { node, negative } => {
                let body = self.steps.len() + 1;
                self.steps.push(Step::Accept);
                self.body(node);
                self.steps[body - 1] = Step::Look { body, next: self.steps.len(), negative: *negative };
            }
            Node::Atomic(node) => self.atomic(node),
            Node::EndOfText => self.steps.push(Step::EndOfText),
        }
    }

    fn class(&mut self, class: &Rc<CodePoints>) -> usize {
        let Self { classes, numbers, .. } = self;
        *numbers.entry(Rc::as_ptr(class)).or_insert_with(|| {
            classes.push(Rc::clone(class));
            classes.len() - 1
        })
    }

    fn body(&mut self, node: &Node) {
        self.emit(node);
        self.steps.push(Step::Accept);
    }

    fn atomic(&mut self, node: &Node) {
        let body = self.steps.len() + 1;
        self.steps.push(Step::Accept);
        self.body(node);
        self.steps[body - 1] = Step::Atomic { body, next: self.steps.len() };
    }

    fn alternatives(&mut self, nodes: &[Node]) {
        let mut exits = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let fork = self.steps.len();
            let last = index + 1 == nodes.len();
            if !last {
                self.steps.push(Step::Accept);
            }
            self.emit(node);
            if !last {
                exits.push(self.steps.len());
                self.steps.push(Step::Accept);
                self.steps[fork] = Step::Fork { first: fork + 1, second: self.steps.len() };
            }
        }
        let end = self.steps.len();
        for exit in exits {
            self.steps[exit] = Step::Jump(end);
        }
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed) {
        if let (Node::Class(class), true) = (node, greed != Greed::Lazy) {
            let class = self.class(class);
            let gives_back = greed == Greed::Greedy;
            self.steps.push(Step::Run { class, min, max: max.unwrap_or(u32::MAX), gives_back });
            return;
        }
        if greed == Greed::Possessive {
            let inner = Node::Repeat { node: Box::new(node.clone()), min, max, greed: Greed::Greedy };
            self.atomic(&inner);
            return;
        }
        for _ in 0..min {
            self.emit(node);
        }
        let ordered = |fork: usize, after: usize| {
            if greed == Greed::Lazy {
                Step::Fork { first: after, second: fork + 1 }
            } else {
                Step::Fork { first: fork + 1, second: after }
            }
        };
        match max {
            None => {
                let fork = self.steps.len();
                self.steps.push(Step::Accept);
                self.emit(node);
                self.steps.push(Step::Jump(fork));
                self.steps[fork] = ordered(fork, self.steps.len());
            }
            Some(max) => {
                let mut forks = Vec::new();
                for _ in min..max {
                    forks.push(self.steps.len());
                    self.steps.push(Step::Accept);
                    self.emit(node);
                }
                let after = self.steps.len();
                for fork in forks {
                    self.steps[fork] = ordered(fork, after);
                }
            }
        }
    }
}

/// The start of the character that ends at `at`.
fn previous(text: &str, at: usize) -> usize {
    text[..at].char_indices().next_back().map_or(0, |(start, _)| start)
}
