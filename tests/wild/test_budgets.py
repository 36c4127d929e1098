"""The text for a budget is a beginning of the text for every larger one: docs/invariants.md, I29."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coolfusion as cf
from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion
from fusion_parts import again, gambler, literal, toy, writer
from reference_loop import write_without_cache

TOKENIZERS = [
    toy(" the", " cat", " category", " sat", " on", " mat", ".\n", "ab", "abc"),
    toy(),
    toy(" ca", "t ", " o", "n.", ".\n\n"),
    toy("the", " c", " s", "at", "at on", "hat"),
]
SLOW = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def without_newline(*words: str) -> cf.Tokenizer:
    """Letters, a space and `words`; nothing stands for a newline or a full stop."""
    vocab = {piece: number for number, piece in enumerate(["<s>", "</s>", *" abcdefghijklmnopqrstuvwxyz", *words])}
    merges = [(word[:-1], word[-1]) for word in words if len(word) > 1]
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    inner.add_special_tokens(["<s>", "</s>"])
    inner.decoder = tokenizers.decoders.Fuse()
    return cf.Tokenizer.wrap(inner)


LOSSY, DOTTED = without_newline(" a", "th"), without_newline(".")


def fusion_of(members, forgets):
    twins = [again(member) for member in members]
    return literal(twins, rule="paper") if forgets else Fusion(twins, rule="paper")


def written(members, prompt, budget, *, forgets, **options):
    """The output, or what was written before an error."""
    try:
        return fusion_of(members, forgets).generate(prompt, budget, **options)
    except CoolFusionError as err:
        return err.partial


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 3),
    shift=st.integers(0, 3),
    lossy=st.booleans(),
    limit=st.sampled_from([None, None, 8, 14]),
    stop=st.sampled_from([(), "a", " t", "\n", ("ab", "e.")]),
    forgets=st.booleans(),
)
@SLOW
def test_every_budget_gives_a_beginning_of_the_text_of_every_larger_one(
    seed, count, shift, lossy, limit, stop, forgets
):
    members = [gambler(TOKENIZERS[(n + shift) % 4], seed + n, limit=limit if n == 0 else None) for n in range(count)]
    if lossy:
        members.append(gambler(LOSSY, seed + 9))
    before = ""
    for budget in range(1, 15):
        out = written(members, "the", budget, stop_strings=stop, forgets=forgets)
        assert out.text.startswith(before), (budget, before, out.text)
        assert all(held.committed_tokens <= budget for held in out.members)
        spelled = {member.tokenizer.decode(held.token_ids) for member, held in zip(members, out.members, strict=True)}
        assert len(spelled) == 1 or stop
        before = out.text


@given(seed=st.integers(0, 10_000), agreement=st.sampled_from([0.5, 0.9]), apart=st.booleans())
@SLOW
def test_budgets_of_models_that_mostly_agree(seed, agreement, apart):
    text = "".join(random.Random(seed).choices([" the", " category", " cat", " sat", ".\n", "abc", " on"], k=8))

    def wish(number):
        def follow(so_far):
            dice = random.Random(f"{seed}/{number}/{so_far}")
            rest = ("a" + text)[len(so_far) :] if ("a" + text).startswith(so_far) else ""
            return rest if dice.random() < agreement else dice.choice([" mat", "ab", " c", "\u00e9"]) + rest

        return follow

    def members():
        found = [writer(TOKENIZERS[(n + seed) % 4], wish(n), chance=0.6 + n / 10) for n in range(3)]
        for number, member in enumerate(found):
            member.runner.device = f"device {number}" if apart else "script"
        return found

    texts = [Fusion(members()).generate("a", budget).text for budget in range(1, 20)]
    for short, long in pairwise(texts):
        assert long.startswith(short), (short, long)
    assert texts[-1]


@given(seed=st.integers(0, 10_000), budget=st.integers(1, 16), lossy=st.booleans())
@SLOW
def test_cut_and_shortened_segments_equal_those_of_the_loop_without_caches(seed, budget, lossy):
    members = [gambler(TOKENIZERS[n], seed + n) for n in range(2)] + ([gambler(LOSSY, seed + 9)] if lossy else [])
    steps, reason = write_without_cache(members, "the", budget, aligned=True)
    for forgets in (False, True):
        out = written(members, "the", budget, forgets=forgets)
        assert [step.text for step in out.steps] == [step.text for step in steps]
        assert [[c.text for c in step.candidates] for step in out.steps] == [step.candidates for step in steps]
        assert out.finish_reason == (None if reason == "stuck" else reason)


@pytest.mark.parametrize(("wish", "text"), [(" inside.\nOne two", " inside."), (" insid\u00e9t", " insid")])
def test_a_segment_ends_before_what_another_member_cannot_say(wish, text):
    """As two models wrote it: a newline beside a vocabulary that has none."""
    members = [writer(toy(" inside", ".\n", "One"), f"box{wish}", chance=0.99), writer(DOTTED, "box in", chance=0.5)]
    for forgets in (False, True):
        generation = fusion_of(members, forgets).stream("box")
        step = next(generation)
        assert step.text == text
        [rejection] = step.rejected
        assert (rejection.reason, rejection.member, rejection.text) == (
            "lossy",
            1,
            wish.removesuffix(" two")[len(text) :],
        )
        assert [DOTTED.decode(held.token_ids) for held in generation.output.members[1:]] == [text]


def test_what_cannot_be_said_first_is_inadmissible():
    members = [writer(toy(".\n", "One"), "box\nOne two", chance=0.99), writer(DOTTED, "box in", chance=0.5)]
    step = next(Fusion(members).stream("box"))
    assert step.text == " in"
    assert [(r.reason, r.member, r.text) for r in step.rejected] == [("lossy", 1, "\nOne")]
