//! Scratch space that threads hand to each other.

use std::sync::{Mutex, PoisonError};

/// The number that is kept between calls: one for each thread that works at the same time.
const KEPT: usize = 16;

/// Things that one call at a time works with, kept for the next call; several threads get several.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Vec<Box<T>>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Default> Pool<T> {
    /// Does `work` with one of the things, a new one if all are out.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut thing = kept.unwrap_or_default();
        let result = work(&mut thing);
        // Each is out of the list while it is in use, so a panic elsewhere leaves only whole ones.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(thing);
        }
        result
    }
}
