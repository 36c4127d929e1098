"""Rules over the perplexities that the members give to one candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection.base import RowRule
from coolfusion.fusion.selection.measures import log_perplexity
from coolfusion.models.numerics import logsumexp
from coolfusion.records import Score


def _arithmetic_mean_perplexity(row: Sequence[Score]) -> float:
    """Returns ln of the mean over members of PPL_u(s), the paper's rule (arXiv 2407.19807, section 3.3).

    One hostile critic decides, because the greatest term rules the mean. For example, (1.2, 30) loses against (14, 14).

    Args:
        row: one score for each member.

    Returns:
        nats; +inf if one member gives probability 0.
    """
    return logsumexp(log_perplexity(score) for score in row) - math.log(len(row))


def _geometric_mean_perplexity(row: Sequence[Score]) -> float:
    """Returns ln of the geometric mean of the perplexities, in nats, so that no single member decides."""
    return math.fsum(log_perplexity(score) for score in row) / len(row)


def _total_negative_logprob(row: Sequence[Score]) -> float:
    """Returns minus the sum of ln p over tokens, members and the end of the word, in nats.

    A word that is cut into many likely pieces gains nothing here, as it does with any mean over tokens.

    Raises:
        ArgumentError: a score without the mass of its boundary.
    """
    if any(score.boundary_logprob is None for score in row if score.n_bytes):
        raise ArgumentError("total_negative_logprob needs scores with a boundary_logprob")
    return -math.fsum(score.logprob + (score.boundary_logprob or 0.0) for score in row)


arithmetic_mean_perplexity = RowRule(_arithmetic_mean_perplexity)
geometric_mean_perplexity = RowRule(_geometric_mean_perplexity)
total_negative_logprob = RowRule(_total_negative_logprob, boundary_mass=True)
