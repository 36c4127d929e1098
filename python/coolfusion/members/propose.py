"""TextGen: the segments that one member would write next (arXiv 2407.19807, section 3.1).

A member writes greedy tokens until its segmenter knows a segment. A token that was computed before costs no pass. Where
a pass is needed anyway, it may read a *draft* as well, namely another member's segments. Where both agree, the logits
of the draft are the member's own; where they differ, they are the scores of the other's segment. A draft changes
passes and never text, because every token is the model's own choice given exactly the tokens before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import nsmallest

from coolfusion._core import Segment, Segmenter
from coolfusion.members.commands import Ahead, Dice, Proposal, Propose, Refusal, WriteAhead
from coolfusion.members.endings import TOKENS_OF_A_DRAFT
from coolfusion.members.sampling import draw_next
from coolfusion.members.session import Session, Task
from coolfusion.models.base import TokenPath
from coolfusion.records import RejectionReason

# No segment has more: it holds at most 512 bytes, and tokens without any text are few.
TOKENS_OF_A_SEGMENT = 1024


def propose(session: Session, command: Propose) -> Task[tuple[Proposal, ...]]:
    """Writes the member's next segment, further segments ahead of it, and the alternatives that were asked for."""
    own = yield from write_segment(session, command.budget, command.drafts, dice=command.dice)
    if command.dice is not None:
        return (own,)
    if command.ahead and own.text and not session.known_ahead():
        yield from write_ahead(session, command.budget, command.ahead)
    others = []
    for token_id in _next_best(session, command.alternatives, own):
        others.append((yield from write_segment(session, command.budget, first=token_id)))
    return (own, *others)


def continue_ahead(session: Session, command: WriteAhead) -> Task[None]:
    """Executes `WriteAhead`."""
    yield from write_ahead(session, command.budget, command.words)


def write_segment(
    session: Session,
    budget: int,
    drafts: Sequence[TokenPath] = (),
    *,
    first: int | None = None,
    dice: Dice | None = None,
) -> Task[Proposal]:
    """Writes greedy or drawn tokens until the segmenter knows a segment, END comes, or room or budget end.

    At END, and where `budget` tokens are written, the text so far is the segment, also inside a word. If the context
    grows over the model's limit on the way, it is cut, and the segment is written again under the shorter context. The
    budget does not enter there, because only the end of the segment may depend on it.

    Args:
        session: the text under the member.
        budget: most tokens to write, at least 1.
        drafts: another member's segments from here on in this member's ids, all of them and the first alone; or ().
        first: the first token, if it is not to be the most likely one.
        dice: how tokens are drawn; None takes the most likely ones.

    Returns:
        the proposal, without bytes that are no text: an incomplete character at the budget's end, or before END.

    Complexity: a pass for each token that is not computed yet, none for a draft that is the member's own choice too.
    """
    runner, context, segmenter = session.member.runner, session.context, session.segmenter
    segmenter.restart("")
    unread = list(drafts) if runner.batches_paths else []
    end_ids, most = runner.eos_token_ids, min(budget, TOKENS_OF_A_SEGMENT)
    ids: list[int] = []
    while True:
        path = tuple(ids)
        token_id = first if not ids else None
        if token_id is None:
            if not context.is_computed(path):
                yield session.need(path, *_beside(path, unread))
                unread = []
            if dice is not None:
                token_id = draw_next(session, path, dice, len(ids), ending="" if path else session.ending)
            else:
                token_id = context.greedy(path) if path else first_choice(session)
        if token_id is None:
            return Proposal(None, False, refusals=(session.no_numbers(len(ids)),))
        if token_id in end_ids:
            return _proposal_at_end(segmenter, ids)
        ids.append(token_id)
        segment = segmenter.push(token_id)
        if segment is not None:
            return _proposal(segment, ids, "invalid", whole=_owns(session, segment))
        fits = session.fits(len(ids))
        if not fits and session.may_be_cut():
            yield from session.make_room(len(ids))
            return (yield from write_segment(session, budget, drafts, first=first, dice=dice))
        if len(ids) >= most or not fits:
            cut = budget < TOKENS_OF_A_SEGMENT and fits
            proposal = _proposal(_last_segment(segmenter, ids), ids, "budget" if cut else "limit")
            return proposal._replace(cut=cut)


def first_choice(session: Session) -> int | None:
    """Returns the most likely first token of a segment that may follow the ending before it.

    The computed empty path is needed. Of equally likely ids the smallest is returned, and None where there is none.

    Complexity: O(vocabulary) where the most likely token of all may not follow, else O(1).
    """
    context, member = session.context, session.member
    token_id = context.greedy(())
    if token_id is None or member.may_follow(token_id, session.ending):
        return token_id
    row = context.next_logits(())
    best = max(member.ids_after(session.ending), key=lambda i: (row[i], -i), default=None)
    return None if best is None or row[best] == -math.inf else best


def write_ahead(session: Session, budget: int, words: int) -> Task[None]:
    """Writes segments as if every one of them won, and leaves their texts in `session.ahead`.

    Args:
        session: the text under the member.
        budget: most tokens to write.
        words: number of segments to write, the next one included.

    Complexity: a pass for each token that is not computed yet, of `TOKENS_OF_A_DRAFT` a segment on average at most.
    """
    member, context, segmenter = session.member, session.context, session.segmenter
    segmenter.restart("")
    room = min(budget, TOKENS_OF_A_DRAFT[session.granularity] * words)
    if member.runner.max_model_len is not None:
        room = min(room, member.runner.max_model_len - session.n_context)
    commits, ids, texts = len(session.texts), list[int](), list[str]()
    while len(texts) < words and len(ids) < room:
        path = tuple(ids)
        if not context.is_computed(path):
            yield session.need(path)
        token_id = context.greedy(path)
        if token_id is None or token_id in member.runner.eos_token_ids:
            return
        ids.append(token_id)
        segment = segmenter.push(token_id)
        if segment is not None:
            if not segment.valid:
                return
            texts.append(segment.text)
            session.ahead = Ahead(commits, tuple(texts))


def _beside(path: TokenPath, drafts: Sequence[TokenPath]) -> tuple[TokenPath, ...]:
    """Returns the draft paths that are read in the same pass as `path`.

    After a first segment that is not the member's own choice the rest of a draft says nothing.
    """
    if not drafts:
        return ()
    whole, first = drafts
    return (whole,) if whole[: len(path)] == path[: len(whole)] else (first,)


def _next_best(session: Session, count: int, own: Proposal) -> list[int]:
    """Returns the `count` most likely first tokens after the greedy one, by falling logit, then by id."""
    if not count or any(refusal.reason == "numbers" for refusal in own.refusals):
        return []
    runner, row = session.member.runner, session.context.next_logits(())
    unwanted = {*session.member.suppress_tokens, *runner.eos_token_ids, first_choice(session)}
    possible = session.member.ids_after(session.ending) if session.ending else range(len(row))
    allowed = (i for i in possible if i not in unwanted and row[i] > -float("inf"))
    return nsmallest(count, allowed, key=lambda i: (-row[i], i))


def _proposal_at_end(segmenter: Segmenter, ids: list[int]) -> Proposal:
    """Returns the proposal of a member that ended its text, which is the word before END first, and then END."""
    segment = _last_segment(segmenter, ids) if ids else None
    proposal = _proposal(segment, ids, "invalid")
    if proposal.text is not None:
        return proposal._replace(whole=True)
    return Proposal("", True, refusals=proposal.refusals if ids else ())


def _owns(session: Session, segment: Segment) -> bool:
    """Returns whether a segment owns the boundary after it, which limits its followers."""
    return segment.whole and (segment.level == "word" or session.granularity == "pre_token")


def _proposal(segment: Segment | None, ids: list[int], why: RejectionReason, *, whole: bool = False) -> Proposal:
    """Returns a segment as a proposal, or its refusal with the reason."""
    if segment is not None and segment.valid and segment.text:
        return Proposal(segment.text, False, tuple(ids[: len(segment.token_ids)]), whole=whole)
    if segment is None or not segment.text:
        why, detail, text = "empty" if why == "invalid" else why, f"token ids {ids} have no text", ""
    else:
        text = segment.text
        detail = f"token ids {ids} are no UTF-8 at the end of {len(ids)} tokens"
    return Proposal(None, False, refusals=(Refusal(why, text, detail),))


def _last_segment(segmenter: Segmenter, ids: Sequence[int]) -> Segment | None:
    """Returns the text that the segmenter still holds as a segment, less an incomplete character at its end."""
    segment = whole = segmenter.finish()
    for n in range(len(ids) - 1, 0, -1):
        if segment is None or segment.valid:
            return segment
        segmenter.restart("")
        for token_id in ids[:n]:
            segmenter.push(token_id)
        segment = segmenter.finish()
    return segment if segment is not None and segment.valid else whole
