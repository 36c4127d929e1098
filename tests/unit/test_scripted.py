from __future__ import annotations

import math

import pytest

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models import LanguageModel, ScriptedModel
from coolfusion.models.base import Context

TABLE = {(): {1: 0.6, 2: 0.4}, (1,): {2: 1.0}, (2, 1): {0: 0.5, 3: 0.5}}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel.from_table(TABLE, 4, eos_token_ids=(0,), max_model_len=4)


def opened(model, ids):
    context = model.new_context()
    model.prefill([(context, ids)])
    return context


def test_it_is_a_language_model(model):
    assert isinstance(model, LanguageModel)
    assert isinstance(opened(model, [3]), Context)
    assert model.describe()["kind"] == "scripted"


def test_the_longest_key_of_the_table_counts(model):
    assert opened(model, [3]).greedy(()) == 1
    assert opened(model, [1]).greedy(()) == 2
    context = opened(model, [2, 1])
    assert context.greedy(()) == 0, "the smaller id of equals"
    model.suppress_tokens = frozenset((0,))
    assert context.greedy(()) == 3
    assert context.next_logprob((), (0, 3)) == pytest.approx(0.0)
    assert context.next_logprob((), ()) == -math.inf


def test_a_path_is_known_once_it_was_read_with_all_its_prefixes(model):
    context = opened(model, [3])
    assert context.is_computed(())
    assert not context.is_computed((1,))
    model.forward([(context, [(1, 2)])])
    assert context.is_computed((1,)) and context.is_computed((1, 2)) and not context.is_computed((2,))
    assert context.logprobs((1, 2)) == [pytest.approx(math.log(0.6)), pytest.approx(0.0)]
    assert context.logprobs((3,)) == [-math.inf], "the last id of a path need not be known"
    context.clear()
    assert context.is_computed(()) and not context.is_computed((1,))


def test_a_commit_keeps_what_is_known_below_it_and_costs_no_pass(model):
    context = opened(model, [3])
    model.forward([(context, [(1, 2), (2,)])])
    passes = model.forward_passes
    context.commit((1,))
    assert (context.length, model.forward_passes) == (2, passes)
    assert context.is_computed((2,)) and context.is_computed(())
    assert context.greedy((2,)) == 1
    context.commit((3, 1))
    assert not context.is_computed(()), "what was committed unread must be read first"
    model.forward([(context, [()])])
    assert (context.length, context.greedy(())) == (4, 2)


def test_passes_are_shared_and_tokens_counted_as_a_model_with_a_cache_would(model):
    one, two = model.new_context(), model.new_context()
    model.prefill([(one, [3, 1]), (two, [2])])
    assert (model.forward_passes, model.processed_tokens) == (1, 3)
    model.forward([(one, [(2,), (2, 1), (3,)]), (two, [(1,)])])
    assert (model.forward_passes, model.processed_tokens) == (2, 7)
    assert [(each.forward_passes, each.processed_tokens) for each in (one, two)] == [(2, 5), (2, 2)]
    model.forward([(one, [(2, 1)]), (two, [(1,)])])
    assert model.forward_passes == 2, "all of it is known"


def test_what_a_real_model_would_fail_at_fails_here(model):
    context = model.new_context()
    with pytest.raises(ModelError, match="token id 4 has no row"):
        model.prefill([(context, [4])])
    with pytest.raises(ModelError, match="nothing to read"):
        model.prefill([(context, [])])
    with pytest.raises(ModelError, match="limit is 4"):
        model.prefill([(context, [1] * 5)])
    model.prefill([(context, [1] * 3)])
    with pytest.raises(ModelError, match="limit is 4"):
        model.forward([(context, [(1, 2)])])
    assert context.is_computed(()), "what was known stays so"
    with pytest.raises(ArgumentError, match="key \\(\\)"):
        ScriptedModel.from_table({(1,): {2: 1.0}}, 4)
    with pytest.raises(ModelError, match="gave 1 logits, expected 4"):
        opened(ScriptedModel(lambda ids: [0.0], 4), [1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_no_distribution_is_said_and_not_raised(bad):
    context = opened(ScriptedModel(lambda ids: [0.0, bad], 2, eos_token_ids=(0,)), [1])
    assert context.greedy(()) is None
    assert math.isnan(context.next_logprob((), (0,)))
    assert all(math.isnan(value) for value in context.logprobs((0,)))


def test_nothing_can_be_chosen_where_everything_likely_is_banned():
    model = ScriptedModel(lambda ids: [0.0, -math.inf], 2)
    context = opened(model, [1])
    for model.suppress_tokens in (frozenset((0,)), frozenset((0, 1))):
        assert context.greedy(()) is None


def test_the_example_of_the_docstring_runs():
    import doctest

    from coolfusion.models import scripted

    result = doctest.testmod(scripted)
    assert (result.attempted, result.failed) == (5, 0)
