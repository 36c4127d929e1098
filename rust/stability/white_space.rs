//! Cuts before white space at which a definition that the library runs divides a text (docs/definitions.md, "Settled
//! cut").

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
