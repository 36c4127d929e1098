"""Logits of a pass: sums over many ids equal sums over single ids, and cost one transfer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402 - after the skip

from architectures import build  # noqa: E402
from coolfusion.models.logits import LogitsBatch  # noqa: E402
from coolfusion.models.numerics import logsumexp  # noqa: E402
from coolfusion.models.transformers import forward  # noqa: E402
from coolfusion.models.transformers.forward import ForwardRunner  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own affairs

OWNER = ForwardRunner(build("llama"), "llama")
values = st.one_of(st.floats(-50, 50, width=32), st.sampled_from([-math.inf, 0.0]))


class Operations(TorchDispatchMode):
    """The names of all operations of torch while it is entered."""

    def __enter__(self):
        self.names = []
        return super().__enter__()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.names.append(str(function))
        return function(*arguments, **(options or {}))


@given(st.lists(values, min_size=2, max_size=12), st.lists(st.integers(0, 11), max_size=12), st.integers(0, 2))
def test_a_sum_over_ids_is_the_sum_over_each(row, ids, others):
    logits = torch.tensor([[1.0] * len(row)] * others + [row])
    ids = [i for i in dict.fromkeys(ids) if i < len(row)]
    batch = LogitsBatch(OWNER, logits)
    if not batch.is_distribution(others):
        assert math.isnan(batch.summed_logprob(others, ids))
        return
    expected = logsumexp(batch.logprob(others, i) for i in ids)
    assert batch.summed_logprob(others, ids) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 50_000])
def test_a_sum_over_any_number_of_ids_is_one_transfer(count):
    logits = torch.randn(3, 60_000, generator=torch.Generator().manual_seed(1))
    batch, ids = LogitsBatch(OWNER, logits), tuple(range(7, 7 + count))
    first = batch.summed_logprob(1, ids)
    with Operations() as seen:
        assert batch.summed_logprob(1, ids) == first
    assert sum("local_scalar" in name for name in seen.names) == 1
    assert len(seen.names) < 12, seen.names
    assert first == pytest.approx(float(logits[1].double().log_softmax(-1)[7 : 7 + count].logsumexp(0)), abs=1e-9)


def test_index_tensors_of_recent_ids_are_kept_and_their_number_is_bounded():
    device = torch.device("cpu")
    kept = OWNER.index_tensor((1, 2, 3), device)
    assert OWNER.index_tensor([1, 2, 3], device) is kept
    for number in range(forward.MOST_INDEX_TENSORS - 1):
        OWNER.index_tensor((1000 + number,), device)
    assert OWNER.index_tensor((1, 2, 3), device) is kept
    for number in range(forward.MOST_INDEX_TENSORS):
        OWNER.index_tensor((2000 + number,), device)
    assert OWNER.index_tensor((1, 2, 3), device) is not kept
    assert len(OWNER._index_tensors) == forward.MOST_INDEX_TENSORS
