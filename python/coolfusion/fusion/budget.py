"""Cuts a text where a budget ends, after its last step was decided as if there were no budget.

So the text under a budget is a beginning of the text under every larger one. For example, a budget of 2 tokens keeps
"the ca" of "the cat", if the member writes "the", " ca", "t". The functions are pure, because they depend on the
proposals and the members' tokenizers alone. Definitions: docs/definitions.md, "budget".
"""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.fusion.candidates import ids_under
from coolfusion.fusion.transcript import Transcript
from coolfusion.members.commands import Proposal
from coolfusion.models.base import TokenPath
from coolfusion.records import Candidate, Rejection


def is_decided(live: Sequence[Transcript], proposals: Sequence[Sequence[Proposal]], *, may_ask: bool) -> bool:
    """Returns whether the text is the same whatever the members would write after the budget.

    Args:
        live: the members that take part.
        proposals: the proposals of all members, by number.
        may_ask: whether the rule may ask for alternatives where several whole segments are candidates.
    """
    own = [proposal for transcript in live for proposal in proposals[transcript.number]]
    if not any(proposal.cut for proposal in own) or len(own) == 1:
        return True
    if may_ask:
        return False
    # All begin with the same text, which is cut there; or all stop inside their first character.
    return len({proposal.text for proposal in own}) == 1 and (own[0].text is not None or all(p.cut for p in own))


def cut_to_budgets(
    transcripts: Sequence[Transcript],
    proposals: Sequence[Sequence[Proposal]],
    winner: Candidate,
    budgets: Sequence[int],
) -> Candidate | None:
    """Returns the winner without the text that does not fit into the budgets, or None if nothing of it fits.

    The result is the longest beginning, in whole characters, for which each member has few enough ids. A member's ids
    are those that it has written or scored, where a token ends there, or else the canonical ones. Text that a
    proposer's own tokens do not reach within its budget is never committed, because a larger budget might decide
    otherwise there.

    Args:
        transcripts: (M,) the members.
        proposals: (M,) the segments that each would have written.
        winner: the chosen candidate.
        budgets: (M,) number of ids that each may still commit; those of lost members are ignored.

    Complexity: a few encodings for each character that is cut off, once in a text.
    """
    live = [transcript for transcript in transcripts if transcript.failed is None]
    if all(len(winner.token_ids[transcript.number]) <= budgets[transcript.number] for transcript in live):
        return winner
    written = winner.text.encode()
    written_by = {transcript.number: _own(proposals[transcript.number], winner) for transcript in live}
    ends = {transcript.number: _ends(transcript, written_by[transcript.number], winner, written) for transcript in live}
    for end in range(len(winner.text) - 1, 0, -1):
        text = winner.text[:end]
        found: dict[int, tuple[TokenPath, bool]] = {}
        for transcript in live:
            own, budget = written_by[transcript.number], budgets[transcript.number]
            if transcript.number in winner.members and len(text.encode()) > _reach(transcript, own, budget):
                break
            way = _way(transcript, winner, text, ends[transcript.number])
            if way is None or len(way[0]) > budget:
                break
            found[transcript.number] = way
        else:
            nothing: tuple[TokenPath, bool] = ((), False)
            ways = [found.get(transcript.number, nothing) for transcript in transcripts]
            return Candidate(text, False, winner.members, tuple(w[0] for w in ways), tuple(w[1] for w in ways))
    return None


def over_budget(transcripts: Sequence[Transcript], chosen: Candidate, budgets: Sequence[int]) -> list[Rejection]:
    """Returns a rejection for each member whose budget is too small even for the beginning of the winner."""
    return [
        transcript.rejection(
            "budget", chosen.text, chosen.members, f"{chosen.text!r} takes {n} tokens, {left} are left"
        )
        for transcript in transcripts
        for n, left in [(len(chosen.token_ids[transcript.number]), budgets[transcript.number])]
        if n > left
    ]


def _own(proposals: Sequence[Proposal], winner: Candidate) -> Proposal:
    """Returns the member's segment that begins with the winner, or else its greedy one."""
    return next((p for p in proposals if p.text and p.text.startswith(winner.text)), proposals[0])


def _way(
    transcript: Transcript, winner: Candidate, text: str, ends: dict[int, TokenPath]
) -> tuple[TokenPath, bool] | None:
    """Returns the ids of a beginning of the winner, and whether they are a forced cut, or None without such ids."""
    own = ends.get(len(text.encode()))
    if own is not None:
        return own, winner.forced[transcript.number]
    way = ids_under(transcript, text, (), ())
    return None if isinstance(way, Rejection) else way


def _reach(transcript: Transcript, proposal: Proposal, budget: int) -> int:
    """Returns the number of bytes of a proposal that its first `budget` tokens reach."""
    behind = sum(len(transcript.member.tokenizer.token_bytes(token_id)) for token_id in proposal.ids[budget:])
    return len((proposal.text or "").encode()) - behind


def _ends(transcript: Transcript, proposal: Proposal, winner: Candidate, written: bytes) -> dict[int, TokenPath]:
    """Returns the member's own ids up to each byte of the winner at which one of its tokens ends, the fewest of two."""
    found: dict[int, TokenPath] = {}
    lines = [(winner.token_ids[transcript.number], written)]
    if proposal.text:
        lines.append((proposal.ids, proposal.text.encode()))
    for ids, text in lines:
        # From the right, because the first token may begin with bytes that stand in the prompt.
        end = len(text)
        for n in range(len(ids), 0, -1):
            if written[:end] == text[:end] and (end not in found or n < len(found[end])):
                found[end] = ids[:n]
            end -= len(transcript.member.tokenizer.token_bytes(ids[n - 1]))
    return found
