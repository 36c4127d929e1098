"""The engine equals the paper's loop as it is written, and both equal a loop without caches: docs/invariants.md, I24.

Scripted models reach every branch: any pattern of agreement, END at any time, nested candidates, retokenised cuts,
contexts that are cut at the left, budgets that end inside words.
"""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, again, gambler, literal, same_steps, toy
from reference_loop import write_without_cache

WORDS = (" the", " cat", " category", " sat", " on", " mat", ".\n", "ab", "abc")
TOKENIZERS = [toy(*WORDS), toy(), toy(" ca", "t ", " o", "n.", ".\n\n"), toy(" c", " s", "at", "at on")]
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
PROMPT = "the"


def deviating(base: Member, number: int, agreement: float, seed: int) -> Member:
    """A member that wants what `base` wants after the same text, but on some texts something else."""
    tokenizer = TOKENIZERS[number % len(TOKENIZERS)]
    judge = again(base).runner

    def row(ids):
        text = tokenizer.decode_bytes([i for i in ids if i > END]).decode("utf-8", errors="ignore")
        key = crc32(f"{seed}/{number}/{text}".encode()) % 1000 / 1000
        wanted = judge._logits((BOS, *base.tokenizer.encode(text)))
        best = max(range(2, len(wanted)), key=lambda i: (wanted[i], -i))
        ending = wanted[END] > wanted[best]
        want = base.tokenizer.token_bytes(best)
        if key >= agreement:
            want, ending = bytes([97 + crc32(f"{number}/{text}".encode()) % 26]), key > 0.97
        logits = [-8.0 - (i * 7919 % 97) / 50 for i in range(tokenizer.vocab_size)]
        if ending:
            logits[END] = 0.5
        else:
            ids_of_want = tokenizer.encode(want.decode("latin-1"), continues=True) if want.isascii() else []
            logits[ids_of_want[0] if ids_of_want else END] = 1.0
        return logits

    model = ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=f"deviating{number}")
    return Member(model, tokenizer, (BOS,))


def outcome(members, schedule, budget, alignment, drafts=None, **options):
    twins = [again(member) for member in members]
    if schedule == "literal":
        fusion = literal(twins, alignment=alignment)
    else:
        fusion = Fusion(twins, alignment=alignment, drafts=drafts, **options)
    try:
        return fusion.generate(PROMPT, budget)
    except CoolFusionError as err:
        return err


def compare(members, budget, alignment, drafts, **options):
    fast = outcome(members, "auto", budget, alignment, drafts, **options)
    slow = outcome(members, "literal", budget, alignment)
    assert isinstance(fast, CoolFusionError) == isinstance(slow, CoolFusionError), (fast, slow)
    if isinstance(fast, CoolFusionError):
        assert str(fast) == str(slow)
        fast, slow = fast.partial, slow.partial
    same_steps(fast, slow)
    return fast, slow


DRAFTS = st.sampled_from([None, 0, 1, 2, 3, 6])
ALIGNMENTS = st.sampled_from(["aligned", "shortest"])


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 4),
    budget=st.integers(1, 30),
    limit=st.sampled_from([None, 8, 16, 40]),
    drafts=DRAFTS,
    alignment=ALIGNMENTS,
)
@SLOW
def test_case_g02_random_models_that_hardly_agree(seed, count, budget, limit, drafts, alignment):
    members = [gambler(TOKENIZERS[n], seed + n, limit=limit if n % 2 == 0 else None) for n in range(count)]
    compare(members, budget, alignment, drafts)


@given(
    seed=st.integers(0, 10_000),
    agreement=st.sampled_from([1.0, 0.95, 0.8, 0.5]),
    count=st.integers(2, 4),
    budget=st.integers(8, 40),
    drafts=DRAFTS,
    alignment=ALIGNMENTS,
)
@SLOW
def test_models_that_mostly_agree(seed, agreement, count, budget, drafts, alignment):
    base = gambler(TOKENIZERS[0], seed)
    members = [deviating(base, n, agreement, seed) for n in range(count)]
    fast, slow = compare(members, budget, alignment, drafts)
    if agreement == 1.0 and drafts == 0:
        for ours, theirs in zip(fast.members, slow.members, strict=True):
            assert ours.forward_passes <= theirs.forward_passes


@given(seed=st.integers(0, 10_000), budget=st.integers(1, 24), alignment=ALIGNMENTS)
@SLOW
def test_both_equal_a_loop_without_caches(seed, budget, alignment):
    members = [gambler(TOKENIZERS[n], seed + n) for n in range(3)]
    fast = outcome(members, "auto", budget, alignment, rule="paper")
    if isinstance(fast, CoolFusionError):
        return
    steps, reason = write_without_cache(members, PROMPT, budget, aligned=alignment == "aligned")
    assert fast.finish_reason == reason
    assert [step.text for step in fast.steps] == [step.text for step in steps]
    for ours, wanted in zip(fast.steps, steps, strict=True):
        assert [candidate.text for candidate in ours.candidates] == wanted.candidates
        for row, expected in zip(ours.scores, wanted.scores, strict=True):
            assert [score.logprob for score in row] == [pytest.approx(logprob, abs=1e-9) for logprob, _ in expected]
            assert [score.n_tokens for score in row] == [n_tokens for _, n_tokens in expected]


@given(seed=st.integers(0, 10_000), budget=st.integers(4, 24), drafts=DRAFTS)
@settings(SLOW, max_examples=15)
def test_models_on_devices_of_their_own_write_the_same(seed, budget, drafts):
    base = gambler(TOKENIZERS[0], seed)
    members = [deviating(base, n, 0.8, seed) for n in range(3)]
    slow = outcome(members, "literal", budget, "aligned")
    apart = [again(member) for member in members]
    for n, member in enumerate(apart):
        member.runner.device = f"device {n}"
    fusion = Fusion(apart, drafts=drafts)
    try:
        fast = fusion.generate(PROMPT, budget)
    except CoolFusionError as err:
        assert isinstance(slow, CoolFusionError), err
        fast, slow = err.partial, slow.partial
    same_steps(fast, slow)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6), budget=st.integers(1, 20), drafts=DRAFTS)
@SLOW
def test_many_texts_in_step_are_each_the_text_alone(seed, count, budget, drafts):
    members = [gambler(TOKENIZERS[n], seed + n) for n in range(3)]
    prompts = ["the", "a cat", "x" * 9, "on the mat sat", " ", "q"][:count]
    fusion = Fusion([again(member) for member in members], drafts=drafts)
    try:
        together = fusion.generate(prompts, budget)
    except CoolFusionError as err:
        together = err.partial
    for prompt, ours in zip(prompts, together, strict=True):
        try:
            alone = literal([again(member) for member in members]).generate(prompt, budget)
        except CoolFusionError as err:
            alone = err.partial
        same_steps(ours, alone)
