"""Finds the bytes of each token of an object that offers only ``encode`` and ``decode``.

A decoder may strip the first space, put spaces between words, or turn bytes that are no character into U+FFFD. So a
token is decoded between two neighbours, ``decode([left, token, right])``. The text of the two neighbours alone is then
taken away. Where U+FFFD remains, the object is asked for the token's own spelling, which counts only if it reads the
same. Else tokens of single bytes are put next to the token until all of it reads as characters. Some decoders refuse
bytes that are no character. The bytes of such an id are taken from the object's own table, if the table agrees with
every id that the object decodes. Bytes that cannot be found out this way stay None, and are never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from coolfusion._core import _byte_alphabet
from coolfusion.adapters.generic import Decode, Encode, attempt, speller
from coolfusion.errors import UnsupportedTokenizerError

__all__ = ["starts", "token_table"]

_REPLACEMENT = "\ufffd"
# This many tokens are tried at the start of a text.
_STARTS = 256
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_table(obj: Any, encode: Encode, decode: Decode, size: int) -> list[bytes | None]:
    """Returns the bytes of each id below ``size``.

    An id that writes nothing has empty bytes. An id whose bytes cannot be found out has None.

    Raises:
        UnsupportedTokenizerError: if decoding is no concatenation, so that no token has a text of its own.

    Complexity: one decode of three ids per id, about 3 s for 150,000 ids of a tokenizer in Python.
    """
    own = getattr(obj, "decode_single_token_bytes", None)
    if callable(own):
        return [attempt(own, token_id) for token_id in range(size)]
    between = _Between(encode, decode)
    spell = speller(obj)
    whole = getattr(obj, "decode_bytes", None)
    table: list[bytes | None] = []
    for token_id in range(size):
        text = between.text([token_id])
        if text is None:
            table.append(between.padded(token_id))
            continue
        if _REPLACEMENT not in text:
            table.append(between.undropped(token_id, text))
            continue
        spellings = _spellings(attempt(spell, token_id) if spell else None)
        spellings += [attempt(whole, [token_id])] if callable(whole) else []
        reads_same = (each for each in spellings if isinstance(each, bytes) and _readable(each) == _collapsed(text))
        found = next(reads_same, None)
        table.append(between.padded(token_id) if found is None else found)
    return _filled(table, spell)


def _filled(table: list[bytes | None], spell: Callable[[int], Any] | None) -> list[bytes | None]:
    """Returns the table with the object's own bytes of ids that are no characters, if both agree on all others."""
    missing = [token_id for token_id, data in enumerate(table) if not data]
    if spell is None or not missing:
        return table
    own = {token_id: attempt(spell, token_id) for token_id in range(len(table))}
    known = {token_id: data for token_id, data in own.items() if isinstance(data, bytes)}
    shared = [token_id for token_id in known if table[token_id]]
    if shared and all(table[token_id] == known[token_id] for token_id in shared):
        for token_id in missing:
            data = known.get(token_id)
            if data is not None and _REPLACEMENT in data.decode("utf-8", "replace"):
                table[token_id] = data
    return table


def starts(encode: Encode, decode: Decode, table: Mapping[int, bytes]) -> tuple[bool, list[tuple[int, bytes]]]:
    """Returns how a text begins: whether one space goes, and ids that have other bytes there.

    Other bytes are those that differ from ``table``, less the space if it goes.
    A decoder that joins words by spaces writes none before the first one, whatever the encoder does.

    Complexity: one decode for each of 256 ids; one for every id if these follow no rule.
    """
    try:
        between = _Between(encode, decode)
    except UnsupportedTokenizerError:  # an object that spells its tokens itself
        return False, []
    whole = {token_id: data for token_id, data in table.items() if _REPLACEMENT not in data.decode("utf-8", "replace")}
    spread = list(whole)[:: max(1, len(whole) // _STARTS)]
    found = {token_id: between.first(token_id) for token_id in spread}
    drops = any(whole[n].startswith(b" ") and data == whole[n][1:] for n, data in found.items())

    def others(ids: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        for token_id in ids:
            data = found[token_id] if token_id in found else between.first(token_id)
            if data is not None and data != (whole[token_id].removeprefix(b" ") if drops else whole[token_id]):
                yield token_id, data

    return drops, list(others(whole)) if any(others(spread)) else []


class _Between:
    """Decodes tokens between two neighbours and takes these away again."""

    # Bytes that make a character of a token's first bytes. Any continuation byte may follow these three.
    _BEFORE = ((), (0xC3,), (0xE4,), (0xF1,))
    # Bytes that make a character of a token's last bytes.
    _AFTER = ((), *((byte, *[0x80] * more) for more in range(3) for byte in (0x80, 0x90, 0xA0)))
    # Characters of two, three and four bytes, with the first bytes C2 to ED and F1, and all last bytes.
    _CHARACTERS = (
        *range(0x80, 0x100),
        *range(0x100, 0x800, 63),
        *range(0x800, 0xD800, 191),
        *range(0x40000, 0x48000, 97),
    )

    def __init__(self, encode: Encode, decode: Decode) -> None:
        self._encode, self._decode = encode, decode
        self._left, self._right, self._head, self._tail = _anchors(encode, decode)

    def text(self, ids: Sequence[int]) -> str | None:
        """Returns the text of the ids, or None if one of them does not exist or changes its neighbours."""
        text = attempt(self._decode, [self._left, *ids, self._right])
        if text is None or not (text.startswith(self._head) and text.endswith(self._tail)):
            return None
        inner = len(text) - len(self._head) - len(self._tail)
        return None if inner < 0 else str(text[len(self._head) : len(self._head) + inner])

    def first(self, token_id: int) -> bytes | None:
        """Returns the bytes of a token at the start of a text, or None if they are not to be found out."""
        text = attempt(self._decode, [token_id, self._right])
        if text is None or not text.endswith(self._tail) or _REPLACEMENT in text:
            return None
        return bytes(text[: len(text) - len(self._tail)].encode("utf-8", "surrogatepass"))

    @cached_property
    def _single_bytes(self) -> dict[int, int]:
        """Returns the token of each single byte, found in characters that are cut into as many tokens as bytes."""
        found: dict[int, int] = {}
        start = self._encode("a")
        for character in map(chr, self._CHARACTERS):
            data = character.encode()
            ids = attempt(self._encode, "a" + character)
            if ids and ids[: len(start)] == start and len(ids) == len(start) + len(data):
                own = ids[len(start) :]
                if self.text(own) == character:
                    found.update(zip(data, own, strict=True))
        return found

    @cached_property
    def _drops(self) -> bool:
        """Returns whether bytes that are no character vanish (as in ByT5), instead of becoming U+FFFD."""
        first = self._single_bytes.get(0xC3)
        return first is not None and self.text([first]) == ""

    def padded(self, token_id: int) -> bytes | None:
        """Returns the bytes of a token that is no whole character, read together with bytes that complete it."""
        return next((data for text, data in self._completions(token_id) if _REPLACEMENT not in text), None)

    def undropped(self, token_id: int, alone: str) -> bytes:
        """Returns the bytes of a token that reads as ``alone``, with any that a decoder dropped around it."""
        plain = alone.encode("utf-8", "surrogatepass")
        # A text that the neighbours do not change says nothing. Of the others the longest dropped the least.
        found = [data for text, data in self._completions(token_id) if text != alone] if self._drops else []
        return max(found, key=len, default=plain)

    def _completions(self, token_id: int) -> Iterator[tuple[str, bytes]]:
        """Yields (text, bytes of the token in it) for each way to put tokens of single bytes around a token."""
        tokens = self._single_bytes
        for before in self._BEFORE:
            for after in self._AFTER:
                if not all(byte in tokens for byte in (*before, *after)):
                    continue
                text = self.text([*(tokens[b] for b in before), token_id, *(tokens[b] for b in after)])
                data = b"" if text is None else text.encode("utf-8", "surrogatepass")
                around = len(before) + len(after)
                if text and len(data) >= around and data.startswith(bytes(before)) and data.endswith(bytes(after)):
                    yield text, data[len(before) : len(data) - len(after)]


def _anchors(encode: Encode, decode: Decode) -> tuple[int, int, str, str]:
    """Returns (left, right, text of left, text that right adds) for two tokens that decode alike next to any other."""
    candidates: list[int] = []
    for text in ("a", "ba", "x b", "1", "a1", "ab", "the", "."):
        candidates += [each for each in encode(text)[-1:] if each not in candidates]
    for left, right in _pairs(candidates):
        head, both, three = decode([left]), decode([left, right]), decode([left, right, right])
        tail = both[len(head) :]
        # Right must add the same the second time, or else it depends on where it stands.
        if head.strip() and tail.strip() and both.startswith(head) and three == both + tail:
            return left, right, head, tail
    raise UnsupportedTokenizerError(
        f"decode gives no fixed text for any of the tokens {candidates}: expected one that writes token after token"
    )


def _pairs(candidates: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((left, right) for left in candidates for right in candidates)


def _spellings(spelling: Any) -> list[bytes | None]:
    """Returns the bytes that a vocabulary entry may stand for: itself, ``<0xNN>``, or in GPT-2's alphabet."""
    if isinstance(spelling, bytes):
        return [spelling]
    if not isinstance(spelling, str):
        return []
    byte = _BYTE_PIECE.fullmatch(spelling)
    if byte:
        return [bytes([int(byte[1], 16)])]
    in_alphabet = all(each in _BYTE_OF for each in spelling)
    return [bytes(_BYTE_OF[each] for each in spelling)] if in_alphabet else [spelling.encode("utf-8", "surrogatepass")]


def _readable(data: bytes) -> str:
    return _collapsed(data.decode("utf-8", "replace"))


def _collapsed(text: str) -> str:
    """Returns ``text`` with each run of U+FFFD as one.

    Decoders differ in how many they write for the same bytes.
    """
    return re.sub(f"{_REPLACEMENT}+", _REPLACEMENT, text)


# GPT-2's printable characters for the 256 bytes.
_BYTE_OF = {character: byte for byte, character in enumerate(_byte_alphabet())}
