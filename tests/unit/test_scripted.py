from __future__ import annotations

import math

import pytest

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models import LanguageModel, ScriptedModel

TABLE = {(): {1: 0.6, 2: 0.4}, (1,): {2: 1.0}, (2, 1): {0: 0.5, 3: 0.5}}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel.from_table(TABLE, 4, end_ids=(0,), limit=4)


def test_it_is_a_language_model(model):
    assert isinstance(model, LanguageModel)
    assert model.describe()["kind"] == "scripted"


def test_the_longest_key_of_the_table_counts(model):
    model.prefill([3])
    assert model.greedy(()) == 1
    model.prefill([1])
    assert model.greedy(()) == 2
    model.prefill([2, 1])
    assert model.greedy(()) == 0, "the smaller id of equals"
    assert model.greedy((0,)) == 3
    assert model.next_logprob((0, 3)) == pytest.approx(0.0)
    assert model.next_logprob(()) == -math.inf


def test_rollback_returns_to_the_last_commit(model):
    model.prefill([3])
    model.extend([1])
    assert model.pending() == (1,)
    model.commit()
    model.extend([2])
    model.rollback()
    assert (model.pending(), model.greedy(())) == ((), 2)


def test_scoring_leaves_the_context_as_it_is(model):
    model.prefill([3])
    model.extend([2])
    assert model.score([1, 2]) == [pytest.approx(math.log(0.6)), pytest.approx(0.0)]
    assert model.score([3]) == [-math.inf]
    assert (model.pending(), model.greedy(())) == ((), 1)


def test_passes_and_tokens_are_counted_as_a_model_with_a_cache_would(model):
    model.prefill([3, 1])
    model.extend([2])
    assert (model.forward_passes, model.tokens_processed) == (2, 3)
    model.score([2])
    assert model.forward_passes == 2, "the row for a single token is there already"
    model.score([2, 1])
    assert (model.forward_passes, model.tokens_processed) == (3, 4)


def test_what_a_real_model_would_fail_at_fails_here(model):
    with pytest.raises(ModelError, match="token id 4 has no row"):
        model.prefill([4])
    with pytest.raises(ModelError, match="limit is 4"):
        model.prefill([1] * 5)
    with pytest.raises(ArgumentError, match="key \\(\\)"):
        ScriptedModel.from_table({(1,): {2: 1.0}}, 4)
    short = ScriptedModel(lambda ids: [0.0], 4)
    short.prefill([1])
    with pytest.raises(ModelError, match="gave 1 logits, expected 4"):
        short.greedy(())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_no_distribution_is_said_and_not_raised(bad):
    model = ScriptedModel(lambda ids: [0.0, bad], 2, end_ids=(0,))
    model.prefill([1])
    assert model.greedy(()) is None
    assert math.isnan(model.next_logprob((0,)))
    assert all(math.isnan(value) for value in model.score([0, 1]))


def test_nothing_can_be_chosen_where_everything_likely_is_banned():
    model = ScriptedModel(lambda ids: [0.0, -math.inf], 2)
    model.prefill([1])
    assert model.greedy((0,)) is None
    assert model.greedy((0, 1)) is None


def test_the_example_of_the_docstring_runs():
    import doctest

    from coolfusion.models import scripted

    result = doctest.testmod(scripted)
    assert (result.attempted, result.failed) == (4, 0)
