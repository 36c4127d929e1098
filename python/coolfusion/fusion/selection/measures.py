"""Units of scores: perplexity and bits per byte.

Everything stays in the log domain until a reader asks for a perplexity. For example, ln p = -800 for one token would
make exp(800) = inf for every candidate, and leave nothing to compare.
"""

from __future__ import annotations

import math

from coolfusion.records import Score


def log_perplexity(score: Score) -> float:
    """Returns the mean negative ln p per token, in nats: ln of PPL_u(s), arXiv 2407.19807, section 3.2.

    Returns:
        nats per token; nan for a score over no tokens, which says nothing.
    """
    return -score.logprob / score.n_tokens if score.n_tokens else math.nan


def perplexity(score: Score) -> float:
    """Returns PPL_u(s) = exp of the mean negative ln p per token; inf where the exponential overflows."""
    value = log_perplexity(score)
    return math.exp(value) if value < 709.0 else (math.nan if math.isnan(value) else math.inf)


def bits_per_byte(score: Score) -> float:
    """Returns bits per UTF-8 byte, the unit that can be compared between tokenizers.

    END has no byte and is counted as one, so that it has a finite price.
    """
    return -score.logprob / math.log(2.0) / max(score.n_bytes, 1)
