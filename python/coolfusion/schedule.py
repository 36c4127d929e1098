"""The literal schedule: propose, admit, evaluate, commit, one member after the other.

This is the paper's loop (arXiv 2407.19807, section 3) as it is written, and the reference that faster schedules must
equal: same candidates, same scores, same text. A schedule decides when models run; which candidate wins is
`selection`'s business, and the loop around both is `fusion`'s. Definitions: docs/design.md, "step".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from coolfusion.errors import UnrepresentableTextError
from coolfusion.member import MemberState, Proposal
from coolfusion.records import Candidate, Rejection, RejectionReason, Score
from coolfusion.scoring import total


class Admission(NamedTuple):
    """The proposals of a step, sorted out.

    Attributes:
        candidates: what every member can take, in the order of their bytes; END first.
        rejected: the rest, with reasons.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]


class Schedule(Protocol):
    """When models run. `budgets` are the tokens that each member may still write."""

    def propose(self, states: Sequence[MemberState], budgets: Sequence[int]) -> list[Proposal]:
        """TextGen: what each member would write next."""

    def admit(self, states: Sequence[MemberState], proposals: Sequence[Proposal], budgets: Sequence[int]) -> Admission:
        """The distinct proposals that every member can score and commit."""

    def evaluate(
        self, states: Sequence[MemberState], candidates: Sequence[Candidate], proposals: Sequence[Proposal]
    ) -> tuple[tuple[Score, ...], ...]:
        """Evaluate: (C, M) scores, each given the member's own context."""

    def commit(self, states: Sequence[MemberState], candidate: Candidate) -> None:
        """Make the candidate part of every member's context."""


class LiteralSchedule:
    """One model after the other, nothing kept from a lost proposal.

    Two passes are saved that cannot change anything: a member's score of its own proposal comes from the pass that
    generated it, and a member whose own proposal wins undisputed commits what it has already read. So `fuse([M])`
    runs exactly the passes of M's plain greedy decoding.
    """

    def propose(self, states: Sequence[MemberState], budgets: Sequence[int]) -> list[Proposal]:
        """TextGen: every member writes greedily until its next segment is known."""
        return [write_segment(state, budget) for state, budget in zip(states, budgets, strict=True)]

    def admit(self, states: Sequence[MemberState], proposals: Sequence[Proposal], budgets: Sequence[int]) -> Admission:
        """Merge proposals of equal text, and reject what some member cannot take."""
        proposers: dict[str, list[int]] = {}  # "" is END: no other candidate is without text
        for state, proposal in zip(states, proposals, strict=True):
            if proposal.text is not None:
                proposers.setdefault(proposal.text, []).append(state.number)
        candidates = []
        rejected = [rejection for proposal in proposals for rejection in proposal.rejected]
        for text in sorted(proposers, key=str.encode):
            ways = [
                _ids_under(state, text, proposal, budget, proposers[text])
                for state, proposal, budget in zip(states, proposals, budgets, strict=True)
            ]
            refusals = [way for way in ways if isinstance(way, Rejection)]
            rejected.extend(refusals)
            if not refusals:
                ids, forced = zip(*(way for way in ways if not isinstance(way, Rejection)), strict=True)
                candidates.append(Candidate(text, not text, tuple(proposers[text]), ids, forced))
        return Admission(tuple(candidates), tuple(rejected))

    def evaluate(
        self, states: Sequence[MemberState], candidates: Sequence[Candidate], proposals: Sequence[Proposal]
    ) -> tuple[tuple[Score, ...], ...]:
        """Score every candidate under every member, given that member's own context.

        Complexity: under each member one pass for each candidate of two or more tokens that it did not propose.
        """
        columns = [
            _scores_under(state, candidates, proposal) for state, proposal in zip(states, proposals, strict=True)
        ]
        return tuple(zip(*columns, strict=True))

    def commit(self, states: Sequence[MemberState], candidate: Candidate) -> None:
        """Read the winner in every model, then append it to every record: all records or none."""
        for state, ids in zip(states, candidate.token_ids, strict=True):
            model = state.member.model
            if model.pending() != ids:
                model.rollback()
                model.extend(ids)
            model.commit()
        for state, ids, forced in zip(states, candidate.token_ids, candidate.forced, strict=True):
            state.ids.extend(ids)
            state.forced_cuts += forced
            state.encoder.push(candidate.text)
            state.segmenter.restart(candidate.text)


def write_segment(state: MemberState, budget: int) -> Proposal:
    """TextGen of one member: greedy tokens until its segmenter knows a segment, END comes, or room or budget end.

    At END, and where `budget` tokens are written, what is there is the segment, also inside a word. If the context
    grows over the model's limit on the way, it is cut and the segment is written again under the shorter context.

    Args:
        state: the member.
        budget: most tokens to write, at least 1.

    Returns:
        the proposal, without bytes that are no text: an incomplete character at the budget's end, or before END.
    """
    model, segmenter = state.member.model, state.segmenter
    model.rollback()
    segmenter.restart("")
    ids: list[int] = []
    logprobs: list[float] = []
    why: RejectionReason = "invalid"
    while True:
        token_id = model.greedy(state.member.banned)
        if token_id is None:
            detail = f"its logits after {state.n_context + len(ids)} tokens are no distribution (nan, +inf or all -inf)"
            return Proposal(None, False, rejected=(state.reject("numbers", "", (state.number,), detail),))
        if token_id in model.end_ids:
            return _proposal_at_end(state, ids, logprobs)
        ids.append(token_id)
        logprobs.append(model.next_logprob((token_id,)))
        segment = segmenter.push(token_id)
        if segment is not None:
            break
        if len(ids) < budget and not state.fits(len(ids)) and state.n_context > state.kept_after_cut:
            state.make_room(len(ids))
            return write_segment(state, budget)
        if len(ids) >= budget or not state.fits(len(ids)):
            why = "budget" if len(ids) >= budget else "limit"
            segment = _last_segment(segmenter, ids)
            break
        model.extend((token_id,))
    return _proposal(state, segment, ids, logprobs, why)


def _proposal_at_end(state: MemberState, ids: list[int], logprobs: list[float]) -> Proposal:
    """What a member proposes that ended its text: the word before END first, then END."""
    segment = _last_segment(state.segmenter, ids) if ids else None
    proposal = _proposal(state, segment, ids, logprobs, "invalid")
    if proposal.text is not None:
        return proposal
    return Proposal("", True, context=proposal.context, rejected=proposal.rejected if ids else ())


def _proposal(
    state: MemberState, segment: Any, ids: list[int], logprobs: list[float], why: RejectionReason
) -> Proposal:
    """A segment as a proposal, or the reason why it is none."""
    context = (state.start, len(state.ids))
    if segment is not None and segment.valid and segment.text:
        n = len(segment.token_ids)
        return Proposal(segment.text, False, tuple(ids[:n]), tuple(logprobs[:n]), context)
    if segment is None or not segment.text:
        why, detail, text = "empty" if why == "invalid" else why, f"token ids {ids} have no text", ""
    else:
        text = segment.text
        detail = f"token ids {ids} are no UTF-8 at the end of {len(ids)} tokens"
    return Proposal(None, False, context=context, rejected=(state.reject(why, text, (state.number,), detail),))


def _last_segment(segmenter: Any, ids: Sequence[int]) -> Any:
    """The segment where writing must stop: what the segmenter holds, less an incomplete character at its end."""
    segment = whole = segmenter.finish()
    for n in range(len(ids) - 1, 0, -1):
        if segment is None or segment.valid:
            return segment
        segmenter.restart("")
        for token_id in ids[:n]:
            segmenter.push(token_id)
        segment = segmenter.finish()
    return segment if segment is not None and segment.valid else whole


def _ids_under(
    state: MemberState, text: str, proposal: Proposal, budget: int, proposers: Sequence[int]
) -> tuple[tuple[int, ...], bool] | Rejection:
    """The ids that a member scores and commits for `text`, and whether they are a forced cut.

    Its own generated ids if it proposed the text, also where they are not canonical; else the canonical ids behind
    what stands there. If those would rewrite committed tokens, the text is encoded by itself: a forced cut.
    """
    if not text:
        return (), False
    member, ids, forced = state.member, proposal.ids, False
    if proposal.text != text:
        edit = state.encoder.peek(text)
        forced = edit.drop > 0
        try:
            ids = tuple(member.tokenizer.encode(text, continues=True, errors="strict") if forced else edit.ids)
        except UnrepresentableTextError as err:
            return state.reject("lossy", text, proposers, str(err))
        if not forced and not edit.lossless:
            return state.reject("lossy", text, proposers, f"its tokenizer cannot say {text!r}")
    limit = member.model.limit
    missing = [i for i in ids if i >= member.model.n_rows]
    if missing:
        return state.reject("vocabulary", text, proposers, f"token id {missing[0]} has no row")
    if len(ids) > budget:
        return state.reject("budget", text, proposers, f"{text!r} takes {len(ids)} tokens, {budget} are left")
    if limit is not None and len(ids) > limit - 1:
        return state.reject("limit", text, proposers, f"{text!r} takes {len(ids)} tokens, the limit is {limit}")
    return ids, forced


def _scores_under(state: MemberState, candidates: Sequence[Candidate], proposal: Proposal) -> list[Score]:
    """One member's scores of all candidates, all under one context."""
    model, number = state.member.model, state.number
    state.make_room(max((len(candidate.token_ids[number]) for candidate in candidates), default=0))
    fresh = proposal.context == (state.start, len(state.ids))
    scores = []
    for candidate in candidates:
        ids = candidate.token_ids[number]
        if candidate.end:
            model.rollback()
            scores.append(Score(model.next_logprob(model.end_ids), 1))
            continue
        own = fresh and number in candidate.members
        logprobs = proposal.logprobs if own else model.score(ids)
        scores.append(Score(total(logprobs), len(ids), len(candidate.text.encode())))
    return scores
