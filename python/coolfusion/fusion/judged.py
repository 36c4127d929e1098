"""Whole continuations before they are judged, with their ids under every member."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion._core import StreamDecoder
from coolfusion.errors import UnrepresentableTextError
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.stop_strings import StopStringFilter
from coolfusion.fusion.transcript import Transcript
from coolfusion.members.commands import DrawnText, WholeScore
from coolfusion.members.member import Member
from coolfusion.records import Author, Continuation, FinishReason, Output, Rejection, Score


class Written(NamedTuple):
    """A continuation as its author wrote it, for example " blue." by member 1 with the reason "end".

    Attributes:
        author: "fusion", or the number of the member.
        text: the continuation.
        reason: the reason why its author stopped.
        ids: the ids under each member that took part in it, by its number.
        sample: index of the text among the author's drawn texts, or None.
    """

    author: Author
    text: str
    reason: FinishReason
    ids: dict[int, list[int]]
    sample: int | None = None


class Judged(NamedTuple):
    """A continuation and the ids that each member scores, or () if some member cannot represent it."""

    continuation: Continuation
    ids: tuple[tuple[int, ...], ...]


def written_text(author: Author, output: Output) -> Written:
    """Returns a text that was written by segments.

    Args:
        author: "fusion", or the number of the member that wrote it alone.
        output: the output of the text.
    """
    numbers = range(len(output.members)) if author == "fusion" else [author]
    ids = {number: member.token_ids for number, member in zip(numbers, output.members, strict=True)}
    return Written(author, output.text, output.finish_reason or "length", ids)


def drawn_text(
    author: int, sample: int, member: Member, prompt: Sequence[int], drawn: DrawnText, stops: tuple[str, ...]
) -> Written:
    """Returns a text that a member has drawn, cut before the first stop string as other texts are.

    An incomplete character at its end is left out, as in texts that are written by segments.

    Args:
        author: the number of the member.
        sample: index of the text among the member's drawn texts.
        member: the member.
        prompt: the prompt in the member's ids.
        drawn: the drawn ids, and whether END came.
        stops: the stop strings.
    """
    released = StopStringFilter(stops)
    text = released.push(StreamDecoder(member.tokenizer, list(prompt)).extend(list(drawn.token_ids)))
    reason: FinishReason = "stop" if released.stopped else "end" if drawn.end else "length"
    if reason == "end":
        # At the end of a budget a larger one might complete the stop string, so text is held back there.
        text += released.flush()
    return Written(author, text, reason, {author: list(drawn.token_ids)}, sample)


def judged(transcripts: Sequence[Transcript], written: Written, settings: Rerank) -> Judged:
    """Returns a continuation before it is scored, or rejected.

    Args:
        transcripts: (M,) the members.
        written: the continuation.
        settings: the settings of the rerank.
    """
    author, text, reason, own, sample = written
    refusal = _refusal(written, settings)
    if refusal is not None:
        return Judged(Continuation(author, text, reason, rejected=refusal, sample=sample), ())
    ids = []
    for each in transcripts:
        found = ids_under(each, author, text, own.get(each.number))
        if isinstance(found, Rejection):
            return Judged(Continuation(author, text, reason, rejected=found, sample=sample), ())
        ids.append(tuple(found))
    return Judged(Continuation(author, text, reason, sample=sample), tuple(ids))


def _refusal(written: Written, settings: Rerank) -> Rejection | None:
    """Returns the refusal of a continuation that is rejected before any member is asked, or None."""
    number = 0 if written.author == "fusion" else written.author
    if not written.text and (written.reason != "end" or not settings.end):
        return Rejection("", (), number, "empty", "nothing was written, and nothing says that it ends here")
    if written.sample is not None and "\ufffd" in written.text:
        return Rejection(written.text, (number,), number, "invalid", f"sample {written.sample} is no UTF-8")
    return None


def with_scores(
    continuations: Sequence[Judged],
    columns: Mapping[int, Sequence[WholeScore]],
    n_members: int,
    *,
    boundary_mass: bool,
) -> list[Continuation]:
    """Returns all continuations with their scores; under a lost member they are nan.

    Args:
        continuations: all of them.
        columns: by member, the scores of those that were not rejected.
        n_members: number of members.
        boundary_mass: whether the rule looks at the probability that a word ends.
    """
    found, at = list[Continuation](), 0
    for continuation, _ in continuations:
        if continuation.rejected is None:
            n_bytes, nothing = len(continuation.text.encode()), WholeScore(math.nan, 0, 0)
            rows = [columns[j][at] if j in columns else nothing for j in range(n_members)]
            # No word has to end after a whole continuation, so nothing is paid for it.
            boundary = 0.0 if n_bytes and boundary_mass else None
            scores = tuple(Score(row.logprob, row.n_tokens, n_bytes, boundary) for row in rows)
            cuts = tuple(row.context_cuts for row in rows)
            continuation, at = replace(continuation, scores=scores, context_cuts=cuts), at + 1
        found.append(continuation)
    return found


def ids_under(transcript: Transcript, author: Author, text: str, own: list[int] | None) -> list[int] | Rejection:
    """Returns the ids of a continuation under a member.

    The author's own ids count where they spell the text. They hold more where a stop string has cut it. There, and for
    other members' texts, the canonical ids after the prompt count. If those would rewrite the prompt's last tokens, the
    text is encoded alone.

    Args:
        transcript: the transcript of the member.
        author: the author of the continuation.
        text: the continuation.
        own: the ids that this member wrote or committed for the continuation, or None.
    """
    tokenizer = transcript.member.tokenizer
    if own is not None and b"".join(tokenizer.token_bytes(i) for i in own) == text.encode():
        return own
    if not text:
        return []
    edit = transcript.member.encoder(transcript.prompt).peek(text)
    ids, why = list(edit.ids), "" if edit.lossless else f"its tokenizer cannot say {text!r}"
    if edit.drop:
        try:
            ids, why = tokenizer.encode(text, continues=True, errors="strict"), ""
        except UnrepresentableTextError as err:
            why = str(err)
    if any(i >= transcript.member.runner.logits_size for i in ids):
        why = "a token has no row in the model"
    if why and author == "fusion" and own:
        return own
    return transcript.rejection("lossy", text, (), why) if why else ids
