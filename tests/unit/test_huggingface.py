"""The runner of transformers models: what is asked of it, what it costs, how it fails."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from architectures import build  # noqa: E402 - after the skip
from coolfusion.errors import ModelError  # noqa: E402
from coolfusion.models.base import Context  # noqa: E402
from coolfusion.models.transformers.config import position_limit  # noqa: E402
from coolfusion.models.transformers.model import HuggingFaceModel  # noqa: E402
from coolfusion.models.transformers.strategies.registry import STRATEGIES  # noqa: E402
from model_walks import full_row  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own affairs


def opened(runner, ids):
    context = runner.new_context()
    runner.prefill([(context, ids)])
    return context


def counted(module):
    """A list that grows by the number of tokens of every call of the module."""
    calls = []
    module.register_forward_hook(lambda _, arguments, out: calls.append(arguments[0].shape[1]))
    return calls


@pytest.fixture(params=STRATEGIES)
def runner(request):
    return HuggingFaceModel(build("llama"), name="llama", strategy=request.param)


def test_greedy_and_sums_follow_the_distribution(runner):
    ids = [3, 14, 15, 92, 65]
    context = opened(runner, ids)
    assert isinstance(context, Context)
    row = full_row(runner.module, ids).log_softmax(-1)
    best = [int(i) for i in row.topk(2).indices]
    assert context.greedy(()) == best[0]
    runner.suppress_tokens = frozenset(best[:1])
    assert context.greedy(()) == best[1]
    runner.suppress_tokens = frozenset(range(97))
    assert context.greedy(()) is None
    assert context.next_logprob((), best) == pytest.approx(float(row[best].logsumexp(0)), abs=1e-6)
    assert context.next_logprob((), ()) == -math.inf
    runner.forward([(context, [(5, 6)])])
    expected = [float(row[5]), float(full_row(runner.module, [*ids, 5]).log_softmax(-1)[6])]
    assert context.logprobs((5, 6)) == pytest.approx(expected, abs=1e-5)
    assert context.logprobs((7,)) == pytest.approx([float(row[7])], abs=1e-5)


def test_a_model_that_gives_no_numbers_says_so_and_raises_nothing(runner):
    with torch.no_grad():
        runner.module.lm_head.weight[5, 0] = math.nan
    context = opened(runner, [1, 2])
    assert context.greedy(()) is None
    assert math.isnan(context.next_logprob((), (3,)))
    assert math.isnan(context.next_logprob((), ()))
    assert all(math.isnan(value) for value in context.logprobs((1,)))


def test_passes_are_calls_of_the_module(runner):
    calls = counted(runner.module)
    one, two = runner.new_context(), runner.new_context()
    runner.prefill([(one, [1, 2, 3]), (two, [4, 5, 6, 7])])
    assert one.processed_tokens + two.processed_tokens == runner.processed_tokens == 7
    runner.forward([(one, [(8, 9), (9,)]), (two, [()])])
    runner.forward([(one, [(8,)])])
    one.commit((8,))
    assert one.is_computed((9,))
    assert runner.forward_passes == len(calls)
    if runner.strategy == "batch":
        assert len(calls) == 3, "a pass for each text, one for all of its paths"
    if runner.strategy == "tree":
        assert calls == [4, 3], "one pass for all texts and paths, none for what is known or committed"
        assert (one.forward_passes, one.processed_tokens, two.forward_passes) == (2, 6, 1)


def test_a_walk_along_its_own_words_costs_a_pass_for_each_token(runner):
    """With every strategy but the ones without a cache no token is read twice."""
    calls = counted(runner.module)
    context = opened(runner, [1, 2, 3])
    for _ in range(4):
        path = ()
        for _ in range(3):
            path = (*path, context.greedy(path))
            runner.forward([(context, [path])])
        context.commit(path)
    assert len(calls) == 1 + 12
    if runner.strategy not in ("recompute", "recompute_each"):
        assert context.processed_tokens == 3 + 12


def test_a_committed_path_that_lost_its_way_is_read_once(runner):
    context = opened(runner, [1, 2, 3])
    runner.forward([(context, [(4, 5)])])
    context.commit((6, 7))
    assert not context.is_computed(())
    runner.forward([(context, [()])])
    row = full_row(runner.module, [1, 2, 3, 6, 7])
    assert float((torch.tensor(context.next_logits(()), dtype=torch.float64) - row).abs().max()) < 1e-4


@pytest.mark.parametrize("when", range(1, 5))
def test_a_pass_that_fails_leaves_what_was_known_and_can_be_tried_again(runner, when):
    failing = {"at": None}

    def maybe(module, arguments):
        if failing["at"] is not None:
            failing["at"] -= 1
            if failing["at"] == 0:
                raise RuntimeError("out of memory")

    runner.module.model.layers[1].register_forward_pre_hook(maybe)
    context = opened(runner, [1, 2, 3])
    runner.forward([(context, [(4,)])])
    known = context.next_logits((4,))
    failing["at"] = when
    for _ in range(2 * when):
        try:
            runner.forward([(context, [(4, 5), (6, 7)])])
        except ModelError as err:
            assert "out of memory" in str(err)
            assert context.is_computed((4,)) and context.next_logits((4,)) == known
    failing["at"] = None
    runner.forward([(context, [(4, 5), (6, 7)])])
    for path in ((4,), (4, 5), (6,), (6, 7)):
        row = full_row(runner.module, [1, 2, 3, *path])
        assert float((torch.tensor(context.next_logits(path), dtype=torch.float64) - row).abs().max()) < 1e-4


def test_what_a_model_cannot_read_is_refused_before_it_is_read(runner):
    calls = counted(runner.module)
    context = runner.new_context()
    assert runner.max_model_len == 96
    with pytest.raises(ModelError, match="limit is 96"):
        runner.prefill([(context, [1] * 97)])
    with pytest.raises(ModelError, match="token id 97 has no row"):
        runner.prefill([(context, [97])])
    with pytest.raises(ModelError, match="nothing to read"):
        runner.prefill([(context, [])])
    runner.prefill([(context, [1] * 95)])
    with pytest.raises(ModelError, match="no row"):
        runner.forward([(context, [(-1,)])])
    with pytest.raises(ModelError, match="limit is 96"):
        runner.forward([(context, [(1, 2)])])
    runner.forward([(context, [(1,)])])
    assert len(calls) == 2
    context.close()
    with pytest.raises(ModelError, match="closed"):
        runner.forward([(context, [(1,)])])


def test_limits_are_read_under_all_their_names():
    assert position_limit(transformers.GPT2Config(n_positions=7)) == 7
    assert position_limit(transformers.MptConfig(max_seq_len=9)) == 9
    assert position_limit(transformers.BloomConfig()) is None


def test_memory_is_bounded_and_given_back():
    runner = HuggingFaceModel(build("llama"), name="llama", strategy="tree")
    one, two = runner.new_context(), runner.new_context()
    runner.prefill([(one, [1, 2, 3]), (two, [4])])
    for turn in range(80):
        runner.forward([(one, [(turn, 5), (6, 7), (8,)]), (two, [(9,)])])
        one.commit((turn,))
    cache = runner.runner.cache
    layer = cache.layers.layers[0]
    assert layer.keys.shape[2] == cache.n_slots <= 1.5 * (len(one.ids) + 8), "what lost is overwritten"
    one.close()
    one.close()
    assert cache.n_bytes > 0
    two.close()
    assert cache.n_bytes == 0 and not one.paths.rows


def test_two_runners_may_share_a_module():
    module = build("llama")
    one, two = (HuggingFaceModel(module, name=name, strategy="tree") for name in ("one", "two"))
    first, second = opened(one, [1, 2, 3]), opened(two, [4, 5])
    one.forward([(first, [(6,)])])
    two.forward([(second, [(6,)])])
    for context, text in ((first, [1, 2, 3, 6]), (second, [4, 5, 6])):
        row = torch.tensor(context.next_logits((6,)), dtype=torch.float64)
        assert float((row - full_row(module, text)).abs().max()) < 1e-5


def test_a_near_tie_between_tokens_is_logged_with_its_margin(caplog):
    runner = HuggingFaceModel(build("llama"), name="llama", strategy="tree")
    with torch.no_grad():
        runner.module.lm_head.weight[7] = runner.module.lm_head.weight[9] = 2.0
    with caplog.at_level("INFO", logger="coolfusion"):
        context = opened(runner, [1, 2])
        if context.greedy(()) in (7, 9):
            assert "near-tie between the two best tokens" in caplog.text
        else:
            runner.suppress_tokens = frozenset(range(97)) - {7, 9}
            assert context.greedy(()) == 7, "the smaller id of equals"


def test_long_paths_are_read_like_short_ones():
    runner = HuggingFaceModel(build("llama"), name="llama", strategy="tree")
    one, two = runner.new_context(), runner.new_context()
    dice = torch.Generator().manual_seed(1)
    long = tuple(torch.randint(97, (70,), generator=dice).tolist())
    runner.prefill([(one, [1, 2, 3]), (two, [4])])
    runner.forward([(one, [long[:2]])])
    runner.forward([(one, [long, (*long[:30], 5, 6), (7,)]), (two, [(8, 9)])])
    one.commit(long[:1])
    for text, context, paths in (
        ([1, 2, 3, long[0]], one, [long[1:], long[1:40], (*long[1:30], 5, 6)]),
        ([4], two, [(8, 9)]),
    ):
        for path in paths:
            row = torch.tensor(context.next_logits(path), dtype=torch.float64)
            assert float((row - full_row(runner.module, [*text, *path])).abs().max()) < 1e-4
    one.commit((9, *long[:60]))
    runner.forward([(one, [(3,), (4, 5)])])
    for path in ((), (3,), (4, 5)):
        row = torch.tensor(one.next_logits(path), dtype=torch.float64)
        text = [1, 2, 3, long[0], 9, *long[:60], *path]
        assert float((row - full_row(runner.module, text)).abs().max()) < 1e-4
