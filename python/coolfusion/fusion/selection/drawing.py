"""The distribution of a rule over the candidates of a step, and the draw of a winner from it.

A rule's value is minus ln of the weight of a candidate, so the least value has the greatest weight:

    p(c)  is proportional to  exp(-value(c) / temperature)

For a power mean the weight is the mean probability, for the paper's rule one divided by the mean perplexity. Both
filters keep a beginning of the candidates by falling probability, and their probabilities are scaled to the sum 1. As
the temperature falls to 0, the probability of the greedy winner grows to 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from coolfusion.models.numerics import n_kept
from coolfusion.records import Candidate


def probabilities(
    values: Sequence[float],
    candidates: Sequence[Candidate],
    temperature: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> tuple[float, ...]:
    """Returns the probability of each candidate, which is 0 for those that a filter leaves out.

    Args:
        values: (C,) the values of the rule, in nats. If the least is an infinity, the candidates with it share alike.
        candidates: (C,) in any order; of equally likely ones those of bytewise smaller texts come first.
        temperature: divisor of the values, above 0.
        top_p: the fewest most likely candidates with this probability in all are kept.
        min_p: least share of the most likely candidate's probability that a candidate needs to be kept.

    Complexity: O(C log C).

    Example:
        >>> cs = [Candidate(text, False, (), (), ()) for text in "abc"]
        >>> [round(p, 3) for p in probabilities([math.log(2), math.log(4), math.log(4)], cs)]
        [0.5, 0.25, 0.25]
    """
    least = min(values)
    masses = [1.0 if each == least else math.exp((least - each) / temperature) for each in values]
    order = in_order(values, candidates)
    falling = [masses[at] for at in order]
    kept = n_kept(falling, math.fsum(falling), top_p, min_p)
    whole = math.fsum(falling[:kept])
    found = [0.0] * len(masses)
    for at in order[:kept]:
        found[at] = masses[at] / whole
    return tuple(found)


def in_order(values: Sequence[float], candidates: Sequence[Candidate]) -> list[int]:
    """Returns the numbers of the candidates in the order of their values, the greedy winner first.

    Args:
        values: (C,) the values of the rule.
        candidates: (C,) the candidates of the step.
    """
    return sorted(range(len(candidates)), key=lambda i: (values[i], candidates[i].text.encode()))


def drawn(chances: Sequence[float], order: Sequence[int], number: float) -> int:
    """Returns the candidate at which the cumulated probability passes a number.

    Args:
        chances: (C,) the probabilities of the candidates.
        order: the numbers of the candidates, in the order of the sum.
        number: a random number, at least 0 and below 1.

    Example:
        >>> [drawn([0.25, 0.75], [1, 0], number) for number in (0.0, 0.74, 0.76)]
        [1, 1, 0]
    """
    likely = [at for at in order if chances[at] > 0.0]
    sums = list(accumulate(chances[at] for at in likely))
    return likely[min(bisect_right(sums, number * sums[-1]), len(likely) - 1)]
