"""The canonical encoding: the ids of the `tokenizers` library, of byte-pair encoding as it is defined, of bytes."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fixtures import (
    DEFINED,
    SELF_MADE,
    SOURCES,
    Family,
    every_defined_family,
    every_family,
    examples,
    is_control,
    some_families,
)
from reference import NaiveBPE, NaiveWords
from strategies import texts


@every_family
@examples()
@given(text=texts())
@example(text="")
@example(text=" ")
@example(text="a <|end|>\n b</s> c")
@example(text="\U0010fffe control <s>")
@example(text="<0x0A>")
def test_ids_equal_those_of_the_library(family: Family, text: str) -> None:
    """Encode equality: `encode` gives the ids of `tokenizers`, with control tokens that no text can match."""
    assert family.tok.encode(text) == family.ids(text)


@lru_cache(maxsize=2)
def _naive(family: Family) -> NaiveBPE:
    return NaiveBPE(family.definition, family.oracle, is_control)


@some_families(lambda family: family.is_bpe)
@examples(0.5)
@given(text=texts(max_pieces=4))
def test_ids_equal_merging_by_hand(family: Family, text: str) -> None:
    """Encode equality: merging the pair of the lowest rank, leftmost first, gives the same ids."""
    assert family.tok.encode(text) == _naive(family).encode(text)


@lru_cache(maxsize=2)
def _naive_words(family: Family) -> NaiveWords:
    return NaiveWords(family.unmatchable, family.oracle)


@some_families(lambda family: family.made and family.is_word_wise)
@examples(0.5)
@given(text=texts(max_pieces=4))
def test_ids_equal_the_best_segmentation_by_hand(family: Family, text: str) -> None:
    """Encode equality: the best of all segmentations into pieces, word by word, gives the same ids."""
    assume(not any(token["content"] in text for token in family.definition["added_tokens"]))
    assert family.tok.encode(text) == _naive_words(family).encode(text)


@some_families(lambda family: family.is_word_wise)
@examples(0.5)
@given(texts=st.lists(texts(max_pieces=3), max_size=6))
def test_words_that_were_seen_before_have_the_same_ids(family: Family, texts: list[str]) -> None:
    """A text after many others has the ids that it has alone: what was remembered of its words is right."""
    once = [family.tok.encode(text) for text in texts]
    assert [family.tok.encode(text) for text in texts] == once
    joined = " ".join(texts) + " " + "".join(texts)
    assert family.tok.encode(joined) == family.ids(joined)


@every_family
@examples(0.2)
@given(text=texts())
def test_bytes_encode_as_their_text(family: Family, text: str) -> None:
    """Texts given as `bytes` and as `str` are the same text."""
    assert family.tok.encode(text.encode()) == family.tok.encode(text)


@every_defined_family
@examples(0.5)
@given(text=texts(), data=st.data())
def test_no_text_is_a_control_token(family: Family, text: str, data: st.DataObject) -> None:
    """Text that looks like a control token is text: only the unknown token can stand for it."""
    controls = [token["content"] for token in family.definition["added_tokens"] if is_control(token)]
    if controls:
        text = data.draw(texts(2)) + data.draw(st.sampled_from(controls[:40])) + text
    model = family.definition["model"]
    unknown = model["unk_id"] if model.get("unk_id") is not None else model["vocab"].get(model.get("unk_token"))
    assert set(family.tok.encode(text)) & family.controls <= {unknown}


@pytest.mark.parametrize("family", [family for family in DEFINED if family.made], ids=repr, scope="session")
@examples()
@given(text=texts())
def test_continuing_text_has_no_dummy_prefix(family: Family, text: str) -> None:
    """`continues=True` is the encoding of the definition from which only the dummy prefix is taken away."""
    assert family.tok.encode(text, continues=True) == family.inside_ids(text)


def test_all_kinds_of_model_are_here() -> None:
    """Guard: the families cover every model and both spellings of white space."""
    kinds = {SELF_MADE[family.name]()["model"]["type"] for family in DEFINED if family.made}
    assert kinds == {"BPE", "Unigram", "WordPiece", "WordLevel"}
    assert len(DEFINED) >= 20
    assert SOURCES
