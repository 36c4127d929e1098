//! TODO

#[cfg(test)]
pub(crate) mod carried_cuts;
pub(crate) mod decoder;
pub(crate) mod encoder;
#[cfg(test)]
pub(crate) mod encoder_windows;
pub(crate) mod folding;
pub(crate) mod granularity;
pub(crate) mod segmenter;
pub(crate) mod tail;
