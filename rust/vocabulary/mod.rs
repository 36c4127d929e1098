//! TODO

pub(crate) mod reading;
pub(crate) mod said;
pub(crate) mod table;
