"""Sums of probabilities and the numbers made of them: pure functions, no numpy, no torch.

Everything stays in the log domain until a reader asks for a perplexity: ln p = -800 for one token would make
exp(800) = inf for every candidate and leave nothing to compare. Sums use `math.fsum`, which is exact before its one
rounding, so that no result depends on the order of the members.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from coolfusion.records import Score


def logsumexp(values: Iterable[float]) -> float:
    """ln of the sum of exponentials, without overflow.

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
    """Normalised natural-log probabilities of one row of logits.

    Args:
        logits: (V,) in nats, up to a constant.

    Returns:
        (V,) ln p. All nan if a logit is nan or +inf, or if all are -inf: such a row is no distribution.
    """
    total = logsumexp(logits)
    if not math.isfinite(total):
        return [math.nan] * len(logits)
    return [logit - total for logit in logits]


def log_perplexity(score: Score) -> float:
    """Mean negative ln p per token, in nats: ln of PPL_u(s), arXiv 2407.19807, section 3.2.

    Returns:
        nats per token; nan for a score over no tokens, which says nothing.
    """
    return -score.logprob / score.n_tokens if score.n_tokens else math.nan


def perplexity(score: Score) -> float:
    """PPL_u(s) = exp of the mean negative ln p per token; inf where the exponential overflows."""
    value = log_perplexity(score)
    return math.exp(value) if value < 709.0 else (math.nan if math.isnan(value) else math.inf)


def bits_per_byte(score: Score) -> float:
    """Bits per UTF-8 byte, the unit that can be compared between tokenizers.

    END has no byte and is counted as one, so that it has a finite price.
    """
    return -score.logprob / math.log(2.0) / max(score.n_bytes, 1)


def total(logprobs: Iterable[float]) -> float:
    """Sum of ln p in nats, rounded once; nan if one is nan, -inf if one is -inf."""
    values = list(logprobs)
    if any(math.isnan(value) for value in values):
        return math.nan
    return -math.inf if -math.inf in values else math.fsum(values)
