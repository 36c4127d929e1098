"""Places where the next word is asked for: the rules of a prefix, halves by paragraph, and right words."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.next_words import is_right, last_words, letters, part_of, positions, positions_of

PARAGRAPH = st.text("abc .,\t-", min_size=30, max_size=300)
STORY = "The little cat sat on the mat and looked at the big dog. It did not move at all, because it was afraid."


@given(st.lists(PARAGRAPH, min_size=1, max_size=6), st.sampled_from(["\n", "\n\n", "\r\n\r\n"]), st.integers(0, 3))
def test_places_keep_the_rules(paragraphs, between, seed):
    found = positions(between.join(paragraphs), seed=seed)
    whole = [paragraph.strip() for paragraph in paragraphs]
    for place in found:
        [paragraph] = {
            each for each in whole if each.startswith(place.prompt) and place.id.startswith(place.group)
        } or {""}
        at = len(place.prompt)
        assert 40 <= at <= 200 and not place.prompt[-1].isspace()
        assert paragraph[at].isspace() and paragraph[at:].split()[0] == place.gold and letters(place.gold)
    for group in {place.group for place in found}:
        ends = sorted(len(place.prompt) for place in found if place.group == group)
        assert len(ends) <= 2 and all(other - one >= 20 for one, other in pairwise(ends))
    assert len({place.id for place in found}) == len(found)
    assert found == positions(between.join(paragraphs), seed=seed)


def test_a_part_leaves_out_what_it_cuts():
    lines = [f"{STORY} Number {n} of the stories ends here." for n in range(40)]
    text = "\n".join(lines)
    first, last = positions(text, part=(0.0, 0.6)), positions(text, part=(0.6, 1.0))
    one, other = ({place.group for place in found} for found in (first, last))
    assert len(one) > 20 and len(one) + len(other) == 39, "one of 40 is cut, and counts in neither"
    assert one.isdisjoint(other)
    few = positions(text, limit=5)
    assert few == positions(text)[:5] and len({place.group for place in few}) >= 3
    assert positions(text, seed=2)[:5] != few


@pytest.mark.parametrize("text", ["", "0.5", "a:b", "0.6:0.6", "0.7:0.6", "-1:0.5", "0:1.1", "nan:1"])
def test_parts_of_another_form_are_refused(text):
    with pytest.raises(ArgumentError, match="expected two fractions"):
        part_of(text)


@pytest.mark.parametrize(
    ("candidate", "gold", "right"),
    [
        (" dog", "dog", True),
        ("\n dog.", '"dog,', True),
        (" don't", "don’t", True),
        (" 12", "12.", True),
        (" e\u0301t", "e\u0301t", True),
        (" et", "e\u0301t", False),
        ("dog", "dog", False),
        (" Dog", "dog", False),
        (" dogs", "dog", False),
        ("", "dog", False),
    ],
)
def test_a_word_is_right_by_its_letters(candidate, gold, right):
    assert is_right(candidate, gold) is right


def test_files_of_each_kind_are_read(tmp_path):
    text, lines = tmp_path / "t.txt", tmp_path / "t.jsonl"
    text.write_text(f"{STORY}\n{STORY} Again.\n", encoding="utf-8")
    lines.write_text(
        "".join(json.dumps({"text": each}) + "\n" for each in (STORY, f"{STORY} Again.")), encoding="utf-8"
    )
    assert positions_of("next_word", text) == positions_of("next_word", lines) != []
    found = positions_of("lambada", lines)
    assert [place.gold for place in found] == ["afraid.", "Again."] and found[0].prompt == STORY[: -len(" afraid.")]
    assert positions_of("lambada", lines, part=(0.5, 1.0)) == found[1:] == last_words([{"text": f"{STORY} Again."}])
    text.write_text("short\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match="has no place for a next word"):
        positions_of("next_word", text)
    lines.write_text('{"context": "a"}\n', encoding="utf-8")
    with pytest.raises(ArgumentError, match="a record has no text"):
        positions_of("next_word", lines)
