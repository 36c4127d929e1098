"""The calls from Python under pytest-benchmark: ``pytest benches/test_speed.py``; the usual run does not collect it.

For comparing two builds (``--benchmark-autosave``, ``--benchmark-compare``); the ratios beside other libraries are
those of ``python -m benches``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coolfusion as cf
from benches.pairs import tokenizer_files
from benches.texts import PIECE, documents, texts

DATA = Path(os.environ["COOLFUSION_DATA"]) if os.environ.get("COOLFUSION_DATA") else None
FILES = tokenizer_files(DATA, quick=True)
TEXTS = {name: text for name, text in texts(DATA).items() if name.startswith(("Python", "English", "Kana", "Arabic"))}
CONTEXT = 4_000  # characters

Benchmark = Callable[..., Any]


@pytest.fixture(scope="module")
def tok(name: str) -> cf.Tokenizer:
    return cf.Tokenizer.from_file(FILES[name])


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    return "".join(documents(TEXTS[request.param], 10))


@pytest.fixture(scope="module", params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_encode(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    ids = benchmark(tok.encode, text)
    assert ids == tok.encode(text.encode())


def test_decode(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    ids = tok.encode(text)
    decoded = benchmark(tok.decode, ids)
    assert decoded.encode() == tok.decode_bytes(ids)


def test_word_boundaries(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    cuts = benchmark(tok.word_boundaries, text)
    assert set(cuts) <= set(range(1, len(text)))


def test_stream_decoder_push(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    ids = tok.encode(text)

    def stream() -> str:
        push = (decoder := cf.StreamDecoder(tok)).push
        return "".join([push(token_id) for token_id in ids]) + decoder.flush()

    assert benchmark(stream) == tok.decode(ids)


def test_stream_decoder_extend_array(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    ids = np.array(tok.encode(text), dtype=np.uint32)

    def stream() -> str:
        decoder = cf.StreamDecoder(tok)
        return decoder.extend(ids) + decoder.flush()

    assert benchmark(stream) == tok.decode(ids)


def test_stream_encoder_push(benchmark: Benchmark, tok: cf.Tokenizer, text: str) -> None:
    long = text * (CONTEXT // len(text) + 1)
    pieces = [hit.group() for hit in PIECE.finditer(text)][:50]

    def ready() -> tuple[tuple[cf.StreamEncoder], dict[str, Any]]:
        encoder = cf.StreamEncoder(tok)
        encoder.push(long)
        return (encoder,), {}

    def push(encoder: cf.StreamEncoder) -> cf.StreamEncoder:
        for piece in pieces:
            encoder.push(piece)
        return encoder

    encoder = benchmark.pedantic(push, setup=ready, rounds=5)  # type: ignore[attr-defined]
    assert encoder.ids == tok.encode(long + "".join(pieces))
