"""Evaluate: what one member says of the candidates of a step, as a task (arXiv 2407.19807, section 3.2).

A score is the sum of ln p over the candidate's tokens behind the member's own context. A candidate whose tokens are
known, such as the member's own, costs no pass; all others are read in one.
"""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.member import MemberState, Task
from coolfusion.records import Candidate, Score
from coolfusion.scoring import total


def score_candidates(state: MemberState, candidates: Sequence[Candidate]) -> Task[list[Score]]:
    """The scores of all candidates, all under one context.

    Complexity: one pass where a candidate holds tokens that are not known yet, none otherwise.
    """
    yield from _prepare(state, candidates)
    paths = [candidate.token_ids[state.number] for candidate in candidates]
    if not all(state.context.is_known(path[:-1]) for path in paths):
        # The last token tells nothing of its own candidate; whichever wins, the next segment begins behind it.
        yield state.need(*(path if state.member.runner.packs else path[:-1] for path in paths))
    return [_score(state, candidate) for candidate in candidates]


def score_one_by_one(state: MemberState, candidates: Sequence[Candidate]) -> Task[list[Score]]:
    """The same scores, each candidate read by itself and forgotten: for the literal schedule.

    Complexity: a pass for each candidate of two tokens or more that is not the member's own.
    """
    yield from _prepare(state, candidates)
    scores = []
    for candidate in candidates:
        path = candidate.token_ids[state.number]
        if not state.context.is_known(path[:-1]):
            state.context.clear()
            yield state.need(path[:-1])
        scores.append(_score(state, candidate))
    return scores


def _prepare(state: MemberState, candidates: Sequence[Candidate]) -> Task[None]:
    state.settle()
    yield from state.make_room(max((len(candidate.token_ids[state.number]) for candidate in candidates), default=0))


def _score(state: MemberState, candidate: Candidate) -> Score:
    context, path = state.context, candidate.token_ids[state.number]
    if candidate.end:
        return Score(context.next_logprob((), state.member.runner.end_ids), 1)
    return Score(total(context.logprobs(path)), len(path), len(candidate.text.encode()))
