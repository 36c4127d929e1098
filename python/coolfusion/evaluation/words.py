"""The words of a text that a pool scores together: their ends, and the white space that may follow each.

A *common cut* of a text is a position b with three properties. White space begins at b, in ASCII. Every member's
tokens before b are settled, whatever follows the byte at b. And that byte is one of the *followers*: the bytes of ASCII
white space for which every member's tokens before b would be settled. The followers depend on the text before b alone.
So whether a word ends at b is decided by the text up to the byte at b, and no later text can change it. Hence a word
has no end inside it, and the events that a member scores are disjoint (docs/definitions.md, "fused likelihood").

The followers of a place are asked for after an earlier cut a, not after the whole text. Let y be the text from a to b,
and f a byte. Where a restarts a tokenizer, T(text before b + f + s) is the tokens before a and then T'(y + f + s). With
a mark m after which "m" | y is settled too, T(m + y + f + s) is T(m) and then T'(y + f + s). So b is a settled cut of
one text where it is one of the other. The cut a is chosen by the text before b, so this does not look ahead either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.members.endings import ASCII_WHITE_SPACE

__all__ = ["CommonCut", "common_cuts"]

SPAN = 256  # bytes of text whose places are asked for after one cut
_MARKS = (b"x", b"a", b"0", b".")
_TRIED = 4  # cuts of the text before, from its end


class CommonCut(NamedTuple):
    """A place where a word of the text ends under every member.

    Attributes:
        position: bytes of the text before it.
        followers: the bytes of ASCII white space that would end the word here.
    """

    position: int
    followers: bytes


def common_cuts(
    tokenizers: Sequence[Tokenizer], before: Sequence[bytes], text: bytes, *, span: int = SPAN
) -> list[CommonCut]:
    """Returns the common cuts inside of a text that follows other text.

    Args:
        tokenizers: those of the members.
        before: for each member the text that it has read; UTF-8.
        text: the text to cut; UTF-8.
        span: bytes of text whose places are asked for after one cut.

    Returns:
        the cuts from 1 to len(text) - 1, in ascending order.

    Complexity: O(text * span) for each tokenizer that restarts at its cuts, plus one look at the text before. Where
        there are no such cuts, O(text^2), one span in memory at a time.

    Example:
        >>> from coolfusion import toy
        >>> pool = [toy.tokenizer(), toy.spaced_tokenizer()]
        >>> [cut.position for cut in common_cuts(pool, [b"", b""], b"the cat sat on the mat")]
        [3, 7, 11, 18]

        There is none at 14: the second tokenizer has a token for " on the", which " on" could become.
    """
    readers = [_Reader(tokenizer, head) for tokenizer, head in zip(tokenizers, before, strict=True)]
    groups: dict[int, list[int]] = {}
    for at in range(1, len(text)):
        if text[at] in ASCII_WHITE_SPACE and text[at - 1] not in ASCII_WHITE_SPACE:
            groups.setdefault(at // span, []).append(at)
    cuts: list[CommonCut] = []
    for places in groups.values():
        for reader in readers:
            reader.begin(text, cuts[-1].position if cuts else None)
        # Where the byte that really follows does not end the word, no other byte matters.
        ends = _settled(readers, text, [(at, text[at]) for at in places])
        others = [(at, byte) for at, own in ends for byte in ASCII_WHITE_SPACE if byte != own]
        followers: dict[int, list[int]] = {}
        for at, byte in [*ends, *_settled(readers, text, others)]:
            followers.setdefault(at, []).append(byte)
        cuts += [CommonCut(at, bytes(sorted(found))) for at, found in followers.items()]
    return cuts


class _Reader:
    """A tokenizer with the text that it reads before the places that are asked for.

    Args:
        tokenizer: the tokenizer.
        head: the text before.

    Attributes:
        base: bytes that are read before text[start:].
        start: where the text begins to be read.
    """

    def __init__(self, tokenizer: Tokenizer, head: bytes) -> None:
        self.tokenizer = tokenizer
        self._restarts = _restarts(tokenizer)
        self._head = self.base = self._shortened(head)
        self.start = 0

    def begin(self, text: bytes, cut: int | None) -> None:
        """Reads from the last common cut on, if there is one and the tokenizer restarts there."""
        mark = None if cut is None else self._mark(text[cut : cut + 1])
        if cut is not None and mark is not None:
            self.base, self.start = mark, cut

    def _shortened(self, head: bytes) -> bytes:
        """Returns the end of the text before, from a cut that restarts the tokenizer, with a mark before it."""
        if len(head) > SPAN and self._restarts:
            spaces = [at for at in self.tokenizer.settled_cuts(head) if head[at] in ASCII_WHITE_SPACE]
            for at in spaces[: -_TRIED - 1 : -1]:
                mark = self._mark(head[at : at + 1])
                if mark is not None and at in self.tokenizer.settled_cuts(head[: at + 1])[-1:]:
                    return mark + head[at:]
        return head

    def _mark(self, byte: bytes) -> bytes | None:
        """Returns a text with a settled cut before this byte."""
        if not self._restarts:
            return None
        return next((mark for mark in _MARKS if len(mark) in self.tokenizer.settled_cuts(mark + byte)), None)


@lru_cache(maxsize=64)
def _restarts(tokenizer: Tokenizer) -> bool:
    """Returns whether encoding can start again at each settled cut; kept, because `describe` takes milliseconds."""
    return bool(tokenizer.describe()["window"]["factorises_at_word_boundaries"])


def _settled(readers: Sequence[_Reader], text: bytes, asked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the pairs (b, byte) such that all tokens before b are settled under every member if the byte follows."""
    for reader in readers:
        texts = [reader.base + text[reader.start : at] + bytes([byte]) for at, byte in asked]
        found = reader.tokenizer.settled_cuts(texts) if texts else []
        ends = [len(one) - 1 for one in texts]
        asked = [pair for pair, end, cuts in zip(asked, ends, found, strict=True) if end in cuts[-1:]]
    return asked
