//! Rewriting a text that grows. Each appended character makes a part of the text final. The open end also has a form
//! for the case that the text ends there.
//!
//! Characters that touch are rewritten together, so a run of them has no place to begin again. A [`Flow`] carries the
//! characters that each step holds of such a run. The result is that of [`Rewriter::rewrite`] on the whole text
//! (docs/proofs/growing-normal-forms.md).

use crate::normalizers::charsmap::Charsmap;
use crate::normalizers::rewriter::cluster::{Cluster, WIDE};
use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{Ends, Item};
use crate::normalizers::rewriter::marks::Passed;
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::rewriter::step::Step;

/// The number of characters that a form waits for. Of a longer run marks are passed on, and no mark that moves before
/// them is carried.
pub(crate) const MOST_HELD: usize = 32;

/// The state of rewriting. Example: after "e" the character is held, because an accent may follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// The last character of the text.
    last: Option<char>,
    /// The only character, while no step has seen it.
    first: Option<Item>,
    /// The part at the end begins the text.
    start: bool,
    held: Vec<Held>,
}

/// The characters that a step holds. Example: "e", which an accent may change.
#[derive(Debug, Clone, Default)]
struct Held {
    /// Characters that later text may change.
    items: Vec<Item>,
    /// The grapheme cluster at the end.
    cluster: Option<Cluster>,
    /// A character other than a space has come.
    begun: bool,
    /// Marks of the part at the end were passed on.
    passed: Option<Passed>,
}

impl Flow {
    /// The state before the first character; `start`: there is no text before it.
    pub(crate) fn new(start: bool) -> Self {
        Self { start, ..Self::default() }
    }

    /// The characters that the step of this number holds, and whether others were passed on.
    pub(super) fn held_of(&mut self, step: usize) -> Option<(&mut Vec<Item>, bool)> {
        self.held.get_mut(step).map(|held| (&mut held.items, held.passed.is_some()))
    }
}

impl Rewriter {
    /// Takes `flow` over `c`, at byte `at`, and appends the new final text to `done`. Returns whether `c` begins a part
    /// that is rewritten separately. None where that is not carried.
    pub(crate) fn flow(&self, flow: &mut Flow, c: char, at: usize, done: &mut Vec<Item>) -> Option<bool> {
        let item = Item { c, start: at as u32, end: (at + c.len_utf8()) as u32 };
        let divided = flow.last.is_none_or(|last| self.parts_flow(last, c));
        if divided {
            let start = flow.start && flow.last.is_none();
            done.extend(self.part(flow, Ends { start: flow.start, end: false })?);
            *flow = Flow { last: Some(c), first: Some(item), start, held: std::mem::take(&mut flow.held) };
            flow.held.clear();
            return Some(true);
        }
        flow.last = Some(c);
        flow.held.resize(self.steps.len(), Held::default());
        let items = flow.first.take().into_iter().chain([item]).collect();
        done.extend(self.feed(&mut flow.held, items, flow.start)?);
        Some(false)
    }

    /// Appends to `done` the characters that forms hold of runs of more than `most` marks. A mark that moves before
    /// them is not carried later.
    pub(crate) fn pass_on(&self, flow: &mut Flow, most: usize, done: &mut Vec<Item>) -> Option<()> {
        if flow.held.iter().all(|held| held.items.len() <= most) {
            return Some(());
        }
        let mut items = Vec::new();
        for (step, held) in self.steps.iter().zip(&mut flow.held) {
            items = step.hold(held, items, flow.start)?;
            if let Some(form) = step.form().filter(|_| held.items.len() > most) {
                items.extend(form.pass_on(&mut held.passed, &std::mem::take(&mut held.items))?);
            }
        }
        done.extend(items);
        Some(())
    }

    /// The rewritten form of the open end if the text ends here.
    pub(crate) fn rest(&self, flow: &Flow) -> Option<Vec<Item>> {
        self.part(flow, Ends { start: flow.start, end: true })
    }

    /// The rewritten form of the open end on its own, with the rules for these `ends`.
    fn part(&self, flow: &Flow, ends: Ends) -> Option<Vec<Item>> {
        if let Some(item) = flow.first {
            let apply = |ends| self.steps.iter().fold(vec![item], |items, step| step.apply(items, ends));
            let alone = match self.alone(item.c) {
                Some(output) => output.chars().map(|c| Item { c, ..item }).collect(),
                None => apply(Ends::default()),
            };
            let acts = ends.start && self.acts_on_start() || ends.end && self.acts_on_end();
            return Some(if acts { apply(ends) } else { alone });
        }
        let mut items = Vec::new();
        for (step, held) in self.steps.iter().zip(&flow.held) {
            if ends.end && step.drops_at_end() && items.iter().all(|item| step.drops(item)) {
                // All held characters are removed, with the text after them.
                items.clear();
                continue;
            }
            let mut held = held.clone();
            let mut done = step.hold(&mut held, items, ends.start)?;
            done.extend(match step.form() {
                Some(form) => form.after(held.passed.as_mut(), &held.items)?,
                None => step.apply(held.items, Ends { start: false, end: ends.end }),
            });
            items = done;
        }
        Some(items)
    }

    fn feed(&self, held: &mut [Held], mut items: Vec<Item>, start: bool) -> Option<Vec<Item>> {
        for (step, held) in self.steps.iter().zip(held) {
            items = step.hold(held, items, start)?;
        }
        Some(items)
    }

    /// Whether a part of a flow ends between `left` and `c`. White space that a step drops at an end of the text lies
    /// in one part with the character that decides whether it is there.
    #[inline]
    fn parts_flow(&self, left: char, c: char) -> bool {
        self.divides(left, c) && (!self.joins_blanks() || self.is_solid(left))
    }
}

impl Step {
    /// Takes in `items`. Returns the final part of all items that came. At the end of the text the held items become
    /// those of [`Step::apply`].
    fn hold(&self, held: &mut Held, items: Vec<Item>, start: bool) -> Option<Vec<Item>> {
        match self {
            Self::Each { .. } | Self::Lowercase | Self::StripAccents | Self::Nmt => {
                Some(self.apply(items, Ends::default()))
            }
            Self::Literal { pattern, .. } => {
                held.items.extend(items);
                let sure = sure_of_literal(pattern, &held.items);
                Some(self.apply(held.items.drain(..sure).collect(), Ends::default()))
            }
            Self::Rules { rules, .. } => {
                held.items.extend(items);
                let sure = sure_of_rules(rules, &held.items);
                Some(self.apply(held.items.drain(..sure).collect(), Ends::default()))
            }
            Self::ClusterRules(rules) => Some(self.hold_clusters(rules, held, items)),
            Self::Form(form) => {
                let mut done = Vec::new();
                for item in items {
                    let left = held.items.last().map(|item| item.c).or(held.passed.and_then(|passed| passed.last));
                    if left.is_some_and(|left| form.parts(left, item.c)) {
                        let items = std::mem::take(&mut held.items);
                        done.extend(form.after(held.passed.take().as_mut(), &items)?);
                    }
                    held.items.push(item);
                }
                Some(done)
            }
            Self::Bert(bert) => (!bert.accents).then(|| bert.apply(items)),
            Self::SpaceRuns { .. } => Some(self.hold_spaces(held, items)),
            Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => {
                Some(self.hold_ends(held, items, start))
            }
        }
    }

    fn form(&self) -> Option<Form> {
        if let Self::Form(form) = self {
            Some(*form)
        } else {
            None
        }
    }

    /// Takes in `items`, whose last grapheme cluster may still grow.
    fn hold_clusters(&self, rules: &Charsmap, held: &mut Held, items: Vec<Item>) -> Vec<Item> {
        let mut done = Vec::new();
        for item in items {
            match held.cluster.as_mut().filter(|cluster| cluster.joins(item.c)) {
                Some(cluster) => cluster.push(item.c),
                None => {
                    done.extend(self.apply(std::mem::take(&mut held.items), Ends::default()));
                    held.cluster = Some(Cluster::new(item.c));
                }
            }
            held.items.push(item);
            if held.cluster.as_ref().is_some_and(|cluster| cluster.length() >= WIDE) {
                held.items.drain(..).for_each(|item| by_itself(rules, item, &mut done));
            }
        }
        done
    }

    /// Takes in `items`, whose run of spaces at the end may still grow.
    fn hold_spaces(&self, held: &mut Held, items: Vec<Item>) -> Vec<Item> {
        let mut done = Vec::new();
        for item in items {
            match &mut held.items[..] {
                // Two spaces replace a longer run.
                [_, last] if item.c == ' ' => last.end = item.end,
                _ if item.c == ' ' => held.items.push(item),
                _ => {
                    done.extend(self.apply(std::mem::take(&mut held.items), Ends::default()));
                    done.push(item);
                }
            }
        }
        done
    }

    /// Takes in `items`, of which white space at the ends of the text is dropped. At the end some may be held.
    fn hold_ends(&self, held: &mut Held, mut items: Vec<Item>, start: bool) -> Vec<Item> {
        if self.drops_at_start() {
            let dropped =
                if start && !held.begun { items.iter().take_while(|item| self.drops(item)).count() } else { 0 };
            items.drain(..dropped);
            held.begun |= !items.is_empty();
        }
        if !self.drops_at_end() {
            return items;
        }
        let sure = items.iter().rposition(|item| !self.drops(item)).map_or(0, |last| last + 1);
        let open = items.split_off(sure);
        let done = if items.is_empty() { items } else { held.items.drain(..).chain(items).collect() };
        held.items.extend(open);
        done
    }

    fn drops_at_start(&self) -> bool {
        matches!(self, Self::LeadingSpaces | Self::Strip { left: true, .. })
    }

    fn drops_at_end(&self) -> bool {
        matches!(self, Self::TrailingSpaces { .. } | Self::Strip { right: true, .. })
    }

    /// Whether `item` is removed at an end of the text where this step acts.
    fn drops(&self, item: &Item) -> bool {
        match self {
            Self::LeadingSpaces => item.c == ' ',
            Self::TrailingSpaces { marks } => item.c == ' ' || *marks && item.c == '\u{2581}',
            Self::Strip { .. } => item.c.is_whitespace(),
            _ => false,
        }
    }
}

/// The number of `items` that are read the same with any later text: the others are the beginning of a match.
fn sure_of_literal(pattern: &[char], items: &[Item]) -> usize {
    let mut at = 0;
    while at < items.len() {
        let same = items[at..].iter().zip(pattern).take_while(|(item, c)| item.c == **c).count();
        match same {
            _ if same == pattern.len() => at += pattern.len().max(1),
            _ if same == items.len() - at => break,
            _ => at += 1,
        }
    }
    at
}

/// The same number for rules of which the longest counts.
fn sure_of_rules(rules: &Charsmap, items: &[Item]) -> usize {
    let text: String = items.iter().map(|item| item.c).collect();
    let (mut at, mut count) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        if rules.grows(&text[at..]) {
            break;
        }
        let length = rules.longest_prefix(&text[at..]).map_or(c.len_utf8(), |(length, _)| length.max(1));
        count += text[at..at + length].chars().count();
        at += length;
    }
    count
}

/// Appends the output of `rules` for a character of a wide cluster.
fn by_itself(rules: &Charsmap, item: Item, done: &mut Vec<Item>) {
    match rules.shortest_prefix(item.c.encode_utf8(&mut [0; 4])) {
        Some(replacement) => done.extend(replacement.chars().map(|c| Item { c, ..item })),
        None => done.push(item),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::normalizers::charsmap::tests::charsmap_of;
    use crate::normalizers::rewriter::stages::tests::dice;
    use crate::normalizers::rewriter::stages::KnownGroups;
    use crate::normalizers::rewriter::trace::Trace;
    use crate::regex::char_class::CodePoints;
    use std::collections::HashSet;

    const LETTERS: [char; 32] = [
        ' ',
        '\t',
        '\u{a8}',
        '\u{200e}',
        '\u{2581}',
        '\u{3000}',
        'a',
        'e',
        'x',
        '`',
        '\u{301}',
        '\u{323}',
        '\u{327}',
        '\u{1100}',
        '\u{1161}',
        '\u{11a8}',
        '\u{ac00}',
        '\u{1f1e9}',
        '\u{1f1ea}',
        '\u{200d}',
        '\u{1f468}',
        '\u{2764}',
        '\u{fe0f}',
        '\u{915}',
        '\u{94d}',
        '\u{903}',
        '\u{600}',
        '\u{fb01}',
        '\u{bd}',
        '\u{212b}',
        '\u{e9}',
        '\u{0e33}',
    ];

    fn rules() -> Charsmap {
        charsmap_of(&[
            ("ab", "X"),
            ("e\u{301}", "\u{e9}"),
            ("\u{1161}", "V"),
            ("\u{301}", ""),
            ("a\u{301}\u{323}", "YZ"),
            ("\u{fb01}", "fi"),
            ("\u{1f1e9}", "D"),
            ("\u{3000}", " "),
            ("\u{200d}", " "),
            ("\u{bd}", "1 "),
        ])
    }

    fn later() -> HashSet<char> {
        rules().later_characters().unwrap()
    }

    fn quotes() -> Step {
        Step::Literal { pattern: vec!['`', '`', 'a'], content: vec!['"'] }
    }

    fn rewriters() -> Vec<Rewriter> {
        // As the files of SentencePiece have them.
        let spaces = |first: Step, marks: bool| {
            let plain = Step::Literal { pattern: vec!['\u{2581}'], content: vec![' '] };
            vec![
                first,
                Step::LeadingSpaces,
                Step::SpaceRuns { content: vec![' '] },
                Step::TrailingSpaces { marks },
                plain,
            ]
        };
        vec![
            Rewriter::new(vec![Step::ClusterRules(rules())]),
            Rewriter::new(vec![
                Step::ClusterRules(rules()),
                Step::Literal { pattern: vec!['x'], content: vec!['y', 'y'] },
            ]),
            Rewriter::new(vec![Step::Rules { rules: rules(), later: later() }, Step::Lowercase]),
            Rewriter::new(vec![quotes(), Step::Form(Form::Nfkd), Step::StripAccents, Step::ClusterRules(rules())]),
            Rewriter::new(vec![Step::Form(Form::Nfc), quotes()]),
            Rewriter::new(vec![
                Step::Form(Form::Nfkc),
                Step::ClusterRules(rules()),
                Step::SpaceRuns { content: vec![' '] },
            ]),
            Rewriter::new(vec![Step::Nmt, Step::Form(Form::Nfd)]),
            Rewriter::new(spaces(Step::Rules { rules: rules(), later: later() }, true)),
            Rewriter::new(spaces(Step::ClusterRules(rules()), false)),
        ]
    }

    /// White space is dropped at the ends.
    fn stripping() -> Vec<Rewriter> {
        vec![
            Rewriter::new(vec![Step::Nmt, Step::Strip { left: true, right: true }]),
            Rewriter::new(vec![Step::Strip { left: true, right: false }, Step::Form(Form::Nfkc)]),
            Rewriter::new(vec![Step::Form(Form::Nfkd), Step::Strip { left: true, right: true }, quotes()]),
            Rewriter::new(vec![Step::ClusterRules(rules()), Step::Strip { left: false, right: true }]),
            Rewriter::new(vec![
                quotes(),
                Step::Strip { left: true, right: true },
                Step::SpaceRuns { content: vec![' '] },
                Step::Literal { pattern: vec![' '], content: vec!['x'] },
            ]),
            Rewriter::new(vec![
                Step::Each { set: CodePoints::parse("[\u{200e}x]", false).unwrap(), content: vec![] },
                Step::LeadingSpaces,
                Step::Rules { rules: rules(), later: later() },
                Step::TrailingSpaces { marks: true },
            ]),
        ]
    }

    #[test]
    fn a_growing_text_is_rewritten_as_a_whole_one() {
        let mut roll = dice(5);
        let (mut carried, mut open) = (0, 0);
        for rewriter in rewriters().into_iter().chain(stripping()) {
            for round in 0..1500 {
                let alphabet: Vec<char> = (0..=roll(5)).map(|_| LETTERS[roll(LETTERS.len())]).collect();
                let text: String = (0..roll(40)).map(|_| alphabet[roll(alphabet.len())]).collect();
                let ends = Ends { start: roll(2) == 0, end: true };
                let (mut flow, mut done) = (Flow::new(ends.start), Vec::new());
                for (at, c) in text.char_indices() {
                    if rewriter.flow(&mut flow, c, at, &mut done).is_none() {
                        break;
                    }
                    let read = &text[..at + c.len_utf8()];
                    if roll(4) == 0 && rewriter.pass_on(&mut flow, roll(4), &mut done).is_none() {
                        break;
                    }
                    let Some(rest) = rewriter.rest(&flow) else { break };
                    let (mut normal, mut trace) = (String::new(), Trace::default());
                    rewriter.rewrite(read, 0, ends, &mut normal, &mut trace, &mut KnownGroups::default());
                    let items: Vec<Item> = done.iter().chain(&rest).copied().collect();
                    assert_eq!(items.iter().map(|item| item.c).collect::<String>(), normal, "round {round}: {read:?}");
                    let spans: Vec<_> =
                        normal.char_indices().map(|(at, c)| trace.span(at, at + c.len_utf8())).collect();
                    assert_eq!(
                        items.iter().map(|item| (item.start as usize, item.end as usize)).collect::<Vec<_>>(),
                        spans,
                        "{read:?}"
                    );
                    carried += 1;
                    open += usize::from(!done.is_empty() && rest.len() > 1);
                }
            }
        }
        assert!(carried > 100_000 && open > 5_000, "{carried} {open}");
    }

    #[test]
    fn what_is_held_of_a_long_run_is_short() {
        for (letters, most) in
            [("\u{1161}", 1), ("\u{301}", 1), ("\u{1f1e9}\u{1f1ea}", 1), ("\u{1f468}\u{200d}", 1), ("e\u{301}", 2)]
        {
            let rewriter = &rewriters()[0];
            let (mut flow, mut done) = (Flow::default(), Vec::new());
            for (at, c) in letters.repeat(500).char_indices() {
                rewriter.flow(&mut flow, c, at, &mut done).unwrap();
                assert!(at < 8 || rewriter.rest(&flow).unwrap().len() <= most, "{letters:?} at {at}");
            }
        }
        for form in [Form::Nfc, Form::Nfd, Form::Nfkc, Form::Nfkd] {
            let rewriter = Rewriter::new(vec![Step::Nmt, Step::Form(form), Step::Lowercase]);
            for letters in ["\u{1161}", "\u{301}", "\u{344}", "\u{9be}", "\u{1161}\u{301}", "\u{ffc2}", "\u{ff9e}"] {
                let (mut flow, mut done) = (Flow::default(), Vec::new());
                for (at, c) in letters.repeat(500).char_indices() {
                    rewriter.flow(&mut flow, c, at, &mut done).unwrap();
                    rewriter.pass_on(&mut flow, MOST_HELD, &mut done).unwrap();
                    assert!(rewriter.rest(&flow).unwrap().len() <= 2 * MOST_HELD, "{form:?} {letters:?} at {at}");
                }
            }
        }
    }
}
