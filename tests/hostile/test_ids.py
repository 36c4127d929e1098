"""Hostile ids: random, absurd, of the wrong type, spelling bytes that are no UTF-8; and absurd arguments."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coolfusion as cf
from fixtures import DEFINED, Family, every_family, family
from reference import decode, held, stream_text


@every_family
def test_random_ids_decode_as_their_bytes(family: Family) -> None:
    """Any ids: decode, decode_bytes, token_bytes and the stream are one, with U+FFFD for ill-formed parts."""
    dice = random.Random(4)
    unused = set(family.tok.unused_ids)
    table = family.table if family in DEFINED else {}
    known = [n for n in (dice.randrange(family.tok.vocab_size) for _ in range(3000)) if n not in unused]
    for _ in range(60):
        ids = dice.choices(known, k=dice.randint(0, 30))
        data = family.tok.decode_bytes(ids)
        if family in DEFINED:
            assert data == decode(family.definition, table, ids)
        else:
            joined = b"".join(family.tok.token_bytes(n) for n in ids)
            assert joined in (data, b" " + data)
        assert family.tok.decode(ids) == data.decode("utf-8", "replace")
        cut = dice.randint(0, len(ids))
        decoder = cf.StreamDecoder(family.tok, ids[:cut])
        shown = "".join(decoder.push(n) for n in ids[cut:]) + decoder.flush()
        prompt = family.tok.decode_bytes(ids[:cut])
        assert shown == stream_text(prompt, data[len(prompt) :])


@pytest.mark.parametrize("name", ["made_gpt2", "made_llama2", "made_ai21"])
def test_every_ill_formed_pair_of_bytes_in_a_stream(name: str) -> None:
    """All pairs of the bytes where UTF-8 changes its mind, and lead bytes before all of them."""
    tok = family(name).tok
    by_byte = family(name).single_bytes
    edges = [0x20, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEE, 0xEF]
    edges = [byte for byte in [*edges, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF] if byte in by_byte]
    assert len(edges) > 15
    for lead in (0x41, 0xE1, 0xF0, 0xF4, 0xED):
        for one in edges:
            for two in edges:
                data = bytes([0x41, lead, one, two])
                decoder = cf.StreamDecoder(tok)
                shown = ""
                for count, byte in enumerate(data, start=1):
                    shown += decoder.push(by_byte[byte])
                    # Nothing but what may still become a character is held back.
                    assert shown.encode("utf-8").count(b"A") >= data[:count].count(b"A")
                    assert len(held(data[:count])) <= 3
                assert shown + decoder.flush() == data.decode("utf-8", "replace")


ABSURD = [-1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**64), 10**30]
NO_IDS: list[Any] = [1.0, 1.5, "1", b"1", None, [1], (1,), {}, float("nan"), float("inf")]

CALLS: dict[str, Callable[[cf.Tokenizer, Any], object]] = {
    "decode": lambda tok, value: tok.decode([1, value]),
    "decode_bytes": lambda tok, value: tok.decode_bytes([1, value]),
    "token_bytes": lambda tok, value: tok.token_bytes(value),
    "StreamDecoder": lambda tok, value: cf.StreamDecoder(tok, [1, value]),
    "StreamDecoder.push": lambda tok, value: cf.StreamDecoder(tok).push(value),
    "Segmenter": lambda tok, value: cf.Segmenter(tok, prompt_ids=[1, value]),
    "Segmenter.push": lambda tok, value: cf.Segmenter(tok).push(value),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", [*ABSURD, 10**6])
def test_an_id_beyond_the_vocabulary_is_named(call: str, value: int) -> None:
    with pytest.raises(cf.UnknownTokenError, match=str(value)):
        CALLS[call](family("made_gpt2").tok, value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_what_is_no_id_is_refused(call: str, value: Any) -> None:
    with pytest.raises((cf.ArgumentError, cf.UnknownTokenError), match="token id"):
        CALLS[call](family("made_gpt2").tok, value)


def _endless() -> Iterator[int]:
    yield 1
    raise KeyError("a mistake of the caller's")


@pytest.mark.parametrize("value", [1, 1.5, object(), cf], ids=["an id", "a number", "an object", "a module"])
def test_what_is_no_list_of_ids_is_refused(value: Any) -> None:
    tok = family("made_gpt2").tok
    for call in (tok.decode, tok.decode_bytes, lambda ids: cf.StreamDecoder(tok, ids)):
        with pytest.raises((cf.ArgumentError, TypeError)):
            call(value)


def test_a_mistake_while_ids_are_drawn_is_the_callers_own() -> None:
    tok = family("made_gpt2").tok
    with pytest.raises(KeyError, match="a mistake of the caller's"):
        tok.decode(_endless())


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "4"], ids=repr)
def test_absurd_sizes_are_refused(value: Any) -> None:
    tok = family("made_gpt2").tok
    with pytest.raises((cf.ArgumentError, TypeError)):
        cf.StreamEncoder(tok, context_words=value)
    with pytest.raises((cf.ArgumentError, TypeError)):
        cf.Segmenter(tok, max_bytes=value)


def test_the_largest_sizes_cost_nothing() -> None:
    """A window or cap as large as numbers go is only a number."""
    tok = family("made_gpt2").tok
    encoder = cf.StreamEncoder(tok, context_words=2**63)
    for character in "the cat sat on the mat":
        encoder.push(character)
    assert encoder.ids == tok.encode("the cat sat on the mat")
    segmenter = cf.Segmenter(tok, max_bytes=2**63)
    segments = [segmenter.push(n) for n in tok.encode("the cat")]
    assert [segment.text for segment in segments if segment] == ["the"]


@pytest.mark.parametrize("value", [None, 1, "x", [None], [1], ["x"]], ids=repr)
def test_what_is_no_tokenizer_is_refused(value: Any) -> None:
    with pytest.raises((cf.ArgumentError, TypeError)):
        cf.common_boundaries(value, "the cat")
    for make in (cf.StreamEncoder, cf.StreamDecoder, cf.Segmenter):
        with pytest.raises((cf.ArgumentError, TypeError)):
            make(value)


def test_a_long_stream_of_random_ids_is_the_whole() -> None:
    """Long streams neither slow down nor drift."""
    tok = family("made_llama2").tok
    dice = random.Random(4)
    ids = [dice.randrange(tok.vocab_size) for _ in range(200_000)]
    decoder = cf.StreamDecoder(tok)
    assert "".join([decoder.push(n) for n in ids]) + decoder.flush() == tok.decode(ids)
