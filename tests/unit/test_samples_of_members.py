"""Samples of a rerank: how they are drawn, when a vote needs no more of them, and what they do not depend on."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion import FusionEngine, Request, Rerank
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.voting import leads
from coolfusion.members.sampling import draw
from coolfusion.models import ForgetfulModel
from fusion_parts import BOS, again, gambler, plain_sample
from rerank_parts import LETTERS, cast, drawn, gamblers, same

SLOW = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])


def test_every_member_draws_its_samples_in_the_order_of_rounds():
    output = Fusion(gamblers()).generate("a", 6, rerank=Rerank(samples=3), seed=5)
    assert [(each.sample, each.author) for each in drawn(output)] == [(n, j) for n in range(3) for j in range(2)]
    assert len({each.text for each in drawn(output)}) > 2
    for each in drawn(output):
        assert each.rejected is not None or len(each.scores) == 2


def plain(member, prompt, seed, budget, temperature, top_p):
    """An ordinary sample of one member, with the numbers of one seed in turn, without the library's draw."""
    dice = random.Random(seed)
    ids = [BOS, *member.tokenizer.encode(prompt)]
    return plain_sample(member, ids, lambda _: dice.random(), budget, temperature, top_p)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.5, 0.8), (0.3, 0.5)])
def test_a_sample_is_drawn_from_the_members_own_probabilities(temperature, top_p):
    options = Rerank(samples=2, temperature=temperature, top_p=top_p)
    output = Fusion(gamblers(3)).generate("a", 6, rerank=options, seed=11)
    twins = gamblers(3)
    for each in drawn(output):
        ids, end = plain(twins[each.author], "a", f"11/{each.author}/{each.sample}", 6, temperature, top_p)
        assert each.text == twins[each.author].tokenizer.decode(ids)
        assert each.finish_reason == ("end" if end else "length")
        own = len(ids) + end
        assert each.rejected is not None or each.scores[each.author].n_tokens == own


@given(st.integers(0, 1000), st.integers(1, 3))
@SLOW
def test_the_same_seed_gives_the_same_samples_whatever_else_is_written(seed, most):
    options = Rerank(samples=2, vote=True, answer=lambda text: text.strip()[:1])
    prompts = ["a", "the cat", "q", "a"]
    engine = FusionEngine([again(each) for each in gamblers(seed)], max_concurrent_requests=most)
    numbers = [engine.add(Request(prompt=p, max_new_tokens=5, rerank=options, seed=seed)) for p in prompts]
    outputs = {event.request_id: event.output for event in _events(engine) if event.output is not None}
    for number, prompt in zip(numbers, prompts, strict=True):
        same(outputs[number], Fusion(gamblers(seed), drafts=0).generate(prompt, 5, rerank=options, seed=seed))
    other = Fusion(gamblers(seed)).generate("a", 5, rerank=Rerank(samples=2), seed=seed + 1)
    assert [each.text for each in drawn(other)] != [each.text for each in drawn(outputs[numbers[0]])] or seed < 0


def _events(engine):
    while engine.has_unfinished:
        yield from engine.step()


def test_a_model_without_a_cache_draws_the_same():
    options = Rerank(samples=2)
    twins = [Member(ForgetfulModel(each.runner), each.tokenizer, each.prefix_ids, each.name) for each in gamblers()]
    expected = Fusion(gamblers()).generate("a", 6, rerank=options, seed=2)
    same(Fusion(twins).generate("a", 6, rerank=options, seed=2), expected)


def test_stop_strings_cut_samples_exactly():
    members = gamblers(8)
    free = Fusion(gamblers(8)).generate("a", 12, rerank=Rerank(samples=4), seed=1)
    stop = "e"
    output = Fusion(members).generate("a", 12, rerank=Rerank(samples=4), seed=1, stop_strings=stop)
    stopped = 0
    for each, whole in zip(drawn(output), drawn(free), strict=True):
        if stop in whole.text:
            assert (each.text, each.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
            stopped += 1
        else:
            assert (each.text, each.finish_reason) == (whole.text, whole.finish_reason)
    assert 0 < stopped < len(drawn(output))


def test_a_context_that_is_too_long_for_a_sample_is_cut_as_in_a_generation():
    members = [gambler(LETTERS, 4, limit=8)]
    output = Fusion(members).generate("a cat", 20, rerank=Rerank(samples=2), seed=3)
    assert any(len(each.text) > 8 for each in drawn(output))


def test_an_undecided_vote_draws_all_rounds_and_a_decided_one_none():
    vote = {"vote": True, "answer": "number", "samples": 3}
    sure = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(**vote))
    assert drawn(sure) == [] and leads(4, 0) >= 0.95
    never = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(**vote, stop_at=None, temperature=0.05))
    # Seven votes are cast after one round, and the six that are left cannot turn them.
    assert len(drawn(never)) == 3
    open_ = Fusion(cast(" 7", " 8")).generate("a", 8, rerank=Rerank(**vote, temperature=0.05))
    assert len(drawn(open_)) == 6
    plain = Fusion(cast(" 7", " 7", " 7")).generate("a", 8, rerank=Rerank(samples=2))
    assert len(drawn(plain)) == 6, "without a vote nothing says when it is enough"


def test_rounds_stop_where_the_records_say_so():
    """The twin counts the ballots after each round again."""
    options = Rerank(vote=True, answer=lambda text: text.strip()[:1], samples=6, temperature=1.0, stop_at=0.8)
    stopped = set()
    for seed in range(12):
        output = Fusion(gamblers(2)).generate("a", 4, rerank=options, seed=seed)
        rounds = max((each.sample for each in drawn(output)), default=-1) + 1
        for after in range(rounds + 1):
            votes: dict[str, int] = {}
            for each in output.continuations:
                if each.answer and each.rejected is None and (each.sample is None or each.sample < after):
                    votes[each.answer] = votes.get(each.answer, 0) + 1
            first, second, *_ = [*sorted(votes.values(), reverse=True), 0, 0]
            enough = leads(first, second) >= 0.8 or first > second + 2 * (6 - after)
            assert enough == (after == rounds) or (after == rounds == 6), (seed, after, votes)
        stopped.add(rounds)
    assert len(stopped) > 1


def test_the_number_at_which_a_draw_passes():
    row = [math.log(p) for p in (0.1, 0.4, 0.3, 0.2)]
    assert [draw(row, set(), 1.0, 1.0, n / 10 + 0.05) for n in range(10)] == [1, 1, 1, 1, 2, 2, 2, 3, 3, 0]
    assert {draw(row, {1}, 1.0, 0.4, n / 10) for n in range(10)} == {2}
    assert draw([math.nan, 1.0], set(), 1.0, 1.0, 0.5) is None
    assert draw([0.0, 1.0], {0, 1}, 1.0, 1.0, 0.5) is None
    assert draw([0.0, -math.inf], set(), 1.0, 1.0, 0.999) == 0
