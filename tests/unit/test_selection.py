from __future__ import annotations

import itertools
import math

import pytest

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.fusion.selection import (
    arithmetic_mean_perplexity,
    geometric_mean_perplexity,
    select,
    total_negative_logprob,
    view_of,
)
from coolfusion.records import Candidate, Score

NAMES = ("first", "second")


def of_perplexity(value: float) -> Score:
    return Score(-math.log(value), 1, 1)


def pick(texts, scores, rule=arithmetic_mean_perplexity, names=NAMES):
    return select(rule, view_of([Candidate(text, not text, (0,), (), ()) for text in texts], scores, names))


def ended(*rows):
    """The same scores, with a word end that is certain."""
    return [[score._replace(boundary_logprob=0.0) for score in row] for row in rows]


def test_the_papers_rule_is_the_mean_of_the_perplexities():
    value = arithmetic_mean_perplexity([of_perplexity(2.0), of_perplexity(6.0)])
    assert math.exp(value) == pytest.approx(4.0)
    assert math.exp(geometric_mean_perplexity([of_perplexity(2.0), of_perplexity(8.0)])) == pytest.approx(4.0)


def test_case_f01_a_mean_over_tokens_favours_many_pieces_and_a_total_does_not():
    the = [Score(math.log(0.5), 1, 3), Score(math.log(0.4), 1, 3)]
    rare = [
        Score(math.log(0.01) + 5 * math.log(0.98), 6, 9),
        Score(math.log(0.005) + 7 * math.log(0.99), 8, 9),
    ]
    paper = pick(("The", "Rareword"), (the, rare))
    assert paper.winner == 1
    assert [math.exp(v) for v in paper.values] == [pytest.approx(2.25), pytest.approx(2.073684608118147)]
    assert pick(("The", "Rareword"), ended(the, rare), total_negative_logprob).winner == 0


def test_case_f02_one_hostile_critic_decides_the_arithmetic_mean_but_not_the_geometric():
    rows = ([of_perplexity(1.2), of_perplexity(30.0)], [of_perplexity(14.0), of_perplexity(14.0)])
    paper, geometric = pick(("x", "y"), rows), pick(("x", "y"), rows, geometric_mean_perplexity)
    assert (paper.winner, geometric.winner) == (1, 0)
    assert [math.exp(v) for v in paper.values] == [pytest.approx(15.6), pytest.approx(14.0)]
    assert [math.exp(v) for v in geometric.values] == [pytest.approx(6.0), pytest.approx(14.0)]


def test_case_f03_scores_too_small_for_exp_are_still_ordered():
    rows = ([Score(-801.0, 1), Score(-1.0, 1)], [Score(-800.0, 1), Score(-2.0, 1)])
    selection = pick(("a", "b"), rows)
    assert selection.winner == 1
    assert all(math.isfinite(value) for value in selection.values)


def test_case_f04_a_member_without_numbers_is_left_out_for_all_candidates():
    rows = ([Score(-1.0, 1), Score(math.nan, 1)], [Score(-2.0, 1), Score(-0.1, 1)])
    selection = pick(("a", "b"), rows)
    assert selection.excluded == (1,)
    assert selection.winner == 0
    assert selection.values == (1.0, 2.0)


def test_case_f04_no_member_with_numbers_is_an_error_that_names_them():
    rows = ([Score(math.nan, 1), Score(math.nan, 1)],)
    with pytest.raises(ModelError, match="first, second"):
        pick(("a",), rows)


def test_case_f04_an_impossible_candidate_loses_and_only_impossible_ones_tie():
    impossible, possible = [Score(-math.inf, 1), Score(-1.0, 1)], [Score(-9.0, 1), Score(-9.0, 1)]
    assert pick(("a", "b"), (impossible, possible)).winner == 1
    tie = pick(("b", "a"), (impossible, impossible))
    assert (tie.winner, tie.excluded) == (1, ())


def test_ties_go_to_the_smaller_bytes_and_end_is_the_smallest():
    row = [Score(-1.0, 1), Score(-1.0, 1)]
    assert pick(("b", "a"), (row, row)).winner == 1
    assert pick(("é", "z"), (row, row)).winner == 1, "bytes, not code points of another order"
    assert pick((" a", ""), (row, row)).winner == 1


def test_case_e07_nested_candidates_are_ranked_by_their_own_values():
    short, long = [Score(-1.0, 1), Score(-1.0, 1)], [Score(-1.5, 2), Score(-1.5, 2)]
    assert pick(("New", "New York"), (short, long)).winner == 1
    assert pick(("New", "New York"), (short, long), total_negative_logprob).winner == 0


def test_case_f11_the_mass_of_the_boundary_flips_a_prefix():
    cat = [Score(math.log(0.4), 1, 4), Score(math.log(0.4), 1, 4)]
    category = [Score(math.log(0.3), 1, 9), Score(math.log(0.3), 1, 9)]
    assert pick((" cat", " category"), ended(cat, category), total_negative_logprob).winner == 0
    with pytest.raises(ArgumentError, match="boundary_logprob"):
        pick((" cat", " category"), (cat, category), total_negative_logprob)
    cat = [score._replace(boundary_logprob=math.log(0.2)) for score in cat]
    category = [score._replace(boundary_logprob=math.log(0.9)) for score in category]
    assert pick((" cat", " category"), (cat, category), total_negative_logprob).winner == 1


@pytest.mark.parametrize("rule", [arithmetic_mean_perplexity, geometric_mean_perplexity, total_negative_logprob])
def test_case_f08_a_value_does_not_depend_on_the_order_of_the_members(rule):
    row = [Score(-0.1, 1, 5, -0.3), Score(-7.3, 3, 5, -0.1), Score(-2.2, 2, 5, -2.0), Score(-31.0, 4, 5, -0.7)]
    assert len({rule(order) for order in itertools.permutations(row)}) == 1
