"""Reranks the fused text and a text of each member alone as whole continuations (the paper's Cool+R, and more).

The phases are those of writing, of further rounds of samples, and of one judgement::

    fused text + each member's own text -> [round of samples -> ...] -> scores of all -> choice

`Rerank` holds the settings of the choice, and `ranking.ranked` makes it. The ids under a member are the author's own
where they spell the text, the committed ones for the fused text, and canonical ids otherwise. A continuation that its
author ended carries END as one more event, so that stopping in the middle of a sentence has its price. One that was
cut (budget, stop string) does not. Each member reads the prompt of the judgement together with that of its own text.
Definitions: docs/definitions.md, "rerank".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from coolfusion.errors import CoolFusionError
from coolfusion.fusion.judged import Judged, drawn_text, judged, with_scores, written_text
from coolfusion.fusion.ranking import Pool, ranked
from coolfusion.fusion.request import FusionRequest
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.running import Send, added
from coolfusion.fusion.transcript import Transcript, prompt_scores
from coolfusion.fusion.voting import ballot_weights, is_settled, tally, with_ballots
from coolfusion.members.commands import (
    Close,
    Command,
    DrawText,
    Prefill,
    Reply,
    ScoreContinuations,
    WholeText,
)
from coolfusion.records import Output, Score, Step

_log = logging.getLogger("coolfusion")


class RerankRequest:
    """The state machine of a fused text, each member's own texts, and the choice among them.

    Args:
        session: the number of the sessions in which the continuations are scored.
        fused: the fused text.
        alone: each member's own text, under the same prompts, budget and stop strings.
        settings: the settings of the choice, by default the paper's.
        rounds: the number of a session for each round of samples.
    """

    def __init__(
        self,
        session: int,
        fused: FusionRequest,
        alone: Sequence[FusionRequest],
        settings: Rerank | None = None,
        rounds: Sequence[int] = (),
    ) -> None:
        self.session, self.fused, self.request = session, fused, fused.request
        self.settings = Rerank() if settings is None else settings
        self._texts = {each.session: each for each in (fused, *alone)}
        self._alone, self._rounds = list(alone), list(rounds)
        self._judged: list[Judged] = []
        self._prompt: dict[int, Score] = {}
        self._weights: tuple[float, ...] = ()
        # For the present phase the awaited members and their answers, by session.
        self._waiting: dict[int, set[int]] = {}
        self._answers: dict[int, dict[int, Any]] = {}
        self._n_drawn = 0
        self._silent: set[int] = set()  # members that failed to draw a text
        self._opened = False
        self._spent: dict[int, dict[int, tuple[int, int]]] = {}
        self._output: Output | None = None
        self.error: Exception | None = None
        self.is_finished = False

    def __repr__(self) -> str:
        return f"RerankRequest(session={self.session}, {len(self._texts)} texts, finished={self.is_finished})"

    @property
    def transcripts(self) -> list[Transcript]:
        """Returns the transcripts of the fused text."""
        return self.fused.transcripts

    @property
    def sessions(self) -> list[int]:
        """Returns the sessions of all texts and of the judgement."""
        return [*self._texts, *self._rounds, self.session]

    @property
    def costs(self) -> dict[int, tuple[int, int]]:
        """Returns the passes and tokens of all texts and the judgement, by the number of the member in the executor."""
        return added([*(each.costs for each in self._texts.values()), *self._spent.values()])

    @property
    def steps(self) -> Sequence[Step]:
        """Returns the steps of the fused text."""
        return self.fused.steps

    @property
    def output(self) -> Output:
        """Returns the output of the chosen text, or of the fused text before the choice."""
        if self._output is not None:
            return self._output
        error = None if self.error is None else str(self.error)
        return replace(self.fused.output, error=error)

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of all texts."""
        prompts = sum(each.n_prompt for each in self.transcripts)
        alone = sum(each.n_cached_tokens() for each in self._alone)
        at_a_time = 1 if self.settings.vote else len(self._rounds)
        samples = alone * at_a_time if self._rounds else 0
        return self.fused.n_cached_tokens() + alone + prompts + samples

    def start(self) -> list[Send]:
        """Begins all texts, and opens the sessions of the judgement, so that equal prompts are read once."""
        sends = [send for each in self._texts.values() for send in each.start()]
        scored = self.settings.vote and getattr(self.settings.weights, "prompt_scores", False)
        self._opened = True
        may_drop = self.fused.settings.may_drop_prefix
        prefills = {
            each: Prefill(
                self.session,
                self._prompt_ids(each),
                score=scored,
                optional_prefix=each.n_prefix if may_drop else 0,
            )
            for each in self.transcripts
        }
        return sends + self._ask(self.session, prefills)

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply to one of the texts, or a member's answer in a later phase."""
        if self.is_finished:
            return []
        if reply.session in self._texts:
            sends = self._texts[reply.session].receive(reply)
        else:
            self._take(reply)
            sends = []
        if any(self._waiting.values()) or not all(each.is_finished for each in self._texts.values()):
            return sends
        return sends + self._guarded(self._after_phase)

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends all texts."""
        if self.is_finished:
            return []
        self.error, self.is_finished = error, True
        sends = [send for each in self._texts.values() for send in each.abort()]
        held = [(number, session) for session, numbers in self._waiting.items() for number in numbers]
        held += [(number, self.session) for number in self.fused.numbers if self._opened]
        return [*sends, *((number, Close(session)) for number, session in dict.fromkeys(held))]

    # The phases.

    def _after_phase(self) -> list[Send]:
        answers, self._answers = self._answers, {}
        if not self._judged:
            return self._after_writing(answers.get(self.session, {}))
        if self.session in answers:
            return self._choose(answers[self.session])
        self._after_round(answers)
        return self._draw() or self._judge()

    def _after_writing(self, answers: Mapping[int, Any]) -> list[Send]:
        """Begins the rounds of samples or the judgement, after all texts have ended and its prompts are read."""
        for text in (self.fused, *self._alone):
            if text.error is not None and (text is self.fused or self.request.on_failure == "stop"):
                raise text.error
        for each, score in self._kept(answers).items():
            if score is not None:
                self._prompt[each.number] = score
        written = [written_text("fusion", self.fused.output)]
        written += [written_text(n, each.output) for n, each in enumerate(self._alone) if each.error is None]
        self._judged = [judged(self.transcripts, each, self.settings) for each in written]
        names, live = [each.member.name for each in self.transcripts], [each.number for each in self._live()]
        found = ballot_weights(self.settings.weights, names, self._prompt_scores(), live, self.request.seed)
        self._weights = tuple(found)
        return self._draw() or self._judge()

    def _draw(self) -> list[Send]:
        """Asks every member to draw one more text, or all its texts without a vote; [] if no more are needed."""
        settings, left = self.settings, len(self._rounds) - self._n_drawn
        drawing = [each for each in self._live() if each.number not in self._silent]
        if not left or not drawing:
            return []
        if settings.vote:
            most = left * math.fsum(self._weights[each.number] for each in drawing)
            if self._is_settled(most):
                return []
        sends: list[Send] = []
        for number in range(self._n_drawn, self._n_drawn + (1 if settings.vote else left)):
            commands = {each: self._draw_text(each, number) for each in drawing}
            sends += self._ask(self._rounds[number], commands)
            self._n_drawn += 1
        return sends

    def _draw_text(self, each: Transcript, number: int) -> DrawText:
        settings, request = self.settings, self.request
        seed = f"{request.seed or 0}/{each.number}/{number}"
        return DrawText(
            self._rounds[number],
            self._prompt_ids(each),
            request.max_new_tokens,
            settings.temperature,
            settings.top_p,
            seed,
            request.stops,
        )

    def _is_settled(self, left: float) -> bool:
        """Returns whether a vote needs no further round; one of unfinished texts does, as finished ones may come."""
        found = with_ballots([each.continuation for each in self._judged], self.settings, self._weights)
        if any(each.votes and each.standing != "finished" for each in found):
            return False
        return is_settled(tally(found), left, self.settings.stop_at)

    def _after_round(self, answers: Mapping[int, Mapping[int, Any]]) -> None:
        """Takes the texts of a round, and asks a member that failed for no more."""
        for session in sorted(answers):
            number = self._rounds.index(session)
            for each, drawn in self._kept(answers[session], lost=False).items():
                prompt = self._prompt_ids(each)
                text = drawn_text(each.number, number, each.member, prompt, drawn, self.request.stops)
                self._judged.append(judged(self.transcripts, text, self.settings))

    def _judge(self) -> list[Send]:
        """Asks every member for the scores of all continuations."""
        scored = [each for each in self._judged if each.continuation.rejected is None]
        ends = [self.settings.end and one.continuation.finish_reason == "end" for one in scored]
        commands: dict[Transcript, Command] = {}
        for each in self._live():
            texts = tuple(map(WholeText, [one.ids[each.number] for one in scored], ends))
            commands[each] = ScoreContinuations(self.session, self._prompt_ids(each), texts)
        return self._ask(self.session, commands) or self._choose({})

    def _choose(self, answers: Mapping[int, Any]) -> list[Send]:
        """Chooses the continuation after all members have judged."""
        columns = {each.number: answer for each, answer in self._kept(answers).items()}
        names, rule = tuple(each.member.name for each in self.transcripts), self.fused.settings.rule
        pool = Pool(names, rule, self._prompt_scores(), self._weights, self.request.seed)
        found = with_scores(self._judged, columns, len(names), boundary_mass=rule.boundary_mass)
        continuations = ranked(found, self.settings, pool)
        best = next(each for each in continuations if each.rank == 0)
        self._output = replace(
            self.fused.output,
            text=best.text,
            finish_reason=best.finish_reason,
            author=best.author,
            continuations=tuple(continuations),
        )
        self.is_finished = True
        return [(number, Close(self.session)) for number in self.fused.numbers]

    # The parts of a phase.

    def _guarded(self, phase: Any) -> list[Send]:
        try:
            sends: list[Send] = phase()
        except Exception as err:  # noqa: BLE001 - raised to the caller of this text
            return self.abort(err)
        return sends

    def _ask(self, session: int, commands: Mapping[Transcript, Command]) -> list[Send]:
        sends = [(self.fused.numbers[each.number], command) for each, command in commands.items()]
        self._waiting[session] = {number for number, _ in sends}
        return sends

    def _take(self, reply: Reply) -> None:
        self._waiting[reply.session].discard(reply.member)
        if reply.usage is not None:
            self._spent.setdefault(reply.session, {})[reply.member] = reply.usage[1:3]
        answers = self._answers.setdefault(reply.session, {})
        answers[reply.member] = reply.error if reply.error is not None else reply.value

    def _kept(self, answers: Mapping[int, Any], *, lost: bool = True) -> dict[Transcript, Any]:
        """Returns the answers by transcript, after a failure has ended the text, the member, or its samples."""
        found: dict[Transcript, Any] = {}
        for each in self.transcripts:
            number = self.fused.numbers[each.number]
            if number not in answers:
                continue
            answer = answers[number]
            if not isinstance(answer, Exception):
                found[each] = answer
            elif self.request.on_failure == "stop" or not isinstance(answer, CoolFusionError):
                raise answer
            elif lost:
                each.failed = str(answer)
            else:
                self._silent.add(each.number)
                _log.warning("member %s draws no further text: %s", each.member.name, answer)
        return found

    def _live(self) -> list[Transcript]:
        return [each for each in self.transcripts if each.failed is None]

    def _prompt_ids(self, each: Transcript) -> tuple[int, ...]:
        return tuple(each.prompt_ids)

    def _prompt_scores(self) -> tuple[Score, ...]:
        """Returns the scores of the prompt that the judgement or the steps have measured, or () without any."""
        if not self._prompt:
            return prompt_scores(self.transcripts)
        return tuple(self._prompt.get(each.number, Score(math.nan, 0)) for each in self.transcripts)
