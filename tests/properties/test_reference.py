"""The twins themselves: they give known answers and find known mistakes, so that the properties can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures import family, is_control
from reference import (
    NaiveBPE,
    NaiveStreamEncoder,
    certain_text,
    cluster_starts,
    common,
    held,
    space_starts,
    splits_cleanly,
    stream_text,
)


@pytest.mark.parametrize(
    ("data", "waiting"),
    [
        (b"", b""),
        (b"a", b""),
        (b"a\xe5", b"\xe5"),
        (b"a\xe5\xb2", b"\xe5\xb2"),
        (b"a\xe5\xb2\x81", b""),
        (b"\xf0\x9f\x98", b"\xf0\x9f\x98"),
        (b"\xed\xa0", b""),
        (b"\xf4\x90", b""),
        (b"\xc0", b""),
        (b"\x80\x80", b""),
    ],
)
def test_held_bytes_are_those_that_may_become_a_character(data: bytes, waiting: bytes) -> None:
    """By table 3-7 of the standard; what is certain stays when anything follows."""
    assert held(data) == waiting
    for more in (b"", b"a", b"\x80", b"\x80\x80", b"\xbf", b"\xe5\xb2\x81"):
        assert (data + more).decode("utf-8", "replace").startswith(certain_text(data))


def test_a_stream_owes_the_character_that_the_prompt_began() -> None:
    """Whole characters of the prompt are not owed, a begun one is."""
    assert stream_text(b"ab\xe5\xb2", b"\x81c") == "岁c"
    assert stream_text(b"ab", b"\xff") == "\ufffd"
    assert stream_text(b"ab\xe5", b"c") == "\ufffdc"


@pytest.mark.parametrize(
    ("name", "text", "cut", "suffix"),
    [
        ("made_gpt2", "I don", 3, ""),  # inside a token
        ("made_o200k", "I don'", 5, "t know"),  # an apostrophe may begin a contraction, which o200k joins to the word
        ("made_llama3", "I don'", 5, None),  # and cl100k does not
        ("made_llama3", "Done.", 4, None),
        ("made_llama3", "a  ", 2, ""),  # inside a run of spaces
        ("made_gpt2", "It was late", 6, None),
        ("made_mistral", "ab cd", 2, None),
    ],
)
def test_cuts_that_are_not_settled_are_refuted(name: str, text: str, cut: int, suffix: str | None) -> None:
    """Brute force finds the text that moves a cut, and finds none for a cut that holds."""
    found = family(name).reference.unsettling_suffix(text, cut)
    assert (found is None) == (suffix is None)
    if suffix is not None:
        assert family(name).reference.unsettling_suffix(text, cut, [suffix]) == suffix


def test_merging_by_hand() -> None:
    """The naive encoder agrees with the library on a text that needs merges, bytes, added and unknown tokens."""
    for name in ("made_gpt2", "made_gemma", "made_llama2", "made_characters", "made_neox"):
        naive = NaiveBPE(family(name).definition, family(name).oracle, is_control)
        for text in ("", "It was late.\n\n\n  你好 😀 é", "<table>x", " the "):
            assert naive.encode(text) == family(name).ids(text)


def test_the_naive_stream_reports_how_ids_differ() -> None:
    encoder = NaiveStreamEncoder(lambda text: [len(text) // 3] * len(text))
    assert encoder.push("ab") == (0, [0, 0])
    assert encoder.push("c") == (2, [1, 1, 1])
    assert encoder.push("") == (0, [])


def test_white_space_and_intersections() -> None:
    """White_Space is Unicode's, not Python's."""
    assert space_starts(" a b\u00a0\u3000c\x1cd\u200be ") == [2, 4, 11]
    assert common([[1, 2, 5], [2, 5, 9], [5, 2]]) == [2, 5]


def test_clusters_are_those_of_unicode(data: Path) -> None:
    """All cases of GraphemeBreakTest but the one that a later version of Unicode decided otherwise."""
    lines = (data / "text" / "unicode15" / "GraphemeBreakTest.txt").read_text(encoding="utf-8").splitlines()
    cases = [line.split("#")[0].split() for line in lines if line.startswith("÷")]
    assert len(cases) > 600
    wrong = []
    for case in cases:
        text, starts = "", set()
        for item in case[:-1]:
            if item == "÷":
                starts.add(len(text))
            elif item != "×":
                text += chr(int(item, 16))
        if cluster_starts(text) != starts:
            wrong.append(case)
    assert [case for case in wrong if "2701" not in case] == []
    assert not splits_cleanly("12", 1)
    assert splits_cleanly("1a", 1)
    assert not splits_cleanly("e\u0301", 1)
