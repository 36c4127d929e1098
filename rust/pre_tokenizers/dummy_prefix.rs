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

impl DummyPrefix {
    /// Whether a space is put before `text`, where a text begins.
    pub(crate) fn is_before(self, text: &str) -> bool {
        match self {
            Self::None => false,
            Self::Always => true,
            Self::UnlessSpace => !text.starts_with(' '),
        }
    }
}
