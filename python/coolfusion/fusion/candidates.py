"""Selects the proposals of a step that become candidates, because every member can score and commit them.

`admit` is a pure function of the proposals and of the members' tokenizers. Budgets have no part in it, so that a step
is decided alike under every budget; `budget` cuts the winner later. Definitions: docs/definitions.md, "candidate".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion.errors import UnrepresentableTextError
from coolfusion.fusion.transcript import Transcript
from coolfusion.members.commands import Proposal
from coolfusion.records import Candidate, Rejection

JOINER = "\u200d"  # of characters that are shown as one
Way = tuple[tuple[int, ...], bool] | Rejection


class Admission(NamedTuple):
    """The proposals of a step, parted into candidates and rejections.

    Attributes:
        candidates: the proposals that every member can commit, in the order of their bytes; END first.
        rejected: the other proposals, with reasons.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]


def admit(transcripts: Sequence[Transcript], proposals: Sequence[Sequence[Proposal]]) -> Admission:
    """Merges proposals of equal text, and rejects those that some member cannot commit; lost members are not asked.

    A proposal with a character that a member cannot represent is cut before it. It is rejected if that character
    comes first.

    Args:
        transcripts: (M,) the members.
        proposals: (M,) the segments that each would write next, its greedy one first.
    """
    rejected = [
        transcript.reject(refusal, (transcript.number,))
        for transcript, own in zip(transcripts, proposals, strict=True)
        for proposal in own
        for refusal in proposal.refusals
    ]
    proposers: dict[str, list[int]] = {}  # "" is END: no other candidate is without text
    known: dict[str, list[Way]] = {}
    for text, members in _by_text(transcripts, proposals).items():
        said, ways = text, _ways(transcripts, proposals, text, members)
        if any(map(_unsayable, ways)):
            said = _sayable_beginning(transcripts, proposals, text)
            rejected += [replace(way, text=text[len(said) :]) for way in ways if isinstance(way, Rejection)]
        if said == text:
            known[text] = ways
        if said or not text:
            if said in proposers:
                known.pop(said, None)  # because a rejection would name too few members
            proposers[said] = sorted([*proposers.get(said, ()), *members])
    whole = {proposal.text for own in proposals for proposal in own if proposal.whole}
    candidates = []
    for text in sorted(proposers, key=str.encode):
        ways = known.get(text) or _ways(transcripts, proposals, text, proposers[text])
        refusals = [way for way in ways if isinstance(way, Rejection)]
        rejected.extend(refusals)
        if not refusals:
            ids, forced = zip(*(way for way in ways if not isinstance(way, Rejection)), strict=True)
            candidates.append(Candidate(text, not text, tuple(proposers[text]), ids, forced, text in whole))
    return Admission(tuple(candidates), tuple(rejected))


def _by_text(transcripts: Sequence[Transcript], proposals: Sequence[Sequence[Proposal]]) -> dict[str, list[int]]:
    """Returns the numbers of the proposers of each proposed text, in the order of the bytes of the texts."""
    found: dict[str, list[int]] = {}
    for transcript, own in zip(transcripts, proposals, strict=True):
        for proposal in own:
            if proposal.text is not None and transcript.number not in found.setdefault(proposal.text, []):
                found[proposal.text].append(transcript.number)
    return {text: found[text] for text in sorted(found, key=str.encode)}


def _sayable_beginning(transcripts: Sequence[Transcript], proposals: Sequence[Sequence[Proposal]], text: str) -> str:
    """Returns the longest beginning of a text, less than all of it, that every member can represent.

    It ends neither after white space, where a cut would change tokens, nor inside a character with its marks.

    Complexity: an encoding for each beginning.
    """
    for end in range(len(text) - 1, 0, -1):
        part = text[:end]
        if part[-1].isspace() or part[-1] == JOINER or text[end] == JOINER or unicodedata.combining(text[end]):
            continue
        if unicodedata.category(text[end])[0] == "M" or (part[-1].isdecimal() and text[end].isdecimal()):
            continue
        if not any(_unsayable(way) for way in _ways(transcripts, proposals, part, ())):
            return part
    return ""


def _unsayable(way: Way) -> bool:
    return isinstance(way, Rejection) and way.reason in ("lossy", "vocabulary")


def _ways(
    transcripts: Sequence[Transcript], proposals: Sequence[Sequence[Proposal]], text: str, members: Sequence[int]
) -> list[Way]:
    """Returns for each member its ids of a text, or the rejection of a text without ids."""
    return [
        ((), False) if transcript.failed else ids_under(transcript, text, own, members)
        for transcript, own in zip(transcripts, proposals, strict=True)
    ]


def ids_under(transcript: Transcript, text: str, own: Sequence[Proposal], proposers: Sequence[int]) -> Way:
    """Returns the ids that a member scores and commits for `text`, and whether they are a forced cut.

    A proposer's ids are those that it generated, also where they are not canonical. Other members' ids are the
    canonical ids after the text so far. If the canonical ids would rewrite committed tokens, the text is encoded
    alone, and its ids are a forced cut.
    """
    if not text:
        return (), False
    member, forced = transcript.member, False
    generated = next((proposal.ids for proposal in own if proposal.text == text), None)
    if generated is not None:
        ids = generated
    else:
        edit = transcript.encoder.peek(text)
        forced = edit.drop > 0
        try:
            ids = tuple(member.tokenizer.encode(text, continues=True, errors="strict") if forced else edit.ids)
        except UnrepresentableTextError as err:
            return transcript.rejection("lossy", text, proposers, str(err))
        if not forced and not edit.lossless:
            return transcript.rejection("lossy", text, proposers, f"its tokenizer cannot say {text!r}")
    limit = member.runner.max_model_len
    missing = [i for i in ids if i >= member.runner.logits_size]
    if missing:
        return transcript.rejection("vocabulary", text, proposers, f"token id {missing[0]} has no row")
    if limit is not None and len(ids) > limit - 1:
        return transcript.rejection("limit", text, proposers, f"{text!r} takes {len(ids)} tokens, the limit is {limit}")
    return ids, forced
