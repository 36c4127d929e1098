"""One text being written: the loop around schedule and selection (Cool-Fusion, arXiv 2407.19807, section 3).

A step asks the schedule for proposals, admits what every member can say, scores it, selects by a pure rule, and
commits the winner to all. What is kept here is text and records; nothing touches logits, tensors or caches. A step is
a coroutine of orders, so that many texts can be written in step by one crew. Definitions: docs/design.md, "step",
"budget", "stop string".
"""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from time import perf_counter
from typing import Any, Literal

from coolfusion.admission import admit
from coolfusion.crew import Crew
from coolfusion.endings import cut_to_budgets, is_decided, over_budget
from coolfusion.errors import ArgumentError, CoolFusionError, ModelError, NoCandidateError
from coolfusion.member import Member, MemberState
from coolfusion.models.base import Context
from coolfusion.prompts import Prompt
from coolfusion.proposal import Proposal
from coolfusion.records import Candidate, FinishReason, MemberStep, Output, Rejection, Score, Seconds, Step
from coolfusion.schedule import Order, Phases, Schedule
from coolfusion.selection import Selection, SelectionRule, select
from coolfusion.stops import StopFilter

OnFailure = Literal["stop", "continue"]
Overlong = Literal["truncate", "error"]
Steps = Generator[list[Order], list[Any], Step | None]

# Nats. Passes over other shapes change a float32 score by some 1e-6: below this another shape could decide otherwise.
NEAR_TIE = 1e-5
_log = logging.getLogger("coolfusion")


@dataclass(frozen=True, slots=True)
class Plan:
    """How texts are written: the same for all texts of a call.

    Attributes:
        crew: who runs the members' models.
        schedule: makes what says when they run, a new one for each text.
        rule: the selection rule.
        aligned: whether segments end where all tokenizers have a boundary.
        max_new_tokens: budget of each member, in its own tokens.
        stops: the stop strings.
        on_failure: what happens when a member fails.
        overlong: what happens to a prompt above a member's limit.
    """

    crew: Crew
    schedule: Callable[[], Schedule]
    rule: SelectionRule
    aligned: bool
    max_new_tokens: int
    stops: tuple[str, ...]
    on_failure: OnFailure
    overlong: Overlong = "truncate"

    def __post_init__(self) -> None:
        budget = self.max_new_tokens
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise ArgumentError(f"max_new_tokens must be a whole number of at least 1, not {budget!r}")
        if self.on_failure not in ("stop", "continue"):
            raise ArgumentError(f"on_failure {self.on_failure!r} is unknown; expected 'stop' or 'continue'")
        if self.overlong not in ("truncate", "error"):
            raise ArgumentError(f"overlong {self.overlong!r} is unknown; expected 'truncate' or 'error'")


class Generation(Iterator[Step]):
    """One text being written: iterate for its steps; `output` is what was written so far.

    Args:
        members: who writes.
        prompts: one for each member.
        plan: how.
        contexts: one for each member, opened by its runner.

    Attributes:
        prompts: one for each member.
        plan: how the text is written.
        states: what each member holds.
    """

    def __init__(
        self, members: Sequence[Member], prompts: Sequence[Prompt], plan: Plan, contexts: Sequence[Context]
    ) -> None:
        self.prompts = prompts
        self.plan = plan
        tokenizers = [member.tokenizer for member in members] if plan.aligned else []
        self.states = [
            MemberState(member, number, prompt, [t for t in tokenizers if t is not member.tokenizer], context)
            for number, (member, prompt, context) in enumerate(zip(members, prompts, contexts, strict=True))
        ]
        self._schedule = plan.schedule()
        self._filter = StopFilter(plan.stops)
        self._steps: list[Step] = []
        self._text: list[str] = []
        self._rejected: tuple[Rejection, ...] = ()
        self._finish_reason: FinishReason | None = None
        self._error: CoolFusionError | None = None
        self._count = 0
        self._waiting: Step | None = None
        self._begun = False
        # Also for a text that is given up half-way: its memory goes back when nobody holds it any more.
        self._close = weakref.finalize(self, plan.crew.close, list(members), list(contexts))
        self._close.atexit = False

    @property
    def output(self) -> Output:
        """What was written so far; `finish_reason` is None while more may come."""
        members = tuple(state.output() for state in self.states)
        error = None if self._error is None else str(self._error)
        steps = tuple(self._steps)
        return Output("".join(self._text), steps, self._finish_reason, members, self._rejected, error=error)

    @property
    def error(self) -> CoolFusionError | None:
        """What ended the text, with the text in `partial`; None if nothing did."""
        if self._error is not None and self._waiting is None:
            self._error.partial = self.output
        return self._error

    def __next__(self) -> Step:
        """The next step.

        A step that holds back text for a stop string waits for the one behind it: if none comes, the text that it
        held is its own. A `KeyboardInterrupt` carries what was written in `partial`, as errors do.
        """
        try:
            [step] = self.plan.crew.run([self.next_step()])
        except KeyboardInterrupt as err:
            err.partial = self.output  # type: ignore[attr-defined]
            raise
        if isinstance(step, CoolFusionError):
            raise step
        if step is None:
            if self.error is None:
                raise StopIteration
            raise self.error
        return step

    def next_step(self) -> Steps:
        """The coroutine of one step; None when there is none. Errors are kept until all steps before them are out."""
        step = self._waiting or (yield from self._attempt())
        self._waiting = None
        if step is None:
            return None
        if self._filter.held:
            self._waiting = yield from self._attempt()
            # At the end of a budget a larger one might complete the stop string, and take this text away.
            if self._waiting is None and self._finish_reason != "length":
                step = replace(step, text=step.text + self._filter.flush())
        self._steps.append(step)
        self._text.append(step.text)
        return step

    def all_steps(self) -> Generator[list[Order], list[Any], None]:
        """The coroutine of the whole text."""
        while (yield from self.next_step()) is not None:
            pass

    def close(self) -> None:
        """Give back the models' memory; the records stay."""
        self._close()

    def _attempt(self) -> Steps:
        """A round; an error is kept until the text that stands before it has been handed out."""
        try:
            step = yield from self._round()
        except CoolFusionError as err:
            self._error, step = err, None
        if step is None or self._finish_reason is not None:
            self.close()
        return step

    def _round(self) -> Steps:
        """Run one round; None when the text is finished."""
        if self._finish_reason is not None or self._error is not None:
            return None
        clock = [perf_counter()]
        costs = [_cost(state) for state in self.states]
        if not self._begun:
            self._begun = True
            yield from self._settled(self.states, _at_once(self.states), lambda state, err: None)
        budgets = [self.plan.max_new_tokens - state.n_written for state in self.states]
        if min(budgets[state.number] for state in self._live()) == 0:
            self._finish_reason = "length"
            return None
        proposals = yield from self._propose(budgets)
        candidates, rejected = admit(self.states, proposals)
        clock.append(perf_counter())
        if not candidates:
            self._finish_without_candidate(rejected)
            return None
        scores = yield from self._evaluate(candidates)
        clock.append(perf_counter())
        selection = self._select(candidates, scores)
        clock.append(perf_counter())
        contexts = [(state.start, len(state.ids)) for state in self.states]
        chosen = candidates[selection.winner]
        winner = cut_to_budgets(self.states, proposals, chosen, budgets)
        if winner is None:
            self._finish_reason = "length"
            self._rejected = (*rejected, *over_budget(self._live(), chosen, budgets))
            return None
        for state in self._live():
            state.commit(winner.token_ids[state.number], winner.text, forced=winner.forced[state.number])
        self._schedule.observe(self._live(), proposals, winner)
        text = self._release(winner)
        if self._finish_reason is None and (winner is not chosen or any(proposal.cut for proposal in proposals)):
            self._finish_reason = "length"
        clock.append(perf_counter())
        members = tuple(
            MemberStep(context, *_spent(before, _cost(state)), winner.forced[state.number])
            for context, before, state in zip(contexts, costs, self.states, strict=True)
        )
        return self._record(text, candidates, scores, selection, rejected, members, clock)

    def _live(self) -> list[MemberState]:
        """The members that take part."""
        live = [state for state in self.states if state.failed is None]
        if not live:
            reasons = "; ".join(str(state.failed) for state in self.states)
            raise ModelError(f"no model can go on: {reasons}")
        return live

    def _settled(
        self, states: Sequence[MemberState], phases: Phases, instead: Callable[[MemberState, CoolFusionError], Any]
    ) -> Phases:
        """Phases in which a failure either ends the text or loses the member; `instead` is then its answer."""
        answers: list[Any] | None = None
        while True:
            try:
                orders = phases.send(answers)  # type: ignore[arg-type]  # a generator starts with None
            except StopIteration as stop:
                found: list[Any] = stop.value
                return found
            asked = [order.state for order in orders if not order.background]
            answers = list((yield orders))
            for at, (holder, answer) in enumerate(zip(asked, answers, strict=True)):
                if isinstance(answer, CoolFusionError):
                    state = next(each for each in states if each is holder)
                    if self.plan.on_failure == "stop":
                        raise answer
                    state.lose(answer)
                    _log.warning("goes on without member %s: %s", state.member.name, answer)
                    answers[at] = instead(state, answer)

    def _propose(self, budgets: Sequence[int]) -> Generator[list[Order], list[Any], list[Proposal]]:
        """(M,) proposals; of a lost member one that says so. Unfinished ones only where the rest decides nothing."""
        found = [Proposal(None, False)] * len(self.states)

        def enter(states: Sequence[MemberState], answers: Sequence[Any]) -> None:
            for state, proposal in zip(states, answers, strict=True):
                found[state.number] = proposal or Proposal(None, False)

        live = self._live()
        phases = self._schedule.propose(live, [budgets[state.number] for state in live])
        enter(live, (yield from self._settled(live, phases, lambda state, err: None)))
        live = self._live()
        if not is_decided(live, found):
            cut = [state for state in live if found[state.number].cut]
            enter(cut, (yield from self._settled(cut, self._schedule.finish(cut), lambda state, err: None)))
        for state in self.states:
            if state.failed is not None:
                lost = state.reject("failed", "", (state.number,), state.failed)
                found[state.number] = Proposal(None, False, rejected=(lost,))
        broken = [r.detail for each in found for r in each.rejected if r.reason == "numbers"]
        if broken and self.plan.on_failure == "stop":
            raise ModelError("; ".join(broken))
        return found

    def _evaluate(self, candidates: Sequence[Candidate]) -> Phases:
        """(C, M) scores; nan under members that are lost."""
        nothing = [Score(math.nan, 0, len(candidate.text.encode())) for candidate in candidates]
        live = self._live()
        phases = self._schedule.evaluate(live, candidates)
        found = yield from self._settled(live, phases, lambda state, err: nothing)
        by_number = {state.number: column for state, column in zip(live, found, strict=True)}
        return list(zip(*(by_number.get(state.number, nothing) for state in self.states), strict=True))

    def _select(self, candidates: Sequence[Candidate], scores: Sequence[Sequence[Score]]) -> Selection:
        names = [state.member.name for state in self.states]
        selection = select([candidate.text for candidate in candidates], scores, self.plan.rule, names)
        broken = [j for j in selection.excluded if self.states[j].failed is None]
        if broken and self.plan.on_failure == "stop":
            raise ModelError(f"member {names[broken[0]]}: its scores are not numbers")
        if selection.margin < NEAR_TIE and len(candidates) > 1:
            texts = [candidate.text for candidate in candidates]
            _log.info("near-tie at step %d: margin %.3g nats among %r", self._count, selection.margin, texts)
        return selection

    def _finish_without_candidate(self, rejected: tuple[Rejection, ...]) -> None:
        """The end of a text to which nothing can be added.

        Raises:
            ModelError: no model gives numbers.
            NoCandidateError: something other than the budget is in the way.
        """
        self._rejected = rejected
        if any(rejection.reason == "budget" for rejection in rejected):
            self._finish_reason = "length"
            return
        reasons = "; ".join(rejection.detail for rejection in rejected)
        if all(rejection.reason in ("numbers", "failed") for rejection in rejected):
            raise ModelError(f"no model can go on: {reasons}")
        raise NoCandidateError(f"no proposal can be said by every member: {reasons}")

    def _release(self, winner: Candidate) -> str:
        """The text that a commit adds to the output, and the finish that it brings."""
        if winner.end:
            self._finish_reason = "end"
            return self._filter.flush()
        text = self._filter.push(winner.text)
        if self._filter.stopped:
            self._finish_reason = "stop"
        return text

    def _record(
        self,
        text: str,
        candidates: tuple[Candidate, ...],
        scores: Sequence[Sequence[Score]],
        selection: Selection,
        rejected: tuple[Rejection, ...],
        members: tuple[MemberStep, ...],
        clock: Sequence[float],
    ) -> Step:
        winner, values, margin, excluded = selection
        index, self._count = self._count, self._count + 1
        seconds = Seconds(*(after - before for before, after in pairwise(clock)))
        rows = tuple(tuple(row) for row in scores)
        return Step(index, text, winner, candidates, rows, values, margin, excluded, rejected, members, seconds)


def _at_once(states: Sequence[MemberState]) -> Phases:
    """All members read their prompts."""
    return (yield [Order(state, state.begin()) for state in states])


def _cost(state: MemberState) -> tuple[int, int]:
    return state.context.forward_passes, state.context.processed_tokens


def _spent(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    return after[0] - before[0], after[1] - before[1]
