"""The fast schedule on models with weights: equal to the literal one in float64, with passes counted by hooks."""

from __future__ import annotations

import gc
import time
from functools import cache

import pytest

from fusion_parts import literal, same_steps

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from loop_parts import twin  # noqa: E402

from coolfusion.embedded import folders  # noqa: E402 - after the skip
from coolfusion.errors import ModelError  # noqa: E402
from coolfusion.fusion import Fusion, Member  # noqa: E402
from coolfusion.models.transformers.tree_cache import TreeKVCache  # noqa: E402
from model_walks import in_float64  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]

PROMPTS = [
    "Once upon a time",
    "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:",
    "Puzzle: What is the opposite of hot? Answer:",
    "There once was a shy girl. Her name was",
    "Emoji \U0001f600 and caf\u00e9,\n\tthen",
]


@pytest.fixture(scope="module")
def members():
    members = Fusion.from_pretrained(folders(), device="cpu", dtype="float64").members
    for member in members:
        in_float64(member.model)
    return members


def counted(fusion):
    """One list for each member, which grows by one at every call of its torch module."""
    calls = [[] for _ in fusion.members]
    hooks = [
        member.model.register_forward_hook(lambda *_, mine=mine: mine.append(1))
        for member, mine in zip(fusion.members, calls, strict=True)
    ]
    return calls, hooks


@pytest.fixture(scope="module")
def literally(members):
    """The literal loop's continuations of all prompts, by alignment; it drafts nothing, so they are written once."""
    return cache(lambda alignment: [literal(members, alignment=alignment).generate(prompt, 40) for prompt in PROMPTS])


@pytest.mark.parametrize("drafts", [None, 0, 3])
@pytest.mark.parametrize("alignment", ["aligned", "shortest"])
def test_segments_and_score_matrices_equal_the_literal_loop_in_float64(members, literally, drafts, alignment):
    fast = Fusion(members, drafts=drafts, alignment=alignment)
    segments = 0
    for prompt, theirs in zip(PROMPTS, literally(alignment), strict=True):
        ours = fast.generate(prompt, 40)
        same_steps(ours, theirs, tolerance=1e-9)
        segments += len(ours.steps)
        assert all(score is not None for step in ours.steps for row in step.scores for score in row)
    assert segments > 60


def test_passes_are_counted_as_hooks_count_them_and_are_few(members):
    fusion = Fusion(members, drafts=0)
    calls, hooks = counted(fusion)
    out = fusion.generate(PROMPTS[1], 40)
    for hook in hooks:
        hook.remove()
    for held, mine in zip(out.members, calls, strict=True):
        assert held.forward_passes == len(mine)
        assert held.committed_tokens == len(held.token_ids)
        assert held.processed_tokens >= len(held.prompt_ids) + held.committed_tokens - 1


def test_at_full_agreement_each_model_runs_the_passes_of_plain_greedy_decoding_and_with_drafts_few(members):
    for member in members:
        trio = [member, twin(member), twin(member)]
        plain = Fusion(trio, rule="paper", drafts=0).generate(PROMPTS[0], 40)
        drafted = Fusion(trio, rule="paper", drafts=6).generate(PROMPTS[0], 40)
        same_steps(drafted, plain, tolerance=1e-9)
        for held in plain.members:
            assert held.forward_passes <= held.committed_tokens + 1
        leader, *others = (held.forward_passes / held.committed_tokens for held in drafted.members)
        assert leader <= 1.1
        assert all(passes <= 0.5 for passes in others)


def test_many_texts_in_step_are_each_the_text_alone(members):
    alone = [Fusion(members).generate(prompt, 32) for prompt in PROMPTS]
    together = Fusion(members).generate(PROMPTS, 32)
    for ours, theirs in zip(together, alone, strict=True):
        same_steps(ours, theirs, tolerance=1e-9)
    fusion = Fusion(members, drafts=0)
    calls, hooks = counted(fusion)
    fusion.generate(PROMPTS, 32)
    for hook in hooks:
        hook.remove()
    for number, mine in enumerate(calls):
        assert len(mine) < 0.6 * sum(each.members[number].forward_passes for each in alone) + 40


RAGGED = ["", PROMPTS[0], PROMPTS[1], "x", PROMPTS[1], "", " ".join([PROMPTS[3]] * 5), PROMPTS[4], PROMPTS[0]]


@pytest.fixture(scope="module", params=["float64", "float32"])
def ragged(request, members):
    """The dtype, its members, and the text after each ragged prompt alone."""
    if request.param == "float32":
        members = Fusion.from_pretrained(folders(), device="cpu", dtype=request.param).members
    # The end of a text before is something to start from, so that a prompt may be empty.
    members = [Member(twin(m).runner, m.tokenizer, m.runner.eos_token_ids[:1]) for m in members]
    fusion = Fusion(members)
    return request.param, members, [fusion.generate(prompt, 16) for prompt in RAGGED]


@pytest.mark.parametrize("texts_in_step", [4, 32])
def test_ragged_equal_and_empty_prompts_and_more_than_fit(ragged, texts_in_step):
    dtype, members, alone = ragged
    fusion = Fusion(members, max_concurrent_requests=texts_in_step)
    rows = []
    hook = members[0].model.register_forward_hook(lambda _, arguments, out: rows.append(arguments[0].shape[0]))
    together = fusion.generate(RAGGED, 16)
    hook.remove()
    for ours, theirs in zip(together, alone, strict=True):
        same_steps(ours, theirs, tolerance=1e-9 if dtype == "float64" else 1e-4)
    assert len({out.text for out in together}) > 3
    assert max(rows) == min(texts_in_step, len(RAGGED))
    assert fusion.generate([]) == []


def test_texts_in_float32_are_those_of_float64_here(members):
    fusion = Fusion.from_pretrained(folders(), device="cpu", dtype="float32")
    exact = Fusion(members)
    for prompt, out in zip(PROMPTS, fusion.generate(PROMPTS, 32), strict=True):
        assert out.text == exact.generate(prompt, 32).text


def test_reranked_continuations_share_their_passes(members):
    fusion = Fusion(members, drafts=0)
    plain = fusion.generate(PROMPTS[0], 24)
    calls, hooks = counted(fusion)
    best = fusion.generate(PROMPTS[0], 24, rerank=True)
    for hook in hooks:
        hook.remove()
    assert len(best.continuations) == 4
    for held, mine in zip(plain.members, calls, strict=True):
        assert len(mine) <= 2 * held.forward_passes + 24


@pytest.fixture
def bytes_held(monkeypatch):
    """What all caches hold together."""
    caches = []
    make = TreeKVCache.__init__
    monkeypatch.setattr(TreeKVCache, "__init__", lambda self, *args: (make(self, *args), caches.append(self))[0])

    def held():
        for _ in range(100):
            found = sum(cache.n_bytes for cache in caches)
            if not found:
                break
            time.sleep(0.01)  # threads of their own are told to give back
        return found

    return held


@pytest.mark.parametrize("apart", [False, True])
def test_memory_does_not_grow_with_calls_and_is_given_back_after_errors(members, apart, bytes_held):
    trio = [twin(member) for member in members]
    if apart:
        for number, member in enumerate(trio):
            member.runner.device = f"cpu, number {number}"
    fusion = Fusion(trio)
    generation = fusion.stream(PROMPTS[0], 16)
    next(generation)
    assert bytes_held() > 0, "a text being written holds memory"
    del generation
    gc.collect()
    assert bytes_held() == 0
    for call in range(6):
        fusion.generate(PROMPTS[call % 3], 12) if call % 2 else fusion.generate(PROMPTS[:3], 8)
        assert bytes_held() == 0
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("out of memory")

    hook = trio[1].model.register_forward_pre_hook(fail)
    try:
        for prompt in (PROMPTS[0], PROMPTS[:3]):
            calls.clear()
            with pytest.raises(ModelError, match="out of memory") as caught:
                fusion.generate(prompt, 16)
            assert caught.value.partial
            assert bytes_held() == 0
        calls.clear()
        output = fusion.generate(PROMPTS[0], 16, on_failure="continue")
        assert "out of memory" in output.members[1].failed
        assert bytes_held() == 0
    finally:
        hook.remove()
