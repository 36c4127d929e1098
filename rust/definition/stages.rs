//! Normalizer and pre-tokenizer stages -> our own engine, or the reason why the library must run them.

use super::entries::prepend_scheme;
use super::entries::Added;
use super::{flag, kind, model_name, refuse, text, Own, Reader, GPT2};
use crate::added::AddedText;
use crate::normal::METASPACE;
use crate::pattern::{CodePoints, Dialect, Pattern};
use crate::pipeline::{DummyPrefix, Pipeline};
use crate::splitter::{Behaviour, Finder, Splitter, Stage};
use crate::token::TokenId;
use crate::word_cache::Pool;
use serde_json::Value;
use unicode_categories::UnicodeCategories;

impl Reader<'_> {
    pub(super) fn dialect(&self) -> Dialect {
        let source = self.definition.pointer("/coolfusion/source_format").and_then(Value::as_str);
        if source == Some("tiktoken") {
            Dialect::Tiktoken
        } else {
            Dialect::Oniguruma
        }
    }

    /// Our own engine, or why not.
    pub(super) fn pipeline(&self) -> Own<Pipeline> {
        if model_name(self.whole) != "BPE" {
            return refuse(format!("{} model", model_name(self.whole)));
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if text(self.model, key).is_some_and(|t| !t.is_empty()) {
                return refuse(format!("{key} in the model"));
            }
        }
        let mut plan = Plan::default();
        self.normalizer(&mut plan)?;
        self.pre_tokenizer(&mut plan)?;
        let byte_level = plan.byte_level;
        if !byte_level && !plan.metaspace {
            return refuse("neither byte-level nor with U+2581 for spaces throughout");
        }
        let added = self.added_text(&plan)?;
        let bpe = self.bpe(byte_level)?;
        let pieces = plan.stages.is_empty().then(|| self.piece_trie());
        let how = if pieces.is_some() { "no pre-token rule" } else { "pre-token rule matched by coolfusion" };
        Ok(Pipeline {
            added,
            nfc: plan.nfc,
            metaspace: plan.metaspace,
            dummy: plan.dummy,
            dummy_everywhere: plan.dummy_everywhere,
            splitter: Splitter { stages: plan.stages },
            bpe,
            pieces,
            benches: Pool::default(),
            notes: format!("coolfusion's own byte-pair encoder, {how}"),
        })
    }

    fn normalizer(&self, plan: &mut Plan) -> Own<()> {
        for stage in self.normalizers {
            let replaces = stage.pointer("/pattern/String").and_then(Value::as_str);
            match kind(stage) {
                "NFC" if !plan.metaspace => plan.nfc = true,
                "Prepend" if text(stage, "prepend") == Some("\u{2581}") && !plan.dummy_by_normalizer && !plan.metaspace => {
                    plan.dummy = DummyPrefix::Always;
                    plan.dummy_by_normalizer = true;
                    plan.dummy_everywhere = true;
                }
                "Replace" if replaces == Some(" ") && text(stage, "content") == Some("\u{2581}") => plan.metaspace = true,
                other => return refuse(format!("normalizer {other}")),
            }
        }
        if plan.dummy == DummyPrefix::Always && !plan.metaspace {
            return refuse("a dummy prefix without U+2581 for spaces");
        }
        if plan.nfc && plan.metaspace {
            return refuse("NFC together with U+2581 for spaces");
        }
        Ok(())
    }

    fn pre_tokenizer(&self, plan: &mut Plan) -> Own<()> {
        for (index, stage) in self.pre_tokenizers.iter().enumerate() {
            match kind(stage) {
                "Split" => self.split(stage, plan)?,
                "ByteLevel" => self.byte_level(stage, index, plan)?,
                "Digits" => {
                    let behaviour = if flag(stage, "individual_digits") == Some(true) { Behaviour::Isolated } else { Behaviour::Contiguous };
                    plan.add(Finder::Class(CodePoints::from_predicate(char::is_numeric)), behaviour, false)?;
                }
                "Punctuation" => {
                    let behaviour = behaviour(text(stage, "behavior").unwrap_or("Isolated"))?;
                    let punctuation = |c: char| c.is_ascii_punctuation() || c.is_punctuation();
                    plan.add(Finder::Class(CodePoints::from_predicate(punctuation)), behaviour, false)?;
                }
                "Metaspace" => self.metaspace(stage, plan)?,
                other => return refuse(format!("pre-tokenizer {other}")),
            }
        }
        Ok(())
    }

    fn metaspace(&self, stage: &Value, plan: &mut Plan) -> Own<()> {
        if plan.nfc {
            return refuse("NFC together with U+2581 for spaces");
        }
        if text(stage, "replacement").is_some_and(|mark| mark != "\u{2581}") {
            return refuse("Metaspace with another mark than U+2581");
        }
        // There a mark that the text holds is none yet, and each part may get a mark of its own.
        if plan.byte_level || !plan.stages.is_empty() {
            return refuse("Metaspace behind other pre-tokenizers");
        }
        match (prepend_scheme(stage), plan.metaspace, plan.dummy) {
            // The normalizer has put the mark there already.
            ("never", ..) | (_, true, DummyPrefix::Always) => {}
            (scheme, false, _) => {
                plan.dummy = DummyPrefix::UnlessSpace;
                plan.dummy_everywhere = scheme == "always";
            }
            _ => return refuse("Metaspace that adds a mark behind a normalizer that does not"),
        }
        plan.metaspace = true;
        // Where no piece holds a space behind its first byte, splitting at spaces changes nothing but the speed.
        let split = flag(stage, "split") != Some(false);
        let spaced = |piece: &[u8]| piece.iter().skip(1).any(|&byte| byte == b' ');
        if split && self.matched.iter().map(|(_, piece)| piece).chain(self.added_text_bytes()).any(spaced) {
            let space = Finder::Class(CodePoints::from_ranges([(0x20, 0x20)]));
            plan.stages.push(Stage::new(space, Behaviour::MergedWithNext, false, false));
        }
        Ok(())
    }

    fn split(&self, stage: &Value, plan: &mut Plan) -> Own<()> {
        let invert = flag(stage, "invert") == Some(true);
        let behaviour = behaviour(text(stage, "behavior").unwrap_or("Isolated"))?;
        let literal = stage.pointer("/pattern/String").and_then(Value::as_str);
        let regex = stage.pointer("/pattern/Regex").and_then(Value::as_str);
        if plan.metaspace {
            // Spaces are gone by now, so this stage (Gemma's) never finds one.
            return if literal == Some(" ") && !invert { Ok(()) } else { refuse("Split behind U+2581 for spaces") };
        }
        let pattern = match (literal, regex) {
            (Some(literal), _) => Pattern::new(&escape(literal), self.dialect())?,
            (None, Some(regex)) => Pattern::new(regex, self.dialect())?,
            (None, None) => return refuse("Split without a pattern"),
        };
        plan.add(Finder::Pattern(pattern), behaviour, invert)
    }

    fn byte_level(&self, stage: &Value, index: usize, plan: &mut Plan) -> Own<()> {
        if plan.byte_level || plan.metaspace {
            return refuse("ByteLevel twice, or behind U+2581 for spaces");
        }
        if flag(stage, "add_prefix_space") == Some(true) {
            if index > 0 {
                return refuse("ByteLevel with add_prefix_space behind other stages");
            }
            plan.dummy = DummyPrefix::UnlessSpace;
            plan.dummy_everywhere = true;
        }
        if flag(stage, "use_regex") != Some(false) {
            plan.add(Finder::Pattern(Pattern::new(GPT2, Dialect::Oniguruma)?), Behaviour::Isolated, false)?;
        }
        plan.byte_level = true;
        Ok(())
    }

    fn added_text(&self, plan: &Plan) -> Own<AddedText> {
        let tokens: Vec<&Added> = self.added.iter().filter(|a| !a.control).collect();
        let (late, early): (Vec<&&Added>, Vec<&&Added>) = tokens.iter().partition(|a| a.normalized);
        // The library looks for the normalized ones last. Without a normalizer, and where no text holds two that share a
        // character, one walk finds the same.
        let meet = |a: &str, b: &str| a.contains(b) || b.contains(a) || shares_end(a, b) || shares_end(b, a);
        let apart = self.normalizers.is_empty() && !late.iter().any(|a| early.iter().any(|b| meet(&a.content, &b.content)));
        if !late.is_empty() && !early.is_empty() && !apart {
            return refuse("added text tokens both before and behind the normalizer");
        }
        // Gemma's runs of U+2581 are matched before spaces become that mark, so only a text that holds the mark has them.
        let spaced = |a: &&Added| plan.metaspace && a.normalized && a.content.contains([' ', METASPACE]);
        if tokens.iter().any(spaced) || plan.dummy_by_normalizer && tokens.iter().any(|a| a.normalized) {
            return refuse("added text tokens that hold spaces behind the normalizer");
        }
        Ok(AddedText::new(tokens.iter().map(|a| (a.content.as_bytes().into(), TokenId(a.id))).collect()))
    }
}

/// Whether an end of `left` is a beginning of `right`.
fn shares_end(left: &str, right: &str) -> bool {
    left.char_indices().any(|(at, _)| right.starts_with(&left[at..]))
}

fn behaviour(name: &str) -> Own<Behaviour> {
    match name {
        "Isolated" => Ok(Behaviour::Isolated),
        "Contiguous" => Ok(Behaviour::Contiguous),
        "MergedWithPrevious" => Ok(Behaviour::MergedWithPrevious),
        "MergedWithNext" => Ok(Behaviour::MergedWithNext),
        other => refuse(format!("behaviour {other}")),
    }
}

/// `literal` as a pattern that matches just it.
fn escape(literal: &str) -> String {
    regex_syntax::escape(literal)
}

/// What the stages amount to.
struct Plan {
    nfc: bool,
    metaspace: bool,
    byte_level: bool,
    dummy: DummyPrefix,
    dummy_by_normalizer: bool,
    dummy_everywhere: bool,
    stages: Vec<Stage>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nfc: false,
            metaspace: false,
            byte_level: false,
            dummy: DummyPrefix::None,
            dummy_by_normalizer: false,
            dummy_everywhere: false,
            stages: Vec::new(),
        }
    }
}

impl Plan {
    fn add(&mut self, finder: Finder, behaviour: Behaviour, invert: bool) -> Own<()> {
        if self.metaspace {
            return refuse("a pre-token rule behind U+2581 for spaces");
        }
        self.stages.push(Stage::new(finder, behaviour, invert, self.byte_level));
        Ok(())
    }
}
