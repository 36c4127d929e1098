"""Traces come back as they were written, whatever the texts and the numbers are, and a broken file is never misread."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.records import (
    Candidate,
    Continuation,
    Criterion,
    FinishReason,
    MemberOutput,
    MemberStep,
    Origin,
    Output,
    Rejection,
    RejectionReason,
    Score,
    Seconds,
    Standing,
    Step,
)
from coolfusion.traces import TraceWriter, parse_traces, read_trace, read_traces
from coolfusion.traces.plain import from_plain, to_plain

HOSTILE = ["\ud800", "\udfff", "\x00", "\x1b[2J", "\r\n", "\u2028", "</script>", '"\\', "\u202e", "\U0001f600", "-inf"]
# A high surrogate before a low one is their character in JSON, so such a pair is joined here.
TEXTS = st.lists(st.text(st.characters(exclude_categories=()), max_size=4) | st.sampled_from(HOSTILE), max_size=3).map(
    lambda parts: "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1])
HUGE = st.integers() | st.integers(min_value=10**300, max_value=10**4000)
COUNTS = st.integers(min_value=0) | st.just(2**63)
IDS = st.lists(COUNTS, max_size=3)
SCORES = st.builds(Score, FLOATS, COUNTS, COUNTS, st.none() | FLOATS, st.none() | FLOATS)
PLAIN = st.recursive(
    st.none() | st.booleans() | HUGE | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def tuples(of, size):
    return st.lists(of, min_size=size, max_size=size).map(tuple)


def rejections(members):
    return st.builds(
        Rejection, TEXTS, st.lists(members).map(tuple), members, st.sampled_from(get_args(RejectionReason)), TEXTS
    )


@st.composite
def steps(draw, index, n_members):
    n, members = draw(st.integers(1, 3)), st.integers(0, n_members - 1)
    authors = st.sets(members, min_size=1).map(sorted).map(tuple)
    candidates = st.builds(
        Candidate,
        TEXTS,
        st.booleans(),
        authors,
        tuples(IDS.map(tuple), n_members),
        tuples(st.booleans(), n_members),
        st.booleans(),
    )
    costs = st.builds(MemberStep, st.tuples(COUNTS, COUNTS), COUNTS, COUNTS, st.booleans())
    return Step(
        index,
        draw(TEXTS),
        draw(st.integers(0, n - 1)),
        draw(tuples(candidates, n)),
        draw(tuples(tuples(SCORES, n_members), n)),
        draw(tuples(FLOATS, n)),
        draw(FLOATS),
        draw(st.lists(members, max_size=2).map(tuple)),
        draw(st.lists(rejections(members), max_size=2).map(tuple)),
        draw(tuples(costs, n_members)),
        Seconds(*draw(tuples(st.floats(0, 10), 4))),
        draw(st.just(()) | tuples(FLOATS, n_members)),
        draw(st.none() | members),
        draw(st.just(()) | tuples(FLOATS, n)),
    )


@st.composite
def outputs(draw, others=True):
    n_members = draw(st.integers(1, 3))
    members = st.integers(0, n_members - 1)
    written = [draw(steps(index, n_members)) for index in range(draw(st.integers(0, 3)))]
    held = st.builds(
        MemberOutput, TEXTS, IDS, IDS, COUNTS, COUNTS, COUNTS, COUNTS, st.none() | TEXTS, st.none() | SCORES
    )
    reasons = st.sampled_from([None, *get_args(FinishReason)])
    continuations = st.builds(
        Continuation,
        st.just("fusion") | members,
        TEXTS,
        st.sampled_from(get_args(FinishReason)),
        tuples(SCORES, n_members),
        FLOATS,
        st.none() | rejections(members),
        IDS.map(tuple),
        st.none() | COUNTS,
        IDS.map(tuple),
        st.none() | TEXTS,
        FLOATS,
        FLOATS,
        st.sampled_from(get_args(Standing)),
        COUNTS,
        st.sampled_from([None, *get_args(Criterion)]),
    )
    prompts = TEXTS | tuples(st.none() | TEXTS, n_members)
    origins = st.builds(
        Origin,
        st.none() | prompts,
        TEXTS,
        st.none() | st.dictionaries(TEXTS, PLAIN),
        st.dictionaries(TEXTS, PLAIN),
        st.none() | st.lists(st.dictionaries(TEXTS, PLAIN), max_size=2).map(tuple),
    )
    return Output(
        draw(TEXTS),
        tuple(written),
        draw(reasons),
        draw(tuples(held, n_members)),
        draw(st.lists(rejections(members), max_size=2).map(tuple)),
        draw(st.just("fusion") | members),
        draw(st.lists(continuations, max_size=2).map(tuple)),
        draw(st.none() | TEXTS),
        draw(st.just(()) | tuples(TEXTS, n_members)),
        notes=draw(st.lists(TEXTS, max_size=2).map(tuple)),
        seed=draw(st.none() | HUGE),
        others=tuple(draw(st.lists(outputs(others=False), max_size=2))) if others else (),
        origin=draw(st.none() | origins),
    )


def spelled(value):
    """Everything that a value holds, with the types; nan equals itself here, and 0.0 is not -0.0."""
    if isinstance(value, dict):
        return {name: spelled(each) for name, each in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return type(value), {each.name: spelled(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return type(value), [spelled(each) for each in value]
    return type(value), hex(value) if isinstance(value, int) else repr(value)


@given(outputs(), st.none() | st.floats(0, 1e9))
def test_an_output_comes_back_as_it_was(output, seconds):
    text = output.to_trace(seconds)
    assert text.isascii() and text.count("\n") == sum(2 + len(each.steps) for each in output.choices)
    for line in text.splitlines():
        json.loads(line, parse_constant=pytest.fail)  # strict JSON knows no NaN
    [trace] = parse_traces(text)
    assert spelled(trace.output) == spelled(output)
    assert trace.problem is None
    assert trace.names == tuple(member.name for member in output.members)
    if seconds is not None:
        assert trace.seconds == seconds


@given(outputs(others=False), outputs(others=False), st.data())
def test_a_file_that_was_cut_off_anywhere_gives_what_it_holds(first, second, data):
    """Every prefix that holds a whole head gives a beginning of the texts, and says what is missing."""
    text = first.to_trace() + second.to_trace()
    size = data.draw(st.integers(0, len(text) - 1))
    if size < text.index("\n"):
        with pytest.raises(ArgumentError, match=r"line 1: no JSON|is empty"):
            parse_traces(text[:size])
        return
    found = parse_traces(text[:size])
    for trace, whole in zip(found, (first, second), strict=False):
        assert spelled(trace.output.steps) == spelled(whole.steps[: len(trace.output.steps)])
        assert spelled(trace.output.origin) == spelled(whole.origin)
    whole_lines = text[:size].count("\n")
    of_first = 2 + len(first.steps)
    # A line that lacks nothing but its line break counts.
    whole_lines += text[size] == "\n"
    assert len(found) == (1 if whole_lines <= of_first else 2)
    assert [trace.problem is None for trace in found][:-1] == [True] * (len(found) - 1)
    ends = whole_lines == of_first or whole_lines == of_first + 2 + len(second.steps)
    cut = text[size - 1] != "\n" and text[size] != "\n"
    assert (found[-1].problem is None) == (ends and not cut)
    if cut:
        assert f"line {whole_lines + 1} was cut off after " in found[-1].problem


@given(outputs(), st.data())
def test_a_line_that_is_changed_is_read_as_it_stands_or_refused_with_its_number(output, data):
    lines = output.to_trace().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    position = data.draw(st.integers(0, len(lines[at]) - 1))
    lines[at] = lines[at][:position] + data.draw(st.sampled_from('x"0]}{[,\x00')) + lines[at][position + 1 :]
    try:
        parse_traces("\n".join(lines) + "\n", "run.jsonl")
    except ArgumentError as err:
        assert str(err).startswith(f"run.jsonl, line {at + 1}: ") or "names; expected those of the head" in str(err)
        assert "expected" in str(err)


@given(st.lists(outputs(), min_size=1, max_size=2))
def test_a_file_holds_several_texts(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("traces") / "run.jsonl"
    with TraceWriter(path) as writer:
        for output in found:
            if output.others:
                writer.write(output)
                continue
            writer.begin([member.name for member in output.members], output.origin)
            for step in output.steps:
                writer.step(step)
            writer.end(output, 1.5)
    assert [spelled(trace.output) for trace in read_traces(path)] == [spelled(output) for output in found]
    if len(found) == 1:
        assert spelled(read_trace(path).output) == spelled(found[0])
    else:
        with pytest.raises(ArgumentError, match=rf"holds {len(found)} texts; expected one"):
            read_trace(path)


@pytest.mark.parametrize("kind", [Score, Candidate, Rejection, Seconds, MemberStep, Step, MemberOutput, Continuation])
def test_plain_values_of_another_kind_are_refused(kind):
    for value in (None, 3, "text", [], {"unknown": 1}):
        with pytest.raises(ArgumentError, match="expected"):
            from_plain(kind, value)


def test_plain_values_are_what_they_were():
    score = Score(-1.0, 3)
    assert from_plain(Score, to_plain(score)) == score
    assert from_plain(Output, to_plain(replace(Output("a", (), None, ()), error="b"))).error == "b"
