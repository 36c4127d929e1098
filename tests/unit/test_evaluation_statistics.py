"""Statistics against closed forms."""

from __future__ import annotations

import math

import pytest

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.statistics import holm, is_development, mcnemar, paired_bootstrap, weighted_mean


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 2**5),
        (0, 6, 2 / 2**6),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
        (3, 3, 1.0),
        (30, 10, 2 * sum(math.comb(40, k) for k in range(11)) / 2**40),
    ],
)
def test_mcnemar_is_the_binomial_of_the_items_that_differ(won, lost, p):
    ours = [True] * won + [False] * lost + [True, False] * 7
    theirs = [False] * won + [True] * lost + [True, False] * 7
    assert mcnemar(ours, theirs) == pytest.approx(p, rel=1e-12)
    assert mcnemar(theirs, ours) == mcnemar(ours, theirs)


@pytest.mark.parametrize(
    ("values", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5], [0.5]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([], []),
    ],
)
def test_holm(values, corrected):
    assert holm(values) == pytest.approx(corrected)


def test_holm_leaves_out_what_is_unknown():
    found = holm([0.01, math.nan, 0.03])
    assert found[0] == 0.02 and math.isnan(found[1]) and found[2] == 0.03


def test_the_bootstrap_of_a_constant_difference_is_a_point_and_weights_are_weights():
    assert paired_bootstrap([0.75, 0.5], [0.5, 0.25]) == (0.25, 0.25, 0.25)
    found = paired_bootstrap([1.0, 0.0], [0.0, 0.0], [3.0, 1.0])
    assert found.difference == 0.75
    assert weighted_mean([1.0, 0.0], [3.0, 1.0]) == 0.75
    assert math.isnan(weighted_mean([], [])) and math.isnan(paired_bootstrap([], []).difference)
    with pytest.raises(ArgumentError, match="2 scores, 1 others and 2 weights are not paired"):
        paired_bootstrap([1.0, 0.0], [0.0])


@pytest.mark.slow
def test_the_bootstrap_interval_has_the_width_of_the_normal_one():
    # 400 items, of which 100 are won: the difference has the variance .25 * .75 / 400.
    scores, others = [1.0] * 100 + [0.0] * 300, [0.0] * 400
    found = paired_bootstrap(scores, others)
    error = math.sqrt(0.25 * 0.75 / 400)
    assert found.difference == 0.25
    assert found.low == pytest.approx(0.25 - 1.96 * error, abs=0.006)
    assert found.high == pytest.approx(0.25 + 1.96 * error, abs=0.006)
    assert paired_bootstrap(scores, others) == found, "the same scores give the same interval"
    other = paired_bootstrap(others, scores)
    assert (other.difference, other.low, other.high) == pytest.approx((-0.25, -found.high, -found.low), abs=0.006)


def test_the_halves_are_halves_and_fixed():
    ids = [f"item{n}" for n in range(2000)]
    assert 900 < sum(map(is_development, ids)) < 1100
    # Files of earlier runs rely on it.
    assert [each for each in "abcdefgh" if is_development(each)] == ["a", "b", "c", "d", "h"]
