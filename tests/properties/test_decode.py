"""Decoding: the bytes of the vocabulary, one token behind the other, and which texts come back."""

from __future__ import annotations

from functools import lru_cache

import pytest
from fixtures import Family, every_family, examples, is_control, sayable, some_families
from hypothesis import example, given
from hypothesis import strategies as st
from reference import decode, drops_first_space, token_bytes
from strategies import texts

import coolfusion as cf


@lru_cache(maxsize=2)
def _table(family: Family) -> dict[int, bytes]:
    return token_bytes(family.definition, is_control)


@every_family
def test_token_bytes_are_those_of_the_definition(family: Family) -> None:
    """Every id of the file stands for the bytes that its spelling says; ids between them stand for nothing at all."""
    table = _table(family)
    assert table
    assert family.tok.vocab_size == max(table) + 1
    assert family.tok.unused_ids == sorted(set(range(max(table) + 1)) - set(table))
    wrong = {n: (family.tok.token_bytes(n), data) for n, data in table.items() if family.tok.token_bytes(n) != data}
    assert not dict(list(wrong.items())[:5])


@every_family
@examples(0.5)
@given(data=st.data())
def test_any_ids_decode_to_the_bytes_of_the_definition(family: Family, data: st.DataObject) -> None:
    """`decode_bytes` is concatenation (less one dummy space), `decode` is that with one U+FFFD per ill-formed part."""
    table = _table(family)
    known = sorted(table)
    ids = [known[n] for n in data.draw(st.lists(st.integers(0, len(known) - 1), max_size=12))]
    expected = decode(table, ids, drops_first_space(family.definition))
    assert family.tok.decode_bytes(ids) == expected
    assert family.tok.decode(ids) == expected.decode("utf-8", "replace")


@every_family
@examples(0.5)
@given(text=texts())
def test_represents_says_whether_the_bytes_come_back(family: Family, text: str) -> None:
    """`represents(text)` is `decode_bytes(encode(text)) == text`, and then `decode` gives the text."""
    ids = family.tok.encode(text)
    comes_back = family.tok.decode_bytes(ids) == text.encode()
    assert family.tok.represents(text) == comes_back
    assert family.tok.represents(text.encode()) == comes_back
    if comes_back:
        assert family.tok.decode(ids) == text


@some_families(lambda family: family.lossless)
@examples()
@given(text=texts())
@example(text=" ")
@example(text="<0x0A> ▁")
@example(text="a <|end|>\n b</s> c")
@example(text="\x00\x03\x0b")
def test_lossless_families_represent_every_text(family: Family, text: str) -> None:
    """Round trip: a lossless tokenizer gives every text back, but for what its format is known to lose."""
    if not family.tok.describe()["lossless"]:
        text = sayable(text)
    assert family.tok.represents(text)
    assert family.tok.represents(text, continues=True)


@every_family
@examples(0.5)
@given(text=texts())
def test_what_cannot_be_said_is_refused_with_its_position(family: Family, text: str) -> None:
    """`errors="strict"` gives the ids of a text that comes back, and names the first byte of one that does not."""
    ids = family.tok.encode(text)
    data = family.tok.decode_bytes(ids)
    if data == text.encode():
        assert family.tok.encode(text, errors="strict") == ids
        return
    same = next((n for n, pair in enumerate(zip(data, text.encode(), strict=False)) if pair[0] != pair[1]), None)
    first = min(len(data), len(text.encode())) if same is None else same
    # The position is that of the whole character which the first wrong byte belongs to.
    position = max(
        (at for n in range(len(text) + 1) if (at := len(text[:n].encode())) <= first),
        default=0,
    )
    with pytest.raises(cf.UnrepresentableTextError) as caught:
        family.tok.encode(text, errors="strict")
    assert f"at byte {position} " in str(caught.value)
    assert family.tok.name in str(caught.value)
    assert family.tok.encode(text) == ids, "the tokenizer is as it was"
