"""Settled cuts: whatever is appended, the tokens before them stay, and what follows is encoded on its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fixtures import FAMILIES, Family, every_family, examples
from reference import SUFFIXES
from strategies import texts


def _cuts(family: Family, text: str) -> list[int]:
    """The settled cuts of ``text``; none where its tokens cannot be placed at all.

    Without T' (Unigram that reads the text as one word) the tokens before a cut are known by their bytes only.
    """
    if not family.restarts and not family.tok.represents(text):
        return []
    return family.tok.settled_cuts(text)


@every_family
@examples(0.5)
@given(text=texts(), suffix=texts())
def test_no_text_moves_a_settled_cut(family: Family, text: str, suffix: str) -> None:
    """T(P + s) begins with the tokens of T(P) before the cut, and the rest is T'((P + s)[cut:])."""
    for cut in _cuts(family, text):
        assert 0 < cut < len(text)
        assert family.reference.unsettling_suffix(text, cut, ["", suffix]) is None


@every_family
@examples(0.2)
@given(text=texts(max_pieces=4), data=st.data())
def test_no_nasty_suffix_moves_a_settled_cut(family: Family, text: str, data: st.DataObject) -> None:
    """The same for every suffix that is known to have moved cuts of some tokenizer."""
    cuts = _cuts(family, text)
    if cuts:
        assert family.reference.unsettling_suffix(text, data.draw(st.sampled_from(cuts)), SUFFIXES) is None


@every_family
@examples(0.3)
@given(text=texts())
def test_tokens_before_a_settled_cut_say_the_text_before_it(family: Family, text: str) -> None:
    """Where the text comes back, the tokens before the cut are exactly the bytes before it."""
    if family.tok.represents(text):
        for cut in _cuts(family, text):
            head = family.reference.head(text, cut)
            assert head is not None
            assert family.tok.decode_bytes(head) == text[:cut].encode()


@every_family
@examples(0.2)
@given(text=texts())
def test_positions_are_those_of_what_was_passed(family: Family, text: str) -> None:
    """Cuts are characters for `str` and bytes for `bytes`, ascending, the same places."""
    cuts = family.tok.settled_cuts(text)
    assert cuts == sorted(set(cuts))
    assert family.tok.settled_cuts(text.encode()) == [len(text[:cut].encode()) for cut in cuts]


@every_family
def test_there_is_something_to_settle(family: Family) -> None:
    """Guard: plain text has settled cuts in every family that can prove one, so the tests above see some."""
    text = "It was late and the dog slept zq 42 zq"
    # Without a rule for spaces words are never apart.
    if family.certified and family.name != "made_contiguous":
        assert family.tok.settled_cuts(text)
        assert _cuts(family, text) or not family.restarts
    else:
        assert family.tok.settled_cuts(text) == []


def test_nearly_every_family_has_proofs() -> None:
    """Guard: without proof are objects with encode and decode only, and patterns that nobody can follow; only the left
    half of the definition holds for them and for Unigram models that read the whole text as one word."""
    without = {"wrapped_gpt2", "wrapped_llama2", "made_look_behind"}
    assert {family.name for family in FAMILIES if not family.certified} == without
    one_word = {"made_unigram", "made_unigram_tools", "made_ai21", "ai21_j2"}
    one_word |= {"made_sentencepiece_unigram", "xlnet.model"}
    assert {family.name for family in FAMILIES if not family.restarts} <= without | one_word
