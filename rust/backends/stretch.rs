//! The state of a long stretch of text that a backend carries from push to push, of whatever backend.
//!
//! Each backend has a state of its own, which it alone looks into: [`Growth::of`]. Streams ask for the state that all
//! share.

use crate::tokens::token::TokenId;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The state of a long stretch that a backend carries from push to push. Example: a word of a megabyte of letters.
#[derive(Debug)]
pub struct Growth(Box<dyn Stretch>);

/// Where a stretch was when it was saved.
#[derive(Debug, Clone)]
pub struct SavedGrowth(Arc<dyn Any + Send + Sync>);

/// The state of a stretch in one backend.
pub(crate) trait Stretch: Any + Copies + Debug + Send + Sync {
    /// The saved state that `Engine::restore` goes back to.
    fn saved(&self) -> SavedGrowth;

    /// Whether the tokens of the stretch give back its text.
    fn gives_back(&self) -> bool;

    /// The tokens that stay, if the stretch is carried only where these differ from its text.
    fn proof_of_loss(&self) -> Option<Vec<TokenId>> {
        None
    }

    /// Whether a window would be short again.
    fn is_over(&self) -> bool;

    /// The bytes of the normal form that a push reads again.
    #[cfg(test)]
    fn open_bytes(&self) -> usize;
}

/// Copies a state whose type is not known, because `Clone` cannot be asked of one.
pub(crate) trait Copies {
    /// A state that goes on from here alone.
    fn copy(&self) -> Box<dyn Stretch>;
}

impl<S: Stretch + Clone> Copies for S {
    fn copy(&self) -> Box<dyn Stretch> {
        Box::new(self.clone())
    }
}

impl Clone for Growth {
    fn clone(&self) -> Self {
        Self(self.0.copy())
    }
}

impl SavedGrowth {
    /// The state that a backend saved.
    pub(crate) fn new(saved: impl Any + Send + Sync) -> Self {
        Self(Arc::new(saved))
    }

    /// The state that the backend of this type saved; None where another one did.
    pub(crate) fn of<S: Any>(&self) -> Option<&S> {
        self.0.downcast_ref()
    }
}

impl Growth {
    /// The state of a backend.
    pub(crate) fn new(stretch: impl Stretch) -> Self {
        Self(Box::new(stretch))
    }

    /// The state, for the backend whose state has this type; None for another one.
    pub(crate) fn of<S: Stretch>(&self) -> Option<&S> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    /// As [`Growth::of`], to be changed.
    pub(crate) fn of_mut<S: Stretch>(&mut self) -> Option<&mut S> {
        (&mut *self.0 as &mut dyn Any).downcast_mut()
    }

    /// The saved state that `Engine::restore` goes back to.
    pub(crate) fn save(&self) -> SavedGrowth {
        self.0.saved()
    }

    /// Whether the tokens of the stretch give back its text, with all that is left out of what is read.
    pub(crate) fn is_lossless(&self) -> bool {
        self.0.gives_back()
    }

    /// See [`Stretch::proof_of_loss`].
    pub(crate) fn proof_of_loss(&self) -> Option<Vec<TokenId>> {
        self.0.proof_of_loss()
    }

    /// The bytes of the normal form that a push reads again.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.0.open_bytes()
    }

    /// Whether a window would be short again.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over()
    }
}
