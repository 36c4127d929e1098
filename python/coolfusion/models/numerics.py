"""Sums of probabilities in the log domain: pure functions, without numpy and torch.

Sums use `math.fsum`, which is exact before its one rounding. A result therefore does not depend on the order of terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def logsumexp(values: Iterable[float]) -> float:
    """Returns ln of the sum of exponentials, without overflow.

    Args:
        values: nats.

    Returns:
        nats; -inf for no values; nan if any value is nan.
    """
    terms = list(values)
    if any(math.isnan(term) for term in terms):
        return math.nan
    top = max(terms, default=-math.inf)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(term - top) for term in terms))


def log_softmax(logits: Sequence[float]) -> list[float]:
    """Returns the normalised natural-log probabilities of one row of logits.

    Args:
        logits: (V,) in nats, up to a constant.

    Returns:
        (V,) ln p. All nan if a logit is nan or +inf, or if all are -inf, because such a row is no distribution.
    """
    total = logsumexp(logits)
    if not math.isfinite(total):
        return [math.nan] * len(logits)
    return [logit - total for logit in logits]


def total(logprobs: Iterable[float]) -> float:
    """Returns the sum of ln p in nats, rounded once; nan if one is nan, -inf if one is -inf."""
    values = list(logprobs)
    if any(math.isnan(value) for value in values):
        return math.nan
    return -math.inf if -math.inf in values else math.fsum(values)
