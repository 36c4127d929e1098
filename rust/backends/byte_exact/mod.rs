//! The backend of definitions that keep every byte of a text, which is byte-level BPE above all.
//!
//! Read first: [`pipeline`]. The files `growing*` carry a long word or stretch from push to push, so that the cost of a
//! push is proportional to its text.

pub(crate) mod dropped_cuts;
pub(crate) mod engine;
pub(crate) mod growing;
pub(crate) mod growing_back;
pub(crate) mod growing_cuts;
pub(crate) mod growing_finish;
pub(crate) mod growing_late;
#[cfg(test)]
pub(crate) mod growing_late_tests;
pub(crate) mod growing_losses;
pub(crate) mod growing_marks;
pub(crate) mod growing_marks_late;
pub(crate) mod growing_raw;
pub(crate) mod growing_state;
pub(crate) mod growing_token;
pub(crate) mod pipeline;
