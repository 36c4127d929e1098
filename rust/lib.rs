//! Byte-exact text segments, boundaries and streams across tokenizers.
//!
//! The core of coolfusion: pure Rust, without Python. Definitions and invariants are in `docs/definitions.md`; the types in the
//! order in which they build on each other:
//!
//! - [`Tokenizer`]: any tokenizer file, with exact bytes per token, canonical tokens with spans, and *settled* cuts;
//! - [`word_boundaries`], [`common_boundaries`]: cuts before white space that no later text can move;
//! - [`align`]: several encodings of one text side by side;
//! - [`StreamDecoder`], [`StreamEncoder`]: ids to text and text to ids, piece by piece, equal to the whole;
//! - [`Segmenter`]: generated ids to text segments that end where all tokenizers can follow.

mod alignment;
mod backends;
mod boundaries;
mod error;
pub mod formats;
mod load;
mod models;
pub mod normalizers;
mod pre_tokenizers;
#[cfg(feature = "python")]
mod python;
pub mod regex;
mod spec;
mod stability;
mod streams;
mod tokenizer;
mod tokens;
pub mod util;
mod vocabulary;

pub use alignment::{align, Alignment, Encoding, Rules};
pub use backends::engine::{Behind, Certificate, Engine, Proof, Resume, Window};
pub use backends::stretch::Growth;
pub use boundaries::{common_boundaries, word_boundaries, Method};
pub use error::{Error, Result};
pub use models::unigram::Carried;
pub use spec::definition::Spec;
pub use streams::decoder::StreamDecoder;
pub use streams::encoder::StreamEncoder;
pub use streams::granularity::Granularity;
pub use streams::segmenter::{Level, Limits, Segment, Segmenter};
pub use tokenizer::Tokenizer;
pub use tokens::edit::Edit;
pub use tokens::token::{Place, Token, TokenId};
pub use util::byte_alphabet;
pub use util::parallel::for_each;
pub use util::utf8::Utf8Decoder;
pub use vocabulary::reading::Reading;
pub use vocabulary::table::{Kind, Vocabulary};
