//! TODO

pub(crate) mod between;
pub(crate) mod cuts;
pub(crate) mod edit;
pub(crate) mod rope;
pub(crate) mod token;
pub(crate) mod tree;
