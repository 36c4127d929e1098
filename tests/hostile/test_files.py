"""Tokenizer files cut short, with flipped bits and absurd numbers: an error with the path, or they work."""

from __future__ import annotations

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import coolfusion as cf
from fixtures import CL100K_RULE, CORPUS
from hostile.mutations import SMALL, text_of
from hostile.use import use


def tokenizer_json() -> bytes:
    return text_of(SMALL["unigram"]()).encode()


def byte_level_json() -> bytes:
    return text_of(SMALL["byte_level"]()).encode()


def ranks() -> bytes:
    tokens = [*(bytes([byte]) for byte in range(256)), b"th", b"the", b" the", b"  ", "é".encode()]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def sentencepiece_model(**options: object) -> bytes:
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    model = io.BytesIO()
    lines = [line for text in CORPUS[:8] for line in text.splitlines()]
    settings = {"vocab_size": 120, "hard_vocab_limit": False, "minloglevel": 2} | options
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines * 3), model_writer=model, **settings)
    return model.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "unigram.json": tokenizer_json,
    "byte_level.json": byte_level_json,
    "tiktoken": ranks,
    "bpe.model": lambda: sentencepiece_model(model_type="bpe", normalization_rule_name="identity"),
    "unigram.model": lambda: sentencepiece_model(model_type="unigram", normalization_rule_name="nmt_nfkc"),
}


@pytest.fixture(scope="module", params=FILES)
def content(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]()


def outcome(path: Path, content: bytes, *, thorough: bool = True) -> str:
    """Loads ``content`` as a file and uses it; the class of our own error, or ``works``."""
    path.write_bytes(content)
    try:
        tokenizer = cf.Tokenizer.from_file(path, pattern=CL100K_RULE)
        if thorough:
            use(tokenizer)
        return "works"
    except cf.TokenizerFileError as error:
        assert str(error).startswith(str(path))
        return type(error).__name__
    except cf.CoolFusionError as error:
        assert str(error)
        return type(error).__name__


def test_a_file_cut_short_anywhere_is_an_error_or_works(tmp_path: Path, content: bytes) -> None:
    """JSON without its end is never whole; ranks and fields of a model end at many places."""
    assert outcome(tmp_path / "whole", content) == "works"
    step = max(1, len(content) // 250)
    places = sorted(
        {*range(0, len(content), step), *range(min(60, len(content))), *range(len(content) - 60, len(content))}
    )
    outcomes = Counter(outcome(tmp_path / "cut", content[:place]) for place in places)
    assert outcomes["TokenizerFileError"] > 20
    if content.startswith(b"{"):
        assert set(outcomes) == {"TokenizerFileError"}


def test_flipped_bits_are_an_error_or_another_tokenizer(tmp_path: Path, content: bytes) -> None:
    dice = random.Random(4)
    outcomes: Counter[str] = Counter()
    for _ in range(150):
        broken = bytearray(content)
        for _ in range(dice.choice((1, 1, 2, 8))):
            broken[dice.randrange(min(len(broken), dice.choice((40, 400, len(broken)))))] ^= 1 << dice.randrange(8)
        outcomes[outcome(tmp_path / "flipped", bytes(broken))] += 1
    assert len(outcomes) > 1, outcomes


def test_spliced_and_repeated_parts_are_an_error_or_another_tokenizer(tmp_path: Path, content: bytes) -> None:
    dice = random.Random(4)
    for _ in range(80):
        a, b, c = sorted(dice.randrange(len(content)) for _ in range(3))
        outcome(
            tmp_path / "spliced", dice.choice((content[:a] + content[b:], content[:b] + content[a:c] + content[b:]))
        )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("YQ== 4294967295\n", "rank|id"),
        ("YQ== 4294967296\n", "rank"),
        ("YQ== 2147483648\n", "rank|id"),
        ("YQ== -1\n", "rank"),
        ("YQ== 1.0\n", "rank"),
        ("YQ== 1e3\n", "rank"),
        ("YQ== 0\nYQ== 1\n", "twice|already|line 2"),
        ("YQ== 0\nYg== 0\n", "twice|already|line 2"),
        ("YQ= 0\nYg== 1\n", "base64|line 1|begins"),
        (" 0\nYg== 1\n", "line 1|begins|empty"),
    ],
)
def test_absurd_ranks_are_refused(tmp_path: Path, lines: str, words: str) -> None:
    path = tmp_path / "ranks.tiktoken"
    path.write_text(lines)
    with pytest.raises((cf.TokenizerFileError, cf.UnsupportedTokenizerError), match=words):
        cf.Tokenizer.from_file(path, pattern=CL100K_RULE)


def test_a_field_longer_than_the_file_does_not_cost_its_length(tmp_path: Path) -> None:
    """A length of 2^62 bytes in a protobuf field, and a varint without end."""
    for content in (b"\x0a" + b"\xff" * 8 + b"\x3f", b"\x0a" + b"\xff" * 30, b"\x0a\x02\x0a\xff\x01"):
        assert outcome(tmp_path / "long.model", content) == "TokenizerFileError"


def test_charsmaps_cut_short_are_an_error_or_do_not_match(tmp_path: Path) -> None:
    """The rewriting rules of a model, cut anywhere and with flipped bits, inside a definition that uses them."""
    model = sentencepiece_model(model_type="unigram", normalization_rule_name="nmt_nfkc")
    start = next(
        at for at in range(len(model) - 12) if model[at : at + 1] == b"\x12" and b"nmt_nfkc" in model[at - 12 : at + 1]
    )
    blob = model[start + 4 :]
    definition = SMALL["unigram"]()
    dice = random.Random(4)
    outcomes: Counter[str] = Counter()
    size = int.from_bytes(blob[:4], "little")
    assert 0 < size < len(blob), "the test found the blob"
    for cut in [*range(0, 12), *(dice.randrange(len(blob)) for _ in range(60)), *range(size, size + 12), len(blob)]:
        part = bytearray(blob[:cut])
        if dice.random() < 0.5 and part:
            part[dice.randrange(len(part))] ^= 1 << dice.randrange(8)
        definition["normalizer"]["normalizers"][1]["precompiled_charsmap"] = base64.b64encode(bytes(part)).decode()
        outcomes[outcome(tmp_path / "tokenizer.json", json.dumps(definition).encode())] += 1
    assert outcomes["UnsupportedTokenizerError"] > 10
    assert outcomes["works"] > 0


def test_no_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path, tmp_path / ("x" * 300), Path("\x00")):
        with pytest.raises(cf.CoolFusionError):
            cf.Tokenizer.from_file(path)
