//! The bound on the pre-tokens at the end of a text that a later text can still change: a proof over all texts at once.
//!
//! A cut is settled once no walk that began before it has met the end of the text. So the text after the last settled
//! cut is a `w` through which one walk of the automaton goes on to the end, alive. All pre-tokens in `w`, and no
//! others, are open. Their number is bounded if no such `w` can go on cutting without end. That is a question about a
//! finite graph. A node holds the state of the walk that is still alive, and the state of the walk that makes the
//! current pre-token. It also holds the states of walks that have ended their match already and must not better it. The
//! edges are the symbols, of weight one where a pre-token ends. The bound is the weight of the heaviest path, if no
//! cycle has weight.
//!
//! Where the graph lets through a path that no text has, the bound is too high, never too low.

use crate::regex::automaton::{Automaton, DEAD, ENDS_BEFORE, ENDS_BEHIND, ROW};
use rustc_hash::FxHashMap;

/// More nodes than any published rule needs.
const MOST_NODES: usize = 50_000;
/// Steps of walks; published rules need up to 11,000.
const MOST_WORK: usize = 2_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    /// Row of the walk that began after the last settled cut.
    alive: u32,
    /// Row of the walk that makes the current pre-token, and whether it has read anything.
    current: u32,
    fresh: bool,
    /// Rows of walks whose match is over; ascending.
    over: Vec<u32>,
}

struct Graph<'a> {
    automaton: &'a Automaton,
    numbers: FxHashMap<Node, usize>,
    nodes: Vec<Node>,
    /// (to, weight) for each node.
    edges: Vec<Vec<(usize, u32)>>,
}

impl Automaton {
    /// The most pre-tokens at the end of a text, its last one included, that a later text can still change.
    ///
    /// `None`: there is no bound, or the proof would be too large. Complexity: O(nodes · symbols), some thousands for
    /// the published rules.
    pub(crate) fn open_pre_tokens(&self) -> Option<u32> {
        let mut graph = Graph { automaton: self, numbers: FxHashMap::default(), nodes: Vec::new(), edges: Vec::new() };
        let start = self.first_row();
        graph.number(Node { alive: start, current: start, fresh: true, over: Vec::new() });
        let (mut next, mut work) = (0, 0);
        while next < graph.nodes.len() {
            let node = graph.nodes[next].clone();
            work += self.letters() * (3 + node.over.len());
            if graph.nodes.len() > MOST_NODES || work > MOST_WORK {
                return None;
            }
            let mut edges = Vec::new();
            for symbol in 0..self.letters() {
                graph.follow(&node, symbol, &mut edges)?;
            }
            edges.sort_unstable();
            edges.dedup();
            graph.edges.push(edges);
            next += 1;
        }
        graph.heaviest()
    }
}

impl Graph<'_> {
    fn number(&mut self, node: Node) -> usize {
        if let Some(&number) = self.numbers.get(&node) {
            return number;
        }
        self.nodes.push(node.clone());
        self.numbers.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// The edges from `node` over `symbol`; `None` if a character may belong to no match, which the proof does not
    /// cover.
    fn follow(&mut self, node: &Node, symbol: usize, edges: &mut Vec<(usize, u32)>) -> Option<()> {
        let step = |row: u32| self.automaton.step(row, symbol);
        let alive = step(node.alive);
        if alive & ENDS_BEHIND != 0 || alive & ROW == DEAD {
            return Some(());
        }
        let mut over = Vec::with_capacity(node.over.len() + 1);
        for &row in &node.over {
            let step = step(row);
            if step & (ENDS_BEFORE | ENDS_BEHIND) != 0 {
                // That walk would have found a longer match: the guess that it was over is wrong.
                return Some(());
            }
            if step & ROW != DEAD {
                over.push(step & ROW);
            }
        }
        let start = self.automaton.first_row();
        let mut targets: Vec<(u32, bool, Vec<u32>, u32)> = Vec::new();
        let here = step(node.current);
        // The current pre-token goes on.
        if here & ENDS_BEHIND != 0 {
            targets.push((start, true, over.clone(), 1));
        } else if here & ROW != DEAD {
            targets.push((here & ROW, false, over.clone(), 0));
        } else if node.fresh {
            return None;
        }
        // Or it ended before this symbol, which begins the next one.
        if here & ENDS_BEFORE != 0 && !node.fresh {
            let mut over = over;
            if here & ENDS_BEHIND != 0 {
                self.add(alive & ROW, targets, edges);
                return Some(());
            }
            if here & ROW != DEAD {
                over.push(here & ROW);
            }
            let next = step(start);
            if next & ENDS_BEHIND != 0 {
                targets.push((start, true, over, 2));
            } else if next & ROW != DEAD {
                targets.push((next & ROW, false, over, 1));
            } else {
                return None;
            }
        }
        self.add(alive & ROW, targets, edges);
        Some(())
    }

    fn add(&mut self, alive: u32, targets: Vec<(u32, bool, Vec<u32>, u32)>, edges: &mut Vec<(usize, u32)>) {
        for (current, fresh, mut over, weight) in targets {
            over.sort_unstable();
            over.dedup();
            edges.push((self.number(Node { alive, current, fresh, over }), weight));
        }
    }

    /// The weight of the heaviest path from the first node, if no cycle has weight.
    fn heaviest(&self) -> Option<u32> {
        let count = self.nodes.len();
        let component = self.components();
        let mut inside = self
            .edges
            .iter()
            .enumerate()
            .flat_map(|(from, edges)| edges.iter().map(move |&(to, weight)| (from, to, weight)));
        if inside.any(|(from, to, weight)| weight > 0 && component[from] == component[to]) {
            return None;
        }
        // Components are numbered so that edges lead to smaller ones: in that order all ends are known.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_unstable_by_key(|&node| component[node]);
        let mut best: Vec<Option<u32>> = vec![None; count];
        for &node in &order {
            let onward = self.edges[node].iter().filter(|edge| component[edge.0] != component[node]);
            let most =
                onward.filter_map(|&(to, weight)| Some(best[component[to]]? + weight)).chain(self.at_end(node)).max();
            best[component[node]] = best[component[node]].max(most);
        }
        best[component[0]]
    }

    /// The pre-tokens that the end of the text adds at `node`. `None` if the text cannot end there, because a match
    /// that was taken to be over would be bettered.
    fn at_end(&self, node: usize) -> Option<u32> {
        let end = self.automaton.letters();
        let node = &self.nodes[node];
        let bettered = node.over.iter().any(|&row| self.automaton.step(row, end) & ENDS_BEFORE != 0);
        (!bettered).then_some(u32::from(!node.fresh))
    }

    /// The strongly connected component of each node, numbered in reverse topological order (Tarjan 1972).
    fn components(&self) -> Vec<usize> {
        const NEW: usize = usize::MAX;
        let count = self.nodes.len();
        let (mut index, mut low, mut component) = (vec![NEW; count], vec![0; count], vec![NEW; count]);
        let (mut stack, mut calls) = (Vec::new(), Vec::new());
        let (mut indices, mut components) = (0, 0);
        for root in 0..count {
            if index[root] != NEW {
                continue;
            }
            calls.push((root, 0));
            while let Some((node, edge)) = calls.pop() {
                if edge == 0 {
                    (index[node], low[node]) = (indices, indices);
                    indices += 1;
                    stack.push(node);
                }
                match self.edges[node].get(edge) {
                    Some(&(to, _)) => {
                        calls.push((node, edge + 1));
                        if index[to] == NEW {
                            calls.push((to, 0));
                        } else if component[to] == NEW {
                            low[node] = low[node].min(index[to]);
                        }
                    }
                    None => {
                        if low[node] == index[node] {
                            while let Some(member) = stack.pop() {
                                component[member] = components;
                                if member == node {
                                    break;
                                }
                            }
                            components += 1;
                        }
                        if let Some(&(parent, _)) = calls.last() {
                            low[parent] = low[parent].min(low[node]);
                        }
                    }
                }
            }
        }
        component
    }
}
