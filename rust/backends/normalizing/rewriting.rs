//! Our own engine for models that see one word at a time, after normalizers that may rewrite text.
//!
//! A text is cut before white space where each side is normalised, split and encoded separately ([`Rewriting::cuts`]).
//! The parts (words, mostly) are remembered with their tokens. The same cuts are the certificate: the text before one
//! cannot change. Unigram models that read the whole text as one word are only normalised in parts.
//!
//! In definitions whose vocabulary writes U+2581 for a space all work is in *byte space*, where that mark is a space.
//!
//! The argument is in docs/definitions.md ("Settled cut", "Resume point") and docs/proofs/unigram-resume-points.md.
//! This file has the parts of the engine; the files beside it hold its operations.

use crate::backends::normalizing::scratch::Scratch;
use crate::models::bpe::model::Bpe;
use crate::models::unigram::Unigram;
use crate::models::wordpiece::WordPiece;
use crate::normalizers::rewriter::stages::Rewriter;
use crate::pre_tokenizers::added_tokens::AddedText;
use crate::pre_tokenizers::char_rules::WordRule;
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::tokens::token::TextPosition;
use crate::util::byte_set::ByteSet;
use crate::util::char_table::CharMemo;
use crate::util::pool::Pool;

/// How a word becomes tokens.
#[derive(Debug)]
pub(crate) enum Model {
    Unigram(Unigram),
    /// WordLevel too: WordPiece without pieces that follow another.
    WordPiece(WordPiece),
    /// Its symbols are characters.
    Bpe(Box<Bpe>),
}

/// The text that the model reads as one word.
#[derive(Debug)]
pub(crate) enum Words {
    /// The whole text.
    Whole,
    /// A space and the text up to the next one (byte space). Example: " the" and " cat".
    Spaced,
    /// The words of a rule; `marked`: each after a space, the mark of its beginning (byte space).
    Ruled { rule: WordRule, marked: bool },
}

/// The engine of definitions that rewrite text, such as BERT's.
pub(crate) struct Rewriting {
    pub(super) added: AddedText,
    pub(super) rewriter: Rewriter,
    pub(super) words: Words,
    pub(super) model: Model,
    pub(super) dummy: DummyPrefix,
    /// The dummy prefix is before every stretch after an added token too, not only at the start.
    pub(super) dummy_everywhere: bool,
    /// It is also there alone, where a text is rewritten to nothing.
    pub(super) dummy_alone: bool,
    /// ASCII white space that begins a part.
    pub(super) borders: ByteSet,
    /// ASCII characters after which a border is a cut.
    pub(super) closes: ByteSet,
    /// A cut needs only two sides that are rewritten separately: white space is dropped anyway.
    pub(super) loose: bool,
    /// A space begins a part after a space too.
    pub(super) each_space: bool,
    /// The ends of words without white space may be found from the characters beside the place: [`Rewriting::borders`].
    pub(super) has_borders: bool,
    pub(super) sides: CharMemo,
    pub(super) weights: CharMemo,
    /// No piece holds a space after another character, and a space is never fused with an unknown one.
    pub(super) spaces_begin_pieces: bool,
    pub(super) exact_spans: bool,
    /// Decoding concatenates the bytes of tokens, but for a space at the start.
    pub(super) decodes_plainly: bool,
    pub(super) notes: String,
    pub(super) scratch: Pool<Scratch>,
}

/// The parts that the definition gives.
pub(crate) struct Parts {
    pub(crate) added: AddedText,
    pub(crate) rewriter: Rewriter,
    pub(crate) words: Words,
    pub(crate) model: Model,
    pub(crate) dummy: DummyPrefix,
    pub(crate) dummy_everywhere: bool,
    pub(crate) dummy_alone: bool,
    pub(crate) spaces_begin_pieces: bool,
    pub(crate) exact_spans: bool,
    pub(crate) decodes_plainly: bool,
    pub(crate) notes: String,
}

impl Rewriting {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            added,
            rewriter,
            words,
            model,
            dummy,
            dummy_everywhere,
            dummy_alone,
            spaces_begin_pieces,
            exact_spans,
            decodes_plainly,
            notes,
        } = parts;
        let drops = |c: char| matches!(&words, Words::Ruled { rule, .. } if rule.is_dropped(c));
        let loose = matches!(&words, Words::Ruled { rule, .. } if rule.drops_white_space()) && !rewriter.acts_on_runs();
        let is_border = |&byte: &u8| {
            let border = char::from(byte);
            !rewriter.begins_symbol(border)
                && rewriter.alone(border).is_some_and(|output| match &words {
                    Words::Ruled { rule, .. } => {
                        rule.drops_white_space() && !output.is_empty() && output.chars().all(drops)
                    }
                    Words::Whole | Words::Spaced => output == " ",
                })
        };
        let borders = [b' ', b'\t', b'\n', b'\r'].into_iter().filter(is_border).collect();
        let closes_border = |&byte: &u8| {
            let c = char::from(byte);
            !c.is_whitespace() && (rewriter.is_solid(c) || loose && rewriter.is_closed(c))
        };
        let closes = (0..128).filter(closes_border).collect();
        let each_space = matches!(words, Words::Spaced) && rewriter.divides(' ', ' ') && !rewriter.acts_on_runs();
        let parts_text = matches!(&words, Words::Ruled { rule, .. } if rule.parts_text());
        let has_borders = parts_text && !rewriter.acts_on_runs();
        let (scratch, sides, weights) = (Pool::default(), CharMemo::default(), CharMemo::default());
        Self {
            has_borders,
            sides,
            weights,
            added,
            rewriter,
            words,
            model,
            dummy,
            dummy_everywhere,
            dummy_alone,
            borders,
            closes,
            loose,
            each_space,
            spaces_begin_pieces,
            exact_spans,
            decodes_plainly,
            notes,
            scratch,
        }
    }

    /// Whether a stretch after an added token begins like a text; T' would not.
    pub(super) fn begins_as_text(&self, stretch: &str) -> bool {
        self.dummy_everywhere && self.dummy != DummyPrefix::None
            || self.rewriter.acts_on_start()
            || self.goes_on(stretch)
    }

    pub(super) fn dummy_at(&self, index: usize, place: TextPosition) -> bool {
        let here = if index == 0 { place == TextPosition::Start } else { self.dummy_everywhere };
        here && self.dummy != DummyPrefix::None
    }

    /// Whether a stretch after other text begins inside a word: no white space begins it, and no other rule parts
    /// words.
    pub(super) fn goes_on(&self, stretch: &str) -> bool {
        let marks_words = matches!(self.words, Words::Ruled { marked: true, .. });
        let is_border = stretch.bytes().next().is_some_and(|byte| self.borders.contains(byte));
        marks_words && !self.parts_text() && !is_border
    }

    fn parts_text(&self) -> bool {
        matches!(&self.words, Words::Ruled { rule, .. } if rule.parts_text())
    }

    /// Whether the rewritten text of a part gets a space before it.
    pub(super) fn wants_dummy(&self, normal: &str) -> bool {
        (self.dummy_alone || !normal.is_empty()) && (self.dummy == DummyPrefix::Always || !normal.starts_with(' '))
    }
}
