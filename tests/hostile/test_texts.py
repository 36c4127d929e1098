"""Hostile texts: megabytes of one thing, lone surrogates, every code point, types that are no text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import coolfusion as cf
from fixtures import Family, every_family, family
from reference import NaiveBPE
from strategies import FRAGMENTS

UNITS = {
    "a letter": "a",
    "spaces": " ",
    "newlines": "\n",
    "ab": "ab",
    "digits": "1",
    "apostrophes": "'",
    "a Chinese character": "的",
    "a combining mark": "\u0301",
    "U+2581": "\u2581",
    "an emoji with joiners": "👩\u200d",
    "carriage returns": "\r\n",
}
# The others get an eighth: what could be quadratic is the same.
MEGABYTES = ("a", " ", "的", "\u2581")
# One of each engine, rule and model that is there without COOLFUSION_DATA.
KINDS = [
    "made_gpt2",
    "made_llama3",
    "made_qwen",
    "made_deepseek",
    "made_llama2",
    "made_gemma",
    "made_unigram",
    "made_bert",
]


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("name", KINDS)
def test_a_long_run_of_one_thing_is_encoded_piece_by_piece(name: str, unit: str) -> None:
    """The ids of a long run are what its parts have, wherever the tokenizer says that it may start again.

    This is the answer without a clock: one call for all, compared with the parts between settled cuts. A quadratic
    step would still show here, as a test of minutes.
    """
    tok = _tokenizer(name)
    size = 2**20 if unit in MEGABYTES else 2**17
    text = unit * (size // len(unit.encode()))
    ids = tok.encode(text)
    assert len(ids) <= len(text.encode()) + 1
    if tok.represents(text):
        assert tok.decode(ids) == text
    cuts = tok.settled_cuts(text)
    if not cuts or not tok.describe()["window"]["factorises_at_word_boundaries"]:
        return
    parts = [text[a:b] for a, b in zip([0, *cuts[999::1000]], [*cuts[999::1000], len(text)], strict=True)]
    joined = tok.encode(parts[0])
    for part in parts[1:]:
        joined += tok.encode(part, continues=True)
    assert joined == ids


def _tokenizer(name: str) -> cf.Tokenizer:
    from fixtures import FAMILIES

    return next(family for family in FAMILIES if family.name == name).tok


@pytest.mark.parametrize("unit", ["a", " ", "ab", "的", "\u2581"])
@pytest.mark.parametrize("name", ["made_gpt2", "made_llama2", "made_bytes_without_rule", "made_multi_word"])
def test_long_runs_equal_merging_by_hand(name: str, unit: str) -> None:
    """Long words go another way through the encoder (a heap) than short ones."""
    from fixtures import is_control

    made = family(name)
    text = unit * 500
    assert made.tok.encode(text) == NaiveBPE(made.definition, made.oracle, is_control).encode(text)


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize(
    "name", ["made_gpt2", "made_llama3", "made_qwen", "made_llama2", "made_gemma", "made_multi_word"]
)
def test_a_long_run_in_a_stream_equals_the_whole(name: str, unit: str) -> None:
    """A run without a settled cut is the worst case of a stream: its window is the run."""
    tok = _tokenizer(name)
    encoder = cf.StreamEncoder(tok)
    for _ in range(40):
        encoder.push(unit * 50)
    assert encoder.ids == tok.encode(unit * 2000)
    assert encoder.widened == 0


CALLS: dict[str, Callable[[cf.Tokenizer, Any], object]] = {
    "encode": lambda tok, text: tok.encode(text),
    "represents": lambda tok, text: tok.represents(text),
    "word_boundaries": lambda tok, text: tok.word_boundaries(text),
    "settled_cuts": lambda tok, text: tok.settled_cuts(text),
    "StreamEncoder.push": lambda tok, text: cf.StreamEncoder(tok).push(text),
    "StreamEncoder.peek": lambda tok, text: cf.StreamEncoder(tok).peek(text),
    "common_boundaries": lambda tok, text: cf.common_boundaries([tok, tok], text),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("surrogate", ["\ud800", "\udbff", "\udc00", "\udfff", "\ude00\ud83d"])
def test_a_lone_surrogate_is_named_with_its_position(call: str, surrogate: str) -> None:
    """At every position of a text, for every call that takes one."""
    tok = _tokenizer("made_gpt2")
    text = "aé的😀 b"
    for at in range(len(text) + 1):
        with pytest.raises(cf.TextError, match=rf"character {at} of the text is a lone surrogate"):
            CALLS[call](tok, text[:at] + surrogate + text[at:])


@pytest.mark.parametrize("call", [*CALLS, "Segmenter.restart"])
@pytest.mark.parametrize(
    "value", [None, 1, 1.5, [1], ("a", None), {"a": 1}, bytearray(b"a"), memoryview(b"a"), object(), str]
)
def test_what_is_no_text_is_refused(call: str, value: Any) -> None:
    """Nor a list that holds something else than texts, where lists of texts are taken."""
    tok = _tokenizer("made_gpt2")
    with pytest.raises((cf.ArgumentError, TypeError), match=r"str|bytes|sequence"):
        if call == "Segmenter.restart":
            cf.Segmenter(tok).restart(value)
        else:
            CALLS[call](tok, value)


class _OddText(str):
    """A subclass is a text like any other; what it overrides has no say."""

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise AssertionError("not asked")

    def __len__(self) -> int:
        return 10**9


def test_a_subclass_of_str_is_its_text() -> None:
    tok = _tokenizer("made_gpt2")
    assert tok.encode(_OddText("the cat")) == tok.encode("the cat")
    assert tok.word_boundaries(_OddText("thé cat")) == [3]


ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


@every_family
def test_all_code_points_in_one_text(family: Family) -> None:
    """Every code point, in order: encoded whole as in a stream, and given back where the tokenizer can say them."""
    text = "".join(ALL[:: 1 if family.name in KINDS else 29])
    if family.name.startswith("wrapped"):
        text = text[:5000]
    ids = family.tok.encode(text)
    if family.lossless:
        assert family.tok.decode(ids).replace("\u2581", " ") == text.replace("\u2581", " ")
    window = text[0x300:0x380]
    encoder = cf.StreamEncoder(family.tok)
    for at in range(0, len(window), 7):
        encoder.push(window[at : at + 7])
    assert encoder.ids == family.tok.encode(window)
    assert family.tok.encode(window) == family.ids(window)


@every_family
def test_code_points_one_by_one(family: Family) -> None:
    """A sample of all code points, each alone and between letters, has the ids of the library."""
    dice = random.Random(4)
    sample = [*ALL[:0x180:4], *dice.sample(ALL[:0x3400], 60), *dice.sample(ALL, 60)]
    wrong = [
        (c, text)
        for c in sample
        for text in (c, f"a{c}b", f"a {c}{c}\n")
        if family.tok.encode(text) != family.ids(text) and not family.name.endswith("unigram")
    ]
    assert not wrong[:3], len(wrong)


@pytest.mark.parametrize("name", ["made_gpt2", "made_llama3", "made_qwen", "made_llama2", "made_gemma", "made_t5"])
def test_a_text_of_all_fragments_in_random_order(name: str) -> None:
    """A hundred kilobytes of everything that has hurt: whole, cut, and streamed are one."""
    tok = _tokenizer(name)
    dice = random.Random(4)
    text = "".join(dice.choices(FRAGMENTS, k=20_000))
    ids = tok.encode(text)
    encoder = cf.StreamEncoder(tok)
    at = 0
    while at < len(text):
        size = dice.randint(1, 400)
        encoder.push(text[at : at + size])
        at += size
    assert encoder.ids == ids
    assert encoder.widened == 0
