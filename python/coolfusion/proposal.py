"""TextGen: what one member would write next, as a task (arXiv 2407.19807, section 3.1).

Greedy tokens until the member's segmenter knows a segment. What the member has read already costs no pass; where a
pass is needed anyway, it may read a *draft* as well, what another member has written: where both agree, the rows of
the draft are the member's own, and where they do not, they are the scores of the other's segment. A draft changes
passes, never text: every token is the model's own choice given exactly the tokens before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from coolfusion.member import Ahead, MemberState, Task
from coolfusion.models.base import Path
from coolfusion.records import Rejection, RejectionReason

# A draft that went astray may write spaces, or one word, without an end.
TOKENS_OF_A_DRAFTED_WORD = 4
# No segment has more: it holds at most 128 bytes, and tokens without any text are few.
TOKENS_OF_A_SEGMENT = 256


class Proposal(NamedTuple):
    """What one member would write next.

    Attributes:
        text: the segment, "" for END, None if the member proposes nothing.
        end: whether it is END.
        ids: the generated ids of the segment; () for END.
        rejected: what the member wrote that has no text and was therefore left out.
        cut: whether it is unfinished because the budget ended; the segment would be longer.
    """

    text: str | None
    end: bool
    ids: Path = ()
    rejected: tuple[Rejection, ...] = ()
    cut: bool = False


class _Draft:
    """Another member's segments in this member's ids, to be read along with the first pass."""

    def __init__(self, state: MemberState, texts: Sequence[str], budget: int) -> None:
        self.paths: tuple[Path, ...] = ()
        if texts and state.member.runner.packs:
            # Behind a first segment that is not the member's own choice the rest says nothing.
            self.paths = tuple(self._ids(state, text, budget) for text in ("".join(texts), texts[0]))

    @staticmethod
    def _ids(state: MemberState, text: str, budget: int) -> Path:
        edit = state.encoder.peek(text)
        if edit.drop or not edit.lossless:
            return ()
        ids, runner = edit.ids, state.member.runner
        room = budget if runner.limit is None else min(budget, runner.limit - state.n_context)
        end = next((at for at, token_id in enumerate(ids) if token_id >= runner.n_rows), len(ids))
        return tuple(ids[: max(0, min(end, room))])

    def beside(self, path: Path) -> tuple[Path, ...]:
        """What to read along with `path`; once."""
        if not self.paths:
            return ()
        (whole, first), self.paths = self.paths, ()
        return (whole,) if whole[: len(path)] == path[: len(whole)] else (first,)


def write_segment(state: MemberState, budget: int, draft: Sequence[str] = ()) -> Task[Proposal]:
    """Greedy tokens until the segmenter knows a segment, END comes, or room or budget end.

    At END, and where `budget` tokens are written, what is there is the segment, also inside a word. If the context
    grows over the model's limit on the way, it is cut and the segment is written again under the shorter context,
    whatever the budget is: nothing but the end of the segment may depend on it.

    Args:
        state: the member.
        budget: most tokens to write, at least 1.
        draft: segments that another member has written from here on.

    Returns:
        the proposal, without bytes that are no text: an incomplete character at the budget's end, or before END.

    Complexity: a pass for each token that is not known yet, none for a draft that is the member's own choice too.
    """
    state.settle()
    runner, context, segmenter = state.member.runner, state.context, state.segmenter
    segmenter.restart("")
    others = _Draft(state, draft, budget)
    ids: list[int] = []
    while True:
        path = tuple(ids)
        if not context.is_known(path):
            yield state.need(path, *others.beside(path))
        token_id = context.greedy(path)
        if token_id is None:
            detail = f"its logits after {state.n_context + len(ids)} tokens are no distribution (nan, +inf or all -inf)"
            return Proposal(None, False, rejected=(state.reject("numbers", "", (state.number,), detail),))
        if token_id in runner.end_ids:
            return _proposal_at_end(state, ids)
        ids.append(token_id)
        segment = segmenter.push(token_id)
        if segment is not None:
            break
        if not state.fits(len(ids)) and state.n_context > state.kept_after_cut:
            yield from state.make_room(len(ids))
            return (yield from write_segment(state, budget, draft))
        if len(ids) >= min(budget, TOKENS_OF_A_SEGMENT) or not state.fits(len(ids)):
            cut = budget < TOKENS_OF_A_SEGMENT and state.fits(len(ids))
            proposal = _proposal(state, _last_segment(segmenter, ids), ids, "budget" if cut else "limit")
            return proposal._replace(cut=cut)
    return _proposal(state, segment, ids, "invalid")


def write_ahead(state: MemberState, budget: int, words: int) -> Task[None]:
    """Go on writing as if every segment of this member won, and leave the texts in `state.ahead`.

    Args:
        state: the member.
        budget: most tokens to write.
        words: how many segments to write, the next one included.

    Complexity: a pass for each token that is not known yet, of four a segment on average at most.
    """
    state.settle()
    runner, context, segmenter = state.member.runner, state.context, state.segmenter
    segmenter.restart("")
    room = min(budget, TOKENS_OF_A_DRAFTED_WORD * words)
    if runner.limit is not None:
        room = min(room, runner.limit - state.n_context)
    commits, ids, texts = state.commits, list[int](), list[str]()
    while len(texts) < words and len(ids) < room:
        path = tuple(ids)
        if not context.is_known(path):
            yield state.need(path)
        token_id = context.greedy(path)
        if token_id is None or token_id in runner.end_ids:
            return
        ids.append(token_id)
        segment = segmenter.push(token_id)
        if segment is not None:
            if not segment.valid:
                return
            texts.append(segment.text)
            state.ahead = Ahead(commits, tuple(texts))


def _proposal_at_end(state: MemberState, ids: list[int]) -> Proposal:
    """What a member proposes that ended its text: the word before END first, then END."""
    segment = _last_segment(state.segmenter, ids) if ids else None
    proposal = _proposal(state, segment, ids, "invalid")
    if proposal.text is not None:
        return proposal
    return Proposal("", True, rejected=proposal.rejected if ids else ())


def _proposal(state: MemberState, segment: Any, ids: list[int], why: RejectionReason) -> Proposal:
    """A segment as a proposal, or the reason why it is none."""
    if segment is not None and segment.valid and segment.text:
        return Proposal(segment.text, False, tuple(ids[: len(segment.token_ids)]))
    if segment is None or not segment.text:
        why, detail, text = "empty" if why == "invalid" else why, f"token ids {ids} have no text", ""
    else:
        text = segment.text
        detail = f"token ids {ids} are no UTF-8 at the end of {len(ids)} tokens"
    return Proposal(None, False, rejected=(state.reject(why, text, (state.number,), detail),))


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
