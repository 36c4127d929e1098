"""Rows of one cache: contexts come and go one by one, share passes, and leave nothing in memory."""

from __future__ import annotations

import gc

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from architectures import build  # noqa: E402 - after the skip
from coolfusion.errors import ModelError  # noqa: E402
from coolfusion.models.transformers.model import HuggingFaceModel  # noqa: E402
from coolfusion.models.transformers.strategies.registry import STRATEGIES  # noqa: E402
from coolfusion.models.transformers.tree_cache import FIRST_SLOTS, SPARSE  # noqa: E402
from model_walks import Walk, full_row  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs


@pytest.fixture
def runner():
    return HuggingFaceModel(build("llama"), name="llama", strategy="tree")


@pytest.fixture
def cache(runner):
    return runner.runner.cache


def opened(runner, *prompts):
    contexts = [runner.new_context() for _ in prompts]
    runner.prefill(list(zip(contexts, prompts, strict=True)))
    return contexts


def shapes(runner):
    """A list that grows by the shape of every pass."""
    found = []
    runner.module.register_forward_hook(lambda _, arguments, out: found.append(tuple(arguments[0].shape)))
    return found


def error(runner, context, path=()):
    """How far the row after a path is from that of a pass over the whole text."""
    row = torch.tensor(context.next_logits(path), dtype=torch.float64)
    return float((row - full_row(runner.module, [*context.ids, *path])).abs().max())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(3))
def test_contexts_come_and_go_while_others_are_read(strategy, seed):
    come_and_go(HuggingFaceModel(build("llama"), name="llama", strategy=strategy), seed, 14)


@pytest.mark.parametrize("name", ["mistral, sliding window", "gemma3", "phi3, longrope", "gpt2", "cohere2, windows"])
def test_contexts_come_and_go_under_windows_and_changing_positions(name):
    runner = HuggingFaceModel(build(name), name=name, strategy="tree")
    for seed in range(2):
        come_and_go(runner, seed, 10)


def come_and_go(runner, seed, turns):
    walk = Walk(runner, seed, count=0)
    for _ in range(turns):
        chance = walk.dice.random()
        if chance < 0.5 or not walk.contexts:
            walk.arrive(*(walk.dice.randrange(1, 12) for _ in range(walk.dice.choice((1, 1, 2, 5)))))
        elif chance < 0.8:
            walk.leave(walk.dice.randrange(len(walk.contexts)))
        walk.turn()
    while walk.contexts:
        walk.leave(walk.dice.randrange(len(walk.contexts)))
    assert walk.checked > 50 and walk.error < 1e-5
    if runner.strategy == "tree":
        assert runner.runner.cache.n_bytes == 0


def test_contexts_that_were_made_at_different_times_share_passes(runner):
    calls = shapes(runner)
    [one] = opened(runner, [1, 2, 3])
    runner.forward([(one, [(4,)])])
    two, three = opened(runner, [5, 6], [7])
    runner.forward([(one, [(4, 8)]), (two, [(9,)]), (three, [(1, 2)])])
    assert calls == [(1, 3), (1, 1), (2, 2), (3, 2)]
    for context, path in ((one, (4, 8)), (two, (9,)), (three, (1, 2))):
        assert error(runner, context, path) < 1e-5


def test_a_context_without_a_pass_holds_no_row_and_rows_follow_the_order_of_making(runner, cache):
    first, second, third = (runner.new_context() for _ in range(3))
    assert cache.contexts() == [] and cache.n_bytes == 0
    runner.prefill([(third, [1]), (first, [2])])
    assert cache.contexts() == [first, third]
    second.close()
    assert cache.contexts() == [first, third]


def test_one_context_after_the_other_holds_one_row(runner, cache):
    [context] = opened(runner, [1, 2])
    once = cache.n_bytes
    context.close()
    assert once > 0
    for _ in range(1000):
        [context] = opened(runner, [1, 2])
        assert cache.n_rows == 1 and cache.n_bytes == once
        context.close()
        assert cache.n_rows == 0 and cache.n_bytes == 0


def test_a_context_that_comes_as_another_goes_takes_its_row(runner, cache):
    contexts = opened(runner, *([n] for n in range(4)))
    size = cache.n_bytes
    for turn in range(20):
        contexts.pop(turn % 4).close()
        contexts += opened(runner, [turn, 1])
        assert cache.n_rows == 4 and cache.n_bytes == size
    runner.forward([(context, [(5,)]) for context in contexts])
    assert max(error(runner, context, (5,)) for context in contexts) < 1e-5


@pytest.mark.parametrize("left", [[0], [39], [7, 31], [0, 1, 20, 39]])
def test_memory_is_given_back_when_few_of_many_contexts_are_left(runner, cache, left):
    contexts = opened(runner, *([n, 2, 3] for n in range(40)))
    runner.forward([(context, [(4, 5), (6,)]) for context in contexts])
    for context in contexts:
        context.commit((4,))
    whole = cache.n_bytes
    for at, context in enumerate(contexts):
        if at not in left:
            context.close()
    assert cache.n_rows <= 2 * len(left) + 1 and cache.n_bytes == whole * cache.n_rows / 40
    rest = [contexts[at] for at in left]
    assert all(context.is_computed((5,)) for context in rest)
    runner.forward([(context, [(5, 7), (8,)]) for context in rest])
    assert max(error(runner, context, path) for context in rest for path in ((5,), (5, 7), (8,))) < 1e-5


def test_a_long_text_that_ends_leaves_no_memory_of_all_rows_long(runner, cache):
    one, long, two = opened(runner, [1, 2], [1] * 90, [3])
    assert cache.n_slots > 90
    for turn in range(60):
        runner.forward([(long, [(turn % 7, 3), (5,), (6,)])])
    runner.forward([(one, [(4,)]), (two, [(5,)])])
    assert cache.n_slots >= 2 * FIRST_SLOTS
    long.close()
    assert cache.n_slots == FIRST_SLOTS
    runner.forward([(one, [(4, 6)]), (two, [(5, 7)])])
    assert max(error(runner, one, (4, 6)), error(runner, two, (5, 7))) < 1e-5


def test_rows_of_a_list_are_a_range_and_rows_far_apart_are_gathered(runner):
    calls = shapes(runner)
    contexts = opened(runner, *([n, 1] for n in range(4 * SPARSE)))
    near, far = contexts[: 2 * SPARSE - 1], contexts
    runner.forward([(near[0], [(3,)]), (near[-1], [(4, 5)])])
    runner.forward([(far[0], [(6,)]), (far[-1], [(7, 8)])])
    assert [shape[0] for shape in calls] == [4 * SPARSE, 2 * SPARSE - 1, 2]
    found = ((near[0], (3,)), (near[-1], (4, 5)), (far[0], (6,)), (far[-1], (7, 8)))
    assert max(error(runner, context, path) for context, path in found) < 1e-5


def test_a_context_that_is_lost_without_being_closed_gives_its_row_to_the_next(runner, cache):
    one, two = opened(runner, [1], [2])
    del one
    gc.collect()
    [three] = opened(runner, [3])
    assert cache.contexts() == [three, two]
    two.close()
    three.close()
    assert cache.n_bytes == 0


def test_what_is_asked_for_twice_in_one_call_is_read_once(runner):
    calls = shapes(runner)
    [context] = opened(runner, [1, 2])
    runner.forward([(context, [(3,)]), (context, [(3, 4), (5,)])])
    assert calls == [(1, 2), (1, 3)]
    assert max(error(runner, context, path) for path in ((3,), (3, 4), (5,))) < 1e-5


@pytest.mark.parametrize("copies", range(4))
@pytest.mark.parametrize("n_tokens", [3, 90])
def test_a_context_without_memory_fails_alone(runner, cache, monkeypatch, copies, n_tokens):
    """The memory ends after some of the four tensors of the layers were copied."""
    one, two = opened(runner, [1, 2], [3])
    runner.forward([(one, [(4,)]), (two, [(5,)])])
    new_zeros, left = torch.Tensor.new_zeros, [copies]

    def limited(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("out of memory")
        return new_zeros(*arguments, **options)

    late = runner.new_context()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "new_zeros", limited)
        with pytest.raises(ModelError, match=r"no memory .* out of memory"):
            runner.prefill([(late, [7] * n_tokens)])
    assert cache.contexts() == [one, two]
    runner.forward([(one, [(4, 6)]), (two, [(5, 7)])])
    assert max(error(runner, one, (4, 6)), error(runner, two, (5, 7))) < 1e-5
    runner.forward([(late, [(8,)])])
    assert cache.contexts() == [one, two, late] and error(runner, late, (8,)) < 1e-5
    for context in (one, two, late):
        context.close()
    assert cache.n_bytes == 0


def test_a_context_is_closed_also_without_memory_for_a_smaller_cache(runner, cache, monkeypatch):
    one, *others = opened(runner, *([n, 2] for n in range(12)))
    runner.forward([(one, [(4,)])])

    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "new_zeros", fail)
        for context in others:
            context.close()
    runner.forward([(one, [(4, 6)])])
    [late] = opened(runner, [3])
    runner.forward([(one, [(4, 7)]), (late, [(5,)])])
    found = ((one, (4, 6)), (one, (4, 7)), (late, (5,)))
    assert max(error(runner, context, path) for context, path in found) < 1e-5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_prompt_whose_pass_failed_is_committed_and_can_be_read(strategy):
    runner = HuggingFaceModel(build("llama"), name="llama", strategy=strategy)
    [context] = opened(runner, [9, 8, 7, 6])
    runner.forward([(context, [(5,)])])

    def fail(*_):
        raise RuntimeError("out of memory")

    hook = runner.module.model.layers[1].register_forward_pre_hook(fail)
    with pytest.raises(ModelError, match="out of memory"):
        runner.prefill([(context, [1, 2, 3])])
    hook.remove()
    assert context.length == 3 and not context.is_computed(())
    runner.forward([(context, [(4,)])])
    assert max(error(runner, context), error(runner, context, (4,))) < 1e-5


def test_an_empty_context_has_no_logits(runner):
    with pytest.raises(ModelError, match="empty context"):
        runner.forward([(runner.new_context(), [(1,)])])
