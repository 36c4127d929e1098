//! Normalizers that rewrite text, run by ourselves, with the way back from every character to its origin.
//!
//! The stages of a normalizer mostly treat each character alone. So each character has a [`Class`], found when it is
//! first met by running the stages on it alone. Text of characters that are kept is not touched at all, and characters
//! that always become the same are looked up. Only characters that act on their neighbours (combining marks, pairs of
//! quotes) run through the stages, together with the characters beside them.
//!
//! The consequences are in docs/proofs/white-space-cuts.md: step 1, *Normalizer*, of the argument for a cut before
//! white space. [`class`](super::class) has the known facts of a character, and [`step`](super::step) the effect of a
//! stage. [`trace`](super::trace) leads the way back.

use crate::normalizers::rewriter::code::{stays, touch, Class, CLASS, CODE};
use crate::normalizers::rewriter::item::{Ends, Item};
use crate::normalizers::rewriter::step::Step;
use crate::normalizers::rewriter::trace::Trace;
use crate::util::char_table::CharMemo;
use crate::util::known_words::{hash, KnownWords};

/// Longest stretch that is remembered, in bytes.
const LONGEST_GROUP: usize = 64;

/// The rewritten forms of stretches that cannot be divided, in about 2 MiB.
pub(crate) type KnownGroups = KnownWords<Item, { 2 << 20 }>;

/// The stages of a normalizer. Example: NFKC, then lower case.
#[derive(Debug)]
pub(crate) struct Rewriter {
    pub(super) steps: Vec<Step>,
    pub(super) known: CharMemo,
    pub(super) ascii: [u8; 128],
    acts_on_start: bool,
    acts_on_end: bool,
    joins_blanks: bool,
}

impl Rewriter {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let acts_on_start = steps.iter().any(|s| matches!(s, Step::LeadingSpaces | Step::Strip { left: true, .. }));
        let acts_on_end =
            steps.iter().any(|s| matches!(s, Step::TrailingSpaces { .. } | Step::Strip { right: true, .. }));
        let folds = steps.iter().any(|s| matches!(s, Step::SpaceRuns { .. }));
        let strips = steps.iter().any(|s| matches!(s, Step::Strip { .. }));
        let joins_blanks = strips || !folds && (acts_on_start || acts_on_end);
        let (known, ascii) = (CharMemo::default(), [0; 128]);
        let mut rewriter = Self { steps, known, ascii, acts_on_start, acts_on_end, joins_blanks };
        for code in 0..128_u8 {
            rewriter.ascii[usize::from(code)] = (rewriter.remembered(char::from(code)) & CODE) as u8;
        }
        rewriter
    }

    /// Whether `c` may begin a symbol of several characters that is left alone.
    pub(crate) fn begins_symbol(&self, c: char) -> bool {
        self.steps.iter().any(|s| matches!(s, Step::Rules { rules, .. } if rules.keeps_from(c)))
    }

    /// Whether a stage acts at the start of a text only.
    pub(crate) fn acts_on_start(&self) -> bool {
        self.acts_on_start
    }

    /// Whether a stage acts at the end of a text only.
    pub(crate) fn acts_on_end(&self) -> bool {
        self.acts_on_end
    }

    /// Whether the treatment of white space depends on the white space beside it.
    pub(crate) fn acts_on_runs(&self) -> bool {
        self.steps.iter().any(Step::acts_on_runs)
    }

    /// Whether white space is dropped at the ends of the text where no class of a character tells so. Spaces that a
    /// step folds hold together anyway.
    pub(super) fn joins_blanks(&self) -> bool {
        self.joins_blanks
    }

    /// Whether rules are read by grapheme clusters, which a few characters form with a space after them.
    pub(crate) fn knows_clusters(&self) -> bool {
        self.steps.iter().any(|s| matches!(s, Step::ClusterRules(_)))
    }

    /// Whether a normal form leaves marks, which the next step does not remove.
    pub(crate) fn keeps_marks(&self) -> bool {
        let forms = self.steps.iter().enumerate().filter(|(_, step)| matches!(step, Step::Form(_)));
        forms.into_iter().any(|(index, _)| !matches!(self.steps.get(index + 1), Some(Step::StripAccents)))
    }

    /// Whether a character may change when another is appended.
    pub(crate) fn looks_behind_itself(&self) -> bool {
        !self.steps.iter().all(Step::treats_alone)
    }

    /// Whether no rewritten text has `c`.
    pub(crate) fn never_writes(&self, c: char) -> bool {
        let removed = self.steps.iter().rposition(|step| step.removes(c));
        removed.is_some_and(|at| self.steps[at + 1..].iter().all(|step| step.never_makes(c)))
    }

    /// Whether `part` stays unchanged.
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
            let code = self.code(c);
            if stays(code) {
                before = Class::Kept as u8;
                first = first.or(Some(c));
                last = c;
                continue;
            }
            let code = code & CLASS;
            if code > Class::Sticky as u8 || code & before == Class::Sticky as u8 {
                return false;
            }
            before = code;
            first = first.or(Some(c));
            last = c;
        }
        // White space at an end of the text may be dropped.
        !(ends.start && self.acts_on_start && first.is_some_and(char::is_whitespace)
            || ends.end && self.acts_on_end && is_trailing(last))
    }

    /// Appends the rewritten form of `part` to `normal`, and its origin to `trace`; positions in the part count from
    /// `base`. Stretches that cannot be divided are remembered in `groups`: the syllables of Thai are few.
    pub(crate) fn rewrite(
        &self,
        part: &str,
        base: usize,
        ends: Ends,
        normal: &mut String,
        trace: &mut Trace,
        groups: &mut KnownGroups,
    ) {
        if self.keeps(part, ends) {
            return Self::copy(part, 0..part.len(), base, normal, trace);
        }
        if ends.start && self.acts_on_start || ends.end && self.acts_on_end {
            return self.run(part, ends, |c, start, end| {
                trace.replace(normal.len(), (base + start) as u32, (base + end) as u32);
                normal.push(c);
            });
        }
        let mut chars = part.char_indices().map(|(at, c)| (at, c, self.code(c)));
        // The begin of the run of kept characters, and of the stretch that cannot be divided.
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

    /// Appends the rewritten form of `part`, which cannot be divided, where no stage acts on its ends.
    fn group(&self, part: &str, base: usize, normal: &mut String, trace: &mut Trace, groups: &mut KnownGroups) {
        let mut push = |c: char, start: usize, end: usize| {
            trace.replace(normal.len(), (base + start) as u32, (base + end) as u32);
            normal.push(c);
        };
        if part.len() > LONGEST_GROUP {
            return self.run(part, Ends::default(), push);
        }
        let key = hash(part.as_bytes(), 0);
        if let Some((known, _)) = groups.get(part.as_bytes(), 0, key) {
            known.iter().for_each(|item| push(item.c, item.start as usize, item.end as usize));
            return;
        }
        let mut found = Vec::new();
        self.run(part, Ends::default(), |c, start, end| {
            found.push(Item { c, start: start as u32, end: end as u32 });
            push(c, start, end);
        });
        groups.insert(part.as_bytes(), 0, key, found, 0);
    }

    /// All stages, on a part that cannot be divided. `push` gets each character with the bytes of the part that it
    /// stands for.
    fn run(&self, part: &str, ends: Ends, mut push: impl FnMut(char, usize, usize)) {
        let place = |(at, c): (usize, char)| Item { c, start: at as u32, end: (at + c.len_utf8()) as u32 };
        let mut items: Vec<Item> = part.char_indices().map(place).collect();
        for step in &self.steps {
            items = step.apply(items, ends);
        }
        items.iter().for_each(|item| push(item.c, item.start as usize, item.end as usize));
    }
}

fn is_trailing(c: char) -> bool {
    c.is_whitespace() || c == '\u{2581}'
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::normalizers::charsmap::tests::charsmap_of;
    use crate::normalizers::rewriter::flow::Flow;
    use crate::normalizers::rewriter::form::Form;

    /// Numbers below a given one, the same ones each time.
    pub(crate) fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |sides| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % sides
        }
    }

    pub(crate) fn rewritten(rewriter: &Rewriter, text: &str) -> (String, Vec<(usize, usize)>) {
        let (mut normal, mut trace) = (String::new(), Trace::default());
        rewriter.rewrite(
            text,
            0,
            Ends { start: true, end: true },
            &mut normal,
            &mut trace,
            &mut KnownGroups::default(),
        );
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
    fn groups_that_come_again_are_as_before() {
        let rewriter = Rewriter::new(vec![Step::Form(Form::Nfkd), Step::StripAccents, Step::Lowercase]);
        let (mut groups, text) =
            (KnownGroups::default(), "\u{e01}\u{e33}E\u{301}b \u{301}\u{fb01}E\u{301}\u{e01}\u{e33}");
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

    /// Rewriters whose rules leave symbols of several characters alone, with characters that may be beside these.
    fn rewriters_with_symbols() -> Vec<Rewriter> {
        let rules = |symbols: &[&str]| {
            let rules = [
                ("e\u{301}", "\u{e9}"),
                (">\u{338}", "G"),
                ("o", "00"),
                ("pa", "P"),
                ("\n", " "),
                ("\u{fb01}", "fi"),
                ("\u{200d}", ""),
            ];
            let rules = charsmap_of(&rules).keeping(symbols.iter().map(ToString::to_string));
            Step::Rules { later: rules.later_characters().unwrap(), rules }
        };
        let ends =
            || [Step::LeadingSpaces, Step::TrailingSpaces { marks: false }, Step::SpaceRuns { content: vec![' '] }];
        let some: [&[&str]; 5] = [
            &["<eop>"],
            &["<eop>", "<e", "pe", "."],
            &["oo", "ea", "\nx"],
            &["a\u{301}e", "\u{fb01}p", ">>"],
            &["e", "ee", "xe>"],
        ];
        let with = |before: Vec<Step>, symbols: &[&str], after: Vec<Step>| {
            Rewriter::new(before.into_iter().chain([rules(symbols)]).chain(after).collect())
        };
        some.iter()
            .flat_map(|symbols| {
                let literal = || Step::Literal { pattern: vec!['p', 'a'], content: vec!['x'] };
                [
                    with(Vec::new(), symbols, Vec::new()),
                    with(Vec::new(), symbols, ends().into()),
                    with(vec![Step::Lowercase], symbols, vec![literal()]),
                    with(Vec::new(), symbols, vec![Step::Literal { pattern: vec!['0'], content: vec!['o'] }]),
                ]
            })
            .collect()
    }

    #[test]
    fn symbols_that_are_left_alone_hold_only_their_own_text_together() {
        let letters: Vec<char> = "<eop>aax. \n\u{301}\u{338}\u{fb01}\u{200d}P".chars().collect();
        let (mut roll, mut carried, mut kept, mut divided) = (dice(11), 0, 0, 0);
        for rewriter in rewriters_with_symbols() {
            for _ in 0..1500 {
                let some: Vec<char> = (0..=roll(5)).map(|_| letters[roll(letters.len())]).collect();
                let text: String = (0..roll(30))
                    .map(|_| if roll(6) == 0 { letters[roll(letters.len())] } else { some[roll(some.len())] })
                    .collect();
                let whole = |text: &str| {
                    let mut found = Vec::new();
                    rewriter.run(text, Ends::default(), |c, start, end| found.push((c, start, end)));
                    found
                };
                let expected = whole(&text);
                if rewriter.keeps(&text, Ends::default()) {
                    assert!(expected.iter().map(|&(c, ..)| c).eq(text.chars()), "{text:?}");
                    kept += 1;
                }
                let (mut normal, mut trace) = (String::new(), Trace::default());
                rewriter.rewrite(&text, 0, Ends::default(), &mut normal, &mut trace, &mut KnownGroups::default());
                let found = normal.char_indices().map(|(at, c)| (c, trace.span(at, at + c.len_utf8())));
                assert!(found.eq(expected.iter().map(|&(c, start, end)| (c, (start, end)))), "{text:?} {normal:?}");
                let places: Vec<_> = text
                    .char_indices()
                    .zip(text.chars().skip(1))
                    .map(|((at, left), right)| (at + left.len_utf8(), left, right))
                    .collect();
                for (at, left, right) in places {
                    if right == ' ' && rewriter.is_solid(left) {
                        let before = whole(&text[..at]);
                        assert!(
                            before.last().is_some_and(|&(c, ..)| !c.is_whitespace()) && expected.starts_with(&before),
                            "{text:?} {at}"
                        );
                        divided += 1;
                    }
                }
                let ends = Ends { start: roll(2) == 0, end: true };
                let (mut flow, mut done) = (Flow::new(ends.start), Vec::new());
                for (at, c) in text.char_indices() {
                    if rewriter.flow(&mut flow, c, at, &mut done).is_none() {
                        break;
                    }
                    let Some(rest) = rewriter.rest(&flow) else { break };
                    let items: Vec<_> =
                        done.iter().chain(&rest).map(|item| (item.c, item.start as usize, item.end as usize)).collect();
                    let mut expected = Vec::new();
                    rewriter.run(&text[..at + c.len_utf8()], ends, |c, start, end| expected.push((c, start, end)));
                    assert_eq!(items, expected, "{text:?} {at}");
                    carried += 1;
                }
            }
        }
        assert!(carried > 50_000 && kept > 500 && divided > 5_000, "{carried} {kept} {divided}");
    }
}
