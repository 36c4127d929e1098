"""Sampled texts: the law of a step, the filters, and what a text does not depend on. Definitions: "Sampling"."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, FusionEngine, Member, Request, Rerank
from coolfusion.fusion.selection import RULES, drawn, in_order, probabilities
from coolfusion.members.sampling import draw
from coolfusion.models import ScriptedModel
from coolfusion.models.numerics import random_number
from coolfusion.records import Candidate
from fusion_parts import BOS, END, again, gambler, plain_sample, toy

SLOW = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
TOKENIZERS = [toy(" the", " cat", " sat", " on", " mat"), toy(), toy(" ca", "t ", " o", "n.")]


def gamblers(seed=0, count=3):
    return [gambler(TOKENIZERS[n], seed + n) for n in range(count)]


def plain(member, prompt, seed, budget, **filters):
    """An ordinary sample of one member, with one number for each token, without the loop."""
    ids = [*member.prefix_ids, *member.tokenizer.encode(prompt)]
    new, end = plain_sample(member, ids, lambda at: random_number(seed, member.name, 0, at), budget, **filters)
    return new, "end" if end else "length"


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.6, "top_p": 0.8}, {"temperature": 1.4, "min_p": 0.1}])
@pytest.mark.parametrize("rule", ["paper", "confident"])
@given(seed=st.integers(0, 10_000), which=st.integers(0, 2))
@SLOW
def test_a_text_of_one_member_is_an_ordinary_sample_of_it(filters, rule, seed, which):
    options = {"temperature": 1.0, **filters}
    one = gambler(TOKENIZERS[which], seed % 7)
    ids, reason = plain(one, "the", seed, 14, **options)
    output = Fusion([again(one)], rule=rule).generate("the", 14, seed=seed, **options)
    assert (output.members[0].token_ids, output.finish_reason) == (ids, reason)
    twice = Fusion([again(one), again(one)], rule=rule).generate("the", 14, seed=seed, **options)
    assert [each.token_ids for each in twice.members] == [ids, ids], "equal members are one"


# The law of a step.

WORDS = ("a", "b", "c")


def chooser(chances, name):
    """A member that writes one of a few words, each a token of its own, and then END."""
    tokenizer = toy(*(f" {word}" for word in WORDS))
    ids = [tokenizer.encode(f" {word}", continues=True)[0] for word in WORDS]

    def row(given):
        found = [-math.inf] * tokenizer.vocab_size
        if given[-1] in ids:
            found[END] = 0.0
        else:
            for token_id, chance in zip(ids, chances, strict=True):
                found[token_id] = math.log(chance)
        return found

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=name), tokenizer, (BOS,))


CHANCES = ((0.6, 0.3, 0.1), (0.2, 0.3, 0.5))


def law(rule, temperature, top_p=1.0, min_p=0.0):
    """The probability of each word by the definition: members draw apart, the rule's distribution decides."""

    def filtered(weights):
        order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
        kept, total, mass = [], sum(weights), 0.0
        for i in order:
            if (mass >= top_p * total - 1e-12 and kept) or weights[i] < min_p * weights[order[0]]:
                break
            kept.append(i)
            mass += weights[i]
        return {i: weights[i] / sum(weights[j] for j in kept) for i in kept}

    own = [filtered([p ** (1 / temperature) for p in row]) for row in CHANCES]
    found = dict.fromkeys(range(3), 0.0)
    for x, y in itertools.product(*own):
        pool = sorted({x, y})
        if rule == "paper":  # one token each: the inverse of the mean perplexity
            weights = [1 / (sum(1 / row[w] for row in CHANCES) / 2) for w in pool]
        else:
            weights = [sum(row[w] for row in CHANCES) / 2 for w in pool]
        for at, chance in filtered([weight ** (1 / temperature) for weight in weights]).items():
            found[pool[at]] += own[0][x] * own[1][y] * chance
    return found


def chi_square(counts, expected, total):
    return sum((counts[w] - total * p) ** 2 / (total * p) for w, p in expected.items() if p)


@pytest.mark.parametrize(
    ("rule", "temperature", "top_p", "min_p"),
    [("paper", 1.0, 1.0, 0.0), ("mixture", 1.0, 1.0, 0.0), ("paper", 0.5, 1.0, 0.0), ("mixture", 2.0, 0.9, 0.0),
     ("mixture", 1.0, 1.0, 0.4)],
)  # fmt: skip
def test_words_have_the_law_of_the_definition(rule, temperature, top_p, min_p):
    """Seeds 0 to 1,499. The bound is the 99.9 % point for two degrees of freedom; another law is far beyond it."""
    total, kernel = 1500, {"mixture": {"kind": "power_mean", "exponent": 1.0}}.get(rule, rule)
    fusion = Fusion([chooser(row, f"m{at}") for at, row in enumerate(CHANCES)], rule=kernel)
    options = {"temperature": temperature, "top_p": top_p, "min_p": min_p}
    outputs = [fusion.generate("q", 1, seed=seed, **options) for seed in range(total)]
    counts = Counter(WORDS.index(output.text.strip()) for output in outputs)
    expected = law(rule, temperature, top_p, min_p)
    assert all(expected[word] > 0 for word in counts)
    assert chi_square(counts, expected, total) < 13.82
    other = law(rule, temperature / 2)
    assert chi_square(counts, other, total) > 13.82


@given(
    values=st.lists(st.floats(-5, 50) | st.just(math.inf) | st.just(-math.inf), min_size=1, max_size=6),
    temperature=st.sampled_from([1e-300, 0.3, 1.0, 4.0]),
    top_p=st.sampled_from([1e-9, 0.4, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.2, 1.0]),
    number=st.floats(0, 1, exclude_max=True),
)
def test_probabilities_are_those_of_the_formula(values, temperature, top_p, min_p, number):
    candidates = [Candidate(chr(97 + at), False, (), (), ()) for at in range(len(values))]
    found = probabilities(values, candidates, temperature, top_p, min_p)
    assert math.isclose(sum(found), 1.0) and all(p >= 0.0 for p in found)
    order = in_order(values, candidates)
    best = order[0]
    assert found[best] == max(found) and found[drawn(found, order, number)] > 0.0
    if math.isfinite(values[best]):
        masses = [math.exp(-(value - values[best]) / temperature) if value < math.inf else 0.0 for value in values]
        before = 0.0
        for at in order:
            kept = at == best or ((before < top_p * math.fsum(masses) or top_p == 1.0) and masses[at] >= min_p)
            if abs(before - top_p * math.fsum(masses)) > 1e-9 or top_p == 1.0:
                assert (found[at] > 0.0) == (kept and masses[at] > 0.0)
            if found[at]:
                assert math.isclose(found[at] / found[best], masses[at])
            before += masses[at]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_draws_from_its_values_and_grows_greedy_as_the_temperature_falls(rule):
    output = Fusion(gamblers(3), rule=rule).generate("the", 10, temperature=1.3, top_p=0.95, min_p=0.01, seed=8)
    for step in output.steps:
        assert step.probabilities == probabilities(step.values, step.candidates, 1.3, 0.95, 0.01)
        number = random_number(8, "", step.index)
        assert step.winner == drawn(step.probabilities, in_order(step.values, step.candidates), number)
        assert math.isclose(math.exp(step.logprob), step.probabilities[step.winner])
    cold = Fusion(gamblers(3), rule=rule).generate("the", 10, temperature=1e-9, seed=8)
    greedy = Fusion(gamblers(3), rule=rule, drafts=0).generate("the", 10)
    assert [step.text for step in cold.steps] == [step.text for step in greedy.steps]
    assert [step.values for step in cold.steps] == [step.values for step in greedy.steps]


def test_alternatives_of_a_rule_are_not_asked_for_where_members_draw():
    rule = {"kind": "power_mean", "exponent": 1.0, "alternatives": 2, "unsure_below": 1.0}
    output = Fusion(gamblers(1), rule=rule).generate("the", 10, temperature=1.0, seed=1)
    assert all(len(step.candidates) <= 3 for step in output.steps)
    greedy = Fusion(gamblers(1), rule=rule).generate("the", 10)
    assert any(len(step.candidates) > 3 for step in greedy.steps)


# What a text does not depend on.


@given(seed=st.integers(0, 1000), budget=st.integers(1, 12), most=st.integers(1, 4))
@SLOW
def test_a_seed_gives_one_text_whatever_else_is_written(seed, budget, most):
    options = {"temperature": 1.0, "top_p": 0.97, "seed": seed}
    alone = Fusion(gamblers(seed)).generate("the", budget, **options)
    engine = FusionEngine(gamblers(seed), max_concurrent_requests=most)
    others = [Request(prompt="q", max_new_tokens=5), Request(prompt="cat", max_new_tokens=7, temperature=2.0, seed=3)]
    numbers = [
        engine.add(each) for each in (others[0], Request(prompt="the", max_new_tokens=budget, **options), others[1])
    ]
    outputs = {}
    while engine.has_unfinished:
        outputs |= {event.request_id: event.output for event in engine.step() if event.output is not None}
    found = outputs[numbers[1]]
    assert (found.text, found.seed, found.finish_reason) == (alone.text, seed, alone.finish_reason)
    assert [step.scores for step in found.steps] == [step.scores for step in alone.steps]
    turned = Fusion(gamblers(seed)[::-1]).generate("the", budget, **options)
    assert turned.text == alone.text, "the order of the members"
    longer = Fusion(gamblers(seed)).generate("the", budget + 9, **options)
    assert longer.text.startswith(alone.text), "the budget"


_CODE = """
import json, sys
sys.path[:0] = sys.argv[2:]
from test_sampling import gamblers
from coolfusion.fusion import Fusion
prompts = ["the", "a"][int(sys.argv[1]) :]
print(json.dumps(Fusion(gamblers(5)).generate(prompts, 12, temperature=1.0, seed=9)[-1].text))
"""


def test_two_processes_write_the_same():
    texts, here = set(), Path(__file__).parent
    for hash_seed, first in (("1", "0"), ("2", "1")):
        command = [sys.executable, "-c", _CODE, first, str(here), str(here.parent)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        texts.add(json.loads(done.stdout))
    assert texts == {Fusion(gamblers(5)).generate("a", 12, temperature=1.0, seed=9).text}


def test_without_a_seed_each_text_has_a_new_one_that_writes_it_again():
    fusion = Fusion(gamblers(2))
    outputs = [fusion.generate("the", 10, temperature=1.0) for _ in range(3)]
    assert len({each.seed for each in outputs}) == 3 and len({each.text for each in outputs}) > 1
    assert all(fusion.generate("the", 10, temperature=1.0, seed=each.seed).text == each.text for each in outputs)
    assert fusion.generate("the", 4, seed=3).seed is None, "a greedy text draws nothing"


# Several texts, and probabilities.


def test_n_texts_are_those_of_the_seeds_that_follow():
    output = Fusion(gamblers(4)).generate("the", 9, temperature=1.0, seed=20, n=3)
    assert [each.seed for each in output.choices] == [20, 21, 22]
    for each in output.choices:
        alone = Fusion(gamblers(4)).generate("the", 9, temperature=1.0, seed=each.seed)
        assert (each.text, each.finish_reason, len(each.steps)) == (alone.text, alone.finish_reason, len(alone.steps))
    assert [each.choices for each in output.others] == [(each,) for each in output.others]
    reranked = Fusion(gamblers(4)).generate("the", 5, temperature=1.0, seed=20, n=2, rerank=True)
    assert [len(each.continuations) for each in reranked.choices] == [4, 4]


def test_n_texts_share_their_passes():
    def passes(members):
        return sum(each.runner.forward_passes for each in members)

    together, apart = gamblers(4), gamblers(4)
    Fusion(together).generate("the", 9, temperature=1.0, seed=20, n=3)
    for seed in (20, 21, 22):
        Fusion(again_all := [again(each) for each in apart]).generate("the", 9, temperature=1.0, seed=seed)
        apart[0].runner.forward_passes += passes(again_all)
    assert passes(together) < 0.7 * passes(apart)


def test_an_error_of_one_text_ends_all():
    def broken(ids):
        row = [0.0] * TOKENIZERS[1].vocab_size
        return row if len(ids) < 5 else [math.nan] * len(row)

    model = ScriptedModel(broken, TOKENIZERS[1].vocab_size, eos_token_ids=(END,))
    engine = FusionEngine([Member(model, TOKENIZERS[1], (BOS,))])
    engine.add(Request(prompt="a", max_new_tokens=9, temperature=1.0, seed=1, n=2))
    events = []
    while engine.has_unfinished:
        events += engine.step()
    assert events[-1].error is not None and events[-1].output.error and engine.n_cached_tokens == 0


def test_logprobs_of_greedy_steps_change_nothing_else():
    plain, told = (Fusion(gamblers(6)).generate("the", 8, logprobs=each) for each in (False, True))
    assert plain.text == told.text and all(step.probabilities == () and step.logprob is None for step in plain.steps)
    for step in told.steps:
        assert step.probabilities == probabilities(step.values, step.candidates)
        assert step.probabilities[step.winner] == max(step.probabilities)


def test_continuations_of_a_rerank_are_drawn_by_members():
    output = Fusion(gamblers(7)).generate("the", 8, temperature=1.0, seed=2, rerank=Rerank(length="byte"))
    for author, twin in enumerate(gamblers(7)):
        own = next(each for each in output.continuations if each.author == author)
        assert own.text == twin.tokenizer.decode(plain(twin, "the", 2, 8)[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -0.1), ("temperature", math.inf), ("temperature", "1"), ("top_p", 0.0), ("top_p", 1.5),
     ("min_p", -0.1), ("min_p", True), ("n", 0), ("logprobs", 1)],
)  # fmt: skip
def test_values_outside_their_ranges(name, value):
    with pytest.raises(ArgumentError, match=name):
        Request(prompt="a", **{name: value})


# Draws of tokens.


@given(
    logits=st.lists(st.floats(-30, 30, width=32) | st.just(-math.inf), min_size=3, max_size=40),
    temperature=st.sampled_from([0.2, 1.0, 3.0]),
    top_p=st.sampled_from([0.3, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.7]),
    number=st.floats(0, 1, exclude_max=True),
)
def test_draws_on_a_device_are_those_from_a_list(logits, temperature, top_p, min_p, number):
    torch = pytest.importorskip("torch", reason="draws on a device need torch")
    from coolfusion.models.logits import LogitsBatch

    class Owner:
        name, suppress_tokens = "m", frozenset()

        def index_tensor(self, ids, device):
            return torch.tensor(list(ids), device=device)

    Owner.torch = torch
    barred = [1]
    batch = LogitsBatch(Owner(), torch.tensor([logits], dtype=torch.float32))
    found = batch.draw(0, barred, temperature, top_p, number, min_p)
    wanted = draw(logits, frozenset(barred), temperature, top_p, number, min_p)
    if found != wanted:  # only where the number is at an edge
        near = {draw(logits, frozenset(barred), temperature, top_p, number + d, min_p) for d in (-1e-12, 0.0, 1e-12)}
        assert found in near
