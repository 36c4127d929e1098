//! TODO

pub mod charsmap;
pub(crate) mod rewriter;
pub(crate) mod unicode_forms;
