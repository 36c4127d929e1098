//! TODO

pub(crate) mod pieces;
pub(crate) mod white_space;
