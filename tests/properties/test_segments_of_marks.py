"""Segmenter in long stretches: what is carried from segment to segment gives the cuts of the whole text."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import DEFINED, FAMILIES, Family, every_family, examples
from reference import NaiveSegment, NaiveSegmenter, SharedCuts
from segment_parts import summary

# What a stretch is made of: marks of one class and of several, what NFC changes together with them, and runs of spaces.
UNITS = (
    *("\u0301\u0323", "\u0323\u0301\u0327", "\u0301", "a\u0301\u0323", "\u0344\u0323", "\u0f71\u0f72", "\u05b0\u05bc"),
    *("\u1161\u0301", "\u1100\u1161\u11a8", "\u09be\u0301", "e\u0301", "q", " ", "\n", "7", "\u4e2d", "\u200d\u0323"),
)
units = st.sampled_from(UNITS)
PREFIX = -1


def _keeps(family: Family) -> bool:
    """Whether its tokens give back every text, or the normal form of it: then what they say tells all cuts."""
    return family.lossless or (family in DEFINED and (family.definition.get("normalizer") or {}).get("type") == "NFC")


others = st.lists(st.sampled_from([family for family in FAMILIES if _keeps(family)]), max_size=2)


@cache
def _single_bytes(family: Family) -> list[int] | None:
    """The id that says each byte alone, where every byte has one."""
    found = [family.single_bytes.get(byte) for byte in range(256)]
    return None if None in found else [n for n in found if n is not None]


@cache
def _writer(family: Family) -> Family:
    """The family itself, if its tokens can say any text, else one whose tokens can."""
    by_decoder = (family.definition.get("decoder") or {}).get("type") if family in DEFINED else None
    if _single_bytes(family) is not None and by_decoder not in ("WordPiece", "BPEDecoder"):
        return family
    return next(f for f in FAMILIES if f.name == "made_gpt2")


def _shared(group: list[Family], text: str) -> SharedCuts:
    """The cuts that all tokenizers of `group` have in a text, computed over the whole text."""
    settled, tokens = [], []
    for family in group:
        tok = family.tok
        settled.append(set(tok.settled_cuts(text) if family.certified else tok.word_boundaries(text)))
        starts = {at: index for index, at in enumerate([0, *_ends(text)])}
        cuts = cf.align([tok, tok], text).byte_boundaries.tolist()
        tokens.append({starts[at] for at in cuts if at in starts} - {0, len(text)})
    return SharedCuts(set.intersection(*settled), set.intersection(*tokens))


def _plain(segment: cf.Segment | NaiveSegment | None) -> NaiveSegment | None:
    """A segment as a plain value."""
    return summary([segment])[0] if isinstance(segment, cf.Segment) else segment


def _ends(text: str) -> list[int]:
    """Where each character ends, in bytes."""
    ends, at = [], 0
    for c in text:
        at += len(c.encode())
        ends.append(at)
    return ends


@every_family
@examples(0.3)
@given(
    start=st.lists(units, min_size=1, max_size=3),
    parts=st.lists(st.tuples(units, st.integers(1, 12)), min_size=1, max_size=4),
    rounds=st.integers(1, 4),
    lost=units,
    fork_at=st.integers(0, 40),
    group=others,
    max_bytes=st.sampled_from((16, 24, 64)),
)
def test_segments_of_a_long_stretch_are_those_of_the_ladder(
    family: Family,
    start: list[str],
    parts: list[tuple[str, int]],
    rounds: int,
    lost: str,
    fork_at: int,
    group: list[Family],
    max_bytes: int,
) -> None:
    """After a long stretch, which came in several parts, the segments are the ladder's over the whole text.

    Where a family drops text, no token tells where that was. Then the twin is a segmenter that reads the stretch at
    once.
    """
    writer = _writer(family)
    single = _single_bytes(writer)
    assert single is not None
    members = [writer, *(f for f in [family, *group] if f is not writer)]
    piece = "".join(start)
    stretch = "q" + piece * (560 // len(piece.encode()))
    segmenter = cf.Segmenter(writer.tok, [f.tok for f in members[1:]], max_bytes=max_bytes)
    segmenter.restart(stretch)
    for number in range(rounds):
        # What was generated meanwhile is lost.
        for byte in (lost * (number + 1)).encode():
            segmenter.push(single[byte])
        segmenter.restart(piece)
    committed = stretch + piece * rounds
    ids = [single[byte] for unit, count in parts for byte in (unit * count).encode()][:60]
    fresh = cf.Segmenter(writer.tok, [f.tok for f in members[1:]], max_bytes=max_bytes)
    fresh.restart(committed)
    twin: cf.Segmenter | NaiveSegmenter = fresh
    if all(map(_keeps, members)):
        twin = NaiveSegmenter(
            bytes_of=lambda n: committed.encode() if n == PREFIX else writer.tok.token_bytes(n),
            shared=lambda text: _shared(members, text),
            prompt=[PREFIX],
            drops=False,
            max_bytes=max_bytes,
        )
    for index, token_id in enumerate(ids):
        if index == fork_at:
            segmenter, first = segmenter.fork(), segmenter
            for byte in b"\xcc\x81\xcc\xa3b ":
                first.push(single[byte])
        assert _plain(segmenter.push(token_id)) == _plain(twin.push(token_id))
    while (expected := twin.finish()) is not None:
        assert _plain(segmenter.finish()) == _plain(expected)
    assert segmenter.finish() is None
