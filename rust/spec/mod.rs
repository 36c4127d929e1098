//! TODO

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
