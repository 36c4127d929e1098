//! TODO

pub(crate) mod added_tokens;
pub(crate) mod char_rules;
pub(crate) mod converging;
pub(crate) mod dummy_prefix;
pub(crate) mod split;
pub(crate) mod whole_stages;
