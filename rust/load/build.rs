//! A specification -> vocabulary and backend.
//!
//! In: a [`Spec`], which the formats build. Out: [`Loaded`]. May import: `spec`, the engines, and `formats::charsmap`.
//! Read next: [`stages`](super::stages), which builds our own engine or says why it cannot.
//!
//! [`chain`](super::chain) reads the decoder, [`entries`](super::entries) the bytes of the vocabulary, and
//! [`merges`](super::merges) byte-pair tables. [`guarded`](super::guarded) prepares the specification for the library,
//! and [`judge`](super::judge) compares with it at load.

use crate::backends::engine::Engine;
use crate::backends::hf_tokenizers::Library;
use crate::error::{Error, Result};
use crate::formats::known_ranks::R50K;
use crate::load::chain::{byte_piece, Chain};
use crate::load::entries::{
    added_tokens, adds_space, check_largest_id, control_tokens, decoded, spelling, vocabulary, Added, Matched,
};
use crate::load::loaded::Loaded;
use crate::regex;
use crate::spec::decoder::Decoder;
use crate::spec::definition::{AddedToken, Spec};
use crate::spec::model::Model;
use crate::spec::normalizer::Normalizer;
use crate::spec::pieces::Pieces;
use crate::spec::pre_tokenizer::PreTokenizer;
use crate::util::sorted_trie::PieceTrie;
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::Vocabulary;

/// The most tokens that the notes name.
const MOST_NAMED: usize = 8;

/// Loads `spec`.
pub(crate) fn load(spec: &Spec) -> Result<Loaded> {
    let pieces = &spec.pieces;
    if let Model::LongestMatch = spec.model {
        return crate::load::longest::load(spec);
    }
    check_rules(spec)?;
    let mut notes = spec.origin.notes.clone();
    let added = added_tokens(spec, &mut notes)?;
    let unknown = spec.unknown_id();
    check_largest_id(pieces, &added)?;
    let shown = pieces.iter().map(|(_, piece)| piece).chain(added.iter().map(|a| a.shown.as_str()));
    let has_bytes = shown.into_iter().any(|piece| byte_piece(piece).is_some());
    let chain = Chain::new(spec.decoders.as_deref(), has_bytes)?;
    notes.extend(chain.notes().iter().cloned());
    let decoded = decoded(pieces, &chain)?;
    let (vocabulary, joined) = vocabulary(pieces, &decoded, &added, unknown, &chain)?;
    let spelling = spelling(spec);
    let byte_fallback = spec.model.byte_fallback();
    // Where whole words are looked up, a byte piece is found under its own name.
    let bytes = byte_fallback && !spec.model.looks_up_words();
    let matched = Matched::new(pieces, spelling, bytes, &decoded, &chain);
    // Whatever puts a space before a text, reading it back takes one away: else plain text would not come back.
    let drops = adds_space(spec) && !joined.drops_first_space && joined.joints.strip.is_none();
    if drops {
        notes.push("decode drops the space that encoding puts before a text; the tokenizers library keeps it".into());
    }
    let decode_rules = match drops {
        true => DecodeRules::dropping(joined.joints),
        false => DecodeRules::with(joined.drops_first_space, joined.joints),
    };
    let reader = Reader { spec, pieces, matched: &matched, chain: &chain, added: &added, unknown };
    notes.extend(reader.differences());
    let (engine, mut check) = reader.checked_engine(&vocabulary, &decode_rules, drops)?;
    if !notes.is_empty() && check.starts_with(EQUAL) {
        check.push_str(", apart from the notes");
    }
    Ok(Loaded {
        engine,
        byte_fallback: byte_fallback || chain.reads_bytes(),
        decode_rules,
        unknown,
        model: spec.model.kind().into(),
        split_rule: rule_text(&spec.pre_tokenizers),
        normalizer: spec.normalizers.iter().map(Normalizer::kind).collect::<Vec<_>>().join(", "),
        added: added.iter().map(Into::into).collect(),
        prefixes_once: spec.pre_tokenizers.iter().any(PreTokenizer::prefixes_once),
        control_tokens: control_tokens(&added, unknown, pieces),
        source_notes: notes,
        check,
        vocabulary,
        spelling,
    })
}

/// The beginning of the words for a definition that was compared.
const EQUAL: &str = "ids and decoded text equal those of the tokenizers library";

/// Refuses rules of an absurd size, which neither this crate nor the library should compile.
fn check_rules(spec: &Spec) -> Result<()> {
    let parts = [
        ("normalizer", spec.normalizers.iter().filter_map(Normalizer::rule).collect::<Vec<_>>()),
        ("pre_tokenizer", spec.pre_tokenizers.iter().filter_map(PreTokenizer::rule).collect()),
        ("decoder", spec.decoders.iter().flatten().filter_map(Decoder::rule).collect()),
    ];
    parts.iter().try_for_each(|(part, rules)| rules.iter().try_for_each(|rule| regex::limits::check(part, rule)))
}

/// The pre-token rule in words that a person can compare with the file.
fn rule_text(pre_tokenizers: &[PreTokenizer]) -> String {
    let rules = pre_tokenizers.iter().map(|stage| match stage {
        PreTokenizer::ByteLevel { use_regex: true, .. } => format!("ByteLevel({R50K})"),
        PreTokenizer::Split { pattern, .. } => format!("{}({})", stage.kind(), pattern.source()),
        _ => stage.kind().to_string(),
    });
    let rules: Vec<String> = rules.collect();
    if rules.is_empty() {
        "none: the whole text is one word".into()
    } else {
        rules.join(" | ")
    }
}

/// The reason why the library runs the specification instead of our own engine. Example: "no rule for words, and no
/// marks for spaces".
pub(crate) struct Refusal(pub(super) String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

pub(crate) type Own<T> = std::result::Result<T, Refusal>;

pub(crate) fn refuse<T>(reason: impl Into<String>) -> Own<T> {
    Err(Refusal(reason.into()))
}

/// The parts of a specification, for building either engine.
pub(crate) struct Reader<'a> {
    pub(super) spec: &'a Spec,
    pub(super) pieces: &'a Pieces,
    pub(super) matched: &'a Matched<'a>,
    pub(super) chain: &'a Chain,
    pub(super) added: &'a [Added],
    pub(super) unknown: Option<u32>,
}

impl Reader<'_> {
    /// Differences from the tokenizers library that are on purpose, in words.
    fn differences(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.spec.is_of_library() {
            return notes;
        }
        let takes = |a: &&AddedToken| a.is_control() && !a.special && !a.content.is_empty();
        for token in self.spec.added_tokens.iter().filter(takes).take(MOST_NAMED) {
            notes.push(format!(
                "added token {:?} depends on the text beside it (lstrip, rstrip or single_word): it is a control token \
                 here, and text that spells it stays text",
                token.content
            ));
        }
        let hidden = self.hidden_pieces();
        let first = hidden.iter().min().map(|&number| self.pieces.piece(number));
        if let Some(piece) = first {
            notes.push(format!(
                "text that spells a control token of the vocabulary ({piece:?}) is spelled by other pieces; the \
                 tokenizers library finds its piece"
            ));
        }
        let unknown = self.unknown.filter(|&id| !self.added.iter().any(|a| a.id == id && a.control));
        if let Some(piece) = unknown.and_then(|id| self.pieces.iter().find(|entry| entry.0 == id)) {
            notes.push(format!("decode leaves out the unknown token {:?}; the tokenizers library writes it", piece.1));
        }
        if let Some((one, other, id)) = self.two_of_one_id() {
            notes.push(format!(
                "pieces {one:?} and {other:?} have the id {id}: decode writes the last of such pieces; the tokenizers \
                 library writes one of them by chance"
            ));
        }
        notes
    }

    /// The first two pieces with one id, and the id.
    fn two_of_one_id(&self) -> Option<(&str, &str, u32)> {
        let mut seen = vec![false; self.pieces.iter().map(|(id, _)| id as usize + 1).max().unwrap_or(0)];
        let (id, other) = self.pieces.iter().find(|&(id, _)| std::mem::replace(&mut seen[id as usize], true))?;
        let (_, one) = self.pieces.iter().find(|&(first, _)| first == id)?;
        Some((one, other, id))
    }

    /// The engine, whose ids and text are those of the library, and the result of the comparison.
    fn checked_engine(
        &self,
        vocabulary: &Vocabulary,
        decode_rules: &DecodeRules,
        drops: bool,
    ) -> Result<(Box<dyn Engine>, String)> {
        let library = |reason: &str| -> Result<Box<dyn Engine>> {
            let charsmap = self.exact_charsmap()?;
            let spec = self.guarded(charsmap.is_some());
            Ok(Box::new(Library::new(spec, self.facts(vocabulary, decode_rules, charsmap, reason))?))
        };
        let (mut engine, own) = match self.own_engine(decode_rules.is_plain())? {
            Ok(engine) => (engine, true),
            Err(Refusal(reason)) => (library(&reason)?, false),
        };
        let Some(judge) = self.judge() else {
            return Ok((engine, "not compared with another library at load".into()));
        };
        let mut differs = judge.ids_differ(engine.as_ref())?;
        if let Some(difference) = differs.take_if(|_| own) {
            engine = library(&difference.reason())?;
            differs = judge.ids_differ(engine.as_ref())?;
        }
        if let Some(difference) = differs {
            return Err(difference.refusal("model", "the encoding"));
        }
        if let Some(difference) = judge.text_differs(vocabulary, decode_rules, drops)? {
            return Err(difference.refusal("decoder", "the text"));
        }
        let texts = judge.texts();
        let check = format!("{EQUAL} on {texts} texts of the file's own pieces");
        Ok((engine, check))
    }

    /// One of our own engines, or why the library must run the specification.
    ///
    /// `decodes_plainly`: decoding has no joints.
    fn own_engine(&self, decodes_plainly: bool) -> Result<Own<Box<dyn Engine>>> {
        let rules = self.spec.origin.sentencepiece.as_ref();
        let is_literal = rules.is_some_and(|rules| rules.literally);
        let of_file = || Refusal("a SentencePiece file".into());
        let byte_exact = if is_literal { Err(of_file()) } else { self.pipeline() };
        let reason = match byte_exact {
            Ok(pipeline) => return Ok(Ok(Box::new(pipeline))),
            Err(Refusal(reason)) => reason,
        };
        let normalizing = if is_literal { Err(of_file()) } else { self.rewriting(decodes_plainly) };
        let other = match normalizing {
            Ok(rewriting) => return Ok(Ok(Box::new(rewriting))),
            Err(Refusal(other)) => other,
        };
        // The library reads neither the ranks nor the scores of such a file as SentencePiece does.
        if let Some(rules) = rules {
            return match self.sentencepiece(rules) {
                Ok(engine) => Ok(Ok(Box::new(engine))),
                Err(Refusal(reason)) => Err(Error::definition("model", reason)),
            };
        }
        // The engine for models of this kind names the missing feature.
        Ok(refuse(match self.spec.model {
            Model::Unigram(_) | Model::WordPiece(_) | Model::WordLevel { .. } => other,
            Model::Bpe(_) if self.splits_words() => other,
            Model::Bpe(_) | Model::LongestMatch => reason,
        }))
    }

    /// Whether words are those between white space, which only the normalizing engine runs.
    fn splits_words(&self) -> bool {
        self.spec.pre_tokenizers.iter().any(PreTokenizer::drops_white_space)
    }

    /// All pieces in byte space.
    pub(super) fn piece_trie(&self) -> PieceTrie {
        PieceTrie::new(self.matched.iter().map(|(_, bytes)| bytes).chain(self.added_text_bytes()))
    }

    /// The added tokens that are text.
    pub(super) fn added_text_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.added.iter().filter(|a| !a.control).map(|a| a.content.as_bytes())
    }
}
