"""Converts texts to the token ids of the server: one for each character, with a mark at the last one of a text.

Clients that send ids get these, because members have tokenizers of their own and no id of theirs means the same to all.
An id is a code point, plus `LAST` at the last character of a text. For example, "ab" is 0x61 and 0x110062. A text
without characters is the id `EMPTY`.

Ids of several texts may stand in a row, because the marks say where each of them ends. So a client may put a
continuation's ids after a context's, as lm-evaluation-harness does, and the server knows where the context ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.errors import ArgumentError

__all__ = ["EMPTY", "LAST", "ids_of", "texts_of"]

LAST = 0x110000  # above all code points
EMPTY = 2 * LAST
_SURROGATES = range(0xD800, 0xE000)


def ids_of(text: str) -> list[int]:
    """Returns the ids of a text.

    Args:
        text: the text.

    Example:
        >>> [hex(token_id) for token_id in ids_of("ab")]
        ['0x61', '0x110062']
    """
    ids = [ord(character) for character in text]
    return [*ids[:-1], ids[-1] + LAST] if ids else [EMPTY]


def texts_of(ids: Sequence[int]) -> list[str]:
    """Returns the texts of a row of ids. The last text may lack its mark, because a client may cut it.

    Args:
        ids: the ids.

    Raises:
        ArgumentError: an id is no character; the message has its position.

    Example:
        >>> texts_of([*ids_of("Once"), *ids_of(" upon a time")[:5]])
        ['Once', ' upon']
    """
    texts: list[str] = []
    characters: list[str] = []
    for position, token_id in enumerate(ids):
        code = token_id - LAST if LAST <= token_id < EMPTY else token_id
        if token_id != EMPTY and (not 0 <= code < LAST or code in _SURROGATES):
            raise ArgumentError(
                f"id {token_id} at position {position} is none of this server: expected a code point, plus "
                f"{LAST} for the last character of a text; /tokenize makes them"
            )
        if token_id != EMPTY:
            characters.append(chr(code))
        if token_id >= LAST:
            texts.append("".join(characters))
            characters = []
    return [*texts, "".join(characters)] if characters else texts
