//! The raw text of a growing stretch under NFC: which places of the normal form are places of it.
//!
//! A word may end inside a part that NFC changes. No window can begin there, so such an end is no cut
//! (docs/proofs/nfc-word-ends.md).

use crate::normalizers::unicode_forms::{last_part, Normal};

/// The most bytes of text with possibly many words that are taken in at once, so that few words are open.
pub(crate) const MOST_AT_ONCE: usize = 12;

/// The raw text of a stretch, with the parts that NFC changes. Positions are those of the normal form of the stretch.
#[derive(Debug, Clone)]
pub(crate) struct RawParts {
    text: String,
    /// The last place of the raw text up to which parts are final.
    from: usize,
    /// That place in the normal form.
    base: usize,
    /// The parts before it that NFC has changed, ascending.
    changed: Vec<(usize, usize)>,
    /// Ends of words with no text after them yet.
    ends: Vec<usize>,
    /// The last end of a word that was recorded.
    told: usize,
    /// The last end of a word that is a cut of the text.
    cut: Option<usize>,
    /// The length of the final normal form at the last look.
    looked: usize,
}

/// A saved state of [`RawParts`].
#[derive(Debug, Clone)]
pub(crate) struct SavedRaw {
    length: usize,
    from: usize,
    base: usize,
    changed: usize,
    ends: Vec<usize>,
    told: usize,
    cut: Option<usize>,
}

impl RawParts {
    /// Of a stretch whose text begins at `base`.
    pub(crate) fn new(base: usize) -> Self {
        Self {
            text: String::new(),
            from: 0,
            base,
            changed: Vec::new(),
            ends: Vec::new(),
            told: base,
            cut: None,
            looked: base,
        }
    }

    pub(crate) fn save(&self) -> SavedRaw {
        let Self { text, from, base, changed, ends, told, cut, .. } = self;
        SavedRaw {
            length: text.len(),
            from: *from,
            base: *base,
            changed: changed.len(),
            ends: ends.clone(),
            told: *told,
            cut: *cut,
        }
    }

    /// Goes back to an earlier text that this one begins with.
    pub(crate) fn restore(&mut self, saved: &SavedRaw) {
        let SavedRaw { length, from, base, changed, ends, told, cut } = saved.clone();
        self.text.truncate(length);
        self.changed.truncate(changed);
        (self.from, self.base, self.ends, self.told, self.cut) = (from, base, ends, told, cut);
    }

    /// The last end of a word that is a cut of the text.
    pub(crate) fn cut(&self) -> Option<usize> {
        self.cut
    }

    /// Appends raw text.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A word ends at `end`, whatever is appended.
    pub(crate) fn end(&mut self, end: usize) {
        if end > self.told {
            self.told = end;
            self.ends.push(end);
        }
    }

    /// Looks for cuts among the ends of words, when the normal form is `length` long and final up to `closed`; whether
    /// there is one more. Complexity: O(raw text that is open).
    pub(crate) fn look(&mut self, length: usize, closed: usize) -> bool {
        if self.ends.is_empty() && closed == self.looked {
            return false;
        }
        self.looked = closed;
        let open = &self.text[self.from..];
        let (normal, base, before) = (Normal::nfc(open), self.base, self.cut);
        let is_cut = |end: usize| match end.checked_sub(base) {
            Some(0) => true,
            Some(at) => normal.cut(at).is_some(),
            None => {
                let next = self.changed.partition_point(|part| part.1 <= end);
                self.changed.get(next).is_none_or(|part| end <= part.0)
            }
        };
        let known = self.ends.partition_point(|&end| end < length);
        self.cut = self.ends.drain(..known).rfind(|&end| is_cut(end)).or(before);
        if let Some((at, _)) = last_part(None, open) {
            let to = normal.position(at);
            if base + to <= closed {
                self.changed.extend(normal.changed(to).map(|(begin, end)| (base + begin, base + end)));
                self.base += to;
                self.from += at;
            }
        }
        self.cut != before
    }
}

/// The text in parts of at most `most` bytes, which is 4 or more.
pub(crate) fn pieces_of(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = (0..=most.min(rest.len())).rev().find(|&at| rest.is_char_boundary(at)).filter(|&at| at > 0)?;
        let (first, after) = rest.split_at(at);
        rest = after;
        Some(first)
    })
}
