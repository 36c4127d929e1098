"""Writes one text as a state machine between commands and replies (Cool-Fusion, arXiv 2407.19807, section 3).

Each phase sends one command to each member that takes part, and the next begins when all have answered::

    PREFILL -> [LEAD ->] PROPOSE -> [COMPLETE ->] SCORE -> [MORE -> SCORE ->] PROPOSE ... -> FINISHED

LEAD lets one member write first, so that its segments are a draft for the others. COMPLETE lets members finish segments
that the budget has cut, where the cut could decide. MORE asks for alternatives where the rule is unsure. Selection
follows SCORE. Nothing here touches logits or caches.
Definitions: docs/definitions.md, "step", "budget", "stop string".
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from time import perf_counter
from typing import Any

from coolfusion.errors import CoolFusionError, ModelError, NoCandidateError
from coolfusion.fusion.budget import cut_to_budgets, is_decided, over_budget
from coolfusion.fusion.candidates import admit
from coolfusion.fusion.options import Request, Settings
from coolfusion.fusion.origin import origin_of
from coolfusion.fusion.running import Send
from coolfusion.fusion.selection import (
    Selection,
    StepView,
    drawn,
    in_order,
    is_unsure,
    probabilities,
    select,
    view_of,
)
from coolfusion.fusion.stop_strings import StopStringFilter
from coolfusion.fusion.transcript import Transcript, prompt_scores
from coolfusion.members.commands import (
    Close,
    Command,
    Dice,
    Prefill,
    Proposal,
    Propose,
    Refusal,
    Reply,
    ScoreCandidates,
    ScoredPath,
    WriteAhead,
)
from coolfusion.members.endings import Ending, ending_of
from coolfusion.members.member import Member, Prompt
from coolfusion.members.propose import TOKENS_OF_A_SEGMENT
from coolfusion.models.numerics import random_number
from coolfusion.records import (
    Candidate,
    FinishReason,
    MemberStep,
    Output,
    Rejection,
    Score,
    Seconds,
    Step,
)

# Nats, because passes over other shapes change a float32 score by some 1e-6. Below this margin another shape could
# decide otherwise.
NEAR_TIE = 1e-5
NOTHING = (Proposal(None, False),)
_log = logging.getLogger("coolfusion")

Scores = tuple[tuple[Score, ...], ...]


class Phase(enum.Enum):
    """The phases of a request, named after the answers that the request waits for."""

    PREFILL = "prefill"
    LEAD = "lead"
    PROPOSE = "propose"
    COMPLETE = "complete"
    SCORE = "score"
    MORE = "more"
    FINISHED = "finished"


class FusionRequest:
    """The state machine of one text that some members write.

    Args:
        session: the number of the text's sessions in the members' workers.
        members: the members, and their numbers in the executor.
        prompts: one prompt for each of these members.
        request: the request.
        settings: the settings of the fusion.
        notes: the notes of the output.

    Attributes:
        transcripts: the ids and segments that each member has read and committed.
        request: the request.
        phase: the phase, which names the answers that the text waits for.
        error: the error that ended the text, or None.

    Raises:
        CoolFusionError: a member cannot begin with its prompt.
    """

    def __init__(
        self,
        session: int,
        members: Sequence[tuple[int, Member]],
        prompts: Sequence[Prompt],
        request: Request,
        settings: Settings,
        notes: Sequence[str] = (),
    ) -> None:
        self.session, self.request, self.settings = session, request, settings
        self.prompts, self.notes = list(prompts), tuple(notes)
        self.numbers = [number for number, _ in members]
        self.transcripts = [
            Transcript(member, at, prompt)
            for at, ((_, member), prompt) in enumerate(zip(members, prompts, strict=True))
        ]
        self.phase = Phase.PREFILL
        self.error: Exception | None = None
        self._speculation = settings.speculation(tuple(self.numbers))
        self._filter = StopStringFilter(request.stops)
        self._waiting: set[int] = set()
        self._answers: dict[int, Any] = {}
        self._history: list[Step] = []
        self._delivered: list[Step] = []
        self._held: Step | None = None
        self._rejected: tuple[Rejection, ...] = ()
        self._finish_reason: FinishReason | None = None
        # The state of the present step.
        self._proposals: list[tuple[Proposal, ...]] = []
        self._candidates: tuple[Candidate, ...] = ()
        self._refused: tuple[Rejection, ...] = ()
        self._budgets: list[int] = []
        self._has_more = False
        # For each member the step in which its present stream of random numbers began, and the count of used numbers.
        self._streams = [(0, 0)] * len(members)
        self._costs: list[tuple[int, int]] = [(0, 0)] * len(members)
        self._clock: list[float] = []

    def __repr__(self) -> str:
        written = sum(len(step.text) for step in self._delivered)
        return f"FusionRequest(session={self.session}, phase={self.phase.value}, {written} characters)"

    @property
    def sessions(self) -> list[int]:
        """Returns the one number that the text's sessions have in all workers, as a list."""
        return [self.session]

    @property
    def costs(self) -> dict[int, tuple[int, int]]:
        """Returns the passes and tokens so far, by the number of the member in the executor."""
        return {number: each.cost for number, each in zip(self.numbers, self.transcripts, strict=True)}

    @property
    def is_finished(self) -> bool:
        """Returns whether the text has ended."""
        return self.phase is Phase.FINISHED

    @property
    def steps(self) -> Sequence[Step]:
        """Returns the steps whose text is final; one that may begin a stop string waits for the step after it."""
        return self._delivered

    @property
    def output(self) -> Output:
        """Returns the output so far; `finish_reason` is None while more may come."""
        members = tuple(transcript.output() for transcript in self.transcripts)
        error = None if self.error is None else str(self.error)
        text = "".join(step.text for step in self._delivered)
        reason = self._finish_reason if self.is_finished else None
        seed = self.request.seed if self._draws else None
        written = tuple(self._delivered)
        return Output(
            text,
            written,
            reason,
            members,
            self._rejected,
            error=error,
            notes=self.notes,
            seed=seed,
            origin=origin_of(self.request, self.settings),
        )

    @property
    def _draws(self) -> bool:
        """Returns whether members draw their segments, and the rule its winner."""
        return self.request.temperature > 0.0

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of this text."""
        total = 0
        for transcript in self.transcripts:
            limit, most = transcript.member.runner.max_model_len, transcript.n_prompt + self.request.max_new_tokens
            total += most if limit is None else min(limit, most)
        return total

    # A request is started, receives replies, or is aborted. Each returns the commands to send.

    def start(self) -> list[Send]:
        """Opens the sessions."""
        self._clock = [perf_counter()]
        numbers, granularity = self.numbers if self.settings.aligned else [], self.settings.granularity
        # Weights need no scores where one member writes alone.
        scored = self.settings.rule.prompt_scores and len(self.transcripts) > 1
        prefills: dict[Transcript, Command] = {}
        for each, number in zip(self.transcripts, self.numbers, strict=True):
            others = tuple(other for other in numbers if other != number)
            ending = ending_of(each.prompt_tail(), granularity) if self.request.whole_prompt else ""
            optional = each.n_prefix if self.settings.may_drop_prefix else 0
            prefills[each] = Prefill(self.session, tuple(each.ids), others, scored, granularity, ending, optional)
        return self._send(Phase.PREFILL, prefills)

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply, and begins the next phase after the last reply of a phase.

        An error that is not a member's, for example of a selection rule, ends this text alone.
        """
        at = self.numbers.index(reply.member)
        if reply.usage is not None:
            self.transcripts[at].usage = reply.usage
        if reply.background or not reply.last or at not in self._waiting:
            return []
        self._waiting.remove(at)
        self._answers[at] = reply.error if reply.error is not None else reply.value
        if self._waiting:
            return []
        try:
            return self._after_phase()
        except Exception as err:  # noqa: BLE001 - raised to the caller of this text
            return self.abort(err)

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends the text, with an error or without one, and keeps the output so far."""
        if self.is_finished:
            return []
        self.error = error
        return self._finish(None)

    # The phases.

    def _after_phase(self) -> list[Send]:
        phase, answers = self.phase, self._take_answers()
        if phase is Phase.PREFILL:
            for number, score in answers.items():
                self.transcripts[number].note_prefill(score, may_drop_prefix=self.settings.may_drop_prefix)
            return self._begin_step()
        if phase is Phase.LEAD:
            self._note_proposals(answers)
            return self._propose_behind_leader(next(iter(answers)))
        if phase is Phase.PROPOSE:
            self._note_proposals(answers)
            return self._complete() or self._score()
        if phase in (Phase.COMPLETE, Phase.MORE):
            self._note_proposals(answers)
            return self._score()
        scores = self._score_matrix(answers)
        return self._ask_for_more(scores) or self._commit(scores)

    def _begin_step(self) -> list[Send]:
        """Asks for segments (TextGen), of the leader first if a draft is expected to pay, else of all at once."""
        self._proposals, self._has_more = [NOTHING] * len(self.transcripts), False
        self._budgets = [self.request.max_new_tokens - transcript.n_written for transcript in self.transcripts]
        live = self._live()
        if min(self._budgets[transcript.number] for transcript in live) == 0:
            return self._finish("length")
        number, words = self._speculation.plan([transcript.number for transcript in live])
        leader = self.transcripts[number]
        if not words or self._draws:  # a draft is greedy
            return self._send(Phase.PROPOSE, {each: self._propose(each) for each in live})
        if not self.settings.concurrent:
            return self._send(Phase.LEAD, {leader: self._propose(leader, ahead=words)})
        # The leader's segments that were written while the others were reading are their draft.
        draft = leader.known_ahead()
        in_order = [leader, *(each for each in live if each is not leader)]
        sends = self._send(
            Phase.PROPOSE, {each: self._propose(each, () if each is leader else draft) for each in in_order}
        )
        # The leader writes on after the word that is being read now, so then one word less of its lead is left.
        ahead = WriteAhead(self.session, leader.take_commits(), self._budgets[number], words + 1)
        return [*sends, (self.numbers[number], ahead)]

    def _propose_behind_leader(self, number: int) -> list[Send]:
        leader = self.transcripts[number]
        others = [each for each in self._live() if each is not leader]
        if not others:
            return self._complete() or self._score()
        draft = leader.known_ahead()
        return self._send(Phase.PROPOSE, {each: self._propose(each, draft) for each in others})

    def _complete(self) -> list[Send]:
        """Asks members to finish the segments that the budget has cut, if the rest of a segment can decide."""
        live = self._live()
        if is_decided(live, self._proposals, may_ask=bool(self._alternatives)):
            return []
        cut = [each for each in live if any(proposal.cut for proposal in self._proposals[each.number])]
        commands = {each: self._propose(each, budget=TOKENS_OF_A_SEGMENT) for each in cut}
        return self._send(Phase.COMPLETE, commands)

    def _score(self) -> list[Send]:
        """Asks every member for the scores of every candidate (Evaluate)."""
        live = self._live()
        for each in self.transcripts:
            if each.failed is not None:
                self._proposals[each.number] = (Proposal(None, False, (), (Refusal("failed", "", each.failed),)),)
        self._candidates, self._refused = admit(self.transcripts, self._proposals)
        broken = [each.detail for each in self._refused if each.reason == "numbers"]
        if broken and self.request.on_failure == "stop":
            raise ModelError("; ".join(broken))
        if not self._has_more:
            self._tick()
        if not self._candidates:
            return self._finish_without_candidate()
        mass = self.settings.rule.boundary_mass
        commands: dict[Transcript, Command] = {}
        for each in live:
            paths = tuple(
                ScoredPath(c.token_ids[each.number], c.end, len(c.text.encode()), self._ending(c, live))
                for c in self._candidates
            )
            commands[each] = ScoreCandidates(self.session, each.take_commits(), paths, mass)
        return self._send(Phase.SCORE, commands)

    def _ask_for_more(self, scores: Scores) -> list[Send]:
        """Asks once in a step for whole alternatives if the rule is unsure; cut ones would let the budget decide."""
        rule = self.settings.rule
        if self._has_more or not self._alternatives:
            return []
        live = self._live()
        if not is_unsure(rule, self._view(scores)):
            return []
        self._has_more, most = True, TOKENS_OF_A_SEGMENT
        commands = {each: self._propose(each, budget=most, alternatives=rule.alternatives) for each in live}
        return self._send(Phase.MORE, commands)

    @property
    def _alternatives(self) -> int:
        """Returns the number of alternatives that the rule may ask for, 0 if members draw, as draws differ anyway."""
        return 0 if self._draws else self.settings.rule.alternatives

    def _commit(self, scores: Scores) -> list[Send]:
        """Chooses a candidate by the rule (Select), and commits it under all members."""
        self._tick()
        live = self._live()
        selection = self._select(scores)
        chances = self._chances(selection)
        if self._draws:
            number = random_number(self.request.seed, "", len(self._history))
            selection = selection._replace(winner=drawn(chances, in_order(selection.values, self._candidates), number))
        self._tick()
        contexts = [(each.usage.start, len(each.ids)) for each in self.transcripts]
        chosen = self._candidates[selection.winner]
        winner = cut_to_budgets(self.transcripts, self._proposals, chosen, self._budgets)
        if winner is None:
            self._rejected = (*self._refused, *over_budget(live, chosen, self._budgets))
            return self._finish("length")
        ending = self._ending(winner, live) if self.settings.rule.boundary_mass else ""
        for each in live:
            each.commit(winner.token_ids[each.number], winner.text, forced=winner.forced[each.number], ending=ending)
            each.note_score(scores[selection.winner][each.number])
            self._advance_stream(each.number, winner)
        self._observe(live, winner)
        text, reason = self._release(winner)
        if reason is None and (winner is not chosen or any(p.cut for own in self._proposals for p in own)):
            reason = "length"
        self._tick()
        members = []
        for each, context, (passes, tokens) in zip(self.transcripts, contexts, self._costs, strict=True):
            now = each.cost
            members.append(MemberStep(context, now[0] - passes, now[1] - tokens, winner.forced[each.number]))
        self._costs = [each.cost for each in self.transcripts]
        self._record(text, scores, selection, tuple(members), chances, hold=reason is None)
        return self._begin_step() if reason is None else self._finish(reason)

    # The parts of a phase.

    def _ending(self, candidate: Candidate, live: Sequence[Transcript]) -> Ending:
        """Returns the ending after a candidate, or "" for a sole member, which writes its own greedy text."""
        return ending_of(candidate.text, self.settings.granularity) if candidate.whole and len(live) > 1 else ""

    def _send(self, phase: Phase, commands: Mapping[Transcript, Command]) -> list[Send]:
        self.phase = phase
        self._waiting = {each.number for each in commands}
        self._asked = [each.number for each in commands]
        return [(self.numbers[each.number], command) for each, command in commands.items()]

    def _take_answers(self) -> dict[int, Any]:
        """Returns the answers of a phase by member, after a failure has ended the text or lost the member."""
        answers, self._answers = {number: self._answers[number] for number in self._asked}, {}
        for number, answer in answers.items():
            if not isinstance(answer, Exception):
                continue
            if self.request.on_failure == "stop" or not isinstance(answer, CoolFusionError):
                raise answer
            transcript = self.transcripts[number]
            transcript.failed = str(answer)
            answers[number] = None
            _log.warning("goes on without member %s: %s", transcript.member.name, answer)
        return answers

    def _live(self) -> list[Transcript]:
        """Returns the members that take part."""
        live = [each for each in self.transcripts if each.failed is None]
        if not live:
            reasons = "; ".join(str(each.failed) for each in self.transcripts)
            raise ModelError(f"no model can go on: {reasons}")
        return live

    def _propose(
        self,
        transcript: Transcript,
        draft: Sequence[str] = (),
        *,
        budget: int | None = None,
        ahead: int = 0,
        alternatives: int = 0,
    ) -> Propose:
        budget = self._budgets[transcript.number] if budget is None else budget
        drafts, request = transcript.draft_paths(draft, budget), self.request
        dice = None
        if self._draws:
            stream = self._streams[transcript.number]
            dice = Dice(request.seed or 0, *stream, request.temperature, request.top_p, request.min_p)
        return Propose(self.session, transcript.take_commits(), budget, drafts, ahead, alternatives, dice)

    def _advance_stream(self, number: int, winner: Candidate) -> None:
        """Moves a member's stream of random numbers past the winner.

        If the member's own segment won, the stream continues after the numbers of its tokens. The next number has
        already drawn the token that ended the segment. So a text of one member is an ordinary sample of that member,
        token for token. Any other winner begins a new stream.
        """
        own, (origin, offset) = self._proposals[number][0], self._streams[number]
        kept = own.text == winner.text and own.ids == winner.token_ids[number]
        self._streams[number] = (origin, offset + len(own.ids)) if kept else (len(self._history) + 1, 0)

    def _chances(self, selection: Selection) -> tuple[float, ...]:
        """Returns the probabilities of the candidates if the winner is drawn or `logprobs` asks for them, else ()."""
        request = self.request
        if self._draws:
            filters = request.temperature, request.top_p, request.min_p
            return probabilities(selection.values, self._candidates, *filters)
        return probabilities(selection.values, self._candidates) if request.logprobs else ()

    def _note_proposals(self, answers: Mapping[int, Any]) -> None:
        for number, proposals in answers.items():
            self._proposals[number] = proposals or NOTHING

    def _finish_without_candidate(self) -> list[Send]:
        """Ends a text to which nothing can be added.

        Raises:
            ModelError: no model gives numbers.
            NoCandidateError: something other than the budget is in the way.
        """
        self._rejected = self._refused
        if any(rejection.reason == "budget" for rejection in self._refused):
            return self._finish("length")
        reasons = "; ".join(rejection.detail for rejection in self._refused)
        if all(rejection.reason in ("numbers", "failed") for rejection in self._refused):
            raise ModelError(f"no model can go on: {reasons}")
        raise NoCandidateError(f"no proposal can be said by every member: {reasons}")

    def _score_matrix(self, answers: dict[int, Any]) -> Scores:
        """Returns the (C, M) scores; nan under members that are lost."""
        nothing = tuple(Score(math.nan, 0, len(candidate.text.encode())) for candidate in self._candidates)
        columns = [answers.get(each.number) or nothing for each in self.transcripts]
        return tuple(zip(*columns, strict=True))

    def _view(self, scores: Scores) -> StepView:
        return view_of(
            self._candidates,
            scores,
            [each.member.name for each in self.transcripts],
            prompt=prompt_scores(self.transcripts),
            so_far=[each.so_far for each in self.transcripts],
            history=tuple(self._history),
            seed=self.request.seed,
        )

    def _select(self, scores: Scores) -> Selection:
        names, candidates = [each.member.name for each in self.transcripts], self._candidates
        selection = select(self.settings.rule, self._view(scores))
        broken = [j for j in selection.excluded if self.transcripts[j].failed is None]
        if broken and self.request.on_failure == "stop":
            raise ModelError(f"member {names[broken[0]]}: its scores are not numbers")
        if selection.margin < NEAR_TIE and len(candidates) > 1:
            texts = [candidate.text for candidate in candidates]
            _log.info("near-tie at step %d: margin %.3g nats among %r", len(self._history), selection.margin, texts)
        return selection

    def _observe(self, live: Sequence[Transcript], winner: Candidate) -> None:
        texts = {each.number: self._proposals[each.number][0].text for each in live}
        lengths = {each.number: len(winner.token_ids[each.number]) for each in live}
        self._speculation.observe(texts, winner.text, lengths)

    def _release(self, winner: Candidate) -> tuple[str, FinishReason | None]:
        """Returns the text that a commit adds to the output, and the finish that it brings."""
        if winner.end:
            return self._filter.flush(), "end"
        text = self._filter.push(winner.text)
        return text, "stop" if self._filter.stopped else None

    def _record(
        self,
        text: str,
        scores: tuple[tuple[Score, ...], ...],
        selection: Selection,
        members: tuple[MemberStep, ...],
        chances: tuple[float, ...],
        *,
        hold: bool,
    ) -> None:
        """Notes a step, which waits for the step after it if it holds back text for a stop string."""
        winner, values, margin, excluded, weights, primary = selection
        seconds = Seconds(*(after - before for before, after in pairwise(self._clock)))
        self._clock = self._clock[-1:]
        index, rejected = len(self._history), self._refused
        candidates = self._candidates
        step = Step(
            index,
            text,
            winner,
            candidates,
            scores,
            values,
            margin,
            excluded,
            rejected,
            members,
            seconds,
            weights,
            primary,
            chances,
        )
        self._history.append(step)
        self._deliver_held(flush=False)
        if hold and self._filter.held:
            self._held = step
        else:
            self._delivered.append(step)

    def _deliver_held(self, *, flush: bool) -> None:
        if self._held is not None:
            step, self._held = self._held, None
            self._delivered.append(replace(step, text=step.text + self._filter.flush()) if flush else step)

    def _finish(self, reason: FinishReason | None) -> list[Send]:
        """Ends the text and closes its sessions."""
        # At the end of a budget a larger one might complete the stop string, and take the held text away.
        self._deliver_held(flush=reason != "length")
        self.phase, self._finish_reason = Phase.FINISHED, reason
        self._waiting.clear()
        return [(number, Close(self.session)) for number in self.numbers]

    def _tick(self) -> None:
        self._clock.append(perf_counter())
