"""The toy tokenizers are what their docstrings draw, and what the reference library makes of the same definition."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from coolfusion import toy

TEXTS = st.text(st.sampled_from("the cat sat on. mat\n\té猫😀\x00")) | st.text()
PLAIN = toy.tokenizer()
SPACED = toy.spaced_tokenizer()


def drawn(docstring: str) -> dict[int, bytes]:
    """The table of a docstring: id -> bytes, for the rows that list tokens in ``...``."""
    rows = {}
    for first, last, tokens in re.findall(r"^\s*(\d+)\.\.(\d+) +((?:``[^`]+`` ?)+)", docstring, re.MULTILINE):
        spelled = [token for group in re.findall(r"``([^`]+)``", tokens) for token in group.split(" ")]
        assert len(spelled) == int(last) - int(first) + 1, (first, last, spelled)
        rows |= {int(first) + i: token.replace("␣", " ").encode() for i, token in enumerate(spelled)}
    return rows


@pytest.mark.parametrize(("make", "count"), [(toy.tokenizer, 12), (toy.spaced_tokenizer, 21)])
def test_the_table_in_the_docstring_is_the_vocabulary(make, count):
    table = drawn(make.__doc__)
    assert len(table) == count
    tok = make()
    assert {token_id: tok.token_bytes(token_id) for token_id in table} == table


def test_bytes_have_the_ids_that_the_docstrings_say():
    assert [PLAIN.token_bytes(byte) for byte in range(256)] == [bytes([byte]) for byte in range(256)]
    assert [SPACED.token_bytes(3 + byte) for byte in range(256)] == [bytes([byte]) for byte in range(256)]
    assert (PLAIN.vocab_size, PLAIN.control_ids) == (269, [268])
    assert (SPACED.vocab_size, SPACED.control_ids) == (280, [0, 1, 2])


def test_a_new_tokenizer_each_time_with_its_name():
    assert toy.tokenizer() is not toy.tokenizer()
    assert (PLAIN.name, SPACED.name) == ("toy", "spaced toy")


@given(TEXTS)
def test_plain_loses_nothing(text):
    assert PLAIN.decode(PLAIN.encode(text, errors="strict")) == text


@given(TEXTS)
def test_spaced_loses_only_its_space_mark(text):
    assert SPACED.decode(SPACED.encode(text)) == text.replace("\u2581", " ")
    assert SPACED.represents(text) == ("\u2581" not in text)


@given(TEXTS)
def test_same_ids_as_the_reference_library(text):
    tokenizers = pytest.importorskip("tokenizers", reason="compares with the tokenizers library")
    for definition, tok in ((toy.definition(), PLAIN), (toy.spaced_definition(), SPACED)):
        reference = tokenizers.Tokenizer.from_str(definition)
        reference.encode_special_tokens = True
        assert tok.encode(text) == reference.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(("name", "definition"), [("plain", toy.definition()), ("spaced", toy.spaced_definition())])
def test_the_files_of_the_rust_examples_are_these(name, definition):
    file = Path(__file__).parents[2] / "examples" / "toy" / f"{name}.json"
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(definition)


def test_they_disagree_about_one_boundary():
    text = "the cat sat on the mat"
    assert PLAIN.word_boundaries(text) == [3, 7, 11, 14, 18]
    assert SPACED.word_boundaries(text) == [3, 7, 11, 18]
    assert cf.common_boundaries([PLAIN, SPACED], text) == cf.common_boundaries([SPACED, PLAIN], text) == [3, 7, 11, 18]
