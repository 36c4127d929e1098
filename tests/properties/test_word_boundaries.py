"""Word boundaries: before white space, a cut of the canonical encoding, settled; all methods find the same kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import FAMILIES, Family, every_family, examples, sayable
from reference import SUFFIXES, common, space_starts
from strategies import texts

METHODS = ("auto", "bytes", "word_ids", "offsets", "decode")


@every_family
@examples(0.5)
@given(text=texts(), method=st.sampled_from(METHODS))
def test_boundaries_stand_before_white_space(family: Family, text: str, method: str) -> None:
    """Interior, ascending, Unicode White_Space on the right and not on the left, for every method."""
    found = family.tok.word_boundaries(text, method)
    assert found == sorted(set(found))
    assert set(found) <= set(space_starts(text))


@every_family
@examples(0.5)
@given(text=texts(), suffix=texts(), method=st.sampled_from(METHODS))
def test_no_text_moves_a_word_boundary(family: Family, text: str, suffix: str, method: str) -> None:
    """T(P[:b]) is a prefix of T(P + s), and the rest is the encoding of what stands after the boundary."""
    if not family.certified:
        whole = family.tok.encode(text)
        for at in family.tok.word_boundaries(text, method):
            head = family.tok.encode(text[:at])
            assert whole[: len(head)] == head, "without a proof the prefix is checked on the text that is there"
        return
    whole = family.tok.encode(text + suffix)
    placed = family.restarts or family.tok.represents(text)
    for at in family.tok.word_boundaries(text, method):
        head = family.tok.encode(text[:at])
        assert whole[: len(head)] == head
        if placed:
            assert family.reference.unsettling_suffix(text, at, ["", suffix]) is None
            assert family.reference.head(text, at) == head


@every_family
@examples(0.5)
@given(text=texts())
def test_boundaries_are_the_settled_cuts_before_white_space(family: Family, text: str) -> None:
    """The walk that looks at white space alone finds the cuts that the walk over all places finds."""
    if family.certified:
        settled = set(family.tok.settled_cuts(text))
        assert family.tok.word_boundaries(text) == [at for at in space_starts(text) if at in settled]


@every_family
@examples(0.15)
@given(text=texts(max_pieces=5))
def test_boundaries_are_among_those_that_nothing_refutes(family: Family, text: str) -> None:
    """Every boundary survives encoding the text again with every nasty suffix."""
    found = family.tok.word_boundaries(text)
    if found and family.certified and (family.restarts or family.tok.represents(text)):
        assert set(found) <= set(family.reference.word_boundaries(text, SUFFIXES))


@every_family
@examples(0.5)
@given(text=texts())
def test_methods_find_the_same_kind_of_cut(family: Family, text: str) -> None:
    """A method without information finds fewer boundaries, never others."""
    auto = family.tok.word_boundaries(text)
    for method in METHODS:
        assert set(family.tok.word_boundaries(text, method)) <= set(auto)
    assert family.tok.word_boundaries(text, family.described["method"]) == auto


@every_family
@examples(0.3)
@given(text=texts(), method=st.sampled_from(METHODS))
def test_positions_are_those_of_what_was_passed(family: Family, text: str, method: str) -> None:
    """Characters for `str`, bytes for `bytes`; never inside a code point."""
    found = family.tok.word_boundaries(text, method)
    assert family.tok.word_boundaries(text.encode(), method) == [len(text[:at].encode()) for at in found]


@every_family
@examples(0.3)
@given(text=texts(), suffix=texts())
def test_boundaries_stay_when_text_follows(family: Family, text: str, suffix: str) -> None:
    """A boundary of P is one of P + s, for families that lose nothing."""
    text, suffix = sayable(text), sayable(suffix)
    if family.lossless and family.certified:
        assert set(family.tok.word_boundaries(text)) <= set(family.tok.word_boundaries(text + suffix))


@every_family
def test_plain_words_have_boundaries(family: Family) -> None:
    """Guard: in plain English every space has a boundary, unless pieces hold several words, or the space after."""
    text = "It was late and the dog slept"
    spaces = space_starts(text)
    found = family.tok.word_boundaries(text)
    several_words = ("made_multi_word", "made_bytes_without_rule", "made_ai21", "ai21_j2")
    others = ("made_clip", "made_word_level", "made_contiguous", "made_with_previous")
    if family.name in (*several_words, *others):
        assert set(found) <= set(spaces)
    else:
        assert found == spaces


# Several tokenizers --------------------------------------------------------------------------------------------------

groups = st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=4)


@examples(3)
@given(text=texts(), group=groups, data=st.data())
def test_common_boundaries_do_not_depend_on_the_order(text: str, group: list[Family], data: st.DataObject) -> None:
    """`common_boundaries` is what all have, whatever the order and however often one is named."""
    expected = common([family.tok.word_boundaries(text) for family in group])
    assert cf.common_boundaries([family.tok for family in group], text) == expected
    shuffled = data.draw(st.permutations(group)) + group[:1]
    assert cf.common_boundaries([family.tok for family in shuffled], text) == expected
    encoded = cf.common_boundaries([family.tok for family in group], text.encode())
    assert encoded == [len(text[:at].encode()) for at in expected]


def test_common_boundaries_need_a_tokenizer() -> None:
    """Without a tokenizer there is nothing to agree on."""
    with pytest.raises(cf.ArgumentError, match=r"tokenizers is \[\]: expected at least one"):
        cf.common_boundaries([], "a b")
