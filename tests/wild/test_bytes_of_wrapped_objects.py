"""Wrapped objects that are exact on bytes, but decode no token that is a part of a character."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

import coolfusion as cf

_TOKENS = [bytes([byte]) for byte in range(256)]
_TOKENS += [b"th", b"the", b"hello", b" world", "é".encode(), "日本".encode(), b"\n\n", b"  "]
# The end of one character and the beginning of another, and the beginning of many.
_TOKENS += ["日".encode() + b"\xe6", b"\xa5\xe6", b"\x9f\x98", b" \xf0\x9f"]
_TEXTS = ("the hello world", "é日本日本 語😀\n\n 😀", "日日 本", " 😁 x", "\x00a")


def _replaced_whole(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "\ufffd"


def _dropped_whole(data: bytes) -> str:
    return _replaced_whole(data).replace("\ufffd", "")


_MANNERS: dict[str, Any] = {
    "raises": bytes.decode,
    "replaces": lambda data: data.decode("utf-8", "replace"),
    "replaces the whole text": _replaced_whole,
    "drops the whole text": _dropped_whole,
    "ignores": lambda data: data.decode("utf-8", "ignore"),
    "bytes": bytes,
}


class Plain:
    """The longest token at each place, ids from 1 on; tells only ``encode`` and ``decode``."""

    def __init__(self, manner: str) -> None:
        self._text_of = _MANNERS[manner]

    def encode(self, text: str) -> list[int]:
        data, found = text.encode(), []
        while data:
            longest = max((token for token in _TOKENS if data.startswith(token)), key=len)
            found.append(1 + _TOKENS.index(longest))
            data = data[len(longest) :]
        return found

    def decode(self, ids: list[int]) -> Any:
        return self._text_of(b"".join(self._token(token_id) for token_id in ids))

    def _token(self, token_id: int) -> bytes:
        if token_id < 1:
            raise KeyError(token_id)
        return _TOKENS[token_id - 1]


class Mapped(Plain):
    """The same, with RWKV's table of tokens."""

    idx2token: ClassVar[dict[int, bytes]] = dict(enumerate(_TOKENS, 1))


class Spelled(Plain):
    """The same, with a function that gives the bytes."""

    vocab_size = 1 + len(_TOKENS)

    def id_to_piece(self, token_id: int) -> bytes:
        return self._token(token_id)


class Listed(Plain):
    """The same, with a vocabulary of bytes."""

    def get_vocab(self) -> dict[bytes, int]:
        return {token: token_id for token_id, token in enumerate(_TOKENS, 1)}


@pytest.mark.parametrize("manner", _MANNERS)
@pytest.mark.parametrize("kind", [Plain, Mapped, Spelled, Listed])
def test_parts_of_characters_have_their_bytes(kind: type[Plain], manner: str) -> None:
    obj = kind(manner)
    tok = cf.Tokenizer.wrap(obj)
    for text in _TEXTS:
        ids = tok.encode(text, errors="strict")
        assert ids == obj.encode(text)
        assert tok.decode_bytes(ids) == text.encode()
        stream = cf.StreamDecoder(tok)
        assert "".join(stream.push(token_id) for token_id in ids) + stream.flush() == text
    # The bytes that are in no text are only in the object's own table.
    known = range(1, 1 + len(_TOKENS)) if kind is not Plain else {each for text in _TEXTS for each in obj.encode(text)}
    assert {token_id: tok.token_bytes(token_id) for token_id in known} == {each: _TOKENS[each - 1] for each in known}


def test_a_table_that_disagrees_with_decode_is_not_used() -> None:
    class Wrong(Plain):
        idx2token: ClassVar[dict[int, bytes]] = {token_id: token[::-1] for token_id, token in enumerate(_TOKENS, 1)}

    obj = Wrong("raises")
    tok = cf.Tokenizer.wrap(obj)
    ids = obj.encode("hello 日本 😀")
    assert tok.decode_bytes(ids) == "hello 日本 😀".encode()
    with pytest.raises(cf.UnknownTokenError, match="no bytes of its own"):
        tok.token_bytes(1 + 0xFF)
