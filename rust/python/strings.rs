//! The strings of tokens, each made once for a tokenizer: streams return the same few thousand again and again.

use crate::TokenId;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::array::from_fn;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// How often a token has to come before its string is kept. Keeping takes some 0.1 microseconds, most of it for new
/// memory, and saves 30 ns each time.
const OFTEN: u16 = 8;
/// The table is made when one id for this many of the vocabulary has come. Clearing it takes as long as was lost till
/// then, and a process that decodes a short text does without.
const FIRST: usize = 32;
/// Longer tokens are rare, and making their strings is a small part of the cost of a call.
const LONGEST: usize = 32;
/// Memory for strings for each id of the vocabulary, in bytes: a fifth to a third of the file. It is full when texts of
/// many scripts came. Each id takes two more bytes beside it.
const ROOM: usize = 14;
/// A string of a few characters, whose header is 48 to 72 bytes, and its place.
const STRING: usize = 96;

/// Strings that are stored together.
const PLACES: usize = 64;

type Places = Box<[OnceLock<Py<PyString>>; PLACES]>;

/// For ids that come often the text of their bytes, until the room is used up.
///
/// A new string is an allocation of 64 bytes and a check and copy of its text, 30 ns and more where strings are kept. A
/// known one is a count of references.
pub(super) struct Strings {
    table: OnceLock<Table>,
    /// Ids that came before there was a table.
    came: AtomicUsize,
    /// The strings that are kept.
    kept: Mutex<usize>,
    vocab_size: usize,
}

struct Table {
    /// For each id how often it came, below [`OFTEN`]; or `OFTEN` and the number of its string.
    numbers: Box<[AtomicU16]>,
    strings: Box<[OnceLock<Places>]>,
}

fn unset<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

impl Strings {
    /// No string yet, and no memory.
    pub(super) fn new(vocab_size: usize) -> Self {
        Self { table: OnceLock::new(), came: AtomicUsize::new(0), kept: Mutex::default(), vocab_size }
    }

    /// The most strings that have room.
    fn most(&self) -> usize {
        (ROOM * self.vocab_size / STRING).min(usize::from(u16::MAX - OFTEN))
    }

    /// The string of `id`, if it was kept.
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
        // No call waits for it: the next time will do.
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
