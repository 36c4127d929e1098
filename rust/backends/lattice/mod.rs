//! TODO

pub(crate) mod growing_lattice;
pub(crate) mod growing_path;
