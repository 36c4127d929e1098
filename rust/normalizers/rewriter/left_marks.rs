//! Marks that are left out of a long run, because the word that holds them is too long for the model anyway.
//!
//! A normal form moves marks before others, so a run of them is held as long as it grows. Where a word of more than
//! some characters is one unknown token, a few marks of a run are enough. The argument is in
//! docs/proofs/growing-normal-forms.md.

use crate::normalizers::rewriter::flow::{Flow, MOST_HELD};
use crate::normalizers::rewriter::form::Form;
use crate::normalizers::rewriter::item::{Ends, Item};
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::rewriter::step::Step;
use crate::normalizers::unicode_forms::class_of;

/// No character is composed with more marks than these, so the later ones of a class never are.
const MOST_COMPOSED: usize = 3;

/// The marks of one step's run.
struct Run<'a> {
    form: Form,
    /// The steps after it.
    steps: &'a [Step],
    /// How often each class has come.
    seen: [usize; 256],
}

impl Run<'_> {
    /// Whether `c` is marks, each of which follows some of its class that stay. Takes them in.
    fn takes(&mut self, c: char) -> bool {
        let mut follows = true;
        self.form.decompose(c, |c| {
            let class = class_of(c);
            if class == 0 {
                self.seen = [0; 256];
            }
            let seen = &mut self.seen[usize::from(class)];
            follows &= class > 0 && *seen >= MOST_COMPOSED;
            *seen += 1;
        });
        follows
    }

    /// The output of a mark of which nothing is composed.
    fn output(&self, item: Item) -> Vec<Item> {
        self.steps.iter().fold(self.form.apply(&[item]), |items, step| step.apply(items, Ends::default()))
    }
}

impl Rewriter {
    /// Leaves out marks that a form holds, if more than `longest` marks of the same word stay. Characters of one `code`
    /// side by side are of one word.
    ///
    /// The text that they stand for is then that of the item before. Complexity: O(held characters).
    pub(crate) fn leave_marks(&self, flow: &mut Flow, longest: usize, code: impl Fn(char) -> Option<u8>) {
        for (index, step) in self.steps.iter().enumerate() {
            let (Step::Form(form), steps) = (step, &self.steps[index + 1..]) else { continue };
            let Some((items, false)) = flow.held_of(index) else { continue };
            if items.len() > longest + MOST_HELD && steps.iter().all(Step::treats_alone) {
                leave(items, Run { form: *form, steps, seen: [0; 256] }, longest, &code);
            }
        }
    }
}

fn leave(items: &mut Vec<Item>, mut run: Run<'_>, longest: usize, code: &impl Fn(char) -> Option<u8>) {
    let class = |c: char| {
        let (mut first, mut highest) = (None, 0);
        run.form.decompose(c, |c| {
            first = first.or(Some(class_of(c)));
            highest = highest.max(class_of(c));
        });
        (first.unwrap_or(0), highest)
    };
    // The marks after the last starter: those that are kept, and the last one that moves.
    let begin = items.iter().rposition(|item| class(item.c).0 == 0).map_or(0, |last| last + 1);
    let (mut order, mut last_moved) = (0, 0);
    for (index, item) in items.iter().enumerate() {
        let (first, highest) = class(item.c);
        if first < order {
            last_moved = index;
        }
        order = order.max(highest);
    }
    let outputs: Vec<Vec<Item>> = items[begin..].iter().map(|&item| run.output(item)).collect();
    let mut codes = outputs.iter().flatten().map(|item| code(item.c));
    let one = codes.next().flatten();
    if codes.any(|code| code.is_none() || code != one) {
        return;
    }
    let mut count: usize = outputs.iter().map(Vec::len).sum();
    let (mut kept, last) = (Vec::with_capacity(items.len()), items.len() - 1);
    for (index, &item) in items.iter().enumerate() {
        let output = index.checked_sub(begin).map_or(0, |mark| outputs[mark].len());
        let follows = run.takes(item.c) && index >= begin;
        // Of a mark that stands for text of its own some are composed.
        let enough = output == 0 || count > longest + MOST_COMPOSED + output;
        match kept.last_mut().filter(|_| follows && enough && index != last && index != last_moved) {
            Some(before) => {
                let before: &mut Item = before;
                before.end = item.end;
                count -= output;
            }
            None => kept.push(item),
        }
    }
    *items = kept;
}
