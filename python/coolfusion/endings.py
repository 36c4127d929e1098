"""Where a budget ends a text: a step is decided as if there were none, and its text is cut.

So the text under a budget is a beginning of the text under every larger one. Pure functions of the proposals and of
what the members' tokenizers say. Definitions: docs/design.md, "budget".
"""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.admission import ids_under
from coolfusion.member import MemberState
from coolfusion.models.base import Path
from coolfusion.proposal import Proposal
from coolfusion.records import Candidate, Rejection


def is_decided(live: Sequence[MemberState], proposals: Sequence[Proposal]) -> bool:
    """Whether the text is the same whatever the members would write behind the budget.

    Args:
        live: the members that take part.
        proposals: those of all members, by number.
    """
    own = [proposals[state.number] for state in live]
    if not any(proposal.cut for proposal in own) or len(live) == 1:
        return True
    # All begin with the same text, which is cut there; or all stop inside their first character.
    return len({proposal.text for proposal in own}) == 1 and (own[0].text is not None or all(p.cut for p in own))


def cut_to_budgets(
    states: Sequence[MemberState], proposals: Sequence[Proposal], winner: Candidate, budgets: Sequence[int]
) -> Candidate | None:
    """The winner, less what does not fit into the budgets; None where nothing of it does.

    The longest beginning, in whole characters, for which each member has few enough ids: those that it has written
    itself or scored, where a token ends there, or else the canonical ones. What a proposer's own tokens do not reach
    within its budget is never committed: under a larger budget it may be all that is decided.

    Args:
        states: (M,) the members.
        proposals: (M,) what each would have written.
        winner: what was chosen.
        budgets: (M,) ids that each may still commit; of lost members they are not looked at.

    Complexity: a few encodings for each character that is cut off, once in a text.
    """
    live = [state for state in states if state.failed is None]
    if all(len(winner.token_ids[state.number]) <= budgets[state.number] for state in live):
        return winner
    written = winner.text.encode()
    ends = {state.number: _ends(state, proposals[state.number], winner, written) for state in live}
    for end in range(len(winner.text) - 1, 0, -1):
        text = winner.text[:end]
        found: dict[int, tuple[Path, bool]] = {}
        for state in live:
            own, budget = proposals[state.number], budgets[state.number]
            if state.number in winner.members and len(text.encode()) > _reach(state, own, budget):
                break
            way = _way(state, winner, text, ends[state.number])
            if way is None or len(way[0]) > budget:
                break
            found[state.number] = way
        else:
            nothing: tuple[Path, bool] = ((), False)
            ways = [found.get(state.number, nothing) for state in states]
            return Candidate(text, False, winner.members, tuple(w[0] for w in ways), tuple(w[1] for w in ways))
    return None


def over_budget(states: Sequence[MemberState], chosen: Candidate, budgets: Sequence[int]) -> list[Rejection]:
    """Whose budgets are too small even for the beginning of what was chosen."""
    return [
        state.reject("budget", chosen.text, chosen.members, f"{chosen.text!r} takes {n} tokens, {left} are left")
        for state in states
        for n, left in [(len(chosen.token_ids[state.number]), budgets[state.number])]
        if n > left
    ]


def _way(state: MemberState, winner: Candidate, text: str, ends: dict[int, Path]) -> tuple[Path, bool] | None:
    """The ids of a beginning of the winner, and whether they are a forced cut; None if there are none."""
    own = ends.get(len(text.encode()))
    if own is not None:
        return own, winner.forced[state.number]
    way = ids_under(state, text, None, ())
    return None if isinstance(way, Rejection) else way


def _reach(state: MemberState, proposal: Proposal, budget: int) -> int:
    """Bytes of a proposal that its first `budget` tokens reach."""
    behind = sum(len(state.member.tokenizer.token_bytes(token_id)) for token_id in proposal.ids[budget:])
    return len((proposal.text or "").encode()) - behind


def _ends(state: MemberState, proposal: Proposal, winner: Candidate, written: bytes) -> dict[int, Path]:
    """Where tokens of the member's own ids end in the winner's text, and the ids up to there; the fewest of two."""
    found: dict[int, Path] = {}
    lines = [(winner.token_ids[state.number], written)]
    if proposal.text:
        lines.append((proposal.ids, proposal.text.encode()))
    for ids, text in lines:
        # From the right: the first token may begin with bytes that stand in the prompt.
        end = len(text)
        for n in range(len(ids), 0, -1):
            if written[:end] == text[:end] and (end not in found or n < len(found[end])):
                found[end] = ids[:n]
            end -= len(state.member.tokenizer.token_bytes(ids[n - 1]))
    return found
