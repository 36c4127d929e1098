//! Positions of a text that no token crosses.

use crate::tokens::token::Token;

/// Positions that no token crosses. Example: 3 and 7 in "the cat sat" with the tokens `the`, ` cat`, ` sat`.
pub(crate) struct TokenCuts(Vec<bool>);

impl TokenCuts {
    pub(crate) fn new(tokens: &[Token], length: usize) -> Self {
        let mut free = vec![true; length + 1];
        for token in tokens {
            for inside in free.iter_mut().take(token.end.min(length + 1)).skip(token.start + 1) {
                *inside = false;
            }
        }
        Self(free)
    }

    pub(crate) fn contains(&self, at: usize) -> bool {
        self.0.get(at).copied().unwrap_or(false)
    }
}

/// The number of tokens before the cut at byte `at`.
pub(crate) fn tokens_before(tokens: &[Token], at: usize) -> usize {
    tokens.partition_point(|t| t.start < at)
}
