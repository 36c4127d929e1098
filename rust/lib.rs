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

mod added;
mod alignment;
mod alphabet;
mod arena;
mod batch;
mod between;
mod boundary;
mod bpe;
pub mod byte_alphabet;
#[cfg(test)]
mod carried_cuts;
mod char_memo;
mod characters;
mod converging;
mod decoder;
mod definition;
mod dictionary;
mod encoder;
#[cfg(test)]
mod encoder_windows;
mod engine;
mod error;
mod folding;
pub mod formats;
mod granularity;
mod growing;
mod growing_back;
mod growing_cuts;
mod growing_late;
#[cfg(test)]
mod growing_late_tests;
mod growing_lattice;
mod growing_marks;
mod growing_path;
mod growing_raw;
mod known_words;
mod letters;
mod library;
mod long_words;
mod longest;
mod merger;
mod normal;
mod pair_table;
pub mod pattern;
mod piece_table;
mod pieces;
mod pipeline;
mod prefixes;
mod probe;
#[cfg(feature = "python")]
mod python;
mod reading;
mod rewriter;
mod rewriting;
mod rope;
mod said;
mod seams;
mod segmenter;
mod sentencepiece;
mod shared;
mod space_cuts;
mod spec;
mod splitter;
mod tail;
mod token;
mod token_tree;
mod tokenizer;
mod trie;
mod unigram;
mod utf8;
mod vocabulary;
mod whole_pieces;
mod whole_stages;
mod word_cache;
mod word_rule;
mod wordpiece;

pub use alignment::{align, Alignment, Encoding, Rules};
pub use batch::for_each;
pub use boundary::{common_boundaries, word_boundaries, Method};
pub use decoder::StreamDecoder;
pub use encoder::{Edit, StreamEncoder};
pub use engine::{Behind, Certificate, Engine, Growth, Proof, Resume, Window};
pub use error::{Error, Result};
pub use granularity::Granularity;
pub use reading::Reading;
pub use segmenter::{Level, Limits, Segment, Segmenter};
pub use spec::Spec;
pub use token::{Place, Token, TokenId};
pub use tokenizer::Tokenizer;
pub use unigram::Carried;
pub use utf8::Utf8Decoder;
pub use vocabulary::{Kind, Vocabulary};
