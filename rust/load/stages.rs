//! Normalizer and pre-tokenizer stages -> our own engine, or the reason why the library must run them.

use crate::backends::byte_exact::pipeline::Pipeline;
use crate::formats::known_ranks::R50K;
use crate::load::build::{refuse, Own, Reader, Refusal};
use crate::load::entries::{Added, Spelling};
use crate::normalizers::compositions::sources;
use crate::normalizers::unicode_forms::METASPACE;
use crate::pre_tokenizers::added_tokens::AddedText;
use crate::pre_tokenizers::dummy_prefix::DummyPrefix;
use crate::pre_tokenizers::split::{Behaviour, Finder, Splitter, Stage};
use crate::regex::char_class::CodePoints;
use crate::regex::dialect::Dialect;
use crate::regex::pattern::Pattern;
use crate::spec::model::{Bpe, Model};
use crate::spec::normalizer::{Normalizer, Pattern as Rule};
use crate::spec::origin::Format;
use crate::spec::pre_tokenizer::{Metaspace, PreTokenizer, PrependScheme, SplitBehavior};
use crate::tokens::token::TokenId;
use crate::util::pool::Pool;
use unicode_categories::UnicodeCategories;

impl Reader<'_> {
    pub(super) fn dialect(&self) -> Dialect {
        if self.spec.origin.format == Format::Tiktoken {
            Dialect::Tiktoken
        } else {
            Dialect::Oniguruma
        }
    }

    /// Our own engine, or why not.
    pub(super) fn pipeline(&self) -> Own<Pipeline> {
        let Model::Bpe(model) = &self.spec.model else { return refuse(format!("{} model", self.spec.model.kind())) };
        has_no_affixes(model)?;
        let mut plan = Plan::default();
        self.normalizer(&mut plan)?;
        self.pre_tokenizer(&mut plan)?;
        let byte_level = plan.byte_level;
        if !byte_level && !plan.metaspace {
            return refuse("neither byte-level nor with U+2581 for spaces throughout");
        }
        let added = self.added_text(&mut plan)?;
        let spelling = if byte_level { Spelling::ByteLevel } else { Spelling::Marks };
        let bpe = self.bpe(model, spelling)?;
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
            scratch: Pool::default(),
            notes: format!("coolfusion's own byte-pair encoder, {how}"),
        })
    }

    fn normalizer(&self, plan: &mut Plan) -> Own<()> {
        for stage in &self.spec.normalizers {
            match stage {
                Normalizer::Nfc if !plan.metaspace => plan.nfc = true,
                Normalizer::Prepend(mark) if mark == "\u{2581}" && !plan.dummy_by_normalizer && !plan.metaspace => {
                    plan.dummy = DummyPrefix::Always;
                    plan.dummy_by_normalizer = true;
                    plan.dummy_everywhere = true;
                }
                Normalizer::Replace { .. } if stage.marks_spaces() => plan.metaspace = true,
                Normalizer::Nfc
                | Normalizer::Prepend(_)
                | Normalizer::Replace { .. }
                | Normalizer::Bert { .. }
                | Normalizer::ByteLevel
                | Normalizer::Lowercase
                | Normalizer::Nfd
                | Normalizer::Nfkc
                | Normalizer::Nfkd
                | Normalizer::Nmt
                | Normalizer::Precompiled(_)
                | Normalizer::Strip { .. }
                | Normalizer::StripAccents => return refuse(format!("normalizer {}", stage.kind())),
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
        for (index, stage) in self.spec.pre_tokenizers.iter().enumerate() {
            match stage {
                PreTokenizer::Split { pattern, behavior, invert } => self.split(pattern, *behavior, *invert, plan)?,
                PreTokenizer::ByteLevel { add_prefix_space, use_regex } => {
                    Self::byte_level(*add_prefix_space, *use_regex, index, plan)?;
                }
                PreTokenizer::Digits { individual_digits } => {
                    let behaviour = if *individual_digits { Behaviour::Isolated } else { Behaviour::Contiguous };
                    plan.add(Finder::Class(CodePoints::from_predicate(char::is_numeric)), behaviour, false)?;
                }
                PreTokenizer::Punctuation { behavior } => {
                    let behaviour = behaviour(*behavior)?;
                    let punctuation = |c: char| c.is_ascii_punctuation() || c.is_punctuation();
                    plan.add(Finder::Class(CodePoints::from_predicate(punctuation)), behaviour, false)?;
                }
                PreTokenizer::Metaspace(metaspace) => self.metaspace(*metaspace, plan)?,
                PreTokenizer::Bert
                | PreTokenizer::CharDelimiterSplit { .. }
                | PreTokenizer::FixedLength { .. }
                | PreTokenizer::UnicodeScripts
                | PreTokenizer::Whitespace
                | PreTokenizer::WhitespaceSplit => return refuse(format!("pre-tokenizer {}", stage.kind())),
            }
        }
        Ok(())
    }

    fn metaspace(&self, stage: Metaspace, plan: &mut Plan) -> Own<()> {
        if plan.nfc {
            return refuse("NFC together with U+2581 for spaces");
        }
        if !stage.is_usual() {
            return refuse("Metaspace with another mark than U+2581");
        }
        // There a mark that the text holds is none yet, and each part may get a mark of its own.
        if plan.byte_level || !plan.stages.is_empty() {
            return refuse("Metaspace after other pre-tokenizers");
        }
        match (stage.prepend, plan.metaspace, plan.dummy) {
            // The normalizer has put the mark there already.
            (PrependScheme::Never, ..) | (_, true, DummyPrefix::Always) => {}
            (scheme, false, _) => {
                plan.dummy = DummyPrefix::UnlessSpace;
                plan.dummy_everywhere = scheme == PrependScheme::Always;
            }
            _ => return refuse("Metaspace that adds a mark after a normalizer that does not"),
        }
        plan.metaspace = true;
        // Where no piece holds a space after its first byte, splitting at spaces changes nothing but the speed.
        let spaced = |piece: &[u8]| piece.iter().skip(1).any(|&byte| byte == b' ');
        if stage.split && self.matched.iter().map(|(_, piece)| piece).chain(self.added_text_bytes()).any(spaced) {
            let space = Finder::Class(CodePoints::from_ranges([(0x20, 0x20)]));
            plan.stages.push(Stage::new(space, Behaviour::MergedWithNext, false, false));
        }
        Ok(())
    }

    fn split(&self, rule: &Rule, behavior: SplitBehavior, invert: bool, plan: &mut Plan) -> Own<()> {
        let behaviour = behaviour(behavior)?;
        if plan.metaspace {
            // Spaces are gone by now, so this stage (Gemma's) never finds one.
            let idle = rule.literal() == Some(" ") && !invert;
            return if idle { Ok(()) } else { refuse("Split after U+2581 for spaces") };
        }
        let pattern = match rule {
            Rule::String(literal) => Pattern::new(&escape(literal), self.dialect())?,
            Rule::Regex(regex) => Pattern::new(regex, self.dialect())?,
        };
        plan.add(Finder::Pattern(pattern), behaviour, invert)
    }

    fn byte_level(add_prefix_space: bool, use_regex: bool, index: usize, plan: &mut Plan) -> Own<()> {
        if plan.byte_level || plan.metaspace {
            return refuse("ByteLevel twice, or after U+2581 for spaces");
        }
        if add_prefix_space {
            if index > 0 {
                return refuse("ByteLevel with add_prefix_space after other stages");
            }
            plan.dummy = DummyPrefix::UnlessSpace;
            plan.dummy_everywhere = true;
        }
        if use_regex {
            plan.add(Finder::Pattern(Pattern::new(R50K, Dialect::Oniguruma)?), Behaviour::Isolated, false)?;
        }
        plan.byte_level = true;
        Ok(())
    }

    fn added_text(&self, plan: &mut Plan) -> Own<AddedText> {
        let tokens: Vec<&Added> = self.added.iter().filter(|a| !a.control).collect();
        let (late, early): (Vec<&&Added>, Vec<&&Added>) = tokens.iter().partition(|a| a.normalized);
        // The library looks for the normalized ones last. Without a normalizer, and where no text holds two that share
        // a character, one walk finds the same.
        let meet = |a: &str, b: &str| a.contains(b) || b.contains(a) || shares_end(a, b) || shares_end(b, a);
        let apart = self.spec.normalizers.is_empty()
            && !late.iter().any(|a| early.iter().any(|b| meet(&a.content, &b.content)));
        if !late.is_empty() && !early.is_empty() && !apart {
            return refuse("added text tokens both before and after the normalizer");
        }
        let hiding = self.hiding(&tokens)?;
        let in_normal_form = !late.is_empty() && !self.spec.normalizers.is_empty();
        if !hiding.is_empty() && (in_normal_form || !late.is_empty() && !early.is_empty()) {
            return refuse("added text tokens that begin inside control tokens, after the normalizer");
        }
        if in_normal_form {
            return late_text(&late, plan);
        }
        // Gemma's runs of U+2581 are matched before spaces become that mark, so only a text that holds the mark has
        // them.
        let spaced = |a: &&Added| plan.metaspace && a.normalized && a.content.contains([' ', METASPACE]);
        if tokens.iter().any(spaced) {
            return refuse("added text tokens that hold spaces, before a pre-tokenizer that marks spaces");
        }
        let found = tokens.iter().map(|a| (a.content.as_str(), Some(TokenId(a.id))));
        let contents: Vec<_> = found.chain(hiding.into_iter().map(|content| (content, None))).collect();
        AddedText::new(&contents).ok_or_else(too_many)
    }

    /// The control tokens in which one of these would begin: the library finds them first, and leaves them alone.
    fn hiding(&self, tokens: &[&Added]) -> Own<Vec<&str>> {
        let table = |normalized: bool| {
            let same = tokens.iter().filter(|token| token.normalized == normalized);
            let contents: Vec<_> = same.map(|token| (token.content.as_str(), Some(TokenId(token.id)))).collect();
            AddedText::new(&contents).ok_or_else(too_many)
        };
        let (late, early) = (table(true)?, table(false)?);
        let begins = |control: &&Added| {
            let (table, content) = (if control.normalized { &late } else { &early }, control.content.as_bytes());
            (0..content.len()).any(|at| matches!(table.at(content, at), (Some(_), _) | (_, true)))
        };
        let found: Vec<&Added> = self.added.iter().filter(|a| a.control).filter(begins).collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let hidden = self.hidden_pieces();
        Ok(found.into_iter().map(|a| a.content.as_str()).filter(|content| !self.hides(content, &hidden)).collect())
    }
}

/// Refuses pieces that are written in another way at the end of a word, or inside it.
pub(super) fn has_no_affixes(model: &Bpe) -> Own<()> {
    for (key, text) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if text.as_ref().is_some_and(|text| !text.is_empty()) {
            return refuse(format!("{key} in the model"));
        }
    }
    Ok(())
}

fn too_many() -> Refusal {
    Refusal("millions of added tokens".into())
}

/// Added tokens that the library looks for in the normal form of a text, as they are in the text.
fn late_text(late: &[&&Added], plan: &mut Plan) -> Own<AddedText> {
    let spelled = |content: &str| if plan.nfc { sources(content) } else { with_spaces(content) };
    let read = |shown: fn(&Added) -> Option<&str>| -> Own<Vec<(String, Option<TokenId>)>> {
        let mut found = Vec::new();
        for token in late {
            let Some(content) = shown(token) else { continue };
            let Some(texts) = spelled(content) else {
                return refuse(format!("added token {:?}, whose normal form many texts have", token.content));
            };
            found.extend(texts.into_iter().map(|text| (text, Some(TokenId(token.id)))));
        }
        Ok(found)
    };
    let table = |contents: &[(String, Option<TokenId>)]| -> Own<AddedText> {
        let contents: Vec<_> = contents.iter().map(|(text, id)| (text.as_str(), *id)).collect();
        let found = AddedText::new(&contents).ok_or_else(too_many)?;
        Ok(if plan.nfc { found.in_nfc(&contents) } else { found })
    };
    let added = table(&read(|token| Some(&token.shown))?)?;
    if !plan.dummy_by_normalizer {
        return Ok(added);
    }
    let added = added.with_prefixed(table(&read(|token| token.shown.strip_prefix(METASPACE))?)?);
    // The normalizer has run before the text is cut at added tokens.
    plan.dummy_everywhere = false;
    Ok(added)
}

/// The texts that become `content` where spaces become U+2581; None where there are too many.
fn with_spaces(content: &str) -> Option<Vec<String>> {
    const MOST: usize = 6;
    let marks = content.matches([METASPACE, ' ']).count();
    let spell = |choice: u32| {
        let mut number = 0;
        let spelled = content.chars().map(|c| match c {
            METASPACE | ' ' => {
                number += 1;
                if choice >> (number - 1) & 1 == 0 {
                    ' '
                } else {
                    METASPACE
                }
            }
            c => c,
        });
        spelled.collect()
    };
    (marks <= MOST).then(|| (0..1 << marks).map(spell).collect())
}

/// Whether an end of `left` is a beginning of `right`.
fn shares_end(left: &str, right: &str) -> bool {
    left.char_indices().any(|(at, _)| right.starts_with(&left[at..]))
}

fn behaviour(behavior: SplitBehavior) -> Own<Behaviour> {
    match behavior {
        SplitBehavior::Isolated => Ok(Behaviour::Isolated),
        SplitBehavior::Contiguous => Ok(Behaviour::Contiguous),
        SplitBehavior::MergedWithPrevious => Ok(Behaviour::MergedWithPrevious),
        SplitBehavior::MergedWithNext => Ok(Behaviour::MergedWithNext),
        SplitBehavior::Removed => refuse(format!("behaviour {}", behavior.name())),
    }
}

/// `literal` as a pattern that matches just it.
fn escape(literal: &str) -> String {
    regex_syntax::escape(literal)
}

/// The combined effect of the stages.
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
            return refuse("a pre-token rule after U+2581 for spaces");
        }
        self.stages.push(Stage::new(finder, behaviour, invert, self.byte_level));
        Ok(())
    }
}
