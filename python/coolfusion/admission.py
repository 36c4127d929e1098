"""Which proposals of a step become candidates: those that every member can score and commit.

A pure function of the proposals and of what the members' tokenizers say. Budgets have no part in it, so that a step is
decided alike under every budget; `endings` cuts what was decided. Definitions: docs/design.md, "candidate".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion.errors import UnrepresentableTextError
from coolfusion.member import MemberState
from coolfusion.proposal import Proposal
from coolfusion.records import Candidate, Rejection

JOINER = "\u200d"  # of characters that are shown as one
Way = tuple[tuple[int, ...], bool] | Rejection


class Admission(NamedTuple):
    """The proposals of a step, sorted out.

    Attributes:
        candidates: what every member can take, in the order of their bytes; END first.
        rejected: the rest, with reasons.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]


def admit(states: Sequence[MemberState], proposals: Sequence[Proposal]) -> Admission:
    """Merge proposals of equal text, and reject what some member cannot take; lost members are not asked.

    A proposal that runs over something that a member cannot say ends before it. Where that comes first the proposal
    is rejected.

    Args:
        states: (M,) the members.
        proposals: (M,) what each would write next.
    """
    rejected = [rejection for proposal in proposals for rejection in proposal.rejected]
    proposers: dict[str, list[int]] = {}  # "" is END: no other candidate is without text
    for text, members in _by_text(states, proposals).items():
        said = _sayable(states, proposals, text, members)
        if said != text:
            refusals = [way for way in _ways(states, proposals, text, members) if isinstance(way, Rejection)]
            rest = text[len(said) :]
            rejected += [replace(refusal, text=rest) for refusal in refusals]
        if said or not text:
            proposers[said] = sorted([*proposers.get(said, ()), *members])
    candidates = []
    for text in sorted(proposers, key=str.encode):
        ways = _ways(states, proposals, text, proposers[text])
        refusals = [way for way in ways if isinstance(way, Rejection)]
        rejected.extend(refusals)
        if not refusals:
            ids, forced = zip(*(way for way in ways if not isinstance(way, Rejection)), strict=True)
            candidates.append(Candidate(text, not text, tuple(proposers[text]), ids, forced))
    return Admission(tuple(candidates), tuple(rejected))


def _by_text(states: Sequence[MemberState], proposals: Sequence[Proposal]) -> dict[str, list[int]]:
    """The texts that were proposed, in the order of their bytes, and by whom."""
    found: dict[str, list[int]] = {}
    for state, proposal in zip(states, proposals, strict=True):
        if proposal.text is not None:
            found.setdefault(proposal.text, []).append(state.number)
    return {text: found[text] for text in sorted(found, key=str.encode)}


def _sayable(states: Sequence[MemberState], proposals: Sequence[Proposal], text: str, members: Sequence[int]) -> str:
    """The longest beginning of a text that every member can say; the text itself where that is not in the way.

    It ends neither behind white space, where a cut would change tokens, nor inside a character with its marks.

    Complexity: nothing for a text that all can say; else an encoding for each of its beginnings.
    """
    if not any(_unsayable(way) for way in _ways(states, proposals, text, members)):
        return text
    for end in range(len(text) - 1, 0, -1):
        part = text[:end]
        if part[-1].isspace() or part[-1] == JOINER or text[end] == JOINER or unicodedata.combining(text[end]):
            continue
        if unicodedata.category(text[end])[0] == "M" or (part[-1].isdecimal() and text[end].isdecimal()):
            continue
        if not any(_unsayable(way) for way in _ways(states, proposals, part, ())):
            return part
    return ""


def _unsayable(way: Way) -> bool:
    return isinstance(way, Rejection) and way.reason in ("lossy", "vocabulary")


def _ways(states: Sequence[MemberState], proposals: Sequence[Proposal], text: str, members: Sequence[int]) -> list[Way]:
    """For each member its ids of a text, or why it has none."""
    return [
        ((), False) if state.failed else ids_under(state, text, proposal, members)
        for state, proposal in zip(states, proposals, strict=True)
    ]


def ids_under(state: MemberState, text: str, proposal: Proposal | None, proposers: Sequence[int]) -> Way:
    """The ids that a member scores and commits for `text`, and whether they are a forced cut.

    Its own generated ids if it proposed the text, also where they are not canonical; else the canonical ids behind
    what stands there. If those would rewrite committed tokens, the text is encoded by itself: a forced cut.
    """
    if not text:
        return (), False
    member, forced = state.member, False
    if proposal is not None and proposal.text == text:
        ids = proposal.ids
    else:
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
    if limit is not None and len(ids) > limit - 1:
        return state.reject("limit", text, proposers, f"{text!r} takes {len(ids)} tokens, the limit is {limit}")
    return ids, forced
