//! The strings of tokens, each made once for a tokenizer: streams return the same few thousand again and again.

use crate::TokenId;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

/// Ids whose strings stand together.
const GROUP: usize = 32;
type Group = Box<[OnceLock<Py<PyString>>]>;

/// A string of a few characters, whose header is 48 to 72 bytes.
const STRING: usize = 80;
/// Longer tokens are rare, and making their strings is not what a call costs.
const LONGEST: usize = 32;
/// Memory for each id of the vocabulary, in bytes: a fifth to a third of the file, full when texts of many scripts came.
const ROOM: usize = 16;

/// For each id the text of its bytes, once it was asked for, until the room is used up.
///
/// A new string is an allocation of 64 bytes and a check and copy of its text, 30 ns and more where strings are kept; one
/// that is there already is a count of references. The first that come stay: those are the frequent ones.
pub(super) struct Strings {
    groups: OnceLock<Box<[OnceLock<Group>]>>,
    vocab_size: usize,
    /// Bytes in use.
    used: AtomicUsize,
}

impl Strings {
    /// No string yet, and no memory.
    pub(super) fn new(vocab_size: usize) -> Self {
        Self { groups: OnceLock::new(), vocab_size, used: AtomicUsize::new(0) }
    }

    /// The string of `id`, if it was kept.
    #[inline]
    pub(super) fn get(&self, id: TokenId) -> Option<&Py<PyString>> {
        let id = id.0 as usize;
        self.groups.get()?.get(id / GROUP)?.get()?.get(id % GROUP)?.get()
    }

    /// Keeps the string of `id`, an id of the vocabulary whose text has `length` bytes, if there is room.
    pub(super) fn keep(&self, id: TokenId, string: &Bound<'_, PyString>, length: usize) {
        if length > LONGEST || self.used.load(Ordering::Relaxed) > ROOM * self.vocab_size {
            return;
        }
        let id = id.0 as usize;
        let groups = self.groups.get_or_init(|| empty(self.vocab_size.div_ceil(GROUP)));
        let Some(group) = groups.get(id / GROUP) else { return };
        let group = group.get_or_init(|| {
            self.used.fetch_add(GROUP * size_of::<OnceLock<Py<PyString>>>(), Ordering::Relaxed);
            empty(GROUP)
        });
        if group[id % GROUP].set(string.clone().unbind()).is_ok() {
            self.used.fetch_add(STRING, Ordering::Relaxed);
        }
    }
}

fn empty<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}
