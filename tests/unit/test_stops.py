from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion.stop_strings import StopStringFilter, check_stop_strings


def reference(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Read character by character; cut before the first stop string that is complete."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


def run(pieces, stops):
    stop_filter = StopStringFilter(stops)
    released = []
    for piece in pieces:
        released.append(stop_filter.push(piece))
        if stop_filter.stopped:
            break
    return "".join(released) + stop_filter.flush(), stop_filter.stopped


def cut(text, places):
    edges = [0, *sorted(places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def test_case_g03_a_stop_string_across_segments_is_cut_exactly_at_every_pair_of_cuts():
    text, stops = "It is 4.\n\nQuestion: and more", ("\n\nQuestion:",)
    for places in itertools.combinations(range(len(text) + 1), 2):
        assert run(cut(text, places), stops) == ("It is 4.", True)


@given(
    text=st.text("ab\n", max_size=14),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3).map(tuple),
    places=st.lists(st.integers(0, 14), max_size=6),
)
def test_the_answer_is_the_references_however_the_text_is_cut(text, stops, places):
    places = [min(place, len(text)) for place in places]
    assert run(cut(text, places), stops) == reference(text, stops)


def test_released_text_is_never_part_of_a_stop_string():
    stop_filter = StopStringFilter(("abc",))
    assert stop_filter.push("xab") == "x"
    assert stop_filter.held == "ab"
    assert stop_filter.push("ab") == "ab"
    assert stop_filter.push("c!") == ""
    assert stop_filter.stopped


@pytest.mark.parametrize("wrong", ["", ["a", ""], [3]])
def test_an_empty_stop_string_is_refused(wrong):
    with pytest.raises(ArgumentError, match="stop string"):
        check_stop_strings(wrong)
