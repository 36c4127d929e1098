//! The space that some tokenizers put before a text.

/// The space that some tokenizers put before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DummyPrefix {
    None,
    /// Before every text.
    Always,
    /// Before a text that does not begin with a space: a leading space is then lost.
    UnlessSpace,
}
