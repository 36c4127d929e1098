"""Units of scores: perplexity, bits and nats per byte, and ln p per token or byte.

Everything stays in the log domain until a reader asks for a perplexity. For example, ln p = -800 for one token would
make exp(800) = inf for every candidate, and leave nothing to compare.
"""

from __future__ import annotations

import math
from typing import Literal

from coolfusion.records import Score

Unit = Literal["segment", "token", "byte"]


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


def nats_per_byte(score: Score) -> float:
    """Returns -ln p per byte; nan for a score over no bytes. Example: ln p = -7 over 10 bytes gives 0.7."""
    return -score.logprob / score.n_bytes if score.n_bytes else math.nan


def logprob_of(score: Score, per: Unit = "segment") -> float:
    """Returns ln p of a candidate as a word, in nats; per token or byte if asked for.

    Where it is known, the end of the word is a factor of p. Where its start is known, it is given, so the result is the
    ln of p(candidate) p(end | candidate) / p(start). Without the divisor a member that expects no word to start would
    count less. For example, ln p = -2, an end of -0.1 and a start of -0.5 make -1.6.
    """
    logprob = score.logprob + (score.boundary_logprob or 0.0)
    if score.start_logprob is not None and score.start_logprob > -math.inf:
        logprob -= score.start_logprob
    if per == "token":
        return logprob / max(score.n_tokens, 1)
    return logprob / max(score.n_bytes, 1) if per == "byte" else logprob
