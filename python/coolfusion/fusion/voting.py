"""The vote on answers: voters, weights of ballots, and the end of a vote, by pure functions of records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.selection import StepView, Weights
from coolfusion.fusion.selection.base import NO_SCORE
from coolfusion.fusion.standing import STANDINGS, standing_of
from coolfusion.records import Continuation, Score


def ballot_weights(
    weights: Weights, names: Sequence[str], prompt: Sequence[Score], live: Sequence[int], seed: int | None = None
) -> list[float]:
    """Returns the weight of each member's ballot, its own weight times the number of live members, so the mean is 1.

    Args:
        weights: the weights of the members.
        names: (M,) the members' names.
        prompt: (M,) the scores of the prompt, or ().
        live: numbers of the members that take part; the others count 1.
        seed: the seed of the request.
    """
    if not live:
        return [1.0] * len(names)
    so_far = tuple(prompt) or (NO_SCORE,) * len(names)
    view = StepView((), (), tuple(live), tuple(names), tuple(prompt), so_far, (), seed)
    found = dict(zip(live, weights.of(view), strict=True))
    return [found[j] * len(live) if j in found else 1.0 for j in range(len(names))]


def with_ballots(
    continuations: Sequence[Continuation], settings: Rerank, weights: Sequence[float]
) -> list[Continuation]:
    """Returns the continuations with their standing, and with their answers and votes if there is a vote.

    Args:
        continuations: all of them; those that were rejected do not vote.
        settings: the settings of the rerank.
        weights: (M,) the weight of a ballot of each member; the fused text's counts 1.
    """
    found = [
        each if each.rejected else replace(each, standing=standing_of(each.text, each.finish_reason, settings))
        for each in continuations
    ]
    if not settings.vote:
        return found
    read = settings.extractor
    found = [each if each.rejected else replace(each, answer=read(each.text)) for each in found]
    voters = electorate(found)
    ballots = {at: 1.0 if found[at].author == "fusion" else weights[int(found[at].author)] for at in voters}
    for at in voters:
        same = [weight for other, weight in ballots.items() if found[other].answer == found[at].answer]
        found[at] = replace(found[at], weight=ballots[at], votes=math.fsum(same))
    return found


def electorate(continuations: Sequence[Continuation]) -> list[int]:
    """Returns the indices of the continuations that vote, which have an answer and the best standing of these."""
    able = [at for at, each in enumerate(continuations) if each.answer and each.rejected is None]
    best = min((STANDINGS.index(continuations[at].standing) for at in able), default=0)
    return [at for at in able if STANDINGS.index(continuations[at].standing) == best]


def tally(continuations: Sequence[Continuation]) -> dict[str, float]:
    """Returns the votes for each answer.

    Args:
        continuations: the continuations with their ballots.
    """
    return {str(continuations[at].answer): continuations[at].votes for at in electorate(continuations)}


def is_settled(votes: Mapping[str, float], left: float, stop_at: float | None) -> bool:
    """Returns whether further ballots are not worth their cost.

    Args:
        votes: the votes for each answer.
        left: the sum of the weights of all ballots that may still come.
        stop_at: the posterior probability that is enough, or None.

    Example:
        >>> is_settled({"7": 2.0, "8": 1.0}, 0.5, None), is_settled({"7": 4.0}, 9.0, 0.95)
        (True, True)
    """
    ordered = sorted(votes.values(), reverse=True)
    if not ordered:
        return False
    first, second = ordered[0], ordered[1] if len(ordered) > 1 else 0.0
    if first > second + left:
        return True
    # Votes are rounded against the leader, because the posterior has a closed form for whole numbers only.
    return stop_at is not None and leads(math.floor(first), math.ceil(second)) >= stop_at


def leads(first: int, second: int) -> float:
    """Returns the posterior probability that an answer with `first` votes is more frequent than one with `second`.

    Under a uniform prior the share of the first among both has the distribution Beta(first + 1, second + 1). The result
    is its mass above 1/2, a sum of binomial coefficients.

    Args:
        first: votes for the one.
        second: votes for the other.

    Source: Adaptive-Consistency, arXiv 2305.11860. The odds of the result are the Bayes factor of the two hypotheses.

    Example:
        >>> leads(4, 0), leads(2, 2)
        (0.96875, 0.5)
    """
    count = first + second + 1
    return float(sum(math.comb(count, n) for n in range(first + 1)) / 2**count)
