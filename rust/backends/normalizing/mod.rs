//! The backend of definitions that rewrite text: BERT, T5, Gemma and their like.
//!
//! Read first: [`rewriting`] for the parts, [`engine`] for the walk, then [`words`] and [`cuts`].

pub(crate) mod borders;
pub(crate) mod cuts;
pub(crate) mod engine;
pub(crate) mod fold;
pub(crate) mod growing;
pub(crate) mod growing_pieces;
pub(crate) mod growing_said;
pub(crate) mod growing_source;
pub(crate) mod part;
pub(crate) mod resume_points;
pub(crate) mod rewriting;
pub(crate) mod scratch;
pub(crate) mod words;
