//! The memory of a character: its class, and the effects on its neighbours.

/// The treatment of a character that is alone. Example: "a" is kept, and under NFKC U+FB01 is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It stays unchanged.
    Kept = 0,
    /// It stays unchanged, unless another such character is beside it.
    Sticky = 1,
    /// It becomes the same everywhere.
    Mapped = 2,
    /// It depends on its neighbours, or vanishes.
    Open = 3,
}

pub(super) const CLASS: u8 = 3;

/// Its rewritten form, with any neighbours, is not empty and does not end with white space. (Not so after a character
/// that forms a cluster with it.)
pub(super) const SOLID: u8 = 4;

/// A grapheme cluster ends after it if a space follows.
pub(super) const CLOSES: u8 = 8;

/// The treatment of an open character is not changed by one after it that has [`ANEW`].
pub(super) const ENDS: u8 = 0x40;

/// An open character before it that has [`ENDS`] does not act on it, and is not treated differently because of it.
pub(super) const ANEW: u8 = 0x80;

/// The memory of a character. It holds its code, and between its bits the number of characters that it becomes, then
/// these, 16 bits each.
pub(super) const CODE: u64 = 0xCF;

pub(super) const COUNT: u32 = 4;

pub(super) const OUTPUT: u32 = 8;

/// Three are enough for a Chinese character set apart by spaces, and for a decomposed Hangul syllable. Longer outputs
/// and characters above the first plane (ligatures, rare signs) are not remembered.
pub(super) const SHORT_OUTPUT: usize = 3;

/// Whether a character with this code stays unchanged unless an open one follows: a symbol that is left alone may hold
/// it.
#[inline]
pub(super) fn stays(code: u8) -> bool {
    code & (CLASS | SOLID) == Class::Open as u8 | SOLID
}

/// Whether neighbours of these codes must be rewritten together.
#[inline]
pub(super) fn touch(left: u8, right: u8) -> bool {
    let is = |code: u8, class: Class| code & CLASS == class as u8;
    let meets = is(left, Class::Open) && !stays(left) && !(left & ENDS != 0 && right & ANEW != 0);
    is(right, Class::Open) || meets || is(left, Class::Sticky) && is(right, Class::Sticky)
}
