//! A set of bytes.

/// A set of bytes: one bit a byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    /// All 256 bytes.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    /// Adds a byte; returns whether it was not there before.
    pub(crate) fn insert(&mut self, byte: u8) -> bool {
        let is_new = !self.contains(byte);
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        is_new
    }

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }
}

impl FromIterator<u8> for ByteSet {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut set = Self::default();
        bytes.into_iter().for_each(|byte| {
            set.insert(byte);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut set: ByteSet = [0, 63, 64, 255].into_iter().collect();
        assert!((0..=255).all(|byte| set.contains(byte) == [0, 63, 64, 255].contains(&byte)));
        assert_eq!((set.insert(128), set.insert(128), set.len()), (true, false, 5));
        assert!(ByteSet::default().is_empty() && !set.is_empty());
        assert_eq!((0..=255).collect::<ByteSet>(), ByteSet::ALL);
    }
}
