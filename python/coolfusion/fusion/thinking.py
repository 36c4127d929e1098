"""Writes the reasoning of each member alone, and then fuses or reranks one answer.

The members' texts up to the closing marker are requests of one member each. When all have ended, the request of the
caller begins. In it each member's prompt is its own prompt and its own reasoning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from coolfusion.fusion.options import Request
from coolfusion.fusion.reasoning import Think, does_not_reason, reasoning_ids, reasoning_of
from coolfusion.fusion.request import FusionRequest
from coolfusion.fusion.running import Running, Send, added
from coolfusion.members.commands import Reply
from coolfusion.members.member import Prompt
from coolfusion.records import Output, Step


class ThinkingRequest:
    """The state machine of the reasoning of all members, and of the answer after it.

    Args:
        request: the request.
        think: the markers and the budget of a reasoning.
        alone: each member's reasoning, with the closing marker as its stop string.
        sessions: the sessions of the answer.
        answer: a function from one prompt for each member to the state machine that writes the answer.
    """

    def __init__(
        self,
        request: Request,
        think: Think,
        alone: Sequence[FusionRequest],
        sessions: Sequence[int],
        answer: Callable[[list[Prompt]], Running],
    ) -> None:
        self.request = request
        self.error: Exception | None = None
        self._think, self._alone, self._later, self._make = think, list(alone), list(sessions), answer
        self._by_session = {each.session: each for each in alone}
        self._before = [_text_of(each) for each in alone]
        self._reasoning: tuple[str, ...] = ()
        self._answer: Running | None = None
        self._gone = False

    def __repr__(self) -> str:
        return f"ThinkingRequest(session={self.session}, {len(self._alone)} members, finished={self.is_finished})"

    @property
    def session(self) -> int:
        """Returns the first session of the answer."""
        return self._later[0]

    @property
    def sessions(self) -> list[int]:
        """Returns the sessions of the reasoning and the answer."""
        return [*self._by_session, *self._later]

    @property
    def is_finished(self) -> bool:
        """Returns whether the answer has ended, or an error has ended the reasoning."""
        return self._gone or (self._answer is not None and self._answer.is_finished)

    @property
    def steps(self) -> Sequence[Step]:
        """Returns the steps of the answer."""
        return () if self._answer is None else self._answer.steps

    @property
    def output(self) -> Output:
        """Returns the answer so far, with the reasoning of each member after all have ended it."""
        if self._answer is not None:
            return replace(self._answer.output, reasoning=self._reasoning)
        members = tuple(each.output.members[0] for each in self._alone)
        return Output("", (), None, members, error=None if self.error is None else str(self.error))

    @property
    def costs(self) -> dict[int, tuple[int, int]]:
        """Returns the passes and tokens of reasoning and answer, by the number of the member in the executor."""
        answer = [] if self._answer is None else [self._answer.costs]
        return added([*(each.costs for each in self._alone), *answer])

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold, which are those of the answer."""
        if self._answer is not None:
            return self._answer.n_cached_tokens()
        total, more = 0, self._think.max_new_tokens + self.request.max_new_tokens
        for each in self._alone:
            [transcript] = each.transcripts
            limit, most = transcript.member.runner.max_model_len, transcript.n_prompt + more
            total += most if limit is None else min(limit, most)
        return total * max(1, len(self._later))

    def start(self) -> list[Send]:
        """Begins the reasoning of all members."""
        return [send for each in self._alone for send in each.start()]

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply to a member's reasoning or to the answer."""
        if self.is_finished:
            return []
        if self._answer is not None:
            sends = self._answer.receive(reply)
            self.error = self._answer.error
            return sends
        text = self._by_session[reply.session]
        sends = text.receive(reply)
        if text.error is not None and self.request.on_failure == "stop":
            return [*sends, *self.abort(text.error)]
        before = self._before[self._alone.index(text)]
        if not text.is_finished and does_not_reason(before, _written(text, self._think), self._think):
            sends += text.abort()
        return sends if not all(each.is_finished for each in self._alone) else [*sends, *self._begin_answer()]

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends the reasoning or the answer."""
        if self.is_finished:
            return []
        self.error, self._gone = error, True
        if self._answer is not None:
            return self._answer.abort(error)
        return [send for each in self._alone for send in each.abort()]

    def _begin_answer(self) -> list[Send]:
        found, prompts = list[str](), list[Prompt]()
        for each, before in zip(self._alone, self._before, strict=True):
            [transcript] = each.transcripts
            output = each.output
            # A member that failed continues with its prompt alone; if it fails again, the answer is written without it.
            own = reasoning_of(before, output.text, output.finish_reason, self._think) if each.error is None else ""
            ids = reasoning_ids(transcript, own) if own else None
            found.append(own if ids is not None else "")
            prompt = each.prompts[0]
            prompts.append(prompt if ids is None else [*transcript.prompt_ids, *ids])
        self._reasoning = tuple(found)
        try:
            self._answer = self._make(prompts)
        except Exception as err:  # noqa: BLE001 - raised to the caller of this text
            return self.abort(err)
        return self._answer.start()


def _text_of(text: FusionRequest) -> str:
    """Returns the prompt of a member's text as the member reads it."""
    prompt = text.prompts[0]
    return prompt if isinstance(prompt, str) else text.transcripts[0].member.tokenizer.decode(list(prompt))


def _written(text: FusionRequest, think: Think) -> str:
    """Returns the beginning of a member's text, long enough to see whether a reasoning begins."""
    found = ""
    for step in text.steps:
        found += step.text
        if len(found.lstrip()) >= len(think.open):
            break
    return found
