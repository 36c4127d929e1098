//! Files of tiktoken ranks (`*.tiktoken`, LLaMA-3's and GLM-4's `tokenizer.model`) -> [`Spec`].
//!
//! A file holds one token per line, `base64 rank`, and nothing else: neither the split pattern nor the special tokens.
//! The encoder (<https://github.com/openai/tiktoken>, `src/lib.rs`) takes a pre-token that is a token as it is.
//! Otherwise it merges the adjacent pair whose concatenation has the lowest rank, the leftmost of equals.

use crate::error::{Error, Result};
use crate::formats::known_ranks;
use crate::formats::parts::{controls, splitting};
use crate::spec::decoder::Decoder;
use crate::spec::definition::Spec;
use crate::spec::model::{Bpe, Merges, Model};
use crate::spec::normalizer::Normalizer;
use crate::spec::origin::{Format, Origin};
use crate::spec::pieces::Pieces;
use crate::util::byte_alphabet;
use base64::{engine::general_purpose::STANDARD, Engine};
use rustc_hash::{FxHashMap, FxHashSet};

/// Whether the first lines are ranks. A file called `tokenizer.model` may be a SentencePiece model as well.
pub fn looks_like_ranks(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').map(trim).find(|line| !line.is_empty());
    // A SentencePiece model begins with 0x0A, the key of its first piece, which is an empty line here. The next bytes
    // are the length and type of that piece, which no base64 has.
    first.is_some_and(|line| line.len() < 1 << 16 && rank_line(line).is_ok())
}

/// The tokens and ranks of a file, in its order. Costs O(length).
///
/// # Errors
/// [`Error::File`] with the number of the first line that is not `base64 rank`, or that repeats a token or a rank.
pub fn parse(bytes: &[u8], source: &str) -> Result<Vec<(Vec<u8>, u32)>> {
    let mut ranks = Vec::new();
    let (mut tokens, mut numbers) = (FxHashSet::default(), FxHashSet::default());
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = trim(line);
        if line.is_empty() {
            continue;
        }
        // whisper's multilingual.tiktoken ends with an empty token, which no text gives.
        if line.starts_with(b"= ") && rank_line(&[b"YQ==", &line[1..]].concat()).is_ok() {
            continue;
        }
        let entry = rank_line(line).and_then(|(token, rank)| {
            if !numbers.insert(rank) {
                return Err(format!("rank {rank} for the second time"));
            }
            match tokens.insert(token.clone()) {
                true => Ok((token, rank)),
                false => Err(format!("token {:?} for the second time", String::from_utf8_lossy(&token))),
            }
        });
        let entry = entry.map_err(|reason| Error::File {
            path: source.to_owned(),
            reason: format!("line {}: {reason}, expected tiktoken ranks (`base64 rank`)", index + 1),
        })?;
        ranks.push(entry);
    }
    if ranks.is_empty() {
        return Err(Error::File { path: source.to_owned(), reason: "no lines, expected tiktoken ranks".to_owned() });
    }
    Ok(ranks)
}

/// The specification in the bytes of a file; `pattern` is `None` for a file that [`known_ranks`] knows.
///
/// # Errors
/// As [`parse`]; [`Error::File`] where the pattern is unknown.
pub fn file(bytes: &[u8], source: &str, pattern: Option<&str>) -> Result<Spec> {
    let ranks = parse(bytes, source)?;
    if let Some(pattern) = pattern {
        return from_ranks(&ranks, pattern, &[]);
    }
    let Some(known) = known_ranks::find(bytes, &ranks) else {
        let count = ranks.len();
        let reason = format!(
            "{count} tiktoken ranks of no known file do not hold the split pattern: expected it in \
            the argument `pattern`"
        );
        return Err(Error::File { path: source.to_owned(), reason });
    };
    let mut spec = from_ranks(&ranks, known.pattern, &known.specials())?;
    spec.normalizers.extend(known.composes.then_some(Normalizer::Nfc));
    let name = known.name;
    spec.origin
        .notes
        .push(format!("the ranks are those of {name}: its published split pattern and special tokens are used"));
    spec.origin.notes.extend(known.note.map(str::to_owned));
    Ok(spec)
}

/// The byte-level BPE tokenizer that `ranks` and `pattern` make.
///
/// Costs O(b) look-ups for b bytes in all tokens: each token is looked up at each split.
///
/// # Errors
/// [`Error::Definition`] if a token or an id comes twice, or a token is empty.
pub fn from_ranks(ranks: &[(Vec<u8>, u32)], pattern: &str, specials: &[(String, u32)]) -> Result<Spec> {
    check(ranks, specials)?;
    let alphabet: Vec<char> = byte_alphabet::characters().into_iter().collect();
    // Token -> its position in `ranks`.
    let known: FxHashMap<&[u8], u32> =
        ranks.iter().zip(0..).map(|((token, _), number)| (token.as_slice(), number)).collect();
    let mut notes = Vec::new();
    let missing = (0..=u8::MAX).filter(|byte| !known.contains_key([*byte].as_slice())).count();
    if missing > 0 {
        notes.push(format!("{missing} of the 256 bytes are no tokens: texts that need them cannot be encoded"));
    }
    let key = |token: &[u8]| -> String { token.iter().filter_map(|byte| alphabet.get(usize::from(*byte))).collect() };
    let pieces = Pieces::with_ids(ranks.iter().map(|(token, rank)| (key(token), *rank)));
    let model = Model::Bpe(Bpe { merges: merges(ranks, &known), ignore_merges: true, ..Bpe::default() });
    let mut spec = Spec::new(model, pieces, Origin::new(Format::Tiktoken, notes));
    spec.added_tokens = controls(specials.iter().map(|(content, id)| (content, *id)));
    spec.pre_tokenizers = splitting(Some(pattern), false);
    spec.decoders = Some(vec![Decoder::ByteLevel]);
    Ok(spec)
}

/// Every split of a token into two tokens, with its rank.
///
/// Both splits of a token have its rank, so that the leftmost wins: `   ` is ` ` + `  ` or `  ` + ` `.
fn merges(ranks: &[(Vec<u8>, u32)], known: &FxHashMap<&[u8], u32>) -> Merges {
    let mut merges: Vec<(u32, u32, u32, u32)> = Vec::new();
    for (token, rank) in ranks {
        for cut in 1..token.len() {
            let (left, right) = token.split_at(cut);
            if let (Some(left_number), Some(right_number)) = (known.get(left), known.get(right)) {
                merges.push((*rank, cut as u32, *left_number, *right_number));
            }
        }
    }
    merges.sort_unstable();
    let ranks = merges.iter().map(|(rank, ..)| *rank).collect();
    Merges::ranked(merges.iter().map(|(_, _, left, right)| (*left, *right)).collect(), ranks)
}

/// Ranks and specials from a caller keep the rules that `parse` checks in a file.
fn check(ranks: &[(Vec<u8>, u32)], specials: &[(String, u32)]) -> Result<()> {
    let wrong = |reason: String| Err(Error::definition("model", reason));
    if ranks.is_empty() {
        return wrong("no ranks, expected at least one token".to_owned());
    }
    let (mut tokens, mut numbers) = (FxHashSet::default(), FxHashSet::default());
    for (token, rank) in ranks {
        if token.is_empty() || !tokens.insert(token) || !numbers.insert(*rank) {
            let token = String::from_utf8_lossy(token);
            return wrong(format!("token {token:?} with rank {rank} is empty, or token or rank are there twice"));
        }
    }
    for (content, id) in specials {
        if content.is_empty() || !numbers.insert(*id) {
            return wrong(format!("special token {content:?} with id {id} is empty, or the id is there twice"));
        }
    }
    Ok(())
}

/// `base64 rank`.
fn rank_line(line: &[u8]) -> std::result::Result<(Vec<u8>, u32), String> {
    let shown = || String::from_utf8_lossy(line).chars().take(40).collect::<String>();
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(token), Some(rank), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("{:?} is not two words", shown()));
    };
    let token = STANDARD.decode(token).map_err(|error| format!("{:?} is not base64 ({error})", shown()))?;
    if token.is_empty() {
        return Err("an empty token".to_owned());
    }
    let rank = std::str::from_utf8(rank).ok().and_then(|rank| rank.parse().ok());
    rank.map(|rank| (token, rank)).ok_or_else(|| format!("{:?} has no rank below 2^32", shown()))
}

/// A line without the white space around it (`\r` of a file that went through Windows).
fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::pre_tokenizer::PreTokenizer;

    /// The 256 bytes in order, then three spaces in every way that two tokens make them.
    fn ranks() -> Vec<(Vec<u8>, u32)> {
        let bytes = (0..=u8::MAX).map(|byte| (vec![byte], u32::from(byte)));
        bytes.chain([(b"  ".to_vec(), 256), (b"   ".to_vec(), 257), ("é".into(), 300)]).collect()
    }

    #[test]
    fn a_file_is_parsed_line_by_line() {
        let file = b"IQ== 0\r\nIg== 1\n\n4oC8 7\n";
        assert!(looks_like_ranks(file));
        let expected = vec![(b"!".to_vec(), 0), (b"\"".to_vec(), 1), ("\u{203c}".into(), 7)];
        assert_eq!(parse(file, "x.tiktoken").unwrap(), expected);
    }

    #[test]
    fn broken_files_name_the_line() {
        for (file, words) in [
            (&b"IQ== 0\nIQ=="[..], "line 2: \"IQ==\" is not two words"),
            (b"IQ== 0\nI!== 1", "line 2: \"I!== 1\" is not base64"),
            (b"IQ== -1", "line 1: \"IQ== -1\" has no rank"),
            (b"IQ== 0\nIg== 0", "line 2: rank 0 for the second time"),
            (b"IQ== 0\nIQ== 1", "line 2: token \"!\" for the second time"),
            (b"\n\n", "no lines"),
        ] {
            let error = parse(file, "x.tiktoken").unwrap_err().to_string();
            assert!(error.starts_with("x.tiktoken: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_sentencepiece_model_and_json_do_not_look_like_ranks() {
        for bytes in [&b""[..], b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0", b"{\"a\": 0}", b"hello world\n", b"\xff\xfe"] {
            assert!(!looks_like_ranks(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn every_split_of_a_token_is_a_merge_of_its_rank() {
        let spec = from_ranks(&ranks(), "x", &[("<|end|>".to_owned(), 301)]).unwrap();
        let merges = spec.model.merges().unwrap();
        let named = |&(left, right): &(u32, u32)| [left, right].map(|number| spec.pieces.piece(number as usize));
        let pairs: Vec<[&str; 2]> = merges.pairs.iter().map(named).collect();
        assert_eq!(pairs, [["Ġ", "Ġ"], ["Ġ", "ĠĠ"], ["ĠĠ", "Ġ"], ["Ã", "©"]]);
        assert_eq!(merges.ranks(), Some(&[256, 257, 257, 300][..]));
        assert_eq!((spec.pieces.find("ĠĠĠ"), spec.pieces.find("Ċ")), (Some(257), Some(10)));
        assert_eq!(spec.added_tokens[0].id, 301);
        assert_eq!(spec.pre_tokenizers[0], PreTokenizer::words("x"));
        assert!(spec.origin.notes.is_empty());
    }

    #[test]
    fn wrong_ranks_and_specials_are_refused_and_missing_bytes_are_told() {
        let of = |ranks: &[(&str, u32)], special: u32| {
            let ranks: Vec<(Vec<u8>, u32)> =
                ranks.iter().map(|(token, rank)| (token.as_bytes().to_vec(), *rank)).collect();
            from_ranks(&ranks, "x", &[("<s>".to_owned(), special)])
        };
        for wrong in [
            of(&[], 0),
            of(&[("", 0)], 9),
            of(&[("a", 0), ("a", 1)], 9),
            of(&[("a", 0), ("b", 0)], 9),
            of(&[("a", 0)], 0),
        ] {
            assert!(matches!(wrong, Err(Error::Definition { .. })));
        }
        let notes = of(&[("a", 0)], 1).unwrap().origin.notes.join(" ");
        assert!(notes.contains("255 of the 256 bytes"), "{notes}");
    }

    #[test]
    fn unknown_ranks_need_a_pattern_and_an_empty_token_has_no_id() {
        let file = b"YQ== 0\nYg== 1\n= 2\n";
        assert_eq!(parse(file, "x").unwrap().len(), 2);
        let error = crate::formats::tiktoken::file(file, "dir/x", None).unwrap_err().to_string();
        assert!(error.starts_with("dir/x: 2 tiktoken ranks") && error.contains("`pattern`"), "{error}");
        assert_eq!(
            crate::formats::tiktoken::file(file, "dir/x", Some(".")).unwrap().pre_tokenizers[0],
            PreTokenizer::words(".")
        );
    }
}
