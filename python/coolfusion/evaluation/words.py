"""The words of a text that a pool scores together: their ends, and the white space that may follow each.

A *common cut* of a text is a position b with three properties. White space begins at b, in ASCII. Every member's
tokens before b are settled, whatever follows the byte at b. And that byte is one of the *followers*: the bytes of ASCII
white space for which every member's tokens before b would be settled. The followers depend on the text before b alone.
So whether a word ends at b is decided by the text up to the byte at b, and no later text can change it. Hence
a word has no end inside it, and the events that a member scores are disjoint (docs/definitions.md, "fused likelihood").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.members.member import ASCII_WHITE_SPACE

__all__ = ["CommonCut", "common_cuts"]


class CommonCut(NamedTuple):
    """A place where a word of the text ends under every member.

    Attributes:
        position: bytes of the text before it.
        followers: the bytes of ASCII white space that would end the word here.
    """

    position: int
    followers: bytes


def common_cuts(tokenizers: Sequence[Tokenizer], before: Sequence[bytes], text: bytes) -> list[CommonCut]:
    """Returns the common cuts inside of a text that follows other text.

    Args:
        tokenizers: those of the members.
        before: for each member the text that it has read; UTF-8.
        text: what follows; UTF-8.

    Returns:
        the cuts from 1 to len(text) - 1, in ascending order.

    Complexity: one look at each tokenizer's cuts of the whole, and at most six of the text before each place that
        may be a cut.

    Example:
        >>> from coolfusion import toy
        >>> pool = [toy.tokenizer(), toy.spaced_tokenizer()]
        >>> [cut.position for cut in common_cuts(pool, [b"", b""], b"the cat sat on the mat")]
        [3, 7, 11, 18]

        There is none at 14: the second tokenizer has a token for " on the", which " on" could become.
    """
    places = [
        at for at in range(1, len(text)) if text[at] in ASCII_WHITE_SPACE and text[at - 1] not in ASCII_WHITE_SPACE
    ]
    readers = list(zip(tokenizers, before, strict=True))
    for tokenizer, head in readers:
        if places:
            settled = set(tokenizer.settled_cuts(head + text))
            places = [at for at in places if len(head) + at in settled]
    # Where the byte that really follows does not end the word, no other byte matters.
    ends = _settled(readers, text, [(at, text[at]) for at in places])
    others = [(at, byte) for at, own in ends for byte in ASCII_WHITE_SPACE if byte != own]
    followers: dict[int, list[int]] = {}
    for at, byte in [*ends, *_settled(readers, text, others)]:
        followers.setdefault(at, []).append(byte)
    return [CommonCut(at, bytes(sorted(found))) for at, found in followers.items()]


def _settled(
    readers: Sequence[tuple[Tokenizer, bytes]], text: bytes, asked: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Returns the pairs (b, byte) such that all tokens before b are settled under every member if the byte follows."""
    for tokenizer, head in readers:
        texts = [head + text[:at] + bytes([byte]) for at, byte in asked]
        found = tokenizer.settled_cuts(texts) if texts else []
        asked = [pair for pair, cuts in zip(asked, found, strict=True) if len(head) + pair[0] in cuts[-1:]]
    return asked
