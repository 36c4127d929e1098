//! TODO

pub(crate) mod build;
pub(crate) mod chain;
pub(crate) mod entries;
pub(crate) mod guarded;
pub(crate) mod judge;
pub(crate) mod longest;
pub(crate) mod merges;
pub(crate) mod probe;
pub(crate) mod registry;
pub(crate) mod rewriting;
pub(crate) mod sentencepiece;
pub(crate) mod space_cuts;
pub(crate) mod stages;
