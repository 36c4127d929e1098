"""Decoding: the bytes of the vocabulary, one token after the other, and which texts come back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import FAMILIES, Family, every_defined_family, every_family, examples, sayable
from reference import decode
from strategies import texts


@every_defined_family
def test_token_bytes_are_those_of_the_definition(family: Family) -> None:
    """Every id of the file stands for the bytes that its spelling says; ids between them stand for nothing at all."""
    table = family.table
    assert table
    assert family.tok.vocab_size == max(table) + 1
    assert family.tok.unused_ids == sorted(set(range(max(table) + 1)) - set(table))
    wrong = {n: (family.tok.token_bytes(n), data) for n, data in table.items() if family.tok.token_bytes(n) != data}
    assert not dict(list(wrong.items())[:5])


@every_defined_family
@examples(0.5)
@given(data=st.data())
def test_any_ids_decode_to_the_bytes_of_the_definition(family: Family, data: st.DataObject) -> None:
    """`decode_bytes` is concatenation (less one dummy space, with spaces after words), `decode` is that as text."""
    table = family.table
    known = sorted(table)
    ids = [known[n] for n in data.draw(st.lists(st.integers(0, len(known) - 1), max_size=12))]
    expected = decode(family.definition, table, ids)
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


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.lossless], ids=repr, scope="session")
@examples()
@given(text=texts())
@example(text=" ")
@example(text="<0x0A> ▁")
@example(text="a <|end|>\n b</s> c")
@example(text="\x00\x03\x0b")
def test_lossless_families_represent_every_text(family: Family, text: str) -> None:
    """Round trip: a lossless tokenizer gives every text back, but for what its format is known to lose."""
    if not family.described["lossless"]:
        text = sayable(text)
    assert family.tok.represents(text)
    assert family.tok.represents(text, continues=True)


@every_family
@examples(0.5)
@given(text=texts())
def test_what_cannot_be_said_is_refused_with_its_position(family: Family, text: str) -> None:
    """`errors="strict"` gives the ids of a text that comes back, and names the first place of one that does not.

    The place is the whole character that the first wrong byte belongs to, counted in the unit of what was passed.
    """
    ids = family.tok.encode(text)
    data, wanted = family.tok.decode_bytes(ids), text.encode()
    if data == wanted:
        assert family.tok.encode(text, errors="strict") == ids
        return
    first = next((n for n, pair in enumerate(zip(data, wanted, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(data), len(wanted)) if first is None else first
    characters = max(n for n in range(len(text) + 1) if len(text[:n].encode()) <= first)
    for given_text, unit, position in (
        (text, "character", characters),
        (wanted, "byte", len(text[:characters].encode())),
    ):
        with pytest.raises(cf.UnrepresentableTextError, match=f"at {unit} {position} ") as caught:
            family.tok.encode(given_text, errors="strict")
        assert family.tok.name in str(caught.value)
    assert family.tok.encode(text) == ids, "the tokenizer is as it was"
