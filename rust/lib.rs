//! Byte-exact text segments, boundaries and streams across tokenizers.
//!
//! Language models that write one text together share its bytes, but not their tokens. This crate reads any tokenizer
//! file and gives the primitives of such programs. They are the canonical tokens of a text, the positions that no later
//! text can change, and segments between common cuts. `cargo run --example segments` shows the primitives.
//!
//! # The path of a text
//!
//! ```text
//!  file ─ formats ─▶ spec ─ load ─▶ Tokenizer = vocabulary + one of the backends
//!
//!  text ─▶ pre_tokenizers::added_tokens ─▶ normalizers ─▶ pre_tokenizers ─▶ models ─▶ ids       encode
//!                                                           (regex)           │
//!                        stability: which positions no later text changes ◀───┘
//!
//!  ids  ─▶ vocabulary ─▶ streams::decoder ─▶ text                                               decode
//!
//!  over several tokenizers:  boundaries (common boundaries)   alignment (tokens side by side)
//!  piece by piece:           streams::encoder   streams::decoder   streams::segmenter
//! ```
//!
//! Each folder opens with its input, its output, and the folders that it may import. A file imports only from its own
//! floor and the floors below: `error`, `tokens`, `util`, `regex`, `vocabulary`, `spec`, `normalizers`, `formats`,
//! `pre_tokenizers`, `models`, `stability`, `backends`, `tokenizer`, `boundaries`, `alignment`, `streams`, `load`,
//! `python`.
//!
//! # Where to begin
//!
//! - [`Tokenizer`]: any tokenizer file, with exact bytes per token, canonical tokens with spans, and *settled cuts*.
//!   A settled cut is a stable boundary: no later text changes the tokens before it.
//! - [`word_boundaries`] and [`common_boundaries`]: settled cuts before white space, of one tokenizer or of several.
//! - [`align`]: several encodings of one text side by side.
//! - [`StreamDecoder`] and [`StreamEncoder`]: ids to text and text to ids, piece by piece, equal to the whole.
//! - [`Segmenter`]: generated ids to text segments that end where all tokenizers can follow.
//!
//! # Features
//!
//! - `python` builds the extension module of the Python package `coolfusion`. Without it the crate does not know
//!   Python.

#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;

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
pub use backends::engine::{Certificate, Engine, Proof, Resume, ResumeState, Window};
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
pub use tokens::token::{TextPosition, Token, TokenId};
pub use util::byte_alphabet;
pub use util::parallel::for_each;
pub use util::utf8::Utf8Decoder;
pub use vocabulary::added::AddedEntry;
pub use vocabulary::decode_rules::DecodeRules;
pub use vocabulary::table::{Kind, Vocabulary};
