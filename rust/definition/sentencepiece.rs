//! Definitions of SentencePiece files -> the engine that runs them as SentencePiece does.

use super::{flag, model_name, refuse, Own, Reader};
use crate::added::AddedText;
use crate::alphabet::{Alphabet, CharacterTable};
use crate::bpe::Bpe;
use crate::dictionary::Dictionary;
use crate::pair_table::PairTable;
use crate::sentencepiece::{Merges, Model, Normalizer, SentencePiece};
use crate::token::TokenId;
use crate::trie::PieceTrie;
use crate::unigram::{Sums, Unigram};
use crate::whole_pieces::MOST_IDS;
use crate::word_cache::Pool;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

impl Reader<'_> {
    fn extension(&self, key: &str) -> &Value {
        &self.definition["coolfusion"][key]
    }

    /// Whether the definition was made of a SentencePiece file.
    pub(super) fn is_sentencepiece(&self) -> bool {
        self.extension("escape").is_boolean()
    }

    /// Whether SentencePiece leaves the dummy prefix of a text that is rewritten to nothing.
    pub(super) fn keeps_dummy_alone(&self) -> bool {
        self.is_sentencepiece() && self.extension("remove_extra") != true
    }

    /// Whether only [`Reader::sentencepiece`] runs it.
    pub(super) fn is_literal(&self) -> bool {
        self.extension("literally") == true
    }

    /// The engine for SentencePiece files, or why not.
    pub(super) fn sentencepiece(&self) -> Own<SentencePiece> {
        let Some(unknown) = self.unknown else { return refuse("no unknown token in the model") };
        let ids = |key: &str| -> FxHashSet<u64> { self.extension(key).as_array().into_iter().flatten().filter_map(Value::as_u64).collect() };
        let symbols = ids("symbols");
        let mut never = ids("unmatchable");
        never.extend(ids("unused"));
        let escape = self.extension("escape") == true;
        let is_symbol = |id: u32| symbols.contains(&u64::from(id));
        let given: Vec<(u32, &str)> = self.pieces.iter().filter(|(id, _)| !never.contains(&u64::from(*id))).collect();
        let is_bpe = model_name(self.whole) == "BPE";
        let contents = || given.iter().filter(|(id, _)| is_symbol(*id));
        let charsmap = self.exact_charsmap()?;
        let remove_extra = self.extension("remove_extra") == true;
        // Symbols are left alone by the rules, and spaces inside them are not dropped.
        // A symbol without a space matters too, because it may take the beginning of one with a space: "--" of "--  ".
        let matter = charsmap.is_some() || remove_extra && contents().any(|(_, text)| text.contains(' '));
        let kept = contents().map(|(_, text)| *text).filter(|_| matter);
        let normalizer = Normalizer { kept: PieceTrie::new(kept), charsmap, dummy: self.extension("dummy") == true, remove_extra, escape };
        let found = contents().filter(|_| is_bpe).map(|(id, text)| (text.as_bytes().into(), TokenId(*id)));
        let pieces = PieceTrie::new(given.iter().filter(|(id, _)| !is_bpe || !is_symbol(*id)).map(|(_, text)| *text));
        let only = |text: &str| Some(text.chars()).and_then(|mut chars| chars.next().filter(|_| chars.next().is_none()));
        let characters = given.iter().filter_map(|(_, text)| only(text)).collect();
        let symbols = AddedText::new(found.collect());
        let (model, notes) = match is_bpe {
            true => {
                let normal: Vec<(u32, &str)> = given.iter().copied().filter(|&(id, _)| !is_symbol(id)).collect();
                (Model::Merges(Box::new(self.bare_merges(&normal, unknown)?)), "byte-pair")
            }
            false => (Model::Unigram(Box::new(self.literal_unigram(&given, unknown)?)), "Unigram"),
        };
        let notes = format!("coolfusion's own encoder of SentencePiece files, {notes}");
        Ok(SentencePiece { normalizer, symbols, model, unknown: TokenId(unknown), pieces, characters, notes })
    }

    fn byte_ids(&self) -> Box<[Option<TokenId>; 256]> {
        Box::new(std::array::from_fn(|byte| self.pieces.find(&format!("<0x{byte:02X}>")).map(TokenId)))
    }

    /// The merges of `pieces`, and of characters that are none.
    fn bare_merges(&self, pieces: &[(u32, &str)], unknown: u32) -> Own<Merges> {
        let first_bare = self.pieces.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
        let mut next = first_bare;
        let mut by_text: FxHashMap<&str, u32> = pieces.iter().map(|&(id, text)| (text, id)).collect();
        let mut table = CharacterTable::default();
        let single = |text: &str| Some(text.chars()).and_then(|mut chars| chars.next().filter(|_| chars.next().is_none()));
        pieces.iter().for_each(|&(id, text)| {
            if let Some(c) = single(text) {
                table.insert(c, TokenId(id))
            }
        });
        let mut merges = Vec::new();
        let pairs = self.whole.merges.as_ref().map(|merges| merges.pairs.as_slice()).unwrap_or_default();
        let ranks = self.whole.ranks.as_deref().unwrap_or_default();
        if ranks.len() < pairs.len() {
            return refuse(format!("merge {} has no rank", ranks.len()));
        }
        let mut joined = String::new();
        let mut add = |left: &str, right: &str, ids: (u32, u32), rank: u32, whole: &FxHashMap<&str, u32>| {
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            if let Some(&made) = whole.get(joined.as_str()) {
                merges.push((TokenId(ids.0), TokenId(ids.1), rank, TokenId(made)));
            }
        };
        for (&(left, right), &rank) in pairs.iter().zip(ranks) {
            let number = |number: u32| (self.pieces.piece(number as usize), self.pieces.id(number as usize));
            let ((left, left_id), (right, right_id)) = (number(left), number(right));
            add(left, right, (left_id, right_id), rank, &by_text);
        }
        for merge in self.extension("bare_merges").as_array().into_iter().flatten() {
            let (Some(left), Some(right), Some(rank)) =
                (merge[0].as_str(), merge[1].as_str(), merge[2].as_u64().and_then(|rank| u32::try_from(rank).ok()))
            else {
                return refuse(format!("bare merge {merge}"));
            };
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
            let (Some(left_id), Some(right_id)) = (id(left), id(right)) else { return refuse(format!("bare merge {merge}")) };
            add(left, right, (left_id, right_id), rank, &by_text);
        }
        if next >= MOST_IDS {
            return refuse(format!("id {next}, expected ids below {MOST_IDS}"));
        }
        // The certificate by pieces, and the words of a growing text, take it that an unknown character parts the merges.
        if let Some((left, right, ..)) = merges.iter().find(|(left, right, ..)| left.0 == unknown || right.0 == unknown) {
            return refuse(format!("a merge of the unknown token: ids {} and {}, expected ids of pieces that text can give", left.0, right.0));
        }
        let Some(merges) = PairTable::new(merges.into_iter()) else { return refuse("too many merges") };
        let fallback = Some(self.byte_ids()).filter(|_| flag(self.model, "byte_fallback") == Some(true));
        let complete = fallback.as_ref().is_some_and(|bytes| bytes.iter().all(Option::is_some));
        let bytes = fallback.as_ref().filter(|_| complete).map(|ids| Box::new(ids.map(Option::unwrap_or_default)));
        let alphabet = Alphabet::Characters { ids: table, fallback, unknown: Some(TokenId(unknown)), fuse_unknown: true, complete };
        let bpe = Bpe::new(alphabet, merges, false, pieces.iter().map(|&(id, text)| (TokenId(id), text.as_bytes(), false)));
        Ok(Merges { bpe, first_bare, bytes, benches: Pool::default() })
    }

    fn literal_unigram(&self, given: &[(u32, &str)], unknown: u32) -> Own<Unigram> {
        let Some(lowest) = self.extension("lowest_score").as_f64() else { return refuse("no lowest score") };
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
        let bytes =
            Some(self.byte_ids()).filter(|_| flag(self.model, "byte_fallback") == Some(true)).map(|ids| Box::new(ids.map(|id| id.map(|id| id.0))));
        let spells_all = bytes.as_ref().is_some_and(|ids| ids.iter().all(Option::is_some));
        let unknown_score = f64::from(lowest as f32 - 10.0);
        Ok(Unigram { pieces, entries, unknown, unknown_score, bytes, spells_all, sums: Sums::Single, marks: false })
    }
}
