//! The strings of tokens, each made once for a tokenizer because streams return a few thousand most of the time.

use crate::TokenId;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::array::from_fn;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The number of times that a token comes before its string is kept. Keeping takes some 0.1 microseconds, most of it
/// for new memory, and saves 30 ns each time.
const OFTEN: u16 = 8;
/// The table is made when `vocab_size / FIRST` ids have come. A process that decodes a short text makes none, because
/// clearing the table takes as long as was lost until then.
const FIRST: usize = 32;
/// The bytes of the longest string that is kept. Longer tokens are rare, and making their strings is a small part of
/// the cost of a call.
const LONGEST: usize = 32;
/// The bytes of memory for strings for each id of the vocabulary, in all a fifth to a third of the file. The memory is
/// full after texts of many scripts. Each id takes two more bytes for its number.
const ROOM: usize = 14;
/// The bytes of a string of a few characters, with its header of 48 to 72 bytes and its place.
const STRING: usize = 96;

/// The number of strings that are stored together.
const PLACES: usize = 64;

type Places = Box<[OnceLock<Py<PyString>>; PLACES]>;

/// The strings of ids that come often, until the room is used up.
///
/// A kept string is faster, because it takes only a count of references. A new one is an allocation of 64 bytes, and a
/// check and copy of its text. It takes 30 ns, and more where strings are kept.
pub(super) struct Strings {
    table: OnceLock<Table>,
    /// The number of ids that came before the table was made.
    came: AtomicUsize,
    /// The number of strings that are kept.
    kept: Mutex<usize>,
    vocab_size: usize,
}

struct Table {
    /// For each id the number of times that it came, below [`OFTEN`], or `OFTEN` plus the number of its string.
    numbers: Box<[AtomicU16]>,
    strings: Box<[OnceLock<Places>]>,
}

fn unset<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

impl Strings {
    /// Returns an empty store, which takes no memory yet.
    pub(super) fn new(vocab_size: usize) -> Self {
        Self { table: OnceLock::new(), came: AtomicUsize::new(0), kept: Mutex::default(), vocab_size }
    }

    /// Returns the number of strings that have room.
    fn most(&self) -> usize {
        (ROOM * self.vocab_size / STRING).min(usize::from(u16::MAX - OFTEN))
    }

    /// Returns the string of `id` if it was kept.
    #[inline]
    pub(super) fn get(&self, id: TokenId) -> Option<&Py<PyString>> {
        let (id, table) = (id.0 as usize, self.table.get()?);
        let number = table.numbers.get(id)?.load(Ordering::Acquire);
        let number = usize::from(number.checked_sub(OFTEN)?);
        table.strings.get(number / PLACES)?.get()?[number % PLACES].get()
    }

    /// Keeps the string of `id`, an id of the vocabulary whose text has `length` bytes, if it came often and there is
    /// room.
    pub(super) fn keep(&self, id: TokenId, string: &Bound<'_, PyString>, length: usize) {
        let id = id.0 as usize;
        if self.table.get().is_none() {
            let came = self.came.load(Ordering::Relaxed) + 1;
            self.came.store(came, Ordering::Relaxed);
            if came < self.vocab_size / FIRST {
                return;
            }
        }
        let table = self.table.get_or_init(|| Table {
            numbers: std::iter::repeat_with(AtomicU16::default).take(self.vocab_size).collect(),
            strings: unset(self.most().div_ceil(PLACES)),
        });
        let Some(number) = table.numbers.get(id) else { return };
        let times = number.load(Ordering::Relaxed);
        if times + 1 < OFTEN {
            // A count that another thread overwrites is no loss.
            number.store(times + 1, Ordering::Relaxed);
            return;
        }
        // No call waits for the lock, because the string can be kept the next time.
        let Some(mut kept) = self.kept.try_lock().ok().filter(|kept| **kept < self.most()) else { return };
        if length > LONGEST || number.load(Ordering::Relaxed) >= OFTEN {
            return;
        }
        let places = table.strings[*kept / PLACES].get_or_init(|| Box::new(from_fn(|_| OnceLock::new())));
        if places[*kept % PLACES].set(string.clone().unbind()).is_ok() {
            number.store(OFTEN + *kept as u16, Ordering::Release);
            *kept += 1;
        }
    }
}
