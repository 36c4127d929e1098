//! TODO

pub(crate) mod growing;
pub(crate) mod growing_back;
pub(crate) mod growing_cuts;
pub(crate) mod growing_late;
#[cfg(test)]
pub(crate) mod growing_late_tests;
pub(crate) mod growing_marks;
pub(crate) mod growing_raw;
pub(crate) mod pipeline;
