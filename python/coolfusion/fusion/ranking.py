"""Ranks whole continuations by a pure function of their records, the settings, and the rule of the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.selection import SelectionRule, StepView, select, view_of
from coolfusion.fusion.standing import STANDINGS
from coolfusion.fusion.voting import with_ballots
from coolfusion.records import Author, Candidate, Continuation, Criterion, Score


class Pool(NamedTuple):
    """The judges of a rerank.

    Attributes:
        names: (M,) the members' names.
        rule: the selection rule of the steps.
        prompt: (M,) the scores of the prompt, or ().
        weights: (M,) the weight of a ballot of each member.
        seed: the seed of the request.
    """

    names: tuple[str, ...]
    rule: SelectionRule
    prompt: tuple[Score, ...]
    weights: tuple[float, ...]
    seed: int | None


def ranked(continuations: Sequence[Continuation], settings: Rerank, pool: Pool) -> list[Continuation]:
    """Returns the continuations in their order, with values, votes, ranks and reasons.

    Args:
        continuations: the continuations with their scores, the fused one first.
        settings: the settings of the rerank.
        pool: the judges.

    Raises:
        ModelError: no member gave numbers.
        CoolFusionError: the rule, or the function that reads answers, raised.
    """
    found = with_values(with_ballots(continuations, settings, pool.weights), settings, pool)
    # `sorted` is stable, so of equal texts the earlier one comes first.
    keys = [_key(each, settings.margin) for each in found]
    order = sorted(range(len(found)), key=keys.__getitem__)
    best = keys[order[0]]
    for rank, at in enumerate(order):
        found[at] = replace(found[at], rank=rank, lost_by=_lost_by(keys[at], best) if rank else None)
    return found


def with_values(continuations: Sequence[Continuation], settings: Rerank, pool: Pool) -> list[Continuation]:
    """Returns the continuations with their values and judges; those that were rejected keep inf.

    Args:
        continuations: the continuations with their scores.
        settings: the settings of the rerank.
        pool: the judges.
    """
    found = list(continuations)
    open_ones = [at for at, each in enumerate(found) if each.rejected is None]
    if not open_ones:
        return found
    candidates = [Candidate(found[at].text, False, (), (), ()) for at in open_ones]
    scores = [found[at].scores for at in open_ones]
    n_ends = [int(settings.end and found[at].finish_reason == "end") for at in open_ones]
    view = view_of(candidates, scores, pool.names, prompt=pool.prompt, so_far=pool.prompt, seed=pool.seed)
    by_author: dict[Author, tuple[StepView, tuple[float, ...]]] = {}
    for row, at in enumerate(open_ones):
        author = found[at].author if settings.scores == "others" else "fusion"
        if author not in by_author:
            judges = tuple(j for j in view.members if j != author) or view.members
            of_author = replace(view, members=judges)
            by_author[author] = of_author, _values(of_author, n_ends, settings, pool.rule)
        of_author, values = by_author[author]
        found[at] = replace(found[at], value=values[row], judges=of_author.members)
    return found


def _values(view: StepView, n_ends: Sequence[int], settings: Rerank, rule: SelectionRule) -> tuple[float, ...]:
    """Returns the value of each continuation; `n_ends` holds 1 for those with END."""
    if settings.length == "rule":
        return select(rule, view).values
    found = []
    for at, n_end in enumerate(n_ends):
        parts = []
        for score in view.row(at):
            units = {"token": score.n_tokens, "byte": score.n_bytes + n_end, "whole": 1}[settings.length]
            parts.append(-score.logprob / units)
        found.append(math.inf if math.inf in parts else math.fsum(parts) / len(parts))
    return tuple(found)


class _Key(NamedTuple):
    """The criteria of a continuation in the order in which they decide; the least continuation wins."""

    rejected: bool
    answer: bool
    standing: int
    vote: float
    likelihood: float
    text: bytes


_CRITERIA: tuple[Criterion, ...] = ("rejected", "answer", "standing", "vote", "likelihood", "text")


def _key(each: Continuation, margin: float) -> _Key:
    """Returns the criteria of a continuation, with the margin that another needs to outbid the fused text."""
    if each.rejected is not None:
        # All values are alike, so the fused text stays if no text could be scored.
        return _Key(True, False, 0, 0.0, math.inf, b"")
    standing = STANDINGS.index(each.standing)
    likelihood = each.value if each.author == "fusion" else each.value + margin
    return _Key(False, each.answer == "", standing, -each.votes, likelihood, each.text.encode())


def _lost_by(key: _Key, best: _Key) -> Criterion:
    """Returns the first criterion that differs, or "text" for equal texts."""
    if key.rejected:
        return "rejected"
    return next((name for name, one, other in zip(_CRITERIA, key, best, strict=True) if one != other), "text")
