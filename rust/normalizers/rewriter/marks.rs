//! Marks in the order of their classes. A normal form treats each of them as if it were alone, so a long run of them is
//! passed on. Example: U+0323, of class 220, and then U+0301, of class 230.
//!
//! The argument is step 9 of docs/proofs/growing-normal-forms.md.

use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{replace_all, Item};
use crate::normalizers::unicode_forms::class_of;
use unicode_normalization_alignments::UnicodeNormalization;

/// Known facts of the beginning of a part that a form has passed on: marks that follow in order do not change it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Passed {
    /// The character that a mark may be composed with, and the class of the last character after it, or 0.
    starter: Option<char>,
    class: u8,
    /// The highest class so far.
    order: u8,
    /// The last character of the part, as it was read.
    pub(super) last: Option<char>,
}

impl Passed {
    /// The state after `items`, of which `normal` is the form.
    fn after(form: Form, items: &[Item], normal: &[char]) -> Self {
        let mut passed = Self { last: items.last().map(|item| item.c), ..Self::default() };
        items.iter().for_each(|item| form.decompose(item.c, |c| passed.order = passed.order.max(class_of(c))));
        passed.class = normal.last().map_or(0, |&c| class_of(c));
        passed.starter = normal.iter().rev().copied().find(|&c| class_of(c) == 0);
        passed
    }

    /// Takes in `c`, if the form of `c` and the text before it is the form of each alone.
    fn takes(&mut self, form: Form, c: char) -> bool {
        let (mut passed, mut fits) = (*self, true);
        form.decompose(c, |c| {
            let class = class_of(c);
            let composes = matches!(form, Form::Nfc | Form::Nfkc)
                && (passed.class == 0 || passed.class < class)
                && passed.starter.is_some_and(|starter| [starter, c].into_iter().nfc().count() == 1);
            fits &= class > 0 && class >= passed.order && !composes;
            (passed.class, passed.order) = (class, class);
        });
        if fits {
            *self = Self { last: Some(c), ..passed };
        }
        fits
    }
}

impl Form {
    /// The number of items at the beginning of a part that are rewritten together. Each other one is a mark, or
    /// several, that is rewritten alone.
    ///
    /// Complexity: O(items), times the marks that are composed, which are few.
    pub(super) fn head(self, part: &[Item]) -> usize {
        let (mut order, mut head) = (0, 0);
        for (number, item) in part.iter().enumerate() {
            let mut fits = true;
            self.decompose(item.c, |c| {
                fits &= class_of(c) > 0 && class_of(c) >= order;
                order = order.max(class_of(c));
            });
            head = if fits { head } else { number + 1 };
        }
        loop {
            let mut passed = Passed::after(self, &part[..head], &self.of(&part[..head]));
            match part[head..].iter().position(|item| !passed.takes(self, item.c)) {
                Some(number) => head += number + 1,
                None => return head,
            }
        }
    }

    /// The form of `items` after the `passed` part; None where they change that part.
    pub(super) fn after(self, passed: Option<&mut Passed>, items: &[Item]) -> Option<Vec<Item>> {
        let Some(passed) = passed else { return Some(self.apply(items)) };
        let mut output = Vec::with_capacity(items.len());
        for item in items {
            passed.takes(self, item.c).then_some(())?;
            replace_all(&[*item], &self.of(&[*item]), &mut output);
        }
        Some(output)
    }

    /// The same for items whose part goes on; `passed` then has the known facts of the part.
    pub(super) fn pass_on(self, passed: &mut Option<Passed>, items: &[Item]) -> Option<Vec<Item>> {
        let output = self.after(passed.as_mut(), items)?;
        if passed.is_none() {
            *passed = Some(Passed::after(self, items, &self.of(items)));
        }
        Some(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: [char; 14] = [
        'a', 'e', '\u{e9}', '\u{301}', '\u{323}', '\u{327}', '\u{344}', '\u{345}', '\u{338}', '\u{f73}', '\u{f71}',
        '\u{3b1}', '\u{ff9e}', '\u{1161}',
    ];

    fn items_of(number: usize) -> Vec<Item> {
        let c = |place: u32| LETTERS[number / LETTERS.len().pow(place) % LETTERS.len()];
        (0..5).map(|place| Item { c: c(place), start: place, end: place + 1 }).collect()
    }

    #[test]
    fn what_is_passed_on_stays() {
        let (mut apart, mut carried) = (0, 0);
        for form in [Form::Nfc, Form::Nfd, Form::Nfkc, Form::Nfkd] {
            for items in (0..LETTERS.len().pow(5)).step_by(7).map(items_of) {
                let whole = form.apply(&items);
                assert!(whole.iter().map(|item| item.c).eq(form.of(&items)), "{form:?} {items:?}");
                let is_part = |items: &[Item]| items.windows(2).all(|pair| !form.parts(pair[0].c, pair[1].c));
                if !is_part(&items) {
                    continue;
                }
                apart += items.len() - form.head(&items);
                for at in 1..5 {
                    let mut passed = None;
                    let Some(mut found) = form.pass_on(&mut passed, &items[..at]) else { continue };
                    let before = passed;
                    match form.after(passed.as_mut(), &items[at..]) {
                        Some(more) => {
                            found.extend(more);
                            assert_eq!(found, whole, "{form:?} {items:?} at {at}");
                            carried += 1;
                        }
                        // It changes the text before.
                        None => assert!(form.head(&items) > at, "{form:?} {items:?} {before:?} at {at}"),
                    }
                }
            }
        }
        assert!(apart > 10_000 && carried > 10_000, "{apart} {carried}");
    }
}
