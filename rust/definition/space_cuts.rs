//! Where a definition that the library runs divides a text for certain: before white space, or nowhere.

use super::entries::prepend_scheme;
use super::{flag, holds_inner_space, kind, model_name, text, Reader, GPT2};
use crate::normal::METASPACE;
use crate::pattern::{Dialect, Pattern};
use crate::space_cuts::SpaceCuts;
use serde_json::Value;

/// What a pre-tokenizer stage does at white space behind another character.
enum Stage {
    /// It cuts there, and treats each side by itself.
    Cuts,
    /// It treats each side by itself; the later stages see this character.
    Parts(char),
    /// Nothing is known.
    Opaque,
}

impl Reader<'_> {
    /// The cuts that are settled, or None where none are known.
    ///
    /// Stages behind one that cuts there see the two sides as two words, so whatever they do is done to each by itself.
    pub(super) fn space_cuts(&self) -> Option<SpaceCuts> {
        let (rewriter, marks) = self.known_normalizer()?;
        // Added tokens are found before all else, and those that are text in what the normalizer makes.
        let spaced = |content: &str| content.chars().skip(1).any(|c| c.is_whitespace() || c == METASPACE);
        if self.added.iter().any(|a| !a.control)
            && self.added.iter().any(|a| spaced(&a.content) || a.normalized && !a.control && !self.normalizers.is_empty())
        {
            return None;
        }
        self.restarts_alike().then_some(())?;
        let pieces = self.pieces_part_words();
        SpaceCuts::new(rewriter, |c| match self.at_border(if marks && c == ' ' { METASPACE } else { c }) {
            Stage::Cuts => true,
            Stage::Parts(_) => pieces && c == ' ',
            Stage::Opaque => false,
        })
    }

    /// Whether byte-pair merges never join a space to what stands before it, whatever words they are given.
    fn pieces_part_words(&self) -> bool {
        let named = |key: &str| text(self.model, key).is_some_and(|t| !t.is_empty());
        let knows_space = self.matched.iter().any(|(_, piece)| piece == b" ");
        model_name(self.whole) == "BPE"
            && !named("continuing_subword_prefix")
            && !named("end_of_word_suffix")
            && flag(self.model, "ignore_merges") != Some(true)
            && knows_space
            && !self.matched.iter().map(|(_, piece)| piece).chain(self.added_text_bytes()).any(holds_inner_space)
            && !self.pieces.iter().any(|(_, piece)| holds_inner_space(piece.as_bytes()))
    }

    /// Whether the definition without its dummy prefix treats the rest of a text as the definition does.
    fn restarts_alike(&self) -> bool {
        let adds = |stage: &Value| match kind(stage) {
            "Metaspace" => prepend_scheme(stage) != "never",
            "ByteLevel" => flag(stage, "add_prefix_space") == Some(true),
            _ => false,
        };
        let adders: Vec<usize> = (0..self.pre_tokenizers.len()).filter(|&index| adds(self.pre_tokenizers[index])).collect();
        let splits = self.pre_tokenizers.iter().position(|stage| kind(stage) == "WhitespaceSplit");
        match (adders.as_slice(), splits) {
            ([], _) | ([0], None) => true,
            // The mark stands for the space itself, on every word.
            ([index], Some(split)) => {
                let stage = self.pre_tokenizers[*index];
                split < *index && kind(stage) == "Metaspace" && prepend_scheme(stage) == "always"
            }
            _ => false,
        }
    }

    /// What the pre-tokenizer does before `c`, white space or the mark for it, behind another character.
    fn at_border(&self, c: char) -> Stage {
        let mut seen = c;
        for stage in self.pre_tokenizers {
            match self.stage_at_border(stage, seen) {
                Stage::Parts(c) => seen = c,
                known => return known,
            }
        }
        Stage::Parts(seen)
    }

    fn stage_at_border(&self, stage: &Value, c: char) -> Stage {
        let space = c.is_whitespace();
        let apart = |cuts: bool| if cuts { Stage::Cuts } else { Stage::Parts(c) };
        match kind(stage) {
            "WhitespaceSplit" | "Whitespace" | "BertPreTokenizer" if space => Stage::Cuts,
            "WhitespaceSplit" => Stage::Parts(c),
            "CharDelimiterSplit" => apart(text(stage, "delimiter").is_some_and(|delimiter| delimiter.chars().eq([c]))),
            "Digits" => Stage::Parts(c),
            "Punctuation" if matches!(text(stage, "behavior"), None | Some("Isolated" | "Contiguous" | "Removed")) => Stage::Parts(c),
            "Metaspace" if text(stage, "replacement").is_none_or(|mark| mark == "\u{2581}") => {
                let marked = matches!(c, ' ' | METASPACE);
                match (marked, flag(stage, "split") != Some(false)) {
                    (true, true) => Stage::Cuts,
                    (true, false) => Stage::Parts(METASPACE),
                    (false, _) => Stage::Parts(c),
                }
            }
            "ByteLevel" if flag(stage, "use_regex") == Some(false) => Stage::Parts(if c == ' ' { '\u{120}' } else { '\u{10A}' }),
            "ByteLevel" if space => match Pattern::new(GPT2, Dialect::Oniguruma) {
                Ok(rule) if rule.stops_before(c) => Stage::Cuts,
                _ => Stage::Opaque,
            },
            "Split" if space => self.split_at_border(stage, c),
            _ => Stage::Opaque,
        }
    }

    fn split_at_border(&self, stage: &Value, c: char) -> Stage {
        let literal = stage.pointer("/pattern/String").and_then(Value::as_str).map(regex_syntax::escape);
        let regex = stage.pointer("/pattern/Regex").and_then(Value::as_str).map(String::from);
        let Some(Ok(pattern)) = literal.or(regex).map(|source| Pattern::new(&source, self.dialect())) else { return Stage::Opaque };
        if !pattern.stops_before(c) {
            return Stage::Opaque;
        }
        match (text(stage, "behavior").unwrap_or("Isolated"), flag(stage, "invert") == Some(true)) {
            // Only matches are left.
            ("Removed", true) => Stage::Cuts,
            ("Removed" | "Isolated", _) if pattern.begins_with(c) => Stage::Cuts,
            ("Removed" | "Isolated", _) => Stage::Parts(c),
            _ => Stage::Opaque,
        }
    }
}
