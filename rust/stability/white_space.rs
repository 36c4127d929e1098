//! White space under a definition that the library runs.
//!
//! In: a normalizer. Out: the cuts before white space (docs/definitions.md, "Settled cut"), and the long runs of which
//! the middle makes no difference (docs/proofs/left-out-text.md).

use crate::normalizers::rewriter::stages::Rewriter;
use crate::normalizers::unicode_forms::METASPACE;
use crate::util::byte_set::ByteSet;

/// The rule for cuts before white space. Example: 3 in "the cat" is such a cut.
#[derive(Debug)]
pub(crate) struct SpaceCuts {
    /// Known facts of the normalizer.
    rewriter: Rewriter,
    /// ASCII white space that begins a part.
    borders: ByteSet,
}

impl SpaceCuts {
    /// `begins` returns whether white space that the normalizer leaves begins a part, whatever is around it.
    pub(crate) fn new(rewriter: Rewriter, begins: impl Fn(char) -> bool) -> Option<Self> {
        let is_border = |&byte: &u8| {
            let first = rewriter.alone(char::from(byte)).and_then(|output| output.chars().next());
            first.is_some_and(|first| first.is_whitespace() && begins(first))
        };
        let borders: ByteSet = [b' ', b'\t', b'\n', b'\r'].into_iter().filter(is_border).collect();
        borders.contains(b' ').then_some(Self { rewriter, borders })
    }

    /// The cuts of `text`: before white space, after a character that leaves text before it.
    pub(crate) fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        (1..text.len()).filter(move |&at| self.is_cut(text, at))
    }

    fn is_cut(&self, text: &str, at: usize) -> bool {
        if !self.borders.contains(text.as_bytes()[at]) {
            return false;
        }
        let mut before = text[..at].chars().rev();
        let Some(last) = before.next().filter(|&c| !c.is_whitespace() && c != METASPACE) else { return false };
        self.rewriter.is_solid(last) && before.next().is_none_or(|c| self.rewriter.is_closed(c))
    }
}

/// White space that a step folds or drops in runs. Example: all of it before words that are split at white space.
#[derive(Debug)]
pub(crate) struct Blanks {
    chars: Vec<char>,
    /// The number of them at each end of a run that may be read together with the text beside it.
    pub(crate) guards: usize,
}

impl Blanks {
    /// `drops` returns whether the rule for words drops a character; `holds`, whether an added token has it.
    pub(crate) fn new(rewriter: &Rewriter, drops: impl Fn(char) -> bool, holds: impl Fn(char) -> bool) -> Option<Self> {
        let white = ('\0'..='\u{3000}').filter(|c| c.is_whitespace());
        let chars: Vec<char> = white.filter(|&c| !holds(c) && rewriter.is_blank(c, &drops)).collect();
        (!chars.is_empty()).then_some(Self { chars, guards: rewriter.guards() })
    }

    pub(crate) fn contains(&self, c: char) -> bool {
        c.is_whitespace() && self.chars.binary_search(&c).is_ok()
    }

    /// Pairs of texts whose tokens must be the same, because only the middle of a run differs.
    pub(crate) fn alike(&self) -> impl Iterator<Item = [String; 2]> + '_ {
        let long = 2 * self.guards + 2;
        let all: String = self.chars.iter().collect();
        let mixed = |count: usize| all.chars().cycle().take(count).collect::<String>();
        let runs = self
            .chars
            .iter()
            .flat_map(move |&c| [1, 2, 3].map(|more| [long, long + more].map(|n| c.to_string().repeat(n))));
        let ends = [mixed(self.guards + 1), all.chars().rev().cycle().take(self.guards + 1).collect()];
        let [one, other] = ends;
        let middle = mixed(3 * self.chars.len());
        let runs = runs.chain([[format!("{one}{other}"), format!("{one}{middle}{other}")]]);
        runs.flat_map(|[few, many]| {
            [("a", "b"), ("", "a"), ("a", "")]
                .map(|(left, right)| [&few, &many].map(|run| format!("{left}{run}{right}")))
        })
    }
}
