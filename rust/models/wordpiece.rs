//! WordPiece models: the longest piece first, from left to right.
//!
//! Devlin et al. 2019 (BERT's `WordpieceTokenizer`), as in the `tokenizers` crate. A word that cannot be cut into
//! pieces to its end is unknown as a whole.

use crate::util::double_array::Dictionary;

/// The model of BERT. Example: "walking" is `walk` and `##ing`.
#[derive(Debug)]
pub(crate) struct WordPiece {
    /// All pieces, as they are found at the start of a word.
    pub(crate) first: Dictionary,
    /// Those that may follow another, without their mark.
    pub(crate) later: Dictionary,
    pub(crate) unknown: u32,
    /// Words of more characters are unknown.
    pub(crate) longest_word: usize,
}

impl WordPiece {
    /// Emits (id, start, end) for the tokens of `word` in order.
    ///
    /// Complexity: O(length · longest piece) at worst.
    pub(crate) fn encode(&self, word: &str, path: &mut Vec<(u32, u32)>, mut emit: impl FnMut(u32, usize, usize)) {
        let bytes = word.as_bytes();
        path.clear();
        let mut at = 0;
        if bytes.len() <= self.longest_word || word.chars().count() <= self.longest_word {
            while at < bytes.len() {
                let pieces = if at == 0 { &self.first } else { &self.later };
                let Some((length, id)) = pieces.longest(&bytes[at..]) else { break };
                path.push((id, length as u32));
                at += length;
            }
        }
        if at < bytes.len() {
            return emit(self.unknown, 0, bytes.len());
        }
        let mut start = 0;
        for &(id, length) in path.iter() {
            emit(id, start, start + length as usize);
            start += length as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn takes_the_longest_piece_and_gives_up_as_a_whole() {
        let words = |list: &[&str]| {
            Dictionary::new(list.iter().zip(0..).map(|(w, n)| (w.as_bytes().into(), n)).collect()).unwrap()
        };
        let model = WordPiece {
            first: words(&["un", "una", "a"]),
            later: words(&["a", "able", "b"]),
            unknown: 9,
            longest_word: 6,
        };
        let ids = |word: &str| {
            let mut found = Vec::new();
            model.encode(word, &mut Vec::new(), |id, start, end| found.push((id, start, end)));
            found
        };
        assert_eq!(ids("unable"), [(9, 0, 6)], "\"una\" is longer than \"un\", and after \"b\" nothing fits");
        assert_eq!(ids("aable"), [(2, 0, 1), (1, 1, 5)]);
        assert_eq!(ids("éééé"), [(9, 0, 8)]);
        assert_eq!(ids("abbbbbb"), [(9, 0, 7)], "more than six characters");
    }
}
