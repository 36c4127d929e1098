//! Stages of a normalizer, run by ourselves on parts of a text.
//!
//! In: the stages of a file. Out: [`stages::Rewriter`], which leaves alone all text that no stage touches. It tells the
//! places where a text can be cut so that both parts are rewritten separately. Read first: [`stages`], then [`step`]
//! and [`class`].

pub(crate) mod bert;
pub(crate) mod class;
pub(crate) mod cluster;
pub(crate) mod code;
pub(crate) mod flow;
pub(crate) mod fold;
pub(crate) mod form;
pub(crate) mod item;
mod left_marks;
mod marks;
pub(crate) mod stages;
pub(crate) mod step;
pub(crate) mod trace;
