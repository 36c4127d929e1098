"""Evaluate: the scores that one member gives to the candidates of a step (arXiv 2407.19807, section 3.2).

A score is the sum of ln p over the candidate's tokens after the member's own context. A candidate whose tokens are
computed already, for example the member's own, costs no pass. All others are read in one.
"""

from __future__ import annotations

from coolfusion.members.commands import ScoreCandidates, ScoredPath
from coolfusion.members.session import Session, Task
from coolfusion.models.numerics import total
from coolfusion.records import Score


def score_candidates(session: Session, command: ScoreCandidates) -> Task[tuple[Score, ...]]:
    """Scores all candidates, all under one context.

    Complexity: one pass where a candidate holds tokens that are not computed yet, none otherwise.
    """
    context, candidates = session.context, command.candidates
    yield from session.make_room(max((len(each.token_ids) for each in candidates), default=0))
    paths, mass = [each.token_ids for each in candidates], command.boundary_mass
    # The logits after the last token are not needed to score a candidate, but the next segment starts from them.
    wanted = scored = paths
    if not mass or not all(each.ending for each in candidates):
        scored = [each.token_ids if mass and each.ending else each.token_ids[:-1] for each in candidates]
        if not session.member.runner.batches_paths:
            wanted = scored
    if not all(map(context.is_computed, scored)):
        yield session.need(*wanted)
    return tuple(_score(session, each, boundary_mass=mass) for each in candidates)


def _score(session: Session, candidate: ScoredPath, *, boundary_mass: bool) -> Score:
    context, path, boundary, start = session.context, candidate.token_ids, None, None
    if boundary_mass:
        member = session.member
        start = context.next_logprob((), member.ids_after(session.ending)) if session.ending else None
        boundary = context.next_logprob(path, member.ids_after(candidate.ending)) if candidate.ending else 0.0
    if candidate.end:
        return Score(context.next_logprob((), session.member.runner.eos_token_ids), 1, 0, None, start)
    return Score(total(context.logprobs(path)), len(path), candidate.n_bytes, boundary, start)
