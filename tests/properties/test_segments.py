"""Segmenter: segments end where every tokenizer can follow, in the order of the ladder, and lose nothing."""

from __future__ import annotations

import unicodedata
from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import coolfusion as cf
from fixtures import DEFINED, Family, every_family, examples, sayable
from reference import NaiveSegmenter
from segment_parts import KEEPING, run, shared_cuts, summary
from strategies import broken_bytes, texts

GRANULARITIES = ("word", "pre_token", "phrase", "sentence", "line")
LEVELS = ("word", "pre_token", "token", "code_point", "rest", "end")

others = st.lists(st.sampled_from(KEEPING), max_size=3)


@cache
def _written(family: Family) -> list[int]:
    return [n for n in family.known if n not in family.controls and family.tok.token_bytes(n)]


def generated(family: Family) -> st.SearchStrategy[list[int]]:
    """Ids that a model may write: canonical text, the same text in other tokens, ill-formed bytes; no control token."""
    known, single = _written(family), family.single_bytes
    canonical = texts(4).map(lambda text: [n for n in family.tok.encode(text) if n not in family.controls])
    in_bytes = texts(1).map(lambda text: [single[byte] for byte in text.encode() if byte in single])
    ill_formed = broken_bytes.map(lambda data: [single[byte] for byte in data if byte in single])
    any_ids = st.lists(st.integers(0, len(known) - 1), max_size=3).map(lambda found: [known[n] for n in found])
    parts = st.lists(st.one_of(canonical, canonical, in_bytes, ill_formed, any_ids), max_size=3)
    return parts.map(lambda lists: [n for ids in lists for n in ids])


@every_family
@examples(0.5)
@given(data=st.data(), group=others, max_bytes=st.sampled_from((16, 32, 128)))
def test_segments_lose_nothing(family: Family, data: st.DataObject, group: list[Family], max_bytes: int) -> None:
    """Segments concatenate to the decoded text, their ids to the pushed ids, and each is at least one byte.

    Without a token there is no segment, even where the prompt ended inside a character; tokens that say nothing (a
    dummy prefix alone) are a segment without text if there is no text at all.
    """
    prompt = data.draw(generated(family))
    ids = data.draw(generated(family))
    controls = sorted(family.controls)
    end = data.draw(st.lists(st.sampled_from(controls), max_size=1)) if controls else []
    options = {"max_bytes": max_bytes, "granularity": data.draw(st.sampled_from(GRANULARITIES))}
    segmenter = cf.Segmenter(family.tok, [f.tok for f in group], prompt, end_ids=controls, **options)
    segments = run(segmenter, [*ids, *end])
    decoder = cf.StreamDecoder(family.tok, prompt)
    text = "".join(decoder.push(n) for n in ids) + (decoder.flush() if ids else "")
    assert "".join(segment.text for segment in segments) == text
    assert [n for segment in segments for n in segment.token_ids] == [*ids, *end]
    for segment in segments:
        assert segment.level in LEVELS
        assert segment.end == (segment.level == "end")
        if segment.end:
            assert (segment.text, segment.token_ids, segment) == ("", end, segments[-1])
        elif text:
            assert segment.text
    assert any(segment.end for segment in segments) == bool(end)


@every_family
@examples(0.5)
@given(data=st.data(), group=others, max_bytes=st.sampled_from((16, 17, 64)))
def test_segments_are_short(family: Family, data: st.DataObject, group: list[Family], max_bytes: int) -> None:
    """At most `max_bytes` bytes, unless no shorter stretch of whole characters and generated tokens exists."""
    ids = data.draw(generated(family)) + data.draw(generated(family))
    decoder, length, ends = cf.StreamDecoder(family.tok), 0, [0]
    for token_id in ids:
        length += len(decoder.push(token_id).encode())
        # Where a token ends inside a character there is no cut.
        ends.append(length if decoder.fork().flush() == "" else -1)
    first = start = 0
    for segment in run(cf.Segmenter(family.tok, [f.tok for f in group], max_bytes=max_bytes), ids):
        last = first + len(segment.token_ids)
        if len(segment.text.encode()) > max_bytes:
            assert not [end for end in ends[first + 1 : last] if start < end <= start + max_bytes]
        first, start = last, start + len(segment.text.encode())


@examples(5)
@given(
    data=st.data(),
    family=st.sampled_from(KEEPING),
    group=others,
    max_bytes=st.sampled_from((16, 24, 64)),
    with_prompt=st.booleans(),
    granularity=st.sampled_from(GRANULARITIES),
)
def test_segments_are_those_of_the_ladder(
    data: st.DataObject, family: Family, group: list[Family], max_bytes: int, with_prompt: bool, granularity: str
) -> None:
    """The ladder word > pre-token > token > code point over the whole text: the same segments at the same pushes."""
    everyone = [family, *group]
    prompt = family.tok.encode(sayable(data.draw(texts(3)))) if with_prompt else []
    ids = data.draw(generated(family))
    written = family.tok.decode(prompt + ids)
    # Characters that Unicode has given out since have other properties in the twin's tables than in the core's.
    assume(written == sayable(written) and all(unicodedata.category(c) != "Cn" for c in written))
    controls = family.controls
    naive = NaiveSegmenter(
        bytes_of=lambda n: None if n in controls else family.tok.token_bytes(n),
        shared=shared_cuts(everyone),
        prompt=prompt,
        drops=family.described["decode_drops_first_space"],
        max_bytes=max_bytes,
        granularity=granularity,
    )
    options = {"max_bytes": max_bytes, "granularity": granularity}
    segmenter = cf.Segmenter(family.tok, [f.tok for f in group], prompt, **options)
    for token_id in ids:
        found, expected = segmenter.push(token_id), naive.push(token_id)
        assert summary([found] if found else []) == ([expected] if expected else [])
    while (expected := naive.finish()) is not None:
        found = segmenter.finish()
        assert found is not None
        assert summary([found]) == [expected]
    assert segmenter.finish() is None


@every_family
@examples(0.3)
@given(data=st.data(), group=others)
def test_segments_do_not_depend_on_the_order(family: Family, data: st.DataObject, group: list[Family]) -> None:
    """The order of `align_with`, repetitions in it and the writer's own tokenizer in it change nothing."""
    ids = data.draw(generated(family))
    aligned = [f.tok for f in group]
    expected = summary(run(cf.Segmenter(family.tok, aligned, max_bytes=32), ids))
    shuffled = data.draw(st.permutations([*aligned, *aligned, family.tok]))
    assert summary(run(cf.Segmenter(family.tok, shuffled, max_bytes=32), ids)) == expected


@every_family
@examples(0.3)
@given(data=st.data(), group=others)
def test_words_end_at_word_boundaries_of_everybody(family: Family, data: st.DataObject, group: list[Family]) -> None:
    """A segment of level "word" ends at a word boundary of every tokenizer in the text as it was known by then."""
    ids = data.draw(generated(family))
    segmenter = cf.Segmenter(family.tok, [f.tok for f in group])
    decoder = cf.StreamDecoder(family.tok)
    known, done = "", 0
    for token_id in ids:
        known += decoder.push(token_id)
        segment = segmenter.push(token_id)
        if segment is None:
            continue
        done += len(segment.text)
        if segment.level == "word":
            assert known[done].isspace()
            for other in (family, *group):
                if other.lossless and other.certified and known == sayable(known):
                    assert other.reference.unsettling_suffix(known, done, ("", "x", " ", "\n", "'s")) is None


@examples(3)
@given(text=texts(5), writer=st.sampled_from(KEEPING), group=st.lists(st.sampled_from(KEEPING), min_size=1, max_size=3))
def test_every_member_can_say_every_segment(text: str, writer: Family, group: list[Family]) -> None:
    """Committed one by one, the segments are the same text in the tokens of every tokenizer."""
    text = sayable(text)
    segments = run(cf.Segmenter(writer.tok, [f.tok for f in group], max_bytes=32), writer.tok.encode(text))
    for family in (writer, *group):
        encoder = cf.StreamEncoder(family.tok)
        said = ""
        for segment in segments:
            edit = encoder.push(segment.text)
            said += segment.text
            assert edit.lossless
            assert family.tok.decode_bytes(encoder.ids) == said.encode()


@every_family
@examples(0.3)
@given(data=st.data(), group=others)
def test_restart_goes_on_after_what_was_committed(family: Family, data: st.DataObject, group: list[Family]) -> None:
    """`restart(text)` forgets what was pending; after it, segments are those of a segmenter that begins there."""
    aligned = [f.tok for f in group]
    committed = sayable(data.draw(texts(3, min_pieces=1))) or " "
    lost, ids = data.draw(generated(family)), data.draw(generated(family))
    restarted = cf.Segmenter(family.tok, aligned, max_bytes=32)
    for token_id in lost:
        restarted.push(token_id)
    restarted.restart(committed)
    # Tokens after text that other members wrote: no dummy space is dropped any more.
    segments = run(restarted, ids)
    decoder = cf.StreamDecoder(family.tok, _written(family)[:1])
    decoder.flush()
    data_bytes = b"".join(family.tok.token_bytes(n) for n in ids)
    written = "".join(segment.text for segment in segments)
    # A BPEDecoder parts words by spaces that no token holds.
    if family in DEFINED and (family.definition.get("decoder") or {}).get("type") == "BPEDecoder":
        written, data_bytes = written.replace(" ", ""), data_bytes.replace(b" ", b"")
    assert written == data_bytes.decode("utf-8", "replace")
    assert [n for segment in segments for n in segment.token_ids] == ids
    fresh = cf.Segmenter(family.tok, aligned, max_bytes=32)
    fresh.restart(committed)
    assert summary(run(fresh, ids)) == summary(segments)
    if family.lossless and family.tok.decode(family.tok.encode(committed)) == committed:
        after = cf.Segmenter(family.tok, aligned, family.tok.encode(committed), max_bytes=32)
        assert summary(run(after, ids)) == summary(segments)


@every_family
@examples(0.2)
@given(data=st.data(), group=others)
def test_a_fork_goes_its_own_way(family: Family, data: st.DataObject, group: list[Family]) -> None:
    """`fork` copies: the copy may end and restart, the original goes on as if it were alone."""
    ids = data.draw(generated(family))
    cut = data.draw(st.integers(0, len(ids)))
    aligned = [f.tok for f in group]
    segmenter = cf.Segmenter(family.tok, aligned)
    head = [segment for n in ids[:cut] if (segment := segmenter.push(n)) is not None]
    copy = segmenter.fork()
    run(copy, _written(family)[:9])
    copy.restart("something else ")
    assert summary([*head, *run(segmenter, ids[cut:])]) == summary(run(cf.Segmenter(family.tok, aligned), ids))


PROSE = (
    'He went into the garage, and said: "Where\'s Tom?" (It cost $3.50 in the well-known shop.)\n\nNext day... "No!"'
    " \u4f60\u597d\uff0c\u518d\u89c1\u3002\u300c\u597d\u3002\u300d End.\r\nA line; and more"
)


NAMES = ("gpt2", "llama2", "llama3", "gemma", "qwen", "falcon", "deepseek", "tekken")
COMMON = [f for f in KEEPING if f.name.removeprefix("made_") in NAMES]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("family", COMMON, ids=lambda family: family.name)
def test_prose_is_cut_where_a_granularity_wants(family: Family, granularity: str) -> None:
    """Units of prose, for every tokenizer alone: the twin's segments, and more than one that is whole."""
    text = sayable(PROSE)
    controls = family.controls
    naive = NaiveSegmenter(
        bytes_of=lambda n: None if n in controls else family.tok.token_bytes(n),
        shared=shared_cuts([family]),
        prompt=[],
        drops=family.described["decode_drops_first_space"],
        max_bytes=256,
        granularity=granularity,
    )
    expected = []
    for token_id in family.tok.encode(text):
        found = naive.push(token_id)
        expected += [found] if found else []
    while (found := naive.finish()) is not None:
        expected.append(found)
    segmenter = cf.Segmenter(family.tok, max_bytes=256, granularity=granularity)
    assert summary(run(segmenter, family.tok.encode(text))) == expected
    assert sum(segment.whole for segment in expected) > 1
