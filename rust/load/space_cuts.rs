//! White space under a definition that the library runs: where it divides a text for certain, and where it is folded or
//! dropped.

use crate::formats::known_ranks::R50K;
use crate::load::build::Reader;
use crate::load::chain::byte_piece;
use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::unicode_forms::METASPACE;
use crate::regex::dialect::Dialect;
use crate::regex::pattern::Pattern;
use crate::spec::model::Model;
use crate::spec::normalizer::Pattern as Rule;
use crate::spec::pre_tokenizer::{PreTokenizer, PrependScheme, SplitBehavior};
use crate::stability::pieces::holds_inner_space;
use crate::stability::white_space::{Blanks, SpaceCuts};
use rustc_hash::FxHashSet;

/// The effect of a pre-tokenizer stage at white space after another character.
enum Stage {
    /// It cuts there, and treats each side on its own.
    Cuts,
    /// It treats each side on its own; the later stages see this character.
    Parts(char),
    /// Nothing is known.
    Opaque,
}

impl Reader<'_> {
    /// The cuts that are settled, or None where none are known.
    ///
    /// Stages after one that cuts there see the two sides as two words, so they treat each side on its own.
    /// `rewriter` has the steps of the normalizer; `marks`: it puts U+2581 for spaces.
    pub(super) fn space_cuts(&self, rewriter: Rewriter, marks: bool) -> Option<SpaceCuts> {
        // Added tokens are found before all else, and those that are text in the normal form.
        let spaced = |content: &str| content.chars().skip(1).any(|c| c.is_whitespace() || c == METASPACE);
        if self.added.iter().any(|a| !a.control)
            && self
                .added
                .iter()
                .any(|a| spaced(&a.content) || a.normalized && !a.control && !self.spec.normalizers.is_empty())
        {
            return None;
        }
        self.restarts_alike().then_some(())?;
        let pieces = self.pieces_part_words();
        SpaceCuts::new(rewriter, |c| match self.at_border(if marks && c == ' ' { METASPACE } else { c }) {
            Stage::Cuts => true,
            Stage::Parts(seen) => pieces && c == ' ' && self.keeps_order(seen),
            Stage::Opaque => false,
        })
    }

    /// The white space that a step folds in runs, or that the first rule for words drops.
    pub(super) fn blanks(&self, rewriter: &Rewriter) -> Option<Blanks> {
        let drops = self.spec.pre_tokenizers.first().is_some_and(PreTokenizer::drops_white_space);
        let held = |c: char| self.added.iter().any(|token| token.content.contains(c));
        Blanks::new(rewriter, |c| drops && c.is_whitespace(), held)
    }

    /// Whether byte-pair merges never join a space to the text before it, whatever words they are given.
    fn pieces_part_words(&self) -> bool {
        let Model::Bpe(model) = &self.spec.model else { return false };
        let named = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let knows_space = self.matched.iter().any(|(_, piece)| piece == b" ");
        !named(&model.continuing_subword_prefix)
            && !named(&model.end_of_word_suffix)
            && !model.ignore_merges
            && knows_space
            && !self.matched.iter().map(|(_, piece)| piece).chain(self.added_text_bytes()).any(holds_inner_space)
            && !self.pieces.iter().any(|(_, piece)| holds_inner_space(piece.as_bytes()))
    }

    /// Whether the tokens of `c` come after those of the text before it. The library writes the byte pieces of a
    /// character before the unknown token that it still owes. With byte pieces for the space alone, `é ` is the space
    /// and then `<unk>`.
    fn keeps_order(&self, c: char) -> bool {
        let named: FxHashSet<u8> = self.pieces.iter().filter_map(|(_, piece)| byte_piece(piece)).collect();
        named.len() == 256 || self.pieces.find(c.encode_utf8(&mut [0; 4])).is_some()
    }

    /// Whether the definition without its dummy prefix treats the rest of a text as the definition does.
    fn restarts_alike(&self) -> bool {
        let stages = &self.spec.pre_tokenizers;
        let adds = |stage: &PreTokenizer| match stage {
            PreTokenizer::Metaspace(metaspace) => metaspace.prepends(),
            PreTokenizer::ByteLevel { add_prefix_space, .. } => *add_prefix_space,
            _ => false,
        };
        let adders: Vec<usize> = (0..stages.len()).filter(|&index| adds(&stages[index])).collect();
        let splits = stages.iter().position(|stage| *stage == PreTokenizer::WhitespaceSplit);
        match (adders.as_slice(), splits) {
            ([], _) | ([0], None) => true,
            // The mark represents the space itself, on every word.
            ([index], Some(split)) => {
                let always =
                    matches!(&stages[*index], PreTokenizer::Metaspace(m) if m.prepend == PrependScheme::Always);
                split < *index && always
            }
            _ => false,
        }
    }

    /// The effect of the pre-tokenizer before `c`, white space or the mark for it, after another character.
    fn at_border(&self, c: char) -> Stage {
        let mut seen = c;
        for stage in &self.spec.pre_tokenizers {
            match self.stage_at_border(stage, seen) {
                Stage::Parts(c) => seen = c,
                known => return known,
            }
        }
        Stage::Parts(seen)
    }

    fn stage_at_border(&self, stage: &PreTokenizer, c: char) -> Stage {
        let space = c.is_whitespace();
        match stage {
            stage if space && stage.drops_white_space() => Stage::Cuts,
            PreTokenizer::WhitespaceSplit | PreTokenizer::Digits { .. } => Stage::Parts(c),
            PreTokenizer::CharDelimiterSplit { delimiter } if *delimiter == c => Stage::Cuts,
            PreTokenizer::CharDelimiterSplit { .. } => Stage::Parts(c),
            PreTokenizer::Punctuation { behavior } => match behavior {
                SplitBehavior::Isolated | SplitBehavior::Contiguous | SplitBehavior::Removed => Stage::Parts(c),
                SplitBehavior::MergedWithPrevious | SplitBehavior::MergedWithNext => Stage::Opaque,
            },
            PreTokenizer::Metaspace(metaspace) if metaspace.is_usual() => match (c, metaspace.split) {
                (' ' | METASPACE, true) => Stage::Cuts,
                (' ' | METASPACE, false) => Stage::Parts(METASPACE),
                _ => Stage::Parts(c),
            },
            PreTokenizer::ByteLevel { use_regex: false, .. } => {
                Stage::Parts(if c == ' ' { '\u{120}' } else { '\u{10A}' })
            }
            PreTokenizer::ByteLevel { .. } if space => match Pattern::new(R50K, Dialect::Oniguruma) {
                Ok(rule) if rule.stops_before(c) => Stage::Cuts,
                _ => Stage::Opaque,
            },
            PreTokenizer::Split { pattern, behavior, invert } if space => {
                self.split_at_border(pattern, *behavior, *invert, c)
            }
            PreTokenizer::Bert
            | PreTokenizer::ByteLevel { .. }
            | PreTokenizer::FixedLength { .. }
            | PreTokenizer::Metaspace(_)
            | PreTokenizer::Split { .. }
            | PreTokenizer::UnicodeScripts
            | PreTokenizer::Whitespace => Stage::Opaque,
        }
    }

    fn split_at_border(&self, rule: &Rule, behavior: SplitBehavior, invert: bool, c: char) -> Stage {
        let source = match rule {
            Rule::String(text) => regex_syntax::escape(text),
            Rule::Regex(rule) => rule.clone(),
        };
        let Ok(pattern) = Pattern::new(&source, self.dialect()) else { return Stage::Opaque };
        if !pattern.stops_before(c) {
            return Stage::Opaque;
        }
        match (behavior, invert) {
            // Only matches are left.
            (SplitBehavior::Removed, true) => Stage::Cuts,
            (SplitBehavior::Removed | SplitBehavior::Isolated, _) if pattern.begins_with(c) => Stage::Cuts,
            (SplitBehavior::Removed | SplitBehavior::Isolated, _) => Stage::Parts(c),
            _ => Stage::Opaque,
        }
    }
}
