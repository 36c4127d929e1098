//! User-defined symbols of SentencePiece models: text that is always one token, found before anything else.
//!
//! `PrefixMatcher` (`src/normalizer.cc`) takes the longest symbol at each position, twice: the normalizer leaves it as
//! it is, and the BPE model cuts it out of the normalized text and never merges it.

use serde_json::{json, Value};

use super::model_proto::{Kind, ModelProto, ModelType, Piece};
use super::sentencepiece::SPACE_MARK;

/// Symbols longer than this are matched by a flat alternation: one group per character would nest too deep.
const MAX_NESTED_SYMBOL: usize = 100;

/// Whether searching the raw text for the user-defined symbols of a BPE model finds what SentencePiece finds in the
/// normalized text, so that they can be ordinary added tokens (Gemma's HTML tags).
///
/// Not so with a dummy prefix, which added tokens get one by one and SentencePiece only at the start of the text.
pub(super) fn symbols_in_raw_text(proto: &ModelProto) -> bool {
    let rewrites = proto.add_dummy_prefix || proto.remove_extra_whitespaces || !proto.charsmap.is_empty();
    let spaced = |piece: &Piece| piece.kind == Kind::UserDefined && (piece.text.contains(' ') || piece.text.contains(SPACE_MARK));
    proto.model_type == ModelType::Bpe && !rewrites && !proto.pieces.iter().any(spaced)
}

/// `PrefixMatcher`: user-defined symbols are cut out of the normalized text, the longest first, and never merged.
pub(super) fn user_defined_split(proto: &ModelProto) -> Value {
    let symbols = proto.pieces.iter().filter(|piece| piece.kind == Kind::UserDefined);
    let mut symbols: Vec<Vec<char>> = symbols.map(|piece| piece.text.chars().collect()).collect();
    if symbols.is_empty() {
        return Value::Null;
    }
    let pattern = pattern_for(&mut symbols);
    json!({
        "type": "Sequence",
        "pretokenizers": [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}],
    })
}

/// A pattern for the longest of `symbols`.
fn pattern_for(symbols: &mut [Vec<char>]) -> String {
    symbols.sort();
    if symbols.iter().any(|symbol| symbol.len() > MAX_NESTED_SYMBOL) {
        symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.len()));
        let escaped: Vec<String> = symbols.iter().map(|symbol| symbol.iter().copied().map(escape).collect()).collect();
        escaped.join("|")
    } else {
        prefix_tree_pattern(symbols, 0)
    }
}

/// A pattern for the longest of the sorted `symbols` (equal in their first `depth` characters): common beginnings are
/// tried once, so that a matcher does not try each of a few hundred symbols at each position.
fn prefix_tree_pattern(symbols: &[Vec<char>], depth: usize) -> String {
    let mut branches = Vec::new();
    let ends_here = symbols.iter().any(|symbol| symbol.len() == depth);
    let longer: Vec<&[Vec<char>]> =
        symbols.chunk_by(|a, b| a.get(depth) == b.get(depth)).filter(|group| group.iter().all(|s| s.len() > depth)).collect();
    for group in longer {
        let first = group.first().and_then(|symbol| symbol.get(depth)).copied();
        let first = first.map(escape).unwrap_or_default();
        branches.push(first + &prefix_tree_pattern(group, depth + 1));
    }
    match (branches.as_slice(), ends_here) {
        ([], _) => String::new(),
        ([branch], false) if depth > 0 => branch.clone(),
        (_, false) if depth == 0 => branches.join("|"),
        (_, ends_here) => format!("(?:{}){}", branches.join("|"), if ends_here { "?" } else { "" }),
    }
}

/// A character as itself in a regular expression. (Only the operators: `\<` would be an operator in some engines.)
fn escape(character: char) -> String {
    if r"\.+*?()|[]{}^$".contains(character) {
        format!("\\{character}")
    } else {
        character.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(symbols: &[&str]) -> String {
        let mut symbols: Vec<Vec<char>> = symbols.iter().map(|symbol| symbol.chars().collect()).collect();
        pattern_for(&mut symbols)
    }

    #[test]
    fn common_beginnings_are_tried_once_and_the_longest_wins() {
        assert_eq!(pattern(&["a"]), "a");
        assert_eq!(pattern(&["b", "a.c", "a"]), "a(?:\\.c)?|b");
        assert_eq!(pattern(&["\n", "\n\n", "\n\n\n"]), "\n(?:\n(?:\n)?)?");
        assert_eq!(pattern(&["<a>", "<b>", "<b|"]), "<(?:a>|b(?:>|\\|))");
    }

    #[test]
    fn long_symbols_are_matched_by_a_flat_alternation() {
        let long = "(".repeat(MAX_NESTED_SYMBOL + 1);
        assert_eq!(pattern(&["x", &long]), format!("{}|x", "\\(".repeat(MAX_NESTED_SYMBOL + 1)));
    }
}
