//! TODO

pub(crate) mod bert;
pub(crate) mod class;
pub(crate) mod cluster;
pub(crate) mod code;
pub(crate) mod flow;
pub(crate) mod fold;
pub(crate) mod form;
pub(crate) mod item;
pub(crate) mod stages;
pub(crate) mod step;
pub(crate) mod trace;
