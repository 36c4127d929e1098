//! The origin of the parts of a rewritten text, so that tokens have spans in the text as it was written.
//!
//! Cuts and resume points are positions of that text too (docs/proofs/unigram-resume-points.md, step 5).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The origin of the parts of a rewritten text. Example: "fi" came from the three bytes of U+FB01.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    origins: Vec<Origin>,
    /// The part of the last call: tokens come in order.
    last: AtomicUsize,
}

/// A part of the rewritten text up to the next one.
#[derive(Debug, Clone, Copy)]
struct Origin {
    normal: u32,
    start: u32,
    end: u32,
    kept: bool,
}

impl Clone for Trace {
    fn clone(&self) -> Self {
        Self { origins: self.origins.clone(), last: AtomicUsize::new(0) }
    }
}

impl Trace {
    pub(crate) fn clear(&mut self) {
        self.origins.clear();
        *self.last.get_mut() = 0;
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

    /// Appends a character that begins at `normal` and stands for the bytes from `start` to `end`; `kept`: for itself.
    pub(crate) fn push(&mut self, normal: usize, start: u32, end: u32, kept: bool) {
        let goes_on =
            |last: &Origin| last.kept && (last.start as usize + normal) == start as usize + last.normal as usize;
        if !kept {
            self.replace(normal, start, end);
        } else if !self.origins.last().is_some_and(goes_on) {
            self.keep(normal, start as usize);
        }
    }

    /// Forgets the parts that begin at or after `normal`.
    pub(crate) fn truncate(&mut self, normal: usize) {
        while self.origins.last().is_some_and(|origin| origin.normal as usize >= normal) {
            self.origins.pop();
        }
    }

    /// The begin of the first character that stands for the byte `at` or for a later one.
    pub(crate) fn after(&self, at: usize) -> usize {
        let Some(last) = self.origins.partition_point(|o| o.start as usize <= at).checked_sub(1) else { return 0 };
        let origin = self.origins[last];
        if origin.kept {
            let here = origin.normal as usize + at - origin.start as usize;
            return self.origins.get(last + 1).map_or(here, |next| here.min(next.normal as usize));
        }
        self.origins[self.origins.partition_point(|o| o.start < origin.start)].normal as usize
    }

    fn at(&self, normal: usize) -> Option<Origin> {
        let holds = |index: usize| {
            let begins = |at: usize| self.origins.get(at).map(|origin| origin.normal as usize);
            begins(index).is_some_and(|begin| begin <= normal) && begins(index + 1).is_none_or(|next| normal < next)
        };
        let last = self.last.load(Relaxed);
        let index = match [last, last + 1].into_iter().find(|&index| holds(index)) {
            Some(index) => index,
            None => self.origins.partition_point(|origin| origin.normal as usize <= normal).checked_sub(1)?,
        };
        self.last.store(index, Relaxed);
        self.origins.get(index).copied()
    }

    /// The origin of the rewritten bytes from `start` to `end` (at least one).
    pub(crate) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.at(start).map_or(0, |o| {
            if o.kept {
                o.start as usize + start - o.normal as usize
            } else {
                o.start as usize
            }
        });
        let last = self.at(end.saturating_sub(1)).map_or(0, |o| {
            if o.kept {
                o.start as usize + end - o.normal as usize
            } else {
                o.end as usize
            }
        });
        (first, last.max(first))
    }

    /// The rewritten position of the text that begins at `at`, which must be a cut.
    pub(crate) fn position(&self, at: usize, length: usize) -> usize {
        let next = self.origins.partition_point(|o| (o.start as usize) < at);
        let here = self.origins.get(next).map_or(length, |o| o.normal as usize);
        match next.checked_sub(1).and_then(|before| self.origins.get(before)) {
            Some(o) if o.kept => (o.normal as usize + at - o.start as usize).min(here),
            _ => here,
        }
    }
}
