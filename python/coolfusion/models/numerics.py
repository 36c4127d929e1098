"""Sums of probabilities in the log domain: pure functions, without numpy and torch.

Sums use `math.fsum`, which is exact before its one rounding. A result therefore does not depend on the order of terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate


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


def random_number(*key: object) -> float:
    """Returns a number from 0 on and below 1 that depends on the key alone, on every machine.

    Args:
        key: whatever tells one number from another; its text counts.

    Example:
        >>> random_number(7, "a", 0) == random_number(7, "a", 0) != random_number(7, "a", 1)
        True
    """
    digest = blake2b("\0".join(map(str, key)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def n_kept(masses: Sequence[float], whole: float, top_p: float, min_p: float) -> int:
    """Returns the number of masses that both filters leave, the greatest first and at least one.

    Args:
        masses: in falling order, as far as they are known.
        whole: the sum of all.
        top_p: the fewest masses with this share of the whole count.
        min_p: masses of at least this share of the greatest count.

    Example:
        >>> n_kept([5.0, 3.0, 2.0], 10.0, 0.8, 0.0), n_kept([5.0, 3.0, 2.0], 10.0, 1.0, 0.5)
        (2, 2)
    """
    enough = next((n for n, mass in enumerate(accumulate(masses), 1) if mass >= top_p * whole), len(masses))
    likely = sum(1 for mass in masses if mass >= min_p * masses[0])
    return max(1, min(enough if top_p < 1.0 else len(masses), likely))
