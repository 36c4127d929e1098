"""One text being written: the loop around schedule and selection (Cool-Fusion, arXiv 2407.19807, section 3).

A step asks the schedule for proposals, admits what every member can say, scores it, selects by a pure rule, and
commits the winner to all. What is kept here is text and records; nothing touches logits, tensors or caches.
Definitions: docs/design.md, "step", "budget", "stop string".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING

from coolfusion.errors import ArgumentError, CoolFusionError, FusionError, ModelError, NoCandidateError
from coolfusion.member import MemberState, Prompt
from coolfusion.models.base import LanguageModel
from coolfusion.records import Candidate, FinishReason, MemberStep, Output, Rejection, Score, Seconds, Step
from coolfusion.selection import Selection, select
from coolfusion.stops import StopFilter

if TYPE_CHECKING:
    from coolfusion.fusion import Fusion


class Generation(Iterator[Step]):
    """One text being written: iterate for its steps; `output` is what was written so far.

    A newer generation of the same fusion takes over the models; going on with the older one is refused.

    Attributes:
        fusion: whose members write.
        prompts: one for each member.
        max_new_tokens: budget of each member, in its own tokens.
        stops: the stop strings.
        states: what each member holds.
    """

    def __init__(
        self, fusion: Fusion, prompt: Prompt | Sequence[Prompt], max_new_tokens: int, stops: tuple[str, ...]
    ) -> None:
        if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise ArgumentError(f"max_new_tokens must be a whole number of at least 1, not {max_new_tokens!r}")
        self.fusion = fusion
        self.prompts = _prompts(prompt, len(fusion.members))
        self.max_new_tokens = max_new_tokens
        self.stops = stops
        tokenizers = [m.tokenizer for m in fusion.members] if fusion.alignment == "aligned" else []
        self.states = [
            MemberState(member, number, prompt, [t for t in tokenizers if t is not member.tokenizer])
            for number, (member, prompt) in enumerate(zip(fusion.members, self.prompts, strict=True))
        ]
        self._filter = StopFilter(stops)
        self._steps: list[Step] = []
        self._text: list[str] = []
        self._rejected: tuple[Rejection, ...] = ()
        self._finish_reason: FinishReason | None = None
        self._error: CoolFusionError | None = None
        self._count = 0
        self._waiting: Step | None = None
        self._begun = False
        fusion._current = self

    @property
    def output(self) -> Output:
        """What was written so far; `finish_reason` is None while more may come."""
        members = tuple(state.output() for state in self.states)
        return Output("".join(self._text), tuple(self._steps), self._finish_reason, members, self._rejected)

    def __next__(self) -> Step:
        """The next step.

        A step that holds back text for a stop string waits for the one behind it: if none comes, the text that it
        held is its own.
        """
        step = self._waiting or self._attempt()
        self._waiting = None
        if step is None:
            if self._error is None:
                raise StopIteration
            self._error.partial = self.output
            raise self._error
        if self._filter.held:
            self._waiting = self._attempt()
            if self._waiting is None:
                step = replace(step, text=step.text + self._filter.flush())
        self._steps.append(step)
        self._text.append(step.text)
        return step

    def _attempt(self) -> Step | None:
        """A round; an error is kept until the text that stands before it has been handed out."""
        try:
            return self._take_step()
        except CoolFusionError as err:
            self._error = err
            return None

    def _take_step(self) -> Step | None:
        """Run one round; None when the text is finished."""
        if self._finish_reason is not None or self._error is not None:
            return None
        if self.fusion._current is not self:
            raise FusionError("a newer generation of this fusion uses its models; this one cannot go on")
        states, schedule, clock = self.states, self.fusion.schedule, [perf_counter()]
        costs = [_cost(state.member.model) for state in states]
        if not self._begun:
            for state in states:
                state.begin()
            self._begun = True
        budgets = [self.max_new_tokens - state.n_written for state in states]
        if min(budgets) == 0:
            self._finish_reason = "length"
            return None
        proposals = schedule.propose(states, budgets)
        candidates, rejected = schedule.admit(states, proposals, budgets)
        clock.append(perf_counter())
        if not candidates:
            self._finish_without_candidate(rejected)
            return None
        scores = schedule.evaluate(states, candidates, proposals)
        clock.append(perf_counter())
        names = [state.member.name for state in states]
        selection = select([candidate.text for candidate in candidates], scores, self.fusion.rule, names)
        clock.append(perf_counter())
        contexts = [(state.start, len(state.ids)) for state in states]
        winner = candidates[selection.winner]
        schedule.commit(states, winner)
        text = self._release(winner)
        clock.append(perf_counter())
        members = tuple(
            MemberStep(context, *_spent(before, _cost(state.member.model)), winner.forced[state.number])
            for context, before, state in zip(contexts, costs, states, strict=True)
        )
        return self._record(text, candidates, scores, selection, rejected, members, clock)

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
        if all(rejection.reason == "numbers" for rejection in rejected):
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
        scores: tuple[tuple[Score, ...], ...],
        selection: Selection,
        rejected: tuple[Rejection, ...],
        members: tuple[MemberStep, ...],
        clock: Sequence[float],
    ) -> Step:
        winner, values, excluded = selection
        index, self._count = self._count, self._count + 1
        seconds = Seconds(*(after - before for before, after in pairwise(clock)))
        return Step(index, text, winner, candidates, scores, values, excluded, rejected, members, seconds)


def _prompts(prompt: Prompt | Sequence[Prompt], count: int) -> list[Prompt]:
    """One prompt for each member.

    Raises:
        ArgumentError: not a text, and not one prompt for each member.
    """
    if isinstance(prompt, str):
        return [prompt] * count
    prompts = list(prompt) if isinstance(prompt, list | tuple) else []
    if len(prompts) != count or any(not isinstance(each, str | list | tuple) for each in prompts):
        raise ArgumentError(f"the prompt must be a text, or one text or list of ids for each of the {count} members")
    return prompts


def _cost(model: LanguageModel) -> tuple[int, int]:
    return model.forward_passes, model.tokens_processed


def _spent(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    return after[0] - before[0], after[1] - before[1]
