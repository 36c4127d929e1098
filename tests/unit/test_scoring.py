from __future__ import annotations

import itertools
import math

import pytest

from coolfusion.fusion.selection.measures import bits_per_byte, log_perplexity, perplexity
from coolfusion.models.numerics import log_softmax, logsumexp, total
from coolfusion.records import Score


def test_logsumexp_neither_overflows_nor_underflows():
    assert logsumexp([1000.0, 1000.0]) == pytest.approx(1000.0 + math.log(2.0))
    assert logsumexp([-1000.0, -1000.0]) == pytest.approx(-1000.0 + math.log(2.0))
    assert logsumexp([]) == -math.inf
    assert logsumexp([-math.inf, 0.0]) == 0.0
    assert logsumexp([math.inf, 0.0]) == math.inf
    assert math.isnan(logsumexp([math.nan, math.inf]))


def test_sums_do_not_depend_on_the_order_of_the_members():
    values = [0.1, -3.7, 12.25, 1e-9, -40.0]
    assert len({logsumexp(order) for order in itertools.permutations(values)}) == 1
    assert len({total(order) for order in itertools.permutations(values)}) == 1


@pytest.mark.parametrize("row", [[math.nan, 0.0], [math.inf, 0.0], [-math.inf, -math.inf]])
def test_a_row_that_is_no_distribution_is_nan_everywhere(row):
    assert all(math.isnan(value) for value in log_softmax(row))


def test_log_softmax_keeps_an_impossible_row_impossible():
    assert log_softmax([0.0, -math.inf, 0.0]) == [
        pytest.approx(-math.log(2.0)),
        -math.inf,
        pytest.approx(-math.log(2.0)),
    ]


def test_case_f03_a_perplexity_that_overflows_keeps_its_order_in_the_log_domain():
    assert log_perplexity(Score(-800.0, 1)) == 800.0
    assert perplexity(Score(-800.0, 1)) == math.inf
    assert log_perplexity(Score(-801.0, 1)) > log_perplexity(Score(-800.0, 1))


def test_case_e03_end_has_a_price_and_nothing_is_divided_by_zero():
    end = Score(-2.0, 1, 0)
    assert log_perplexity(end) == 2.0
    assert bits_per_byte(end) == pytest.approx(2.0 / math.log(2.0))
    assert math.isnan(log_perplexity(Score(0.0, 0)))


def test_totals_carry_what_is_no_number():
    assert math.isnan(total([0.0, math.nan, -math.inf]))
    assert total([-1.0, -math.inf]) == -math.inf
    assert total([]) == 0.0
