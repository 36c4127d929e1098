//! How the bytes of tokens make a text: their concatenation, with text that is added or removed at the start and at the
//! joints.
//!
//! Most tokenizers need no more than one flag: a space at the start is removed. The rest is held in [`Joints`]: other
//! texts of first tokens, spaces only between tokens, and other characters that are removed at the start.

use crate::error::Result;
use crate::tokens::token::{TextPosition, Token, TokenId};
use crate::vocabulary::table::{Kind, Vocabulary};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The steps of decoding besides concatenation.
#[derive(Debug, Clone, Default)]
pub struct DecodeRules {
    /// One space goes at the start of a text.
    drops_first_space: bool,
    joints: Option<Arc<Joints>>,
}

/// The exceptions to concatenation. Example: WordPiece writes a space before each token without `##` but the first.
#[derive(Debug, Default)]
pub(crate) struct Joints {
    /// Tokens that have other bytes where they are the first of a text; of all others one leading space goes there.
    pub(crate) first: FxHashMap<u32, Box<[u8]>>,
    /// Tokens after which a space is written if another token follows, one bit an id.
    pub(crate) owing: Vec<u64>,
    /// The bytes that are removed at the start of a text, and how often at most.
    pub(crate) strip: Option<(Box<[u8]>, u32)>,
}

/// The state of a text before its next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecodeState {
    /// No token with text has come yet.
    start: bool,
    /// The token before left a space to the next one.
    owes: bool,
    /// So much may still go from the start.
    strips: u32,
}

impl DecodeState {
    /// Whether the next token adds exactly its bytes.
    pub(crate) fn is_plain(self) -> bool {
        !self.start && !self.owes && self.strips == 0
    }
}

impl Joints {
    fn owes(&self, id: TokenId) -> bool {
        self.owing.get(id.0 as usize / 64).is_some_and(|bits| bits >> (id.0 % 64) & 1 == 1)
    }

    /// Records that a space is written after `id` if another token follows.
    pub(crate) fn owe(&mut self, id: u32) {
        let at = id as usize / 64;
        self.owing.resize(self.owing.len().max(at + 1), 0);
        self.owing[at] |= 1 << (id % 64);
    }

    fn is_needed(&self) -> bool {
        !self.first.is_empty() || self.strip.is_some() || self.owing.iter().any(|&bits| bits != 0)
    }

    /// The text that `id` adds: a space that was owed, and bytes.
    fn step<'a>(
        &'a self,
        vocabulary: &'a Vocabulary,
        drops: bool,
        id: TokenId,
        position: usize,
        state: &mut DecodeState,
    ) -> Result<(bool, &'a [u8])> {
        let bytes = vocabulary.bytes(id, position)?;
        if vocabulary.kind(id) == Kind::Control {
            return Ok((false, b""));
        }
        let mut body = bytes;
        if state.start {
            let plain = bytes.strip_prefix(b" ").filter(|_| drops).unwrap_or(bytes);
            body = self.first.get(&id.0).map_or(plain, |first| first);
        }
        state.start = false;
        let mut owed = std::mem::replace(&mut state.owes, self.owes(id));
        let content = self.strip.as_ref().map_or(&b""[..], |(content, _)| content);
        while state.strips > 0 && (owed || !body.is_empty()) {
            if owed && content == b" " {
                owed = false;
            } else if let Some(rest) = body.strip_prefix(content).filter(|_| !owed) {
                body = rest;
            } else {
                state.strips = 0;
                break;
            }
            state.strips -= 1;
        }
        Ok((owed, body))
    }
}

impl DecodeRules {
    /// Concatenation; `drops_first_space`: one space goes at the start.
    #[must_use]
    pub fn plain(drops_first_space: bool) -> Self {
        Self { drops_first_space, joints: None }
    }

    /// The same with exceptions, where there are any.
    pub(crate) fn with(drops_first_space: bool, joints: Joints) -> Self {
        Self { drops_first_space, joints: joints.is_needed().then(|| Arc::new(joints)) }
    }

    /// One space is removed at the start of a text, whatever token holds it.
    pub(crate) fn dropping(joints: Joints) -> Self {
        if joints.is_needed() {
            return Self::with(false, Joints { strip: Some((b" "[..].into(), 1)), ..joints });
        }
        Self::plain(true)
    }

    /// Concatenation with other bytes for some tokens where they are the first of a text.
    #[must_use]
    pub fn with_first(drops_first_space: bool, first: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Self {
        let first = first.into_iter().map(|(id, bytes)| (id, bytes.into())).collect();
        Self::with(drops_first_space, Joints { first, ..Joints::default() })
    }

    /// Whether one space goes at the start of a text.
    #[must_use]
    pub fn drops_first_space(&self) -> bool {
        self.drops_first_space
            || self.joints.as_ref().is_some_and(|joints| joints.strip.as_ref().is_some_and(|strip| &*strip.0 == b" "))
    }

    /// Whether the text is the concatenation of the tokens' bytes, but for one space at the start.
    pub(crate) fn is_plain(&self) -> bool {
        self.joints.is_none()
    }

    /// The state at the start of a text. After other text the last word is taken to be whole, so that a space that it
    /// owes is due.
    pub(crate) fn state(&self, place: TextPosition) -> DecodeState {
        let joints = self.joints.as_ref();
        match place {
            TextPosition::Start => DecodeState {
                start: true,
                owes: false,
                strips: joints.and_then(|joints| joints.strip.as_ref()).map_or(0, |strip| strip.1),
            },
            TextPosition::Continuation => {
                DecodeState { start: false, owes: joints.is_some_and(|joints| !joints.owing.is_empty()), strips: 0 }
            }
        }
    }

    /// The text that `id` adds in a state: whether a space comes first, and bytes. Complexity: O(1).
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]; `state` is then as it was.
    #[inline]
    pub(crate) fn step<'a>(
        &'a self,
        vocabulary: &'a Vocabulary,
        id: TokenId,
        position: usize,
        state: &mut DecodeState,
    ) -> Result<(bool, &'a [u8])> {
        if let Some(joints) = &self.joints {
            return joints.step(vocabulary, self.drops_first_space, id, position, state);
        }
        let bytes = vocabulary.bytes(id, position)?;
        let dropped = usize::from(state.start && self.drops_first_space && bytes.first() == Some(&b' '));
        state.start &= bytes.is_empty();
        Ok((false, &bytes[dropped..]))
    }

    /// Appends the text of `ids` to `bytes`.
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]; `bytes` is then not to be used, `state` as it was. Complexity: O(bytes).
    pub(crate) fn append(
        &self,
        vocabulary: &Vocabulary,
        ids: &[TokenId],
        state: &mut DecodeState,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let mut now = *state;
        let mut head = 0;
        // Once the start is over plain tokens are copied in one go.
        while head < ids.len() && (now.start || !self.joins_plainly()) {
            let (owed, body) = self.step(vocabulary, ids[head], head, &mut now)?;
            if owed {
                bytes.push(b' ');
            }
            bytes.extend_from_slice(body);
            head += 1;
            if self.joints.is_none() && !self.drops_first_space {
                break;
            }
        }
        let before = bytes.len();
        vocabulary.append(&ids[head..], head, bytes)?;
        now.start &= bytes.len() == before;
        *state = now;
        Ok(())
    }

    /// Whether every token but those at the start adds just its bytes.
    fn joins_plainly(&self) -> bool {
        self.joints.as_ref().is_none_or(|joints| joints.owing.is_empty() && joints.strip.is_none())
    }

    /// Whether the text of `ids` is `text`; calls `end` with where each token ends and whether it has bytes.
    ///
    /// Complexity: O(text).
    #[inline(always)]
    pub(crate) fn spells(
        &self,
        vocabulary: &Vocabulary,
        ids: &[TokenId],
        text: &[u8],
        place: TextPosition,
        mut end: impl FnMut(usize, bool),
    ) -> bool {
        if self.joints.is_none() {
            return vocabulary.spells(ids, text, self.drops_first_space && place == TextPosition::Start, end);
        }
        let mut last = 0;
        let likeness = self.likeness(vocabulary, ids.iter().copied(), text, place, |_, at| {
            end(at, at > last);
            last = at;
        });
        matches!(likeness, Ok(Likeness::Same))
    }

    /// Tokens with the spans that they have in `text`; `None` if the text of `ids` is another.
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]. Complexity: O(text).
    pub fn spans(
        &self,
        vocabulary: &Vocabulary,
        ids: &[TokenId],
        text: &str,
        place: TextPosition,
    ) -> Result<Option<Vec<Token>>> {
        let (mut at, mut tokens) = (0, Vec::with_capacity(ids.len()));
        let likeness = self.likeness(vocabulary, ids.iter().copied(), text.as_bytes(), place, |id, end| {
            tokens.push(Token { id, start: at, end, word: 0 });
            at = end;
        })?;
        Ok((likeness == Likeness::Same).then_some(tokens))
    }

    /// How the text of `ids` is related to `text`; calls `found` with each token that is spelled there and its end.
    ///
    /// The slow twin of [`Vocabulary::spells`], which compares eight bytes at a time.
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`]. Complexity: O(text).
    pub(crate) fn likeness(
        &self,
        vocabulary: &Vocabulary,
        ids: impl Iterator<Item = TokenId>,
        text: &[u8],
        place: TextPosition,
        mut found: impl FnMut(TokenId, usize),
    ) -> Result<Likeness> {
        let (mut rest, mut state) = (text, self.state(place));
        for (position, id) in ids.enumerate() {
            let (owed, bytes) = self.step(vocabulary, id, position, &mut state)?;
            for part in [if owed { &b" "[..] } else { &[] }, bytes] {
                match rest.strip_prefix(part) {
                    Some(after) => rest = after,
                    None if part.starts_with(rest) => return Ok(Likeness::Longer),
                    None => return Ok(Likeness::Different),
                }
            }
            found(id, text.len() - rest.len());
        }
        Ok(if rest.is_empty() { Likeness::Same } else { Likeness::Shorter })
    }

    /// Whether `state` and every later one add just the bytes of a token.
    pub(crate) fn is_settled(&self, state: DecodeState) -> bool {
        state.is_plain() && self.joins_plainly()
    }

    /// The state of a text after `ids`. Complexity: O(ids).
    ///
    /// # Errors
    /// As [`Vocabulary::bytes`].
    pub(crate) fn after(&self, vocabulary: &Vocabulary, ids: &[TokenId]) -> Result<DecodeState> {
        let mut state = self.state(TextPosition::Start);
        for (position, &id) in ids.iter().enumerate() {
            self.step(vocabulary, id, position, &mut state)?;
        }
        Ok(state)
    }
}

/// The relation of the decoded text of tokens to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    Same,
    /// The text is a prefix of the decoded one.
    Longer,
    /// The decoded text is a prefix of the text.
    Shorter,
    Different,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ids(numbers: &[u32]) -> Vec<TokenId> {
        numbers.iter().copied().map(TokenId).collect()
    }

    #[test]
    fn spaces_stand_between_tokens_and_tokens_differ_at_the_start() {
        let vocabulary = Vocabulary::new([
            (Kind::Text, "the"),
            (Kind::Text, "ca"),
            (Kind::Text, "t"),
            (Kind::Control, ""),
            (Kind::Text, ""),
        ]);
        let mut joints = Joints { first: [(1, b"CA"[..].into())].into_iter().collect(), ..Joints::default() };
        [0, 2, 4].into_iter().for_each(|id| joints.owe(id));
        let decode_rules = DecodeRules::with(false, joints);
        for (tokens, place, expected) in [
            (&[0, 1, 2][..], TextPosition::Start, "the cat"),
            (&[1, 2, 3, 0, 3], TextPosition::Start, "CAt the"),
            (&[3, 1, 1], TextPosition::Start, "CAca"),
            (&[1, 2], TextPosition::Continuation, " cat"),
            (&[4, 4, 1], TextPosition::Start, "  ca"),
            (&[], TextPosition::Start, ""),
        ] {
            let tokens = ids(tokens);
            let (mut bytes, mut one_by_one) = (Vec::new(), Vec::new());
            decode_rules.append(&vocabulary, &tokens, &mut decode_rules.state(place), &mut bytes).unwrap();
            let mut state = decode_rules.state(place);
            for &id in &tokens {
                let (owed, body) = decode_rules.step(&vocabulary, id, 0, &mut state).unwrap();
                one_by_one.extend(owed.then_some(b' '));
                one_by_one.extend_from_slice(body);
            }
            assert_eq!((std::str::from_utf8(&bytes).unwrap(), &one_by_one), (expected, &bytes));
            let mut ends = Vec::new();
            assert!(decode_rules.spells(&vocabulary, &tokens, &bytes, place, |at, _| ends.push(at)));
            let spans = decode_rules.spans(&vocabulary, &tokens, expected, place).unwrap().unwrap();
            assert_eq!(spans.iter().map(|token| token.end).collect::<Vec<_>>(), ends);
            assert!(!decode_rules.spells(&vocabulary, &tokens, b"x", place, |_, _| ()));
        }
    }

    #[test]
    fn what_is_stripped_at_the_start_may_stand_in_several_tokens() {
        let vocabulary = Vocabulary::new([(Kind::Text, "x"), (Kind::Text, "xxa"), (Kind::Text, "")]);
        let decode_rules = DecodeRules::with(false, Joints { strip: Some((b"x"[..].into(), 2)), ..Joints::default() });
        for (tokens, expected) in [(&[0, 2, 0, 0][..], "x"), (&[0, 1], "xa"), (&[1, 0], "ax"), (&[2, 1], "a")] {
            let mut bytes = Vec::new();
            decode_rules
                .append(&vocabulary, &ids(tokens), &mut decode_rules.state(TextPosition::Start), &mut bytes)
                .unwrap();
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        }
    }
}
