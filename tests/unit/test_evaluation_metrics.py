"""Metrics against values that were worked out by hand from their published definitions."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolfusion.evaluation import metrics
from coolfusion.evaluation.drop_metric import _best_sum, drop_scores, normalized_span


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("16 - 3 - 4 = 9 eggs.\n#### 18", "18", "18"),
        ("#### $1,234.50 in all", "1234.50", "1234.50"),
        ("#### -5", "-5", "-5"),
        ("The answer is 42.", "", "42"),
        ("#### 7\n\nQuestion: 3 + 4", "7", "4"),
        ("Between 3,000 and 4,000.", "", "4000"),
        (".5 of it", "", ".5"),
        ("none at all, $ and - and ,", "", ""),
        ("", "", ""),
    ],
)
def test_numbers_of_gsm8k(text, strict, flexible):
    assert (metrics.strict_number(text), metrics.flexible_number(text)) == (strict, flexible)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("18", "18.00", True),
        ("1,000", "1000", True),
        ("$5", "5", True),
        ("", "", False),
        ("5", "6", False),
        ("x", "x", False),
    ],
)
def test_numbers_are_compared_as_numbers(one, other, same):
    assert metrics.same_number(one, other) is same


@pytest.mark.parametrize(
    ("answer", "gold", "em", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0, 1.0),
        ("in the park", "the Park, today", 0.0, 2 * 1 / (2 + 2)),
        ("cat cat dog", "cat", 0.0, 2 * 1 / (3 + 1)),
        ("", "", 1.0, 1.0),
        ("the", "a", 1.0, 1.0),  # articles alone are nothing
        ("", "cat", 0.0, 0.0),
        ("another", "an other", 0.0, 0.0),  # articles are whole words
    ],
)
def test_exact_match_and_f1_of_squad(answer, gold, em, f1):
    assert (metrics.exact_match(answer, gold), metrics.token_f1(answer, gold)) == (em, pytest.approx(f1))


def test_the_best_gold_answer_counts():
    assert metrics.best_match("new york city", ["NYC", "New York"]) == {"em": 0.0, "f1": pytest.approx(2 * 2 / 5)}
    assert metrics.best_match("x", []) == {"em": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    ("text", "word"), [(' "signs," he', "signs"), ("don't!", "don't"), ("\n ", ""), ("(a) b", "a")]
)
def test_first_words(text, word):
    assert metrics.first_word(text) == word


@pytest.mark.parametrize(
    ("answer", "golds", "em", "f1"),
    [
        (["The Packers"], [["packers"]], 1.0, 1.0),
        (["24"], [["24.0"]], 1.0, 1.0),
        (["1,000"], [["1000"]], 1.0, 1.0),
        # precision 1/2 and recall 1 give 2/3, rounded to two places as published
        (["Green Packers"], [["Packers"]], 0.0, 0.67),
        (["3 yards"], [["4 yards"]], 0.0, 0.0),  # the number is wrong, so nothing counts
        (["4 long yards"], [["4 yards"]], 0.0, 0.8),
        (["b", "a"], [["a", "b"]], 1.0, 1.0),
        (["a x"], [["x", "y"]], 0.0, 0.5),  # one of two spans
        (["x", "y"], [["x"]], 0.0, 0.5),
        (["wrong"], [["also wrong"], ["right"]], 0.0, 0.67),
        (["x"], [], 0.0, 0.0),
    ],
)
def test_drop(answer, golds, em, f1):
    assert drop_scores(answer, golds) == {"em": em, "f1": f1}


def test_spans_are_normalized_word_by_word():
    assert normalized_span("The 12-yard field goal (3rd)") == "12.0 yard field goal 3rd"


@given(st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=5))
def test_the_best_pairing_is_that_of_all_pairings(cells):
    pairs = [[cell / 20 for cell in row] for row in cells]
    n, m = len(pairs), len(pairs[0])
    if n <= m:
        every = (math.fsum(pairs[i][j] for i, j in enumerate(one)) for one in itertools.permutations(range(m), n))
    else:
        every = (math.fsum(pairs[i][j] for j, i in enumerate(one)) for one in itertools.permutations(range(n), m))
    assert _best_sum(pairs) == pytest.approx(max(every))


def test_many_spans_are_paired_at_once():
    dice = random.Random(3)
    spans = [f"word{n} w{n}" for n in range(40)]
    assert drop_scores(dice.sample(spans, 40), [spans]) == {"em": 1.0, "f1": 1.0}
