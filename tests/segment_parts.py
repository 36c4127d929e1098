"""Parts of the tests of segmenters: running one, and the cuts that several tokenizers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import coolfusion as cf
from fixtures import FAMILIES, Family
from reference import NaiveSegment, SharedCuts

# Families whose encoder keeps every text: for these a segment means the same to everybody.
KEEPING = [family for family in FAMILIES if family.lossless]


def run(segmenter: cf.Segmenter, ids: Sequence[int]) -> list[cf.Segment]:
    """All segments of ``ids``, with what `finish` gives at the end."""
    segments = [segment for token_id in ids if (segment := segmenter.push(token_id)) is not None]
    while (segment := segmenter.finish()) is not None:
        segments.append(segment)
    assert segmenter.finish() is None
    return segments


def summary(segments: Sequence[cf.Segment]) -> list[NaiveSegment]:
    """Segments as plain values."""
    return [NaiveSegment(s.text, tuple(s.token_ids), s.end, s.level, s.whole) for s in segments]


def shared_cuts(group: Sequence[Family]) -> Callable[[str], SharedCuts]:
    """The cuts that all tokenizers of `group` have in a text, computed over the whole text."""

    def cuts(text: str) -> SharedCuts:
        settled = [
            set(family.tok.settled_cuts(text) if family.certified else family.tok.word_boundaries(text))
            for family in group
        ]
        tokens = []
        for family in group:
            ends, decoder = set(), cf.StreamDecoder(family.tok)
            reached = ""
            for token_id in family.tok.encode(text):
                reached += decoder.push(token_id)
                if decoder.fork().flush() == "":
                    ends.add(len(reached))
            assert reached == text
            tokens.append(ends)
        return SharedCuts(set.intersection(*settled), set.intersection(*tokens))

    return cuts
