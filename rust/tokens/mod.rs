//! Tokens, and lists of tokens that grow.
//!
//! In: nothing. Out: [`token::TokenId`], [`token::Token`] with its span, [`edit::Edit`] (the change of a push at the
//! end of a list), and lists that share their beginnings. May import: itself. Read next: `util/`, then `vocabulary/`.

pub(crate) mod between;
pub(crate) mod cuts;
pub(crate) mod edit;
pub(crate) mod rope;
pub(crate) mod token;
pub(crate) mod tree;
