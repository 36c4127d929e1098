//! The edit of a push at the end of a list of tokens.

use crate::tokens::between::Between;
use crate::tokens::token::TokenId;
use std::sync::Arc;

/// The edit of a push: take [`Edit::dropped`] ids from the end, then append [`Edit::ids`].
///
/// ```
/// # fn main() -> coolfusion::Result<()> {
/// let toy = coolfusion::Tokenizer::from_file("examples/toy/plain.json".as_ref(), None)?;
/// let mut encoder = coolfusion::StreamEncoder::new(toy, 4);
/// encoder.push("th")?;
/// let edit = encoder.push("e")?; // t and h become one token with e
/// assert_eq!((edit.dropped(), edit.ids()), (1, &[coolfusion::TokenId(257)][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Edit {
    pub(crate) change: Change,
    pub(crate) lossless: bool,
}

impl Edit {
    /// Takes `dropped` ids from the end, then appends `ids`.
    #[must_use]
    pub fn new(dropped: usize, ids: Vec<TokenId>, lossless: bool) -> Self {
        Self { change: Change::Told(dropped, ids), lossless }
    }

    pub(crate) fn between(between: Between, lossless: bool) -> Self {
        Self { change: Change::Between(Arc::new(between)), lossless }
    }

    /// The number of ids at the end that are no longer right. Complexity: O(ids that change), once.
    #[must_use]
    pub fn dropped(&self) -> usize {
        match &self.change {
            Change::Told(dropped, _) => *dropped,
            Change::Between(between) => between.told().0,
        }
    }

    /// The ids that follow. Complexity: O(ids that change), once.
    #[must_use]
    pub fn ids(&self) -> &[TokenId] {
        match &self.change {
            Change::Told(_, ids) => ids,
            Change::Between(between) => &between.told().1,
        }
    }

    /// Whether the tokens of the window give back its text byte for byte.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.lossless
    }

    /// This edit and `next`, which follows it.
    pub(crate) fn then(self, next: &Self) -> Self {
        let (mut ids, dropped) = (self.ids().to_vec(), next.dropped());
        let more = dropped.saturating_sub(ids.len());
        ids.truncate(ids.len().saturating_sub(dropped));
        ids.extend_from_slice(next.ids());
        Self::new(self.dropped() + more, ids, next.lossless)
    }
}

impl PartialEq for Edit {
    fn eq(&self, other: &Self) -> bool {
        (self.dropped(), self.ids(), self.lossless) == (other.dropped(), other.ids(), other.lossless)
    }
}

impl Eq for Edit {}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The number of dropped ids at the end, and the ids that follow.
    Told(usize, Vec<TokenId>),
    /// Computed on demand, because it may be all ids of the stretch.
    Between(Arc<Between>),
}
