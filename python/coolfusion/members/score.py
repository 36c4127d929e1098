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
    paths = [each.token_ids for each in candidates]
    # The logits after the last token are not needed to score a candidate, but the next segment starts from them.
    whole = session.member.runner.batches_paths or (command.boundary_mass and any(each.whole for each in candidates))
    wanted = [path if whole else path[:-1] for path in paths]
    ended = [command.boundary_mass and each.whole for each in candidates]
    scored = [path if end else path[:-1] for path, end in zip(paths, ended, strict=True)]
    if not all(map(context.is_computed, scored)):
        yield session.need(*wanted)
    return tuple(_score(session, each, boundary_mass=command.boundary_mass) for each in candidates)


def _score(session: Session, candidate: ScoredPath, *, boundary_mass: bool) -> Score:
    context, path, runner = session.context, candidate.token_ids, session.member.runner
    starts = session.member.word_starting_ids
    start = context.next_logprob((), starts) if boundary_mass and session.starts_word else None
    if candidate.end:
        return Score(context.next_logprob((), runner.eos_token_ids), 1, 0, None, start)
    boundary = None
    if boundary_mass:
        boundary = context.next_logprob(path, starts) if candidate.whole else 0.0
    return Score(total(context.logprobs(path)), len(path), candidate.n_bytes, boundary, start)
