"""Where control tokens of a rendered template are found: the tree of their characters beside a plain list of them."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from coolfusion.chat.encoding import pattern_of


def listed(strips):
    """The slow twin: each token is tried at each place, the longest first."""
    parts = []
    for content in sorted(strips, key=len, reverse=True):
        before, after = (r"\s*" if each else "" for each in strips[content])
        parts.append(f"{before}({re.escape(content)}){after}")
    return re.compile("|".join(parts))


TOKENS = st.dictionaries(
    st.text("<a|> ", min_size=1, max_size=5), st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6
)


@st.composite
def cases(draw):
    """Tokens, and a text with many of them."""
    strips = draw(TOKENS)
    pieces = st.lists(st.sampled_from([*strips, " ", "\n", "<", "a"]), max_size=8)
    return strips, "".join(draw(pieces))


@given(cases())
@example(({" <": (False, False), "<ab": (True, False)}, " <ab"))
@example(({"<a": (True, True), "<ab": (False, False)}, " <ab <a "))
def test_the_tree_finds_what_the_list_finds(case):
    strips, text = case
    pattern, tokens = pattern_of(strips)
    found = [(hit.span(), tokens[hit.lastindex - 1]) for hit in pattern.finditer(text)]
    assert found == [(hit.span(), hit[hit.lastindex]) for hit in listed(strips).finditer(text)]


def test_a_run_of_white_space_is_read_once():
    """Only the begin of a run is tried, so a text of spaces does not cost its square."""
    pattern, _ = pattern_of({"<mask>": (True, False), "<b>": (False, True)})
    assert pattern.pattern.count(r"\s+") == pattern.pattern.count(r"(?<!\s)\s+") == 1
    assert [hit.span() for hit in pattern.finditer("a  <mask> <b> \t<mask>")] == [(1, 9), (10, 15), (15, 21)]


def test_no_tokens_are_no_pattern():
    assert pattern_of({}) == (None, [])


def test_many_tokens_are_one_tree():
    """A text is not tried with each of many tokens: their common beginning stands in the pattern once."""
    pattern, tokens = pattern_of({f"<|reserved_{number}|>": (False, False) for number in range(256)})
    assert pattern.pattern.count("reserved") == 1 and sorted(set(tokens)) == sorted(tokens) and len(tokens) == 256
