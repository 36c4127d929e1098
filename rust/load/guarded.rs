//! The specification as the library gets it, and known facts of it.

use crate::backends::hf_tokenizers::Facts;
use crate::error::Result;
use crate::load::build::Reader;
use crate::normalizers::charsmap::Charsmap;
use crate::spec::definition::{AddedIds, AddedToken, Spec};
use crate::spec::model::Model;
use crate::spec::normalizer::Normalizer;
use crate::spec::pre_tokenizer::PreTokenizer;
use crate::vocabulary::decode_rules::DecodeRules;
use crate::vocabulary::table::Vocabulary;
use rustc_hash::FxHashSet;

/// The name of a control piece where no text may find it.
pub(crate) fn hidden_name(piece: &str) -> String {
    format!("\u{10FFFE} control {piece}")
}

impl Reader<'_> {
    /// The charsmap that we apply ourselves, because the library's reading of it is not SentencePiece's.
    pub(super) fn exact_charsmap(&self) -> Result<Option<Charsmap>> {
        let Some(rules) = &self.spec.origin.sentencepiece else { return Ok(None) };
        let blob = self.spec.normalizers.iter().find_map(|stage| match stage {
            Normalizer::Precompiled(blob) => Some(blob),
            _ => None,
        });
        // User-defined symbols of SentencePiece are not rewritten.
        let symbols: FxHashSet<u32> = rules.symbols.iter().copied().collect();
        let keeps = || self.pieces.iter().filter(|(id, _)| symbols.contains(id)).map(|(_, text)| text.to_string());
        blob.map(|blob| Ok(Charsmap::new(blob)?.keeping(keeps()))).transpose()
    }

    /// The numbers of the control pieces that a model would find in a text by their spelling. These are all of a
    /// Unigram model, and those that only the look-up of whole words finds.
    pub(super) fn hidden_pieces(&self) -> FxHashSet<usize> {
        let whole_words = self.spec.model.looks_up_words();
        if !whole_words && !matches!(self.spec.model, Model::Unigram(_)) {
            return FxHashSet::default();
        }
        let controls = self.added.iter().filter(|a| a.control);
        let numbers =
            controls.filter_map(|a| self.pieces.number(&a.content).filter(|&number| self.pieces.id(number) == a.id));
        let mut numbers: FxHashSet<usize> = numbers.collect();
        if let Some(merges) = self.spec.model.merges().filter(|_| whole_words && !numbers.is_empty()) {
            let lengths: FxHashSet<usize> = numbers.iter().map(|&number| self.pieces.piece(number).len()).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let mut can_be_made = vec![false; longest + 1];
            lengths.into_iter().for_each(|length| can_be_made[length] = true);
            let mut is_control = vec![false; self.pieces.len()];
            numbers.iter().for_each(|&number| is_control[number] = true);
            let mut buffer = String::new();
            for &(left, right) in &merges.pairs {
                let (left, right) = (left as usize, right as usize);
                let length = self.pieces.piece(left).len() + self.pieces.piece(right).len();
                // Few merges make something as long as a control token.
                let made = if can_be_made.get(length) == Some(&true) {
                    self.pieces.joined(left, right, 0, &mut buffer)
                } else {
                    None
                };
                for number in [Some(left), Some(right), made].into_iter().flatten().filter(|&number| is_control[number])
                {
                    numbers.remove(&number);
                }
            }
        }
        numbers
    }

    /// Whether the library knows this token under a name that no text holds.
    pub(super) fn hides(&self, content: &str, hidden: &FxHashSet<usize>) -> bool {
        matches!(self.spec.model, Model::Unigram(_)) || self.pieces.number(content).is_some_and(|n| hidden.contains(&n))
    }

    /// Puts tokens that no text holds between added tokens, so that the library's numbering gives each its id.
    fn fill_ids(&self, tokens: Vec<AddedToken>) -> Vec<AddedToken> {
        let mut list = Vec::with_capacity(tokens.len());
        let mut next = self.pieces.len() as u32;
        for token in tokens {
            let id = token.id;
            let found = self.added.iter().find(|a| a.content == token.content);
            // Pieces have the ids of the model; of the others those that are written in ascending order can be filled.
            if found.is_some_and(|a| a.id == id && self.pieces.find(&a.content) != Some(a.id)) {
                const MOST: u32 = 1 << 16;
                let ids = next..id.min(next.saturating_add(MOST));
                list.extend(ids.map(|id| AddedToken::new(id, &hidden_name(&format!("id {id}")), true)));
                next = next.max(id).saturating_add(1);
            }
            list.push(token);
        }
        list
    }

    /// The specification for the library: no control token can be found in a text.
    pub(super) fn guarded(&self, without_charsmap: bool) -> Spec {
        // No text holds these names.
        let hidden = self.hidden_pieces();
        let controls: FxHashSet<&str> = self.added.iter().filter(|a| a.control).map(|a| a.content.as_str()).collect();
        let guard = |token: &AddedToken| match controls.contains(token.content.as_str()) {
            false => token.clone(),
            true => {
                let content = &token.content;
                let shown = if self.hides(content, &hidden) { hidden_name(content) } else { content.clone() };
                AddedToken { normalized: token.normalized, ..AddedToken::new(token.id, &shown, true) }
            }
        };
        let mut added_tokens: Vec<AddedToken> = self.spec.added_tokens.iter().map(guard).collect();
        if self.spec.added_ids != AddedIds::Counted {
            added_tokens = self.fill_ids(added_tokens);
        }
        let model = self.spec.model.clone();
        let unknown = self.spec.model.unknown_token();
        let unknown = unknown.filter(|unknown| self.pieces.number(unknown).is_some_and(|n| hidden.contains(&n)));
        let pieces = match hidden.is_empty() {
            true => self.pieces.clone(),
            false => self.pieces.renamed(|number| hidden.contains(&number), hidden_name),
        };
        let normalizers = self.spec.normalizers.iter();
        let keeps = |stage: &&Normalizer| !(without_charsmap && matches!(stage, Normalizer::Precompiled(_)));
        Spec {
            normalizers: normalizers.filter(keeps).cloned().collect(),
            pre_tokenizers: self.spec.pre_tokenizers.clone(),
            model: match unknown {
                Some(unknown) => model.with_unknown_token(hidden_name(unknown)),
                None => model,
            },
            pieces,
            added_tokens,
            added_ids: self.spec.added_ids,
            decoders: self.spec.decoders.clone(),
            post_processor: None,
            origin: self.spec.origin.clone(),
        }
    }

    pub(super) fn facts(
        &self,
        vocabulary: &Vocabulary,
        decode_rules: &DecodeRules,
        charsmap: Option<Charsmap>,
        reason: &str,
    ) -> Facts {
        let keeps = |stage: &Normalizer| matches!(stage, Normalizer::Prepend(_)) || stage.marks_spaces();
        let is_mark = |stage: &PreTokenizer| matches!(stage, PreTokenizer::Metaspace(_));
        let plain = self.spec.pre_tokenizers.iter().all(is_mark)
            && self.chain.is_marked(self.chain.reads_bytes())
            && decode_rules.is_plain();
        let known = self.known_normalizer();
        Facts {
            charsmap,
            normalizes: !(self.spec.normalizers.iter().all(keeps) && plain),
            has_unknown: self.unknown.is_some(),
            has_added_text: self.added.iter().any(|a| !a.control),
            blanks: known.as_ref().and_then(|(rewriter, _)| self.blanks(rewriter)),
            cuts: known.and_then(|(rewriter, marks)| self.space_cuts(rewriter, marks)),
            vocabulary: vocabulary.clone(),
            decode_rules: decode_rules.clone(),
            notes: format!("tokenizers crate ({reason})"),
        }
    }
}
