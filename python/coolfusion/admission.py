"""Which proposals of a step become candidates: those that every member can score and commit.

A pure function of the proposals and of what the members' tokenizers say. Definitions: docs/design.md, "candidate".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coolfusion.errors import UnrepresentableTextError
from coolfusion.member import MemberState
from coolfusion.proposal import Proposal
from coolfusion.records import Candidate, Rejection


class Admission(NamedTuple):
    """The proposals of a step, sorted out.

    Attributes:
        candidates: what every member can take, in the order of their bytes; END first.
        rejected: the rest, with reasons.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]


def admit(states: Sequence[MemberState], proposals: Sequence[Proposal], budgets: Sequence[int]) -> Admission:
    """Merge proposals of equal text, and reject what some member cannot take; lost members are not asked.

    Args:
        states: (M,) the members.
        proposals: (M,) what each would write next.
        budgets: (M,) tokens that each may still write.
    """
    proposers: dict[str, list[int]] = {}  # "" is END: no other candidate is without text
    for state, proposal in zip(states, proposals, strict=True):
        if proposal.text is not None:
            proposers.setdefault(proposal.text, []).append(state.number)
    candidates = []
    rejected = [rejection for proposal in proposals for rejection in proposal.rejected]
    for text in sorted(proposers, key=str.encode):
        ways = [
            ((), False) if state.failed else _ids_under(state, text, proposal, budget, proposers[text])
            for state, proposal, budget in zip(states, proposals, budgets, strict=True)
        ]
        refusals = [way for way in ways if isinstance(way, Rejection)]
        rejected.extend(refusals)
        if not refusals:
            ids, forced = zip(*(way for way in ways if not isinstance(way, Rejection)), strict=True)
            candidates.append(Candidate(text, not text, tuple(proposers[text]), ids, forced))
    return Admission(tuple(candidates), tuple(rejected))


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
    limit = member.runner.limit
    missing = [i for i in ids if i >= member.runner.n_rows]
    if missing:
        return state.reject("vocabulary", text, proposers, f"token id {missing[0]} has no row")
    if len(ids) > budget:
        return state.reject("budget", text, proposers, f"{text!r} takes {len(ids)} tokens, {budget} are left")
    if limit is not None and len(ids) > limit - 1:
        return state.reject("limit", text, proposers, f"{text!r} takes {len(ids)} tokens, the limit is {limit}")
    return ids, forced
