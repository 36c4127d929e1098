//! What is remembered of a character: its class, and what follows from it for its neighbours.

/// What the stages do to a character by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing.
    Kept = 0,
    /// Nothing, unless another such stands beside it.
    Sticky = 1,
    /// It becomes the same everywhere.
    Mapped = 2,
    /// It depends on its neighbours, or vanishes.
    Open = 3,
}

pub(super) const CLASS: u8 = 3;

/// What it becomes, whatever stands beside it, ends with something else than white space. (Not so behind a character
/// that forms a cluster with it.)
pub(super) const SOLID: u8 = 4;

/// A grapheme cluster ends behind it if a space follows.
pub(super) const CLOSES: u8 = 8;

/// What is done to an open character is not changed by one behind it that begins anew.
pub(super) const ENDS: u8 = 0x40;

/// Nothing before it acts on it, or acts otherwise because of it, if that is open but ends.
pub(super) const ANEW: u8 = 0x80;

/// What is remembered of a character: its code, and between its bits the number of characters that it becomes, then
/// these, 16 bits each.
pub(super) const CODE: u64 = 0xCF;

pub(super) const COUNT: u32 = 4;

pub(super) const OUTPUT: u32 = 8;

/// Three are enough for a Chinese character set apart by spaces and for a Hangul syllable taken apart. Longer outputs
/// and characters above the first plane (ligatures, rare signs) are not remembered.
pub(super) const SHORT_OUTPUT: usize = 3;

/// Whether what has this code stays as it is unless something open follows: a symbol that is left alone may hold it.
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
