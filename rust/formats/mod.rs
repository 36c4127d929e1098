//! Files of tokenizers: bytes to a [`Spec`](crate::Spec).
//!
//! In: the bytes of a file of any format that [`read`] recognizes by content. Out: a specification in one form, from
//! which `load/` builds a tokenizer. May import: `error`, `util`, `normalizers` (compiled maps), and `spec`. To add a
//! format, write a file here and name it in [`read`]. Read next: `load/`.

pub(crate) mod content;
pub(crate) mod detect;
pub(crate) mod gguf;
pub(crate) mod gguf_header;
pub(crate) mod gguf_splitting;
pub mod known_ranks;
pub(crate) mod model_proto;
pub(crate) mod parts;
pub(crate) mod protobuf;
pub(crate) mod rwkv;
pub mod sentencepiece;
pub(crate) mod tekken;
pub mod tiktoken;
pub mod vocab_merges;
pub mod word_pieces;

pub use content::Content;
pub use detect::read;
