//! From a specification to a tokenizer.
//!
//! In: a [`Spec`](crate::Spec). Out: the backend that can prove it, or else the one of the `tokenizers` library; both
//! are compared with that library at load. To add a stage of pre-tokenizers, give it to [`stages`] (byte-exact) or
//! [`rewriting`] (normalizing). May import: everything but `python/`. Read first: [`build`].

pub(crate) mod build;
pub(crate) mod chain;
pub(crate) mod constructors;
pub(crate) mod entries;
pub(crate) mod guarded;
pub(crate) mod judge;
pub(crate) mod loaded;
pub(crate) mod longest;
pub(crate) mod merges;
pub(crate) mod probe;
pub(crate) mod registry;
pub(crate) mod rewriting;
pub(crate) mod sentencepiece;
pub(crate) mod space_cuts;
pub(crate) mod stages;
