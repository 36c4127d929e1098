"""Select: which candidate is committed. Pure functions of the scores.

A rule gives one number to a candidate from its row of scores, one score per member; the least number wins. Rules see
only the members whose scores are numbers, in the members' order, and must not depend on that order. Ties go to the
candidate with the bytewise smaller text; END has no bytes, so it wins its ties. Nested candidates ("New" and
"New York") have no rule of their own: each is ranked by its own value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coolfusion.errors import ModelError
from coolfusion.records import Score
from coolfusion.scoring import log_perplexity, logsumexp

SelectionRule = Callable[[Sequence[Score]], float]


class Selection(NamedTuple):
    """The decision of one step.

    Attributes:
        winner: index of the chosen candidate.
        values: the rule's value of every candidate.
        margin: the second least value minus the least; inf for one candidate, 0 for a tie.
        excluded: numbers of the members that were left out.
    """

    winner: int
    values: tuple[float, ...]
    margin: float
    excluded: tuple[int, ...]


def arithmetic_mean_perplexity(row: Sequence[Score]) -> float:
    """ln of the mean over members of PPL_u(s): the paper's rule (arXiv 2407.19807, section 3.3).

    One hostile critic decides: perplexities (1.2, 30) lose against (14, 14). Kept because it is the paper's.

    Args:
        row: one score per member.

    Returns:
        nats; +inf if one member gives probability 0.
    """
    return logsumexp(log_perplexity(score) for score in row) - math.log(len(row))


def geometric_mean_perplexity(row: Sequence[Score]) -> float:
    """ln of the geometric mean of the perplexities: no single member decides."""
    return math.fsum(log_perplexity(score) for score in row) / len(row)


def total_negative_logprob(row: Sequence[Score]) -> float:
    """Minus the sum of ln p over tokens and members, with the mass of the boundary where it was measured.

    A word that is cut into many likely pieces gains nothing here, as it does with any mean over tokens.
    """
    return -math.fsum(score.logprob + (score.boundary_logprob or 0.0) for score in row)


def select(
    texts: Sequence[str], scores: Sequence[Sequence[Score]], rule: SelectionRule, names: Sequence[str]
) -> Selection:
    """Choose one candidate.

    A member with a nan among its scores is left out of the whole step, so that all candidates are compared over the
    same members; a probability of 0 is a number and stays.

    Args:
        texts: (C,) the candidates' texts, "" for END.
        scores: (C, M) the scores.
        rule: the value of a row; least wins.
        names: (M,) the members' names, for messages.

    Raises:
        ModelError: no member gave numbers.
    """
    members = range(len(names))
    excluded = tuple(j for j in members if any(math.isnan(row[j].logprob) for row in scores))
    kept = [j for j in members if j not in excluded]
    if not kept:
        raise ModelError(f"no model gave scores that are numbers: {', '.join(names)}")
    values = tuple(rule([row[j] for j in kept]) for row in scores)
    order = sorted(range(len(texts)), key=lambda i: (values[i], texts[i].encode()))
    best, second = values[order[0]], values[order[1]] if len(order) > 1 else math.inf
    return Selection(order[0], values, 0.0 if best == second else second - best, excluded)
