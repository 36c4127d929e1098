//! Definitions of SentencePiece files -> the engine that runs them as SentencePiece does.

use crate::backends::sentencepiece::normalizer::Normalizer;
use crate::backends::sentencepiece::parts::{Merges, Model, SentencePiece};
use crate::load::build::{refuse, Own, Reader};
use crate::models::bpe::initial_symbols::{Alphabet, CharSymbols};
use crate::models::bpe::merge_table::PairTable;
use crate::models::bpe::model::Bpe;
use crate::models::bpe::whole_pieces::MOST_IDS;
use crate::models::unigram::{Sums, Unigram};
use crate::pre_tokenizers::added_tokens::AddedText;
use crate::spec::model::{Bpe as PairModel, Model as Kind};
use crate::spec::origin::SentencePiece as Rules;
use crate::tokens::token::TokenId;
use crate::util::double_array::Dictionary;
use crate::util::pool::Pool;
use crate::util::sorted_trie::PieceTrie;
use rustc_hash::{FxHashMap, FxHashSet};

impl Reader<'_> {
    /// Whether SentencePiece leaves the dummy prefix of a text that is rewritten to nothing.
    pub(super) fn keeps_dummy_alone(&self) -> bool {
        self.spec.origin.sentencepiece.as_ref().is_some_and(|rules| !rules.remove_extra_whitespaces)
    }

    /// The engine for SentencePiece files, or why not.
    pub(super) fn sentencepiece(&self, rules: &Rules) -> Own<SentencePiece> {
        let Some(unknown) = self.unknown else { return refuse("no unknown token in the model") };
        let symbols: FxHashSet<u32> = rules.symbols.iter().copied().collect();
        let never: FxHashSet<u32> = rules.unmatchable.iter().chain(&rules.unused).copied().collect();
        let given: Vec<(u32, &str)> = self.pieces.iter().filter(|(id, _)| !never.contains(id)).collect();
        let contents = || given.iter().filter(|(id, _)| symbols.contains(id));
        let charsmap = self.exact_charsmap()?;
        let remove_extra = rules.remove_extra_whitespaces;
        // Symbols are left alone by the rules, and spaces inside them are not dropped.
        // A symbol without a space matters too, because it may take the beginning of one with a space: "--" of "--  ".
        let matter = charsmap.is_some() || remove_extra && contents().any(|(_, text)| text.contains(' '));
        let kept = PieceTrie::new(contents().map(|(_, text)| *text).filter(|_| matter));
        let (dummy, escape) = (rules.dummy_prefix, rules.escape_whitespaces);
        let normalizer = Normalizer { kept, charsmap, dummy, remove_extra, escape };
        let (found, normal): (Vec<_>, Vec<_>) = match &self.spec.model {
            Kind::Bpe(_) => given.iter().copied().partition(|(id, _)| symbols.contains(id)),
            _ => (Vec::new(), given.clone()),
        };
        let (model, notes) = match &self.spec.model {
            Kind::Bpe(model) => {
                (Model::Merges(Box::new(self.bare_merges(model, &rules.bare_merges, &normal, unknown)?)), "byte-pair")
            }
            Kind::Unigram(_) => (Model::Unigram(Box::new(self.literal_unigram(rules, &given, unknown)?)), "Unigram"),
            model @ (Kind::WordPiece(_) | Kind::WordLevel { .. } | Kind::LongestMatch) => {
                return refuse(format!("{} model", model.kind()));
            }
        };
        let symbols: Vec<_> = found.iter().map(|&(id, text)| (text, Some(TokenId(id)))).collect();
        let Some(symbols) = AddedText::new(&symbols) else { return refuse("millions of symbols") };
        Ok(SentencePiece {
            normalizer,
            symbols,
            model,
            unknown: TokenId(unknown),
            pieces: PieceTrie::new(normal.iter().map(|(_, text)| *text)),
            characters: given.iter().filter_map(|(_, text)| single(text)).collect(),
            notes: format!("coolfusion's own encoder of SentencePiece files, {notes}"),
        })
    }

    fn byte_ids(&self) -> Box<[Option<TokenId>; 256]> {
        Box::new(std::array::from_fn(|byte| self.pieces.find(&format!("<0x{byte:02X}>")).map(TokenId)))
    }

    /// The merges of `pieces`, and the `bare` ones with characters that are none.
    fn bare_merges(
        &self,
        model: &PairModel,
        bare: &[(String, String, u32)],
        pieces: &[(u32, &str)],
        unknown: u32,
    ) -> Own<Merges> {
        let first_bare = self.pieces.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
        let mut next = first_bare;
        let mut by_text: FxHashMap<&str, u32> = pieces.iter().map(|&(id, text)| (text, id)).collect();
        let mut table = CharSymbols::default();
        for &(id, text) in pieces {
            if let Some(c) = single(text) {
                table.insert(c, TokenId(id));
            }
        }
        let mut merges = Vec::new();
        let mut joined = String::new();
        let mut add = |left: (&str, u32), right: (&str, u32), rank: u32, whole: &FxHashMap<&str, u32>| {
            joined.clear();
            joined.extend([left.0, right.0]);
            if let Some(&made) = whole.get(joined.as_str()) {
                merges.push((TokenId(left.1), TokenId(right.1), rank, TokenId(made)));
            }
        };
        for (at, &(left, right)) in model.merges.pairs.iter().enumerate() {
            let number = |number: u32| (self.pieces.piece(number as usize), self.pieces.id(number as usize));
            add(number(left), number(right), model.merges.rank(at), &by_text);
        }
        for (left, right, rank) in bare {
            let mut id = |text| match by_text.get(text) {
                Some(&id) => Some(id),
                // A character that only merges know.
                None => single(text).map(|c| {
                    table.insert(c, TokenId(next));
                    by_text.insert(text, next);
                    next += 1;
                    next - 1
                }),
            };
            let (Some(left_id), Some(right_id)) = (id(left.as_str()), id(right.as_str())) else {
                return refuse(format!("bare merge of {left:?} and {right:?}"));
            };
            add((left, left_id), (right, right_id), *rank, &by_text);
        }
        if next >= MOST_IDS {
            return refuse(format!("id {next}, expected ids below {MOST_IDS}"));
        }
        let alphabet = self.bare_alphabet(table, model.byte_fallback, unknown);
        let bytes = match &alphabet {
            Alphabet::Characters { fallback: Some(ids), complete: true, .. } => {
                Some(ids.map(Option::unwrap_or_default))
            }
            _ => None,
        };
        let merges = parted_by(unknown, merges)?;
        let words = pieces.iter().map(|&(id, text)| (TokenId(id), text.as_bytes(), false));
        let bpe = Bpe::new(alphabet, merges, false, words);
        Ok(Merges { bpe, first_bare, bytes: bytes.map(Box::new), scratch: Pool::default() })
    }

    fn bare_alphabet(&self, ids: CharSymbols, byte_fallback: bool, unknown: u32) -> Alphabet {
        let fallback = Some(self.byte_ids()).filter(|_| byte_fallback);
        let complete = fallback.as_ref().is_some_and(|bytes| bytes.iter().all(Option::is_some));
        Alphabet::Characters { ids, fallback, unknown: Some(TokenId(unknown)), fuse_unknown: true, complete }
    }

    fn literal_unigram(&self, rules: &Rules, given: &[(u32, &str)], unknown: u32) -> Own<Unigram> {
        let Some(lowest) = rules.lowest_score else { return refuse("no lowest score") };
        let mut found = Vec::with_capacity(given.len());
        for &(id, text) in given {
            // The ids of a list are the numbers of its entries.
            let Some(score) = self.pieces.score(id as usize) else { return refuse(format!("no score for piece {id}")) };
            found.push((text, score, id));
        }
        found.sort_by_key(|(text, ..)| text.len());
        let entries = found.iter().map(|&(_, score, id)| (score, id)).collect();
        let words = found.iter().zip(0..).map(|(&(text, ..), index)| (text.as_bytes().into(), index)).collect();
        let Some(pieces) = Dictionary::new(words) else { return refuse("millions of pieces") };
        let bytes = Some(self.byte_ids()).filter(|_| self.spec.model.byte_fallback());
        let bytes = bytes.map(|ids| Box::new(ids.map(|id| id.map(|id| id.0))));
        let spells_all = bytes.as_ref().is_some_and(|ids| ids.iter().all(Option::is_some));
        let unknown_score = f64::from(lowest - 10.0);
        Ok(Unigram { pieces, entries, unknown, unknown_score, bytes, spells_all, sums: Sums::Single, marks: false })
    }
}

/// The only character of `text`.
fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The table of `merges`, none of which may be of the unknown token.
///
/// The certificate by pieces, and the words of a growing text, take it that an unknown character parts the merges.
fn parted_by(unknown: u32, merges: Vec<(TokenId, TokenId, u32, TokenId)>) -> Own<PairTable> {
    if let Some((left, right, ..)) = merges.iter().find(|(left, right, ..)| left.0 == unknown || right.0 == unknown) {
        let ids = format!("ids {} and {}", left.0, right.0);
        return refuse(format!("a merge of the unknown token: {ids}, expected ids of pieces that text can give"));
    }
    PairTable::new(merges.into_iter()).ok_or_else(|| crate::load::build::Refusal("too many merges".into()))
}
