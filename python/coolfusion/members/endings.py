"""Endings: which tokens may follow a segment that owns the boundary after it (docs/definitions.md, "granularity").

An ending names the last part of a segment, and so limits its followers. After `"space"` white space follows, as in
` garage` before ` and`. After `"word"` anything follows that continues no word, as in ` garage` before `,`. After
`"mark"` anything follows that is no punctuation, as in `,` before ` and`. END may follow each of them. `""` allows
every token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal, get_args

Granularity = Literal["word", "pre_token", "phrase", "sentence", "line"]
Ending = Literal["", "space", "word", "mark"]

GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)
ASCII_WHITE_SPACE = b"\t\n\v\f\r "
# The most tokens of a draft for each segment, because a draft that went astray may never reach an end.
TOKENS_OF_A_DRAFT: Mapping[Granularity, int] = {"word": 4, "pre_token": 4, "phrase": 16, "sentence": 48, "line": 64}
# Marks that stand inside words ("don't", "snake_case"), and the character that stands for bytes that are no text.
_INSIDE_WORDS = "'\u2019_\ufffd"
_NO_WHITE_SPACE = "\x1c\x1d\x1e\x1f"  # Python calls them spaces, Unicode's White_Space does not


def is_mark(character: str) -> bool:
    """Returns whether a character is punctuation or a symbol that ends the word before it.

    Args:
        character: one character.

    Example:
        >>> is_mark(","), is_mark("a"), is_mark("'")
        (True, False, False)
    """
    return unicodedata.category(character)[0] in "PS" and character not in _INSIDE_WORDS


def _is_space(character: str) -> bool:
    return character.isspace() and character not in _NO_WHITE_SPACE


def ending_of(text: str, granularity: Granularity) -> Ending:
    """Returns the ending of a text after which a segment of a granularity may begin.

    Args:
        text: a segment that ends at a stop of its granularity, or a prompt that does.
        granularity: the unit of text that one segment is.

    Example:
        >>> ending_of(" garage", "word"), ending_of(" garage", "pre_token"), ending_of(",", "pre_token")
        ('space', 'word', 'mark')
    """
    if not text or _is_space(text[-1]):
        return ""
    if granularity != "pre_token":
        return "space"
    return "mark" if is_mark(text[-1]) else "word"


def may_follow(data: bytes, ending: Ending) -> bool:
    """Returns whether a token of these bytes may follow an ending; a part of a character counts as part of a word.

    Args:
        data: the bytes of the token.
        ending: the ending of the text before the token.

    Example:
        >>> may_follow(b" and", "space"), may_follow(b"s", "word"), may_follow(b".", "word")
        (True, False, True)
    """
    if not data:
        return False
    if ending == "space":
        return data[:1].isspace()
    first = data[:4].decode("utf-8", "ignore")[:1] if data[0] >= 0x80 else chr(data[0])
    if first and _is_space(first):
        return True
    mark = bool(first) and is_mark(first)
    return mark if ending == "word" else not mark
