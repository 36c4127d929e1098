//! The content of a tokenizer file, as typed values.
//!
//! In: the values that `formats/` read. Out: [`definition::Spec`], whose enums the builders of `load/` match
//! exhaustively. May import: `error`, and `util` for many strings in one buffer. Read next: [`normalizer`],
//! [`pre_tokenizer`], [`model`] and [`decoder`], in the order in which text passes.

pub(crate) mod decoder;
pub(crate) mod definition;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod lists;
pub(crate) mod model;
pub(crate) mod normalizer;
pub(crate) mod origin;
pub(crate) mod pieces;
pub(crate) mod pre_tokenizer;
pub(crate) mod state;
