//! Pre-token patterns, matched by a machine that knows how far it looked.
//!
//! In: the pattern of a tokenizer file, in the dialect of the library that wrote it. Out: [`Pattern`], whose matches
//! say whether appended text can still change them. `isn't it` is cut by GPT-2's pattern before ` it`, and no later
//! text moves that cut. May import: `error`, `util`. Read next: `pre_tokenizers/`.

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
