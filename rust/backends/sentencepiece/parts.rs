//! The engine for SentencePiece files as SentencePiece itself runs them: normalizer, user-defined symbols, model.
//!
//! Sources: `src/normalizer.cc`, `src/bpe_model.cc`, `src/unigram_model.cc` and `src/sentencepiece_processor.cc` of
//! <https://github.com/google/sentencepiece>. Files that need less run on the faster engines
//! (`formats::sentencepiece`). Everything here works on the normal form as it is written, with U+2581 for spaces.
//! docs/proofs/sentencepiece-symbols.md has the argument for the settled cuts.

use crate::backends::sentencepiece::normalizer::{Normal, Normalizer};
use crate::models::bpe::model::{Bpe, Scratch};
use crate::models::unigram::{Lattice, Unigram};
use crate::pre_tokenizers::added_tokens::AddedText;
use crate::stability::pieces::uncrossed;
use crate::tokens::token::{Token, TokenId};
use crate::util::pool::Pool;
use crate::util::sorted_trie::PieceTrie;
use rustc_hash::FxHashSet;

/// Byte-pair merges.
pub(crate) struct Merges {
    pub(crate) bpe: Bpe,
    /// Ids from here on are characters that only merges know.
    pub(crate) first_bare: u32,
    /// The ids of the byte pieces.
    pub(crate) bytes: Option<Box<[TokenId; 256]>>,
    pub(crate) scratch: Pool<Scratch>,
}

/// How text between user-defined symbols becomes tokens.
pub(crate) enum Model {
    Merges(Box<Merges>),
    Unigram(Box<Unigram>),
}

/// The engine of SentencePiece's `.model` files.
pub(crate) struct SentencePiece {
    pub(crate) normalizer: Normalizer,
    /// User-defined symbols of byte-pair models, in the normal form.
    pub(crate) symbols: AddedText,
    pub(crate) model: Model,
    pub(crate) unknown: TokenId,
    /// The pieces that text can give.
    pub(crate) pieces: PieceTrie,
    /// Characters that are such a piece.
    pub(crate) characters: FxHashSet<char>,
    pub(crate) notes: String,
}

impl SentencePiece {
    /// Tokens with positions in the normal form.
    pub(super) fn normal_tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        match &self.model {
            Model::Merges(merges) => merges.scratch.with(|scratch| {
                for (word, part) in self.symbols.stretches(text).enumerate() {
                    let word = word as u32;
                    match part.added {
                        Some(id) => tokens.push(Token { id, start: part.start, end: part.end, word }),
                        None => {
                            let first = tokens.len();
                            merges.bpe.word(text.as_bytes(), (part.start, part.end), word, scratch, &mut tokens);
                            if tokens[first..].iter().any(|token| token.id.0 >= merges.first_bare) {
                                self.spell_bare(merges, text, first, &mut tokens);
                            }
                        }
                    }
                }
                scratch.trim(text.len());
            }),
            Model::Unigram(unigram) => {
                unigram.encode(text, &mut Lattice::default(), |id, start, end| {
                    tokens.push(Token { id: TokenId(id), start, end, word: 0 });
                });
            }
        }
        tokens
    }

    /// Writes the characters that no merge has taken as bytes, or as the unknown token.
    fn spell_bare(&self, merges: &Merges, text: &str, first: usize, tokens: &mut Vec<Token>) {
        for token in tokens.split_off(first) {
            match (&merges.bytes, token.id.0 >= merges.first_bare) {
                (Some(ids), true) => tokens.extend((token.start..token.end).map(|at| Token {
                    id: ids[usize::from(text.as_bytes()[at])],
                    start: at,
                    end: at + 1,
                    word: token.word,
                })),
                (None, bare) if bare || token.id == self.unknown => match tokens[first..].last_mut() {
                    Some(last) if last.id == self.unknown => last.end = token.end,
                    _ => tokens.push(Token { id: self.unknown, ..token }),
                },
                _ => tokens.push(token),
            }
        }
    }

    /// Whether unknown characters side by side become one token.
    fn fuses(&self) -> bool {
        match &self.model {
            Model::Merges(merges) => merges.bytes.is_none(),
            Model::Unigram(unigram) => !unigram.spells_all,
        }
    }

    /// Whether two neighbours may become one token although no piece holds both.
    pub(super) fn may_fuse(&self, left: char, right: char) -> bool {
        self.fuses() && !self.characters.contains(&left) && !self.characters.contains(&right)
    }

    /// The places in a text of `length` bytes of the `cuts` of its normal form, where they are cuts of it.
    pub(super) fn cuts_of(&self, normal: &Normal, cuts: Vec<usize>, length: usize) -> Vec<usize> {
        let mark = self.normalizer.mark();
        // Spaces that are dropped at the ends and in runs must not cross the cut.
        let stays = |at: usize| !self.normalizer.remove_extra || !normal.text()[..at].ends_with([mark, ' ']);
        let mut cuts: Vec<usize> =
            cuts.into_iter().filter(|&at| at > 0 && stays(at)).filter_map(|at| normal.cut(at)).collect();
        cuts.retain(|&at| at > 0 && at < length);
        cuts.dedup();
        cuts
    }

    /// The settled cuts in the normal form.
    pub(super) fn normal_cuts(&self, normal: &Normal) -> Vec<usize> {
        let text = &normal.text()[..normal.last_final()];
        let fused = |left, right| self.may_fuse(left, right);
        let mut walk = self.symbols.stretches(text);
        let parts: Vec<_> = walk.by_ref().collect();
        let unsure = walk.unsure();
        let mut cuts = Vec::new();
        for part in parts {
            if part.start > unsure {
                break;
            }
            cuts.push(part.start);
            if part.added.is_none() {
                let end = part.end.min(unsure);
                cuts.extend(
                    uncrossed(&self.pieces, &text[part.start..end], fused).into_iter().map(|at| part.start + at),
                );
            }
        }
        cuts
    }
}
