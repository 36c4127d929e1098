"""Statistics of paired scores: a bootstrap by item, McNemar's exact test, and Holm's correction."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from coolfusion.errors import ArgumentError

__all__ = ["Interval", "holm", "is_development", "mcnemar", "paired_bootstrap", "weighted_mean"]

RESAMPLES = 2000


class Interval(NamedTuple):
    """A difference of two means with its 95 % interval.

    Attributes:
        difference: the difference over all items.
        low: the 2.5 % quantile of the resampled differences.
        high: the 97.5 % quantile.
    """

    difference: float
    low: float
    high: float


def weighted_mean(scores: Sequence[float], weights: Sequence[float]) -> float:
    """Returns the mean of scores; nan for no weight.

    Args:
        scores: one for each item.
        weights: of the items, for example their bytes.

    Example:
        >>> weighted_mean([1.0, 4.0], [2.0, 1.0])
        2.0
    """
    whole = math.fsum(weights)
    return (
        math.fsum(score * weight for score, weight in zip(scores, weights, strict=True)) / whole if whole else math.nan
    )


def paired_bootstrap(
    scores: Sequence[float],
    others: Sequence[float],
    weights: Sequence[float] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Returns the difference of two weighted means over the same items, with its 95 % interval by percentiles.

    Args:
        scores: one for each item.
        others: those of the baseline for the same items.
        weights: of the items; None weighs all alike.
        resamples: number of draws of as many items, with replacement.
        seed: of the draws, so the same scores give the same interval.

    Raises:
        ArgumentError: lists of different lengths.

    Complexity: O(resamples * items).

    Source: Efron and Tibshirani (1993), chapter 13; paired by item as in Koehn (2004).

    Example:
        >>> paired_bootstrap([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
        Interval(difference=1.0, low=1.0, high=1.0)
    """
    weights = [1.0] * len(scores) if weights is None else weights
    if not len(scores) == len(others) == len(weights):
        raise ArgumentError(f"{len(scores)} scores, {len(others)} others and {len(weights)} weights are not paired")
    if not scores:
        return Interval(math.nan, math.nan, math.nan)
    gains = [(one - other) * weight for one, other, weight in zip(scores, others, weights, strict=True)]
    if not any(gains):
        return Interval(0.0, 0.0, 0.0)
    dice, found, items = random.Random(seed), [], list(zip(gains, weights, strict=True))
    for _ in range(resamples):
        drawn = dice.choices(items, k=len(items))
        whole = sum(weight for _, weight in drawn)
        found.append(sum(gain for gain, _ in drawn) / whole if whole else 0.0)
    found.sort()
    low, high = found[int(0.025 * resamples)], found[min(resamples - 1, int(0.975 * resamples))]
    return Interval(math.fsum(gains) / math.fsum(weights), low, high)


def mcnemar(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Returns the two-sided exact p of McNemar's test: that as many items were won as lost by chance.

    Args:
        ours: whether each item is right.
        theirs: the same under the baseline.

    Returns:
        p; 1 where the two agree on every item.

    Source: McNemar (1947), with the binomial distribution of the items on which the two differ.

    Example:
        >>> mcnemar([True] * 5, [False] * 5)  # 2 / 2^5
        0.0625
    """
    won = sum(one and not other for one, other in zip(ours, theirs, strict=True))
    lost = sum(other and not one for one, other in zip(ours, theirs, strict=True))
    n = won + lost
    tail = sum(math.comb(n, k) for k in range(min(won, lost) + 1))
    return min(1.0, float(2 * tail / 2**n))


def holm(values: Sequence[float]) -> list[float]:
    """Returns p-values that are corrected for their number by Holm's step-down method; nan stays and is not counted.

    Args:
        values: p-values.

    Source: Holm (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    known = sorted((value, at) for at, value in enumerate(values) if not math.isnan(value))
    found, least = list(values), 0.0
    for rank, (value, at) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        found[at] = least
    return found


def is_development(item: str) -> bool:
    """Returns whether an item belongs to the development half; a fixed hash of its id decides.

    Args:
        item: the id.

    Example:
        >>> sum(is_development(str(n)) for n in range(1000))
        535
    """
    return hashlib.sha256(item.encode()).digest()[0] % 2 == 0
