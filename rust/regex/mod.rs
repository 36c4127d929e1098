//! TODO

pub(crate) mod automaton;
pub(crate) mod backtrack;
pub(crate) mod bound;
pub(crate) mod char_class;
pub(crate) mod dialect;
pub(crate) mod doubtful;
pub(crate) mod limits;
pub(crate) mod parse;
pub(crate) mod pattern;
pub(crate) mod walk;
pub(crate) mod white_space;

pub use dialect::Dialect;
pub use pattern::Pattern;
