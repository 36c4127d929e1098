//! The class of a character: its treatment when alone, its rewritten form, and whether its neighbours matter.
//!
//! The places where a text can be cut follow from the classes of the two characters. See
//! docs/proofs/white-space-cuts.md (step 1, *Normalizer*, of the argument for a cut before white space) and
//! docs/proofs/unigram-resume-points.md, step 5.

use crate::normalizers::rewriter::cluster::{begins_cluster, ends_before_space};
use crate::normalizers::rewriter::code::{
    touch, Class, ANEW, CLASS, CLOSES, CODE, COUNT, ENDS, OUTPUT, SHORT_OUTPUT, SOLID,
};
use crate::normalizers::rewriter::item::{Ends, Item};
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::rewriter::step::{Meeting, Step};

impl Rewriter {
    #[inline]
    pub(super) fn code(&self, c: char) -> u8 {
        match self.ascii.get(c as usize) {
            Some(&code) => code,
            None => (self.remembered(c) & CODE) as u8,
        }
    }

    /// The code of `c`. Where `c` is mapped, also its rewritten form, unless that is long.
    #[inline]
    pub(super) fn remembered(&self, c: char) -> u64 {
        self.known.get(c, || {
            let (code, output) = self.classify(c);
            let code = code | self.sides(c, code);
            let output = output.as_deref().unwrap_or("");
            let is_short = output.chars().count() <= SHORT_OUTPUT && output.chars().all(|c| c <= '\u{ffff}');
            let kept = if is_short { output } else { "" };
            let packed = kept.chars().rev().fold(0, |packed, c| packed << 16 | u64::from(u32::from(c)));
            u64::from(code) | (kept.chars().count() as u64) << COUNT | packed << OUTPUT
        })
    }

    /// The code of `c` and, where it is mapped, its rewritten form.
    fn classify(&self, c: char) -> (u8, Option<Box<str>>) {
        if self.steps.is_empty() {
            return (CLOSES | if c.is_whitespace() { 0 } else { SOLID }, None);
        }
        let clusters = self.steps.iter().any(|step| matches!(step, Step::ClusterRules(_)));
        let closes = !clusters || ends_before_space(c);
        let closes = if closes { CLOSES } else { 0 };
        let open = (Class::Open as u8 | closes, None);
        let alone = Item { c, start: 0, end: 1 };
        let mut items = vec![alone];
        let (mut sticky, mut solid, mut symbol) = (false, SOLID, false);
        for step in &self.steps {
            // White space that a step drops at an end, or in a run, is no text, even if a later step changes it.
            if step.acts_on_runs() && items.last().is_some_and(|item| item.c.is_whitespace()) {
                solid = 0;
            }
            for item in &items {
                match step.meets(item.c, item == &items[0]) {
                    Meeting::Indifferent => {}
                    Meeting::Equals if items == [alone] => sticky = true,
                    // In the symbol and elsewhere it stays unchanged.
                    Meeting::Symbol if items == [alone] && step.apply(vec![alone], Ends::default()) == [alone] => {
                        symbol = true
                    }
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
        if items.last().is_some_and(|item| item.c.is_whitespace()) {
            solid = 0;
        }
        let kept = items.len() == 1 && items[0].c == c;
        if symbol {
            let stays = kept && !sticky && solid == SOLID;
            return (open.0 | if stays { SOLID } else { 0 }, None);
        }
        match (kept, sticky) {
            (true, false) => (Class::Kept as u8 | solid | closes, None),
            (true, true) => (Class::Sticky as u8 | closes, None),
            (false, true) => open,
            (false, false) => (Class::Mapped as u8 | solid | closes, Some(items.iter().map(|item| item.c).collect())),
        }
    }

    /// The bits of the code that tell how `c` acts on an open neighbour: docs/proofs/open-characters.md.
    fn sides(&self, c: char, code: u8) -> u8 {
        let class = code & CLASS;
        let is_rules = |step: &&Step| matches!(step, Step::ClusterRules(_));
        if self.steps.iter().filter(is_rules).count() > 1 || class == Class::Sticky as u8 {
            return 0;
        }
        let (mut items, mut clusters) = (vec![Item { c, start: 0, end: 1 }], None);
        for step in &self.steps {
            if let Step::ClusterRules(rules) = step {
                clusters = Some(rules);
                break;
            }
            if class == Class::Open as u8
                && !items.iter().all(|item| matches!(step.meets(item.c, item == &items[0]), Meeting::Indifferent))
            {
                return if self.steps.iter().any(|step| is_rules(&step)) { 0 } else { ENDS };
            }
            items = step.apply(items, Ends::default());
        }
        let (open, first, last) = (class == Class::Open as u8, items.first(), items.last());
        match (clusters, first, last) {
            (None, ..) => {
                if open {
                    ENDS
                } else {
                    ANEW
                }
            }
            (Some(_), _, Some(last)) if open && ends_before_space(last.c) => ENDS,
            (Some(rules), Some(first), _) if !open && begins_cluster(first.c, rules, items.len() == 1) => ANEW,
            _ => 0,
        }
    }

    /// The rewritten form of `c`, if it is the same everywhere.
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

    /// The first and the last character of the rewritten form of `c`, if it is the same everywhere.
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

    /// Appends the rewritten form of `c`, which is mapped.
    pub(super) fn push_output(&self, c: char, normal: &mut String) {
        let known = self.remembered(c);
        match known >> COUNT & SHORT_OUTPUT as u64 {
            0 => normal.push_str(self.classify(c).1.as_deref().unwrap_or("")),
            count => normal.extend(
                (0..count as u32).filter_map(|index| char::from_u32((known >> (OUTPUT + 16 * index)) as u32 & 0xffff)),
            ),
        }
    }

    /// Whether a space after `c` begins a part that is rewritten separately, and follows a character that stays.
    #[inline]
    pub(crate) fn is_solid(&self, c: char) -> bool {
        self.code(c) & SOLID != 0
    }

    /// Whether a space after `c` is rewritten separately.
    #[inline]
    pub(crate) fn is_closed(&self, c: char) -> bool {
        self.code(c) & CLOSES != 0
    }

    /// The bits of `c` on which [`Rewriter::divides_classes`] depends.
    pub(crate) fn class(&self, c: char) -> u8 {
        self.code(c) & (CLASS | SOLID | ENDS | ANEW)
    }

    /// Whether a character of this class depends on its neighbours, or vanishes.
    pub(crate) fn is_open(class: u8) -> bool {
        class & CLASS == Class::Open as u8
    }

    /// The same as [`Rewriter::divides`].
    #[inline]
    pub(crate) fn divides_classes(left: u8, right: u8) -> bool {
        !touch(left, right)
    }

    /// Whether the text can be cut between `left` and `right`, each side being rewritten separately.
    pub(crate) fn divides(&self, left: char, right: char) -> bool {
        !touch(self.code(left), self.code(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalizers::rewriter::bert::Bert;
    use crate::normalizers::rewriter::form::Form;

    #[test]
    fn edges_are_those_of_what_a_character_becomes() {
        let rewriter = Rewriter::new(vec![
            Step::Bert(Bert { clean: true, chinese: true, accents: true, lowercase: true }),
            Step::Form(Form::Nfkd),
        ]);
        let mut mapped = 0;
        for c in ('\0'..='\u{ffff}').chain('\u{1d400}'..='\u{1d7ff}') {
            let alone = rewriter.alone(c);
            let edges = alone.as_deref().and_then(|output| Some((output.chars().next()?, output.chars().next_back()?)));
            assert_eq!(rewriter.edges(c), edges, "{c:?}");
            mapped += usize::from(alone.is_some_and(|output| output != c.to_string()));
        }
        assert!(mapped > 20_000);
    }
}
