//! TODO

#[cfg(test)]
pub(crate) mod files;
pub(crate) mod growing;
pub(crate) mod growing_cuts;
pub(crate) mod normalizer;
pub(crate) mod parts;
pub(crate) mod written;
