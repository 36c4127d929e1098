"""Granularity: what one segment of the loop is, and what may follow it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.reference import fuse
from coolfusion.fusion.selection import PowerMean
from coolfusion.members.endings import GRANULARITIES, ending_of, may_follow
from fusion_parts import BOS, END, again, gambler, toy, writer
from reference import WHITE_SPACE, character_class

WORDS, LETTERS = toy(" cat", " sat", " the", "the", ", ", ". ", "..."), toy()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
PROSE = ' the cat, the "dog". It sat!\nThen they left, and it rained.\n'


def follows(tokenizer, ending):
    """The ids that may follow an ending, from the characters alone, and END."""
    found = [END]
    for i in range(2, tokenizer.vocab_size):
        data = tokenizer.token_bytes(i)
        text = data.decode("utf-8", "ignore")
        kind = character_class(text[0]) if text and data[0] < 0x80 else "word"
        if (kind == "space") if ending == "space" else (kind != ending):
            found.append(i)
    return sorted(found)


def chance(member, ids, among):
    """Ln of the summed probability of some ids after others, from the model's own row."""
    values = [math.exp(value) for value in member.runner._logits(tuple(ids))]
    return math.log(sum(values[i] for i in among) / sum(values))


@pytest.mark.parametrize("ending", ["space", "word", "mark"])
def test_ids_that_may_follow_an_ending(ending):
    for tokenizer in (WORDS, LETTERS):
        member = gambler(tokenizer, 1)
        assert list(member.ids_after(ending)) == follows(tokenizer, ending)
        assert all(member.may_follow(i, ending) == (i in member.ids_after(ending)) for i in range(tokenizer.vocab_size))
        assert all(member.may_follow(i, "") for i in range(tokenizer.vocab_size))


@given(text=TEXTS, after=TEXTS)
def test_what_may_follow_is_what_the_segmenter_parts(text, after):
    """Between a text and what may follow it there is a stop of the granularity, as the tests' own twin sees it."""
    left, right = character_class(text[-1]), character_class(after[0])
    ending = ending_of(text, "pre_token")
    if ord(text[-1]) in WHITE_SPACE:
        assert ending == ""
        return
    assert ending == left
    assert may_follow(after.encode(), ending) == (right != left)


@pytest.mark.slow
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10**6), granularity=st.sampled_from(GRANULARITIES), drafts=st.sampled_from([0, 2, None]))
def test_the_engine_writes_what_the_reference_writes(seed, granularity, drafts):
    """Every granularity, whatever was drafted: the text and the segments of the paper's loop as it is written."""
    members = [gambler(LETTERS, seed), gambler(LETTERS, seed + 1)]  # so that all tokens are canonical
    options = {} if drafts is None else {"drafts": drafts}
    output = Fusion([again(each) for each in members], rule="paper", granularity=granularity, **options).generate(
        "a", 40
    )
    steps = [step.text for step in output.steps[:-1]][:3]  # a budget may cut the last
    assert "".join(steps) == fuse(members, "a", len(steps), granularity)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_member_that_writes_prose_is_cut_at_its_units(granularity):
    first = writer(WORDS, "a" + PROSE, chance=0.9, name="first")
    other = writer(LETTERS, "a" + PROSE, chance=0.8, name="other")
    output = Fusion([first, other], granularity=granularity).generate("a", 100)
    assert output.text == PROSE
    segments = [step.text for step in output.steps if step.text]
    expected = {
        "word": [
            " the",
            " cat,",
            " the",
            ' "dog".',
            " It",
            " sat!",
            "\nThen",
            " they",
            " left,",
            " and",
            " it",
            " rained.",
        ],
        "phrase": [" the cat,", ' the "dog".', " It sat!", "\nThen they left,", " and it rained."],
        "sentence": [' the cat, the "dog".', " It sat!", "\nThen they left, and it rained."],
        "line": [' the cat, the "dog". It sat!', "\nThen they left, and it rained."],
    }
    expected["pre_token"] = [
        *(" the", " cat", ",", " the", ' "', "dog", '".', " It", " sat", "!", "\nThen", " they", " left", ","),
        *(" and", " it", " rained", "."),
    ]
    assert [text for text in segments if text != "\n"] == expected[granularity]


@pytest.mark.slow
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6), alternatives=st.sampled_from([0, 1]))
def test_scores_of_pre_tokens_are_those_of_the_models_own_rows(seed, alternatives):
    """An end has the mass of what may follow the candidate, a start that of what may follow the last segment."""
    members = [gambler(WORDS, seed), gambler(LETTERS, seed + 1)]
    rule = PowerMean(1.0, alternatives=alternatives)
    fusion = Fusion([again(each) for each in members], rule=rule, drafts=0, granularity="pre_token")
    output = fusion.generate("a", 12)
    for number, member in enumerate(members):
        ids, before = [BOS, *member.tokenizer.encode("a")], ""
        for step in output.steps:
            for candidate, row in zip(step.candidates, step.scores, strict=True):
                score, ending = row[number], ending_of(candidate.text, "pre_token")
                starts = follows(member.tokenizer, before) if before else None
                assert (score.start_logprob is None) == (starts is None)
                if starts:
                    assert score.start_logprob == pytest.approx(chance(member, ids, starts))
                    assert candidate.end or may_follow(candidate.text.encode(), before)
                if candidate.whole and ending:
                    after = [*ids, *candidate.token_ids[number]]
                    wanted = chance(member, after, follows(member.tokenizer, ending))
                    assert score.boundary_logprob == pytest.approx(wanted)
            winner = step.candidates[step.winner]
            before = ending_of(winner.text, "pre_token") if winner.whole else ""
            ids += winner.token_ids[number]


def test_a_whole_prompt_is_not_continued_inside_its_word():
    short = writer(WORDS, lambda text: " sat", chance=0.6, name="short")
    long = writer(WORDS, lambda text: "s", chance=0.9, name="long")

    def first(**options):
        engine = Fusion([again(short), again(long)], rule="paper").engine
        entry = engine.open(Request(prompt="the cat", max_new_tokens=4, **options))
        engine.submit(entry)
        engine.step_until(lambda: entry.running.is_finished)
        return {candidate.text for candidate in entry.running.steps[0].candidates}

    assert any(text[:1] == "s" for text in first())
    assert all(not text or text[0].isspace() for text in first(whole_prompt=True))


def test_bad_values_are_refused():
    with pytest.raises(ArgumentError, match="granularity 'letter' is unknown; expected None or 'word' or"):
        Fusion([gambler(LETTERS, 1)], granularity="letter")
    with pytest.raises(ArgumentError, match="whole_prompt must be True or False, not 1"):
        Request(prompt="a", whole_prompt=1)
    for value in ("letter", ""):
        with pytest.raises(ArgumentError, match="granularity"):
            Fusion([gambler(LETTERS, 1)]).engine.open(Request(prompt="a"), granularity=value)
