//! Where parts of a rewritten text came from, so that tokens have spans in the text as it was written.
//!
//! Cuts and resume points are positions of that text too (docs/proofs/certificates.md, section 7, point 5).

use std::cell::Cell;

/// Where parts of a rewritten text came from.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    origins: Vec<Origin>,
    /// The one that was asked for last: tokens come in order.
    last: Cell<usize>,
}

/// A part of the rewritten text up to the next one.
#[derive(Debug, Clone, Copy)]
struct Origin {
    normal: u32,
    start: u32,
    end: u32,
    kept: bool,
}

impl Trace {
    pub(crate) fn clear(&mut self) {
        self.origins.clear();
        self.last.set(0);
    }

    /// `length` bytes from `normal` on stand for the bytes from `start` on, one for one.
    #[inline]
    pub(super) fn keep(&mut self, normal: usize, start: usize) {
        self.origins.push(Origin { normal: normal as u32, start: start as u32, end: 0, kept: true });
    }

    #[inline]
    pub(super) fn replace(&mut self, normal: usize, start: u32, end: u32) {
        self.origins.push(Origin { normal: normal as u32, start, end, kept: false });
    }

    fn at(&self, normal: usize) -> Option<Origin> {
        let holds = |index: usize| {
            let begins = |at: usize| self.origins.get(at).map(|origin| origin.normal as usize);
            begins(index).is_some_and(|begin| begin <= normal) && begins(index + 1).is_none_or(|next| normal < next)
        };
        let last = self.last.get();
        let index = match [last, last + 1].into_iter().find(|&index| holds(index)) {
            Some(index) => index,
            None => self.origins.partition_point(|origin| origin.normal as usize <= normal).checked_sub(1)?,
        };
        self.last.set(index);
        self.origins.get(index).copied()
    }

    /// Where the rewritten bytes from `start` to `end` (more than none) came from.
    pub(crate) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.at(start).map_or(0, |o| if o.kept { o.start as usize + start - o.normal as usize } else { o.start as usize });
        let last = self.at(end.saturating_sub(1)).map_or(0, |o| if o.kept { o.start as usize + end - o.normal as usize } else { o.end as usize });
        (first, last.max(first))
    }

    /// The rewritten position at which what stands at `at` in the text begins; `at` must be a cut.
    pub(crate) fn position(&self, at: usize, length: usize) -> usize {
        let next = self.origins.partition_point(|o| (o.start as usize) < at);
        let here = self.origins.get(next).map_or(length, |o| o.normal as usize);
        match next.checked_sub(1).and_then(|before| self.origins.get(before)) {
            Some(o) if o.kept => (o.normal as usize + at - o.start as usize).min(here),
            _ => here,
        }
    }
}
