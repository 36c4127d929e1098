"""Answers /v1/completions with texts that continue prompts, and with prompts that are scored (`echo`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.likelihood import TextLikelihood
from coolfusion.evaluation.prompts import prompt_of
from coolfusion.serve.answers import about, authors, finish_reason, head, usage, usage_of_scores
from coolfusion.serve.errors import ApiError
from coolfusion.serve.events import EventStream
from coolfusion.serve.given import Given, fill, given_of, score
from coolfusion.serve.protocol import CompletionRequest
from coolfusion.serve.segments import Columns, is_end
from coolfusion.serve.service import Plan, Service
from coolfusion.serve.writing import Writing, written

__all__ = ["complete"]

DEFAULT_BUDGET = 16  # OpenAI's default
KIND, PREFIX = "text_completion", "cmpl"


async def complete(service: Service, body: CompletionRequest) -> Response:
    """Answers a completion request, with one body or with a stream of events.

    Args:
        service: the service.
        body: the request.

    Raises:
        ApiError: fields conflict, or no place is free.
        CoolFusionError: a value cannot be used.
    """
    plan = service.plan(body)
    budget = DEFAULT_BUDGET if body.max_tokens is None else body.max_tokens
    if budget == 0 and not body.echo:
        raise ApiError(400, "max_tokens is 0; expected at least 1 without echo", param="max_tokens", code="conflict")
    if body.context_length is not None and not body.echo:
        raise ApiError(400, "context_length needs echo", param="context_length", code="conflict")
    try:
        givens = [given_of(prompt, body.context_length) for prompt in _prompts(body.prompt)]
    except ArgumentError as err:
        named = "context_length" if "context_length" in str(err) else "prompt"
        raise ApiError(400, str(err), param=named, code="invalid_value") from err
    asked = _Asked(service, plan, body, givens, budget)
    if body.stream:
        return EventStream(asked.stream())
    return JSONResponse(await asked.whole())


def _prompts(given: str | Sequence[Any]) -> list[str | list[int]]:
    """Returns the prompts of a request as a list, because a single prompt comes without one."""
    return [given] if isinstance(given, str) or isinstance(given[0], int) else list(given)  # type: ignore[list-item]


class _Asked:
    """A completion request that is answered as a whole or as a stream."""

    def __init__(
        self, service: Service, plan: Plan, body: CompletionRequest, givens: Sequence[Given], budget: int
    ) -> None:
        self.service, self.plan, self.body, self.givens, self.budget = service, plan, body, givens, budget
        self.choices = body.n or 1
        self.head = head(KIND, PREFIX, plan.model)
        self.scored: list[TextLikelihood] = []

    async def whole(self) -> dict[str, Any]:
        """Returns the answer."""
        async with AsyncExitStack() as stack:
            writing = await self._begin(stack)
            columns = await self._columns()
            texts = [self._echo(at) for at in range(self._n_texts)]
            if writing is not None:
                async for at, text, step, _ in writing.segments():
                    texts[at] += text
                    if columns and step is not None and not is_end(step):
                        columns[at].add_step(text, step)
            entries = writing.entries if writing is not None else []
            found = []
            for at, text in enumerate(texts):
                reason = finish_reason(entries[at].running.output) if entries else "length"
                extension = about(entries[at]) if entries else {}
                logprobs = self._told(columns[at]) if columns else None
                choice = {"index": at, "text": text, "logprobs": logprobs, "finish_reason": reason}
                found.append({**choice, "coolfusion": extension})
            return {**self.head, "choices": found, "usage": self._usage(writing)}

    async def stream(self) -> AsyncGenerator[dict[str, Any] | None, None]:
        """Yields None when the request is accepted, and then the chunks."""
        async with AsyncExitStack() as stack:
            writing = await self._begin(stack)
            columns = await self._columns()
            yield None
            for at in range(self._n_texts) if self.body.echo else ():
                told = columns[at].as_dict() if columns else None
                yield self._chunk(at, self._echo(at), told, "length" if writing is None else None)
            offsets = [len(self._echo(at)) for at in range(self._n_texts)]
            async for at, text, step, ended in writing.segments() if writing is not None else _nothing():
                told = None
                if columns and step is not None and not is_end(step):
                    part = Columns(columns[at].most, offsets[at])
                    part.add_step(text, step)
                    told = part.as_dict()
                offsets[at] += len(text)
                entry = writing.entries[at]  # type: ignore[union-attr]
                reason = finish_reason(entry.running.output) if ended else None
                extension = about(entry) if ended else {"authors": [] if step is None else authors(entry, step)}
                if text or ended or told:
                    yield self._chunk(at, text, told, reason, coolfusion=extension)
            if self.body.stream_options is not None and self.body.stream_options.include_usage:
                yield {**self.head, "choices": [], "usage": self._usage(writing)}

    @property
    def _n_texts(self) -> int:
        return len(self.givens) * self.choices

    async def _begin(self, stack: AsyncExitStack) -> Writing | None:
        """Begins to write and returns the texts, or returns None if only the prompts are asked for."""
        if self.budget == 0:
            return None
        prompts = [given.whole for given in self.givens]
        if self.body.echo:  # read as for scores, so that each prompt that can be scored can be continued too
            prompts = [prompt_of(self.service.fusion.members, prompt) for prompt in prompts]  # type: ignore[misc]
        writing = written(
            self.service, self.plan, prompts, self.choices, self.budget, logprobs=self.body.logprobs is not None
        )
        return await stack.enter_async_context(writing)

    async def _columns(self) -> list[Columns]:
        """Returns the logprobs of the texts with those of echoed prompts; [] if none are asked for."""
        if self.body.logprobs is None:
            return []
        most = self.body.logprobs
        found = [Columns(most) for _ in range(self._n_texts)]
        if self.body.echo:
            scored = await score(self.service, self.plan, self.givens, greedy=most > 0)
            self.scored = [likelihood for likelihood, _ in scored]
            for at, columns in enumerate(found):
                fill(columns, self.givens[at // self.choices], *scored[at // self.choices])
        return found

    def _echo(self, at: int) -> str:
        return self.givens[at // self.choices].whole if self.body.echo else ""

    def _told(self, columns: Columns) -> dict[str, Any]:
        """Returns the logprobs of a text. At least one token follows an echoed prompt, because clients cut it off."""
        if self.budget and self.body.echo and len(columns.tokens) == columns.n_given:
            columns.add("", 0.0, {"": 0.0})
        return columns.as_dict()

    def _usage(self, writing: Writing | None) -> dict[str, Any]:
        if writing is not None:
            return usage(writing.entries, self.choices)
        names = [member.name for member in self.service.fusion.members]
        return usage_of_scores(names, self.plan.members, self.scored)

    def _chunk(self, at: int, text: str, logprobs: Any, reason: str | None, **more: Any) -> dict[str, Any]:
        choice = {"index": at, "text": text, "logprobs": logprobs, "finish_reason": reason, **more}
        return {**self.head, "choices": [choice]}


async def _nothing() -> AsyncGenerator[Any, None]:
    """Yields nothing."""
    return
    yield
