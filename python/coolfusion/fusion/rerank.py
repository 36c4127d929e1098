"""Rerank: the paper's Cool+R. Every member also writes alone, and all members judge all k + 1 whole continuations.

The rule is the one of the steps, over whole continuations. Ids under a member: the author's own where they spell the
text, the committed ones for the fused text, canonical ids otherwise. A continuation that its author ended carries END
as one more event, so that stopping in the middle of a sentence has its price. One that was cut (budget, stop string)
does not. Ties go to the bytewise smaller text, then to the fused one. Definitions: docs/definitions.md, "rerank".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from coolfusion.errors import CoolFusionError, UnrepresentableTextError
from coolfusion.fusion.request import FusionRequest
from coolfusion.fusion.running import Send, added
from coolfusion.fusion.selection import select, view_of
from coolfusion.fusion.transcript import Transcript, prompt_scores
from coolfusion.members.commands import Close, Reply, ScoreContinuations, WholeScore, WholeText
from coolfusion.records import Author, Candidate, Continuation, MemberOutput, Output, Rejection, Score, Step


class _Judged(NamedTuple):
    """A continuation, and under each member the ids that are scored; () if some member cannot represent it."""

    continuation: Continuation
    ids: tuple[tuple[int, ...], ...]


class RerankRequest:
    """A fused text, each member's own text, and the choice among them.

    Args:
        session: the number of the sessions in which the continuations are scored.
        fused: the fused text.
        alone: each member's own text, under the same prompts, budget and stop strings.
    """

    def __init__(self, session: int, fused: FusionRequest, alone: Sequence[FusionRequest]) -> None:
        self.session, self.fused, self.request = session, fused, fused.request
        self._texts = {each.session: each for each in (fused, *alone)}
        self._alone = list(alone)
        self._judged: list[_Judged] = []
        self._answers: dict[int, Any] | None = None
        self._judging: dict[int, tuple[int, int]] = {}
        self._waiting: set[int] = set()
        self._output: Output | None = None
        self.error: Exception | None = None
        self.is_finished = False

    def __repr__(self) -> str:
        return f"RerankRequest(session={self.session}, {len(self._texts)} texts, finished={self.is_finished})"

    @property
    def transcripts(self) -> list[Transcript]:
        """Those of the fused text."""
        return self.fused.transcripts

    @property
    def sessions(self) -> list[int]:
        """All sessions of it."""
        return [*self._texts, self.session]

    @property
    def costs(self) -> dict[int, tuple[int, int]]:
        """Passes and tokens of all texts and of the judgement, by the number of the member in the executor."""
        return added([*(each.costs for each in self._texts.values()), self._judging])

    @property
    def steps(self) -> Sequence[Step]:
        """The steps of the fused text."""
        return self.fused.steps

    @property
    def output(self) -> Output:
        """The chosen text; the fused text until it is known."""
        if self._output is not None:
            return self._output
        error = None if self.error is None else str(self.error)
        return replace(self.fused.output, error=error)

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of it."""
        return sum(each.n_cached_tokens() for each in self._texts.values())

    def start(self) -> list[Send]:
        """Begins all texts."""
        return [send for each in self._texts.values() for send in each.start()]

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply to one of the texts, or a member's judgement of all of them."""
        if self.is_finished:
            return []
        if reply.session == self.session:
            return self._receive_judgement(reply)
        sends = self._texts[reply.session].receive(reply)
        if all(each.is_finished for each in self._texts.values()):
            sends += self._guarded(self._judge)
        return sends

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends all texts."""
        if self.is_finished:
            return []
        self.error, self.is_finished = error, True
        sends = [send for each in self._texts.values() for send in each.abort()]
        return [*sends, *((number, Close(self.session)) for number in self._waiting)]

    def _guarded(self, phase: Any) -> list[Send]:
        try:
            sends: list[Send] = phase()
        except Exception as err:  # noqa: BLE001 - raised to whoever asked for this text
            return self.abort(err)
        return sends

    def _judge(self) -> list[Send]:
        """All texts are written: has every member score all continuations."""
        for text in (self.fused, *self._alone):
            if text.error is not None and (text is self.fused or self.request.on_failure == "stop"):
                raise text.error
        authors: list[tuple[Author, Output]] = [("fusion", self.fused.output)]
        authors += [(number, each.output) for number, each in enumerate(self._alone) if each.error is None]
        self._judged = [self._open(author, written) for author, written in authors]
        scored = [each for each in self._judged if each.continuation.rejected is None]
        sends: list[Send] = []
        for each in self.transcripts:
            if each.failed is None:
                ends = [one.continuation.finish_reason == "end" for one in scored]
                ids = [one.ids[each.number] for one in scored]
                texts = tuple(map(WholeText, ids, ends))
                prompt = tuple(each.ids[: each.n_prompt])
                sends.append((self.fused.numbers[each.number], ScoreContinuations(self.session, prompt, texts)))
        self._answers, self._waiting = {}, {number for number, _ in sends}
        return sends

    def _receive_judgement(self, reply: Reply) -> list[Send]:
        assert self._answers is not None  # only `_judge` asks
        self._waiting.discard(reply.member)
        if reply.usage is not None:
            self._judging[reply.member] = reply.usage[1:3]
        self._answers[reply.member] = reply.error if reply.error is not None else reply.value
        return [] if self._waiting else self._guarded(self._choose)

    def _choose(self) -> list[Send]:
        """All members have judged: chooses the continuation."""
        assert self._answers is not None
        columns: dict[int, tuple[WholeScore, ...]] = {}
        for each in self.transcripts:
            answer = self._answers.get(self.fused.numbers[each.number])
            if not isinstance(answer, Exception):
                if answer is not None:
                    columns[each.number] = answer
            elif self.request.on_failure == "stop" or not isinstance(answer, CoolFusionError):
                raise answer
            else:
                each.failed = str(answer)
        best, continuations = self._best(self._scored(columns))
        self._output = replace(
            self.fused.output,
            text=best.text,
            finish_reason=best.finish_reason,
            author=best.author,
            continuations=tuple(continuations),
        )
        self.is_finished = True
        return []

    def _open(self, author: Author, written: Output) -> _Judged:
        """Returns a continuation before it is scored."""
        reason = written.finish_reason or "length"
        if not written.text and reason != "end":
            refusal = Rejection("", (), 0, "empty", "nothing was written, and nothing says that it ends here")
            return _Judged(Continuation(author, "", reason, rejected=refusal), ())
        ids = []
        for each in self.transcripts:
            found = _ids_under(each, author, written.text, _own_ids(each, author, written.members))
            if isinstance(found, Rejection):
                return _Judged(Continuation(author, written.text, reason, rejected=found), ())
            ids.append(tuple(found))
        return _Judged(Continuation(author, written.text, reason), tuple(ids))

    def _scored(self, columns: Mapping[int, tuple[WholeScore, ...]]) -> list[Continuation]:
        """Returns all continuations with their scores; under a lost member they are nan."""
        at, found = 0, []
        for continuation, _ in self._judged:
            if continuation.rejected is None:
                continuation = self._with_scores(continuation, columns, at)
                at += 1
            found.append(continuation)
        return found

    def _with_scores(
        self, continuation: Continuation, columns: Mapping[int, tuple[WholeScore, ...]], at: int
    ) -> Continuation:
        n_bytes, nothing = len(continuation.text.encode()), WholeScore(math.nan, 0, 0)
        rows = [columns[each.number][at] if each.number in columns else nothing for each in self.transcripts]
        # No word has to end after a whole continuation, so nothing is paid for it.
        boundary = 0.0 if n_bytes and self.fused.settings.rule.boundary_mass else None
        scores = tuple(Score(row.logprob, row.n_tokens, n_bytes, boundary) for row in rows)
        return replace(continuation, scores=scores, context_cuts=tuple(row.context_cuts for row in rows))

    def _best(self, judged: list[Continuation]) -> tuple[Continuation, list[Continuation]]:
        """Returns the best continuation, and all with their values; the fused one if none could be scored."""
        open_ones = [n for n, each in enumerate(judged) if each.rejected is None]
        if not open_ones:
            return judged[0], judged
        names = [each.member.name for each in self.transcripts]
        candidates = [Candidate(judged[n].text, False, (), (), ()) for n in open_ones]
        scores = [judged[n].scores for n in open_ones]
        rule, prompt = self.fused.settings.rule, prompt_scores(self.transcripts)
        view = view_of(candidates, scores, names, prompt=prompt, so_far=prompt, seed=self.request.seed)
        winner, values, *_ = select(rule, view)
        for n, value in zip(open_ones, values, strict=True):
            judged[n] = replace(judged[n], value=value)
        return judged[open_ones[winner]], judged


def _own_ids(transcript: Transcript, author: Author, members: Sequence[MemberOutput]) -> list[int] | None:
    """Returns the ids that this member wrote or committed of the continuation, if it took part in it."""
    if author == "fusion":
        return members[transcript.number].token_ids
    return members[0].token_ids if author == transcript.number else None


def _ids_under(transcript: Transcript, author: Author, text: str, own: list[int] | None) -> list[int] | Rejection:
    """Returns the ids of a continuation under a member.

    The author's own ids count where they spell the text. They hold more where a stop string has cut it. There, and for
    other members' texts, the canonical ids after the prompt count. If those would rewrite the prompt's last tokens, the
    text is encoded alone.
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
