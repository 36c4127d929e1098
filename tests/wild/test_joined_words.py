"""Wrapped objects whose decoder puts spaces between words: text comes back without a space at its start."""

from __future__ import annotations

import io
from typing import Any

import pytest

import coolfusion as cf

_WORDS = ("?", "hello", "world", "the", "cat", "a", "b", "x", "1", ".")


class Joining:
    """One id a word, joined by spaces."""

    vocab_size = len(_WORDS)

    def encode(self, text: str) -> list[int]:
        return [_WORDS.index(word) if word in _WORDS else 0 for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(_WORDS[token_id] for token_id in ids)


class Gluing(Joining):
    """The same, but a full stop is glued to the word before, and reads otherwise at the start."""

    def decode(self, ids: list[int]) -> str:
        return " ".join(_WORDS[token_id] for token_id in ids).replace(" .", ".").removeprefix("b")


def _streamed(tok: cf.Tokenizer, ids: list[int]) -> str:
    stream = cf.StreamDecoder(tok)
    return "".join(stream.push(token_id) for token_id in ids) + stream.flush()


@pytest.mark.parametrize("obj", [Joining(), Gluing()], ids=["joining", "gluing"])
def test_words_that_are_joined_by_spaces(obj: Joining) -> None:
    tok = cf.Tokenizer.wrap(obj)
    for text in ("hello world", "the cat", "hello", "x a b", "the cat . a", "b a", ". a"):
        ids = obj.encode(text)
        assert tok.encode(text) == ids
        assert tok.decode(ids) == _streamed(tok, ids) == obj.decode(ids)
        assert tok.represents(text) == (obj.decode(ids) == text)
    assert tok.encode("hello world", errors="strict") == [1, 2]
    decoder = cf.StreamDecoder(tok, prompt_ids=[1])
    assert decoder.push(2) == " world"


def test_a_sentencepiece_model_of_words() -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world the cat sat on the mat", "a b x . 1 the hello"] * 4),
        model_writer=model,
        model_type="word",
        vocab_size=14,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    class Opaque:
        encode = staticmethod(lambda text: processor.encode(text))
        decode = staticmethod(lambda ids: processor.decode(ids))
        id_to_piece = staticmethod(lambda token_id: processor.id_to_piece(token_id))
        vocab_size = processor.get_piece_size()

    tok = cf.Tokenizer.wrap(Opaque())
    for text in ("hello world", "the cat", "hello"):
        ids = processor.encode(text)
        assert tok.decode(ids) == _streamed(tok, ids) == processor.decode(ids) == text
        assert tok.encode(text, errors="strict") == ids
