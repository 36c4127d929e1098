"""Prompts are read without BOS where they are likelier so."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Member, Request
from coolfusion.fusion.selection import PowerMean
from coolfusion.fusion.selection.weights import ByEvidence
from coolfusion.models import ForgetfulModel, ScriptedModel
from fusion_parts import BOS, END, toy

LETTERS = toy()


def moody(seed, *, prefix=(BOS,), forgetful=False):
    """A member whose rows depend on all ids, so that BOS changes every one of them."""
    readable = [*LETTERS.encode("abc "), END]

    def row(ids):
        dice, logits = random.Random(f"{seed}/{ids}"), [-9.0] * LETTERS.vocab_size
        for i in readable:
            logits[i] = dice.gauss(0.0, 2.0)
        return logits

    kind = ForgetfulModel if forgetful else ScriptedModel
    return Member(kind(row, LETTERS.vocab_size, eos_token_ids=(END,), name=f"moody{seed}"), LETTERS, tuple(prefix))


def logprob(member, ids, start):
    """Ln p of ids[start:], each given all ids before it, from the model's own rows."""
    total = 0.0
    for at in range(start, len(ids)):
        row = member.runner._logits(tuple(ids[:at]))
        total += row[ids[at]] - math.log(math.fsum(map(math.exp, row)))
    return total


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10**6), n_prefix=st.integers(1, 2), prompt=st.text("abc ", min_size=2, max_size=5))
def test_the_likelier_reading_is_kept(seed, n_prefix, prompt):
    members = [moody(seed, prefix=(BOS,) * n_prefix), moody(seed + 1)]
    fusion = Fusion(members, rule=PowerMean(1.0, ByEvidence()), prefix="likelier", drafts=0)
    output = fusion.generate(prompt, 3)
    for number, member in enumerate(members):
        text, n = list(LETTERS.encode(prompt)), len(member.prefix_ids)
        ids = [*member.prefix_ids, *text]
        with_prefix, without = logprob(member, ids, n + 1), logprob(member, text, 1)
        start = n if without > with_prefix else 0
        assert output.members[number].dropped_context == start
        assert all(step.members[number].context[0] == start for step in output.steps)
        # Scores are those of the reading that was kept.
        wanted = without if start else logprob(member, ids, n)
        score = output.members[number].prompt_score
        assert score.logprob == pytest.approx(wanted)
        assert (score.n_tokens, score.n_bytes) == (len(text) - bool(start), len(prompt) - bool(start))
        step = output.steps[0]
        for candidate, row in zip(step.candidates, step.scores, strict=True):
            context = ids[start:]
            said = [*context, *candidate.token_ids[number]]
            if not candidate.end:
                assert row[number].logprob == pytest.approx(logprob(member, said, len(context)))


@pytest.mark.parametrize("options", [{}, {"prefix": "always"}])
def test_the_prefix_stays_by_default(options):
    output = Fusion([moody(3), moody(4)], **options).generate("ab a", 3)
    assert [each.dropped_context for each in output.members] == [0, 0]


def test_ids_and_short_prompts_are_read_as_they_are():
    fusion = Fusion([moody(3)], prefix="likelier")
    ids = [BOS, *LETTERS.encode("ab a")]
    assert fusion.generate((ids,), 3).members[0].dropped_context == 0
    assert fusion.generate("a", 3).members[0].dropped_context == 0


def test_a_rerank_judges_after_the_reading_that_was_kept():
    members = [moody(seed) for seed in range(4)]
    output = Fusion(members, prefix="likelier", drafts=0).generate("abc ab", 3, rerank=True)
    starts = [each.dropped_context for each in output.members]
    assert set(starts) == {0, 1}
    fused = output.continuations[0]
    for number, (member, start) in enumerate(zip(members, starts, strict=True)):
        prompt = [BOS, *LETTERS.encode("abc ab")][start:]
        ended = [END] * (fused.finish_reason == "end")  # END is one event more
        ids = [*prompt, *LETTERS.encode(fused.text, continues=True), *ended]
        wanted = logprob(member, ids, len(prompt))
        assert fused.scores[number].logprob == pytest.approx(wanted)


def test_a_request_may_choose():
    engine = Fusion([moody(seed) for seed in range(4)]).engine
    entry = engine.open(Request(prompt="abc ab", max_new_tokens=2), prefix="likelier")
    engine.submit(entry)
    engine.step_until(lambda: entry.running.is_finished)
    assert {each.dropped_context for each in entry.running.output.members} == {0, 1}
    with pytest.raises(ArgumentError, match="prefix 'never' is unknown; expected 'always' or 'likelier'"):
        engine.open(Request(prompt="a"), prefix="never")
