//! TODO

pub(crate) mod content;
pub(crate) mod detect;
pub(crate) mod gguf;
pub(crate) mod gguf_header;
pub(crate) mod gguf_splitting;
pub mod known_ranks;
pub(crate) mod model_proto;
pub(crate) mod protobuf;
pub(crate) mod rwkv;
pub mod sentencepiece;
pub(crate) mod tekken;
pub mod tiktoken;
pub mod vocab_merges;
pub mod word_pieces;

pub use content::Content;
pub use detect::read;
