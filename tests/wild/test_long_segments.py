"""Segmenters on long stretches without settled cuts: the ladder over the whole text is the twin.

Such stretches are carried from push to push from 512 bytes on, so the text before the pushes is that long.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import Family, examples, sayable
from reference import NaiveSegmenter
from segment_parts import KEEPING, run, shared_cuts, summary

RUNS = (
    *(" ", "a", "=", "中", "\n", "7", "ab", "a\u0301", "가", "\u1100\u1161", "▁", "\u0301", "-=", "\n ", "xyzw", "é"),
    *("\u1161", "🇩🇪", "👩\u200d", "e\u0301", "\ufb01", "\x00", "\u200d"),
)
others = st.lists(st.sampled_from(KEEPING), max_size=2)
# A long run, then some other things, then perhaps the run again.
turns = st.lists(st.tuples(st.sampled_from((*RUNS, " a", ". ", "q")), st.integers(1, 30)), max_size=4)


def written(family: Family, data: st.DataObject) -> tuple[str, str]:
    """A long text, and what follows it; both can be said by ``family``, and the twin knows their characters."""
    part = data.draw(st.sampled_from(RUNS))
    # The run of the prompt may be one that the tokenizers carry, or end a little before they begin.
    prompt = (part * 700)[: data.draw(st.sampled_from((500, 530)))]
    more = (part * 60)[:60] + "".join(piece * count for piece, count in data.draw(turns))
    assume(sayable(prompt + more) == prompt + more)
    assume(all(unicodedata.category(c) != "Cn" for c in more))
    return prompt, more


@examples(0.1)
@given(
    data=st.data(),
    family=st.sampled_from(KEEPING),
    group=others,
    max_bytes=st.sampled_from((16, 32)),
    apart=st.booleans(),
)
def test_segments_are_those_of_the_ladder(
    data: st.DataObject, family: Family, group: list[Family], max_bytes: int, apart: bool
) -> None:
    """The same segments at the same pushes, in canonical tokens or a character at a time."""
    prompt, more = written(family, data)
    before = family.tok.encode(prompt)
    ids = [n for c in more for n in family.tok.encode(c)] if apart else list(family.tok.encode(more))
    controls = family.controls
    assume(controls.isdisjoint(ids) and controls.isdisjoint(before))
    whole = family.tok.decode(list(before) + ids)
    assume(all(f.tok.represents(whole) for f in (family, *group)))
    naive = NaiveSegmenter(
        bytes_of=lambda n: None if n in controls else family.tok.token_bytes(n),
        shared=shared_cuts([family, *group]),
        prompt=before,
        drops=family.described["decode_drops_first_space"],
        max_bytes=max_bytes,
    )
    segmenter = cf.Segmenter(family.tok, [f.tok for f in group], before, max_bytes=max_bytes)
    for token_id in ids[:20]:
        found, expected = segmenter.push(token_id), naive.push(token_id)
        assert summary([found] if found else []) == ([expected] if expected else [])


@pytest.mark.parametrize("family", KEEPING, ids=repr, scope="session")
@examples(0.2)
@given(data=st.data(), group=others, max_bytes=st.sampled_from((16, 32)))
def test_restarts_on_a_long_stretch(family: Family, data: st.DataObject, group: list[Family], max_bytes: int) -> None:
    """Each restart takes back what was pushed: the next segment is that of a segmenter that begins there."""
    prompt, more = written(family, data)
    aligned = [f.tok for f in group]
    segmenter = cf.Segmenter(family.tok, aligned, max_bytes=max_bytes)
    segmenter.restart(prompt)
    committed = prompt
    ids = [n for n in family.tok.encode(more, continues=True) if n not in family.controls]
    while ids:
        found = next((segment for n in ids if (segment := segmenter.push(n)) is not None), None)
        fresh = cf.Segmenter(family.tok, aligned, max_bytes=max_bytes)
        fresh.restart(committed)
        expected = next((segment for n in ids if (segment := fresh.push(n)) is not None), None)
        assert summary([found] if found else []) == summary([expected] if expected else [])
        if found is None:
            break
        ids = ids[len(found.token_ids) :]
        # What another tokenizer would have said may be committed instead.
        text = data.draw(st.sampled_from((found.text, found.text, found.text[:-1], data.draw(st.sampled_from(RUNS)))))
        segmenter.restart(text)
        committed += text
        if data.draw(st.booleans()):
            segmenter = segmenter.fork()
    assert summary(run(segmenter.fork(), ids)) == summary(run(segmenter, ids))
