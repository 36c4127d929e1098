//! Rewriting a text that grows: what each appended character makes final, and what the open end becomes if the text ends there.
//!
//! Characters that touch are rewritten together, so a run of them has no place to begin again. A [`Flow`] carries what each step
//! holds of such a run. The answer is that of [`Rewriter::rewrite`] on the whole text (docs/proofs/certificates.md, section 9,
//! *Growing normal forms*).

use super::cluster::{Cluster, WIDE};
use super::item::Item;
use super::step::Step;
use super::{Ends, Rewriter};
use crate::formats::charsmap::Charsmap;

/// A form may wait for so many characters; longer runs of marks are not carried.
const MOST_HELD: usize = 32;

/// Where rewriting stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// The last character of the text.
    last: Option<char>,
    /// The only character that no step has seen.
    first: Option<Item>,
    held: Vec<Held>,
}

/// What a step holds.
#[derive(Debug, Clone, Default)]
struct Held {
    /// Characters that what follows may change.
    items: Vec<Item>,
    /// The grapheme cluster at the end.
    cluster: Option<Cluster>,
}

impl Rewriter {
    /// Takes `flow` over `c`, at byte `at`; appends to `done` what is now final, and says whether `c` begins a part that is
    /// rewritten by itself. None where that is not carried.
    pub(crate) fn flow(&self, flow: &mut Flow, c: char, at: usize, done: &mut Vec<Item>) -> Option<bool> {
        let item = Item { c, start: at as u32, end: (at + c.len_utf8()) as u32 };
        let divided = flow.last.is_none_or(|last| self.divides(last, c));
        if divided {
            done.extend(self.rest(flow)?);
            *flow = Flow { last: Some(c), first: Some(item), held: std::mem::take(&mut flow.held) };
            flow.held.clear();
            return Some(true);
        }
        flow.last = Some(c);
        flow.held.resize(self.steps.len(), Held::default());
        let items = flow.first.take().into_iter().chain([item]).collect();
        done.extend(self.feed(&mut flow.held, items)?);
        Some(false)
    }

    /// What the open end becomes if the text ends here.
    pub(crate) fn rest(&self, flow: &Flow) -> Option<Vec<Item>> {
        if let Some(item) = flow.first {
            return Some(match self.alone(item.c) {
                Some(output) => output.chars().map(|c| Item { c, ..item }).collect(),
                None => self.steps.iter().fold(vec![item], |items, step| step.apply(items, Ends::default())),
            });
        }
        let mut items = Vec::new();
        for (step, held) in self.steps.iter().zip(&flow.held) {
            let mut held = held.clone();
            let mut done = step.hold(&mut held, items)?;
            done.extend(step.apply(held.items, Ends::default()));
            items = done;
        }
        Some(items)
    }

    fn feed(&self, held: &mut [Held], mut items: Vec<Item>) -> Option<Vec<Item>> {
        for (step, held) in self.steps.iter().zip(held) {
            items = step.hold(held, items)?;
        }
        Some(items)
    }
}

impl Step {
    /// Takes in `items`; the answer is what is final of all that came. The end of the text makes of what is held what
    /// [`Step::apply`] makes of it.
    fn hold(&self, held: &mut Held, items: Vec<Item>) -> Option<Vec<Item>> {
        match self {
            Self::Each { .. } | Self::Lowercase | Self::StripAccents | Self::Nmt => Some(self.apply(items, Ends::default())),
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
            Self::ClusterRules(rules) => {
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
                Some(done)
            }
            Self::Form(form) => {
                let mut done = Vec::new();
                for item in items {
                    if form.starts_anew(item.c) {
                        done.extend(form.apply(&std::mem::take(&mut held.items)));
                    }
                    held.items.push(item);
                }
                (held.items.len() <= MOST_HELD).then_some(done)
            }
            Self::Bert(bert) => (!bert.accents).then(|| bert.apply(items)),
            // White space in runs and at the ends is not carried, and nothing else is changed.
            Self::SpaceRuns { .. } | Self::LeadingSpaces | Self::TrailingSpaces { .. } | Self::Strip { .. } => {
                let white = |item: &Item| item.c.is_whitespace() || item.c == '\u{2581}';
                (!items.iter().any(white)).then_some(items)
            }
        }
    }
}

/// So many `items` are read the same whatever follows: the others are the beginning of a match.
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

/// The same for rules of which the longest counts.
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

/// Appends what `rules` make of a character of a wide cluster.
fn by_itself(rules: &Charsmap, item: Item, done: &mut Vec<Item>) {
    match rules.shortest_prefix(item.c.encode_utf8(&mut [0; 4])) {
        Some(replacement) => done.extend(replacement.chars().map(|c| Item { c, ..item })),
        None => done.push(item),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::dice;
    use super::super::{Form, Trace};
    use super::*;
    use crate::formats::charsmap::tests::charsmap_of;
    use crate::known_words::KnownWords;

    const LETTERS: [char; 26] = [
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

    fn rewriters() -> Vec<Rewriter> {
        let rules = || {
            charsmap_of(&[
                ("ab", "X"),
                ("e\u{301}", "\u{e9}"),
                ("\u{1161}", "V"),
                ("\u{301}", ""),
                ("a\u{301}\u{323}", "YZ"),
                ("\u{fb01}", "fi"),
                ("\u{1f1e9}", "D"),
            ])
        };
        let later = || rules().later_characters().unwrap();
        let quotes = || Step::Literal { pattern: vec!['`', '`', 'a'], content: vec!['"'] };
        vec![
            Rewriter::new(vec![Step::ClusterRules(rules())]),
            Rewriter::new(vec![Step::ClusterRules(rules()), Step::Literal { pattern: vec!['x'], content: vec!['y', 'y'] }]),
            Rewriter::new(vec![Step::Rules { rules: rules(), later: later() }, Step::Lowercase]),
            Rewriter::new(vec![quotes(), Step::Form(Form::Nfkd), Step::StripAccents, Step::ClusterRules(rules())]),
            Rewriter::new(vec![Step::Form(Form::Nfc), quotes()]),
            Rewriter::new(vec![Step::Form(Form::Nfkc), Step::ClusterRules(rules()), Step::SpaceRuns { content: vec![' '] }]),
            Rewriter::new(vec![Step::Nmt, Step::Form(Form::Nfd)]),
        ]
    }

    #[test]
    fn a_growing_text_is_rewritten_as_a_whole_one() {
        let mut roll = dice(5);
        let (mut carried, mut open) = (0, 0);
        for rewriter in rewriters() {
            for round in 0..1500 {
                let alphabet: Vec<char> = (0..=roll(5)).map(|_| LETTERS[roll(LETTERS.len())]).collect();
                let text: String = (0..roll(40)).map(|_| alphabet[roll(alphabet.len())]).collect();
                let (mut flow, mut done) = (Flow::default(), Vec::new());
                for (at, c) in text.char_indices() {
                    if rewriter.flow(&mut flow, c, at, &mut done).is_none() {
                        break;
                    }
                    let read = &text[..at + c.len_utf8()];
                    let rest = rewriter.rest(&flow).unwrap();
                    let (mut normal, mut trace) = (String::new(), Trace::default());
                    rewriter.rewrite(read, 0, Ends::default(), &mut normal, &mut trace, &mut KnownWords::default());
                    let items: Vec<Item> = done.iter().chain(&rest).copied().collect();
                    assert_eq!(items.iter().map(|item| item.c).collect::<String>(), normal, "round {round}: {read:?}");
                    let spans: Vec<_> = normal.char_indices().map(|(at, c)| trace.span(at, at + c.len_utf8())).collect();
                    assert_eq!(items.iter().map(|item| (item.start as usize, item.end as usize)).collect::<Vec<_>>(), spans, "{read:?}");
                    carried += 1;
                    open += usize::from(!done.is_empty() && rest.len() > 1);
                }
            }
        }
        assert!(carried > 100_000 && open > 5_000, "{carried} {open}");
    }

    #[test]
    fn what_is_held_of_a_long_run_is_short() {
        for (letters, most) in [("\u{1161}", 1), ("\u{301}", 1), ("\u{1f1e9}\u{1f1ea}", 1), ("\u{1f468}\u{200d}", 1), ("e\u{301}", 2)] {
            let rewriter = &rewriters()[0];
            let (mut flow, mut done) = (Flow::default(), Vec::new());
            for (at, c) in letters.repeat(500).char_indices() {
                rewriter.flow(&mut flow, c, at, &mut done).unwrap();
                assert!(at < 8 || rewriter.rest(&flow).unwrap().len() <= most, "{letters:?} at {at}");
            }
        }
    }
}
