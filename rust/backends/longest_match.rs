//! Vocabularies without merges or scores: the longest token that fits, from left to right, byte by byte.
//!
//! Source: `TRIE_TOKENIZER` of RWKV (<https://github.com/BlinkDL/ChatRWKV>, `rwkv_tokenizer.py`). A token depends on
//! nothing before it. It depends on the text after it only while longer tokens may still fit. A walk is over at a byte
//! with which no token goes on. So a cut after a token is settled if no walk up to it reached the end of the text
//! inside a longer token.

use crate::backends::engine::{Certificate, Engine, Proof, Window};
use crate::error::{Error, Result};
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::util::double_array::Dictionary;

/// The engine; every byte that UTF-8 has is a token.
pub(crate) struct Longest {
    tokens: Dictionary,
}

impl Longest {
    /// `None` where a byte of UTF-8 is no token, or the tokens are too many. Complexity: O(bytes).
    pub(crate) fn new(tokens: Vec<(Box<[u8]>, u32)>) -> Option<Self> {
        let tokens = Dictionary::new(tokens)?;
        (0..=0xF4u8)
            .filter(|byte| !matches!(byte, 0xC0 | 0xC1))
            .all(|byte| tokens.get(&[byte]).is_some())
            .then_some(Self { tokens })
    }

    /// Emits (id, start, end, whether later text cannot change it). Complexity: O(length · longest token) at worst.
    fn walk(&self, text: &str, mut emit: impl FnMut(u32, usize, usize, bool)) -> Result<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let (mut node, mut longest, mut end) = (self.tokens.root(), None, at);
            let mut settled = true;
            loop {
                let Some(&byte) = bytes.get(end) else {
                    settled = !node.goes_on();
                    break;
                };
                let Some(next) = self.tokens.step(node, byte) else { break };
                (node, end) = (next, end + 1);
                longest = node.value().map(|id| (id, end)).or(longest);
            }
            let Some((id, end)) = longest else {
                return Err(Error::definition("model.vocab", format!("no token for the byte {:02X}", bytes[at])));
            };
            emit(id, at, end, settled);
            at = end;
        }
        Ok(())
    }

    fn read(&self, text: &str, window: &mut Window) -> Result<()> {
        window.tokens.clear();
        window.cuts.clear();
        let mut open = false;
        self.walk(text, |id, start, end, settled| {
            window.tokens.push(Token { id: TokenId(id), start, end, word: 0 });
            open |= !settled;
            if !open && end < text.len() && text.is_char_boundary(end) {
                window.cuts.push(end);
            }
        })
    }
}

impl Engine for Longest {
    fn encode(&self, text: &str, _place: TextPosition) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        self.walk(text, |id, start, end, _| tokens.push(Token { id: TokenId(id), start, end, word: 0 }))?;
        Ok(tokens)
    }

    fn ids(&self, text: &str, _place: TextPosition, ids: &mut Vec<TokenId>) -> Result<()> {
        self.walk(text, |id, _, _, _| ids.push(TokenId(id)))
    }

    fn settled(&self, text: &str, place: TextPosition) -> Result<Vec<usize>> {
        let mut window = Window::default();
        self.window(text, place, &mut window)?;
        Ok(window.cuts)
    }

    fn window(&self, text: &str, _place: TextPosition, window: &mut Window) -> Result<()> {
        self.read(text, window)
    }

    fn certificate(&self) -> Certificate {
        Certificate::Longest
    }

    fn proof(&self) -> Proof {
        Proof {
            matcher: "a walk through all tokens".into(),
            unit: "settled cuts",
            open: None,
            why:
                "the walk tells whether a longer token may still fit; how far back the last settled cut is depends on \
                the text"
                    .into(),
            reach: Vec::new(),
        }
    }

    fn carries(&self) -> String {
        "nothing, because no stretch without a cut is longer than the longest token".into()
    }

    fn exact_spans(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "own engine: the longest token first".into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn engine() -> Longest {
        let mut tokens: Vec<(Box<[u8]>, u32)> = (0..=255u8).map(|byte| ([byte].into(), u32::from(byte) + 1)).collect();
        let more = ["ab", "abcd", "bc", "é!", "  ", " a"];
        tokens.extend(more.iter().zip(257..).map(|(token, id)| (token.as_bytes().into(), id)));
        Longest::new(tokens).unwrap()
    }

    #[test]
    fn the_longest_token_is_taken_and_bytes_part_characters() {
        let ids = |text: &str| {
            engine().encode(text, TextPosition::Start).unwrap().iter().map(|token| token.id.0).collect::<Vec<_>>()
        };
        assert_eq!(ids("abcd"), [258]);
        assert_eq!(ids("abce"), [257, 100, 102]);
        assert_eq!(ids("é!é"), [260, 0xC3 + 1, 0xA9 + 1]);
        assert!(Longest::new(vec![([b'a'].into(), 0)]).is_none());
    }

    #[test]
    fn a_cut_is_settled_where_no_walk_saw_the_end() {
        let settled = |text: &str| engine().settled(text, TextPosition::Start).unwrap();
        assert_eq!(settled("xabcx"), [1, 3, 4]);
        assert_eq!(settled("xabc"), [1], "\"abcd\" may come");
        assert_eq!(settled("é é"), [2, 3], "nothing goes on from \"é\" but \"é!\", and no cut is inside a character");
        assert_eq!(settled("é"), Vec::<usize>::new());
        // Every cut holds whatever comes.
        let texts = ["ab", "c", "d", " ", "a", "é", "!", "  a"];
        for one in texts {
            for two in texts {
                let text = format!("x{one}{two}");
                for more in texts {
                    let whole = engine().encode(&format!("{text}{more}"), TextPosition::Start).unwrap();
                    for cut in settled(&text) {
                        let before = engine().encode(&text, TextPosition::Start).unwrap();
                        let kept = before.iter().filter(|token| token.end <= cut).count();
                        assert_eq!(before[..kept], whole[..kept]);
                        let rest =
                            engine().encode(&format!("{text}{more}")[cut..], TextPosition::Continuation).unwrap();
                        assert_eq!(
                            rest.iter().map(|t| t.id).collect::<Vec<_>>(),
                            whole[kept..].iter().map(|t| t.id).collect::<Vec<_>>()
                        );
                    }
                }
            }
        }
    }
}
