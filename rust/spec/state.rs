//! A specification as bytes for another process, which give back the very same one.
//!
//! In: a [`Spec`]. Out: bytes, and the [`Spec`] again. May import: `json`, `origin`. Read next:
//! `crate::python::pickling`.
//!
//! JSON holds all but scores, because `serde_json` reads some fractions one unit in the last place away from the
//! written ones. So scores follow bit by bit, after the `tokenizer.json` and the rest of the origin.

use crate::error::{Error, Result};
use crate::spec::definition::{AddedIds, Spec};
use crate::spec::json;
use crate::spec::model::{Merges, Model};
use crate::spec::origin::Origin;
use serde::{Deserialize, Serialize};

/// The values that `tokenizer.json` does not hold.
#[derive(Serialize, Deserialize)]
struct Rest {
    origin: Origin,
    added_ids: AddedIds,
    merge_ranks: Option<Vec<u32>>,
}

impl Spec {
    /// The specification as bytes. Complexity: O(specification).
    ///
    /// # Errors
    /// None that a specification in memory can give; the type is that of the writer.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let merge_ranks = self.model.merges().and_then(Merges::ranks).map(<[u32]>::to_vec);
        let rest = Rest { origin: self.origin.clone(), added_ids: self.added_ids, merge_ranks };
        let mut bytes = Vec::new();
        for section in [serde_json::to_vec(self), serde_json::to_vec(&rest)] {
            let section = section.map_err(|error| broken(&error.to_string()))?;
            bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&section);
        }
        self.pieces.scores().iter().for_each(|score| bytes.extend_from_slice(&score.to_bits().to_le_bytes()));
        Ok(bytes)
    }

    /// The specification in the bytes of [`Spec::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Definition`] for other bytes. Complexity: O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (whole, bytes) = section(bytes)?;
        let (rest, scores) = section(bytes)?;
        let read = json::read(whole).map_err(|error| broken(&error.to_string()))?;
        let mut spec = read?.ok_or_else(|| broken("no `model`"))?;
        let rest: Rest = serde_json::from_slice(rest).map_err(|error| broken(&error.to_string()))?;
        if let (Model::Bpe(bpe), Some(ranks)) = (&mut spec.model, rest.merge_ranks) {
            if ranks.len() != bpe.merges.pairs.len() {
                return Err(broken("the number of ranks is another"));
            }
            bpe.merges = Merges::ranked(std::mem::take(&mut bpe.merges.pairs), ranks);
        }
        (spec.origin, spec.added_ids) = (rest.origin, rest.added_ids);
        let whole = scores.chunks_exact(8);
        let rest = whole.remainder();
        let bits = whole.filter_map(|bits| bits.try_into().ok());
        let scores = bits.map(|bits| f64::from_bits(u64::from_le_bytes(bits))).collect();
        if !rest.is_empty() || !spec.pieces.set_scores(scores) {
            return Err(broken("the number of scores is another"));
        }
        Ok(spec)
    }
}

/// The first section, after its length, and the rest.
fn section(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| broken("too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.split_at_checked(length).ok_or_else(|| broken("cut off"))
}

fn broken(reason: &str) -> Error {
    Error::definition("state", format!("{reason}: expected the bytes of a specification"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::definition::AddedToken;
    use crate::spec::model::{Bpe, Unigram};
    use crate::spec::origin::{Format, SentencePiece};
    use crate::spec::pieces::Pieces;

    fn spec() -> Spec {
        // Seventeen digits that `serde_json` does not read exactly are among these.
        let pieces = (0..2000).map(|n| (format!("p{n}"), -f64::from(n).sqrt().ln_1p() / 3.0));
        let rules = SentencePiece { lowest_score: Some(-0.1 - 0.2), symbols: vec![3], ..SentencePiece::default() };
        let origin = Origin { sentencepiece: Some(rules), ..Origin::new(Format::SentencePiece, vec!["a note".into()]) };
        Spec::new(Model::Unigram(Unigram::default()), Pieces::with_scores(pieces), origin)
    }

    #[test]
    fn all_comes_back_bit_by_bit() {
        let before = spec();
        let after = Spec::from_bytes(&before.to_bytes().unwrap()).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        let bits = |spec: &Spec| spec.pieces.scores().iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&before), bits(&after));
        let text = serde_json::to_vec(&before).unwrap();
        let plain = json::read(&text).unwrap().unwrap().unwrap();
        assert_ne!(bits(&before), bits(&plain), "plain JSON would do: the bits are not needed");
    }

    #[test]
    fn ranks_of_merges_and_declared_ids_come_back() {
        let merges = Merges::ranked(vec![(0, 0), (0, 1)], vec![3, 3]);
        let model = Model::Bpe(Bpe { merges, ..Bpe::default() });
        let pieces = Pieces::with_ids([("a", 0), ("aa", 1)]);
        let mut before = Spec::new(model, pieces, Origin::new(Format::TokenizerJson, Vec::new()));
        before.added_tokens.push(AddedToken::new(7, "<s>", true));
        before.added_ids = AddedIds::Declared;
        let after = Spec::from_bytes(&before.to_bytes().unwrap()).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    #[test]
    fn other_bytes_are_refused() {
        let whole = spec().to_bytes().unwrap();
        let (short, scores, json) = (whole.len() - 1, whole.len() - 8, 99);
        for bytes in [
            &b""[..],
            b"1234567",
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            &whole[..short],
            &whole[..scores],
            &whole[..json],
        ] {
            assert!(Spec::from_bytes(bytes).unwrap_err().to_string().contains("bytes of a specification"));
        }
    }
}
