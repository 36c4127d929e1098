"""Answers /v1/chat/completions. Each member reads the messages in its own template."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from coolfusion.records import Step
from coolfusion.serve.answers import about, authors, finish_reason, head, usage
from coolfusion.serve.errors import ApiError
from coolfusion.serve.events import EventStream
from coolfusion.serve.protocol import ChatRequest
from coolfusion.serve.segments import chat_entry, is_end
from coolfusion.serve.service import Plan, Service
from coolfusion.serve.writing import Writing, written

__all__ = ["chat"]

DEFAULT_BUDGET = 256


async def chat(service: Service, body: ChatRequest) -> Response:
    """Answers a chat request, with one body or with a stream of events.

    Args:
        service: the service.
        body: the request.

    Raises:
        ApiError: fields conflict, or no place is free.
        CoolFusionError: a value cannot be used.
    """
    plan = service.plan(body)
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        message = "max_tokens and max_completion_tokens differ; expected one of them"
        raise ApiError(400, message, param="max_tokens", code="conflict")
    if body.top_logprobs and not body.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs", code="conflict")
    asked = _Asked(service, plan, body)
    if body.stream:
        return EventStream(asked.stream())
    return JSONResponse(await asked.whole())


class _Asked:
    """A chat request that is answered as a whole or as a stream."""

    def __init__(self, service: Service, plan: Plan, body: ChatRequest) -> None:
        self.service, self.plan, self.body = service, plan, body
        self.choices = body.n or 1

    async def whole(self) -> dict[str, Any]:
        """Returns the answer."""
        async with self._writing() as writing:
            texts, entries = [""] * self.choices, [list[Any]() for _ in range(self.choices)]
            async for at, text, step, _ in writing.segments():
                texts[at] += text
                entries[at] += self._told(text, step)
            choices = [
                {
                    "index": at,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": self._logprobs(entries[at]),
                    "finish_reason": finish_reason(entry.running.output),
                    "coolfusion": about(entry),
                }
                for at, (text, entry) in enumerate(zip(texts, writing.entries, strict=True))
            ]
            told = usage(writing.entries, self.choices)
            return {**head("chat.completion", "chatcmpl", self.plan.model), "choices": choices, "usage": told}

    async def stream(self) -> AsyncGenerator[dict[str, Any] | None, None]:
        """Yields None when the request is accepted, and then the chunks."""
        start = head("chat.completion.chunk", "chatcmpl", self.plan.model)

        def chunk(at: int, delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
            return {**start, "choices": [{"index": at, "delta": delta, "finish_reason": reason, **more}]}

        async with self._writing() as writing:
            yield None
            for at in range(self.choices):
                yield chunk(at, {"role": "assistant", "content": ""})
            async for at, text, step, ended in writing.segments():
                entry, told = writing.entries[at], self._told(text, step)
                if text or told:
                    names = [] if step is None else authors(entry, step)
                    logprobs = self._logprobs(told)
                    yield chunk(at, {"content": text}, logprobs=logprobs, coolfusion={"authors": names})
                if ended:
                    yield chunk(at, {}, finish_reason(entry.running.output), coolfusion=about(entry))
            if self.body.stream_options is not None and self.body.stream_options.include_usage:
                yield {**start, "choices": [], "usage": usage(writing.entries, self.choices)}

    def _writing(self) -> AbstractAsyncContextManager[Writing]:
        body = self.body
        budget = body.max_completion_tokens or body.max_tokens or DEFAULT_BUDGET
        messages = [message.model_dump(exclude_unset=True) for message in body.messages]
        return written(
            self.service,
            self.plan,
            [messages],
            self.choices,
            budget,
            tools=None if body.tool_choice == "none" else body.tools,
            continue_final=bool(body.continue_final),
            template_options=body.template_options,
            logprobs=bool(body.logprobs),
        )

    def _told(self, text: str, step: Step | None) -> list[dict[str, Any]]:
        """Returns the entry of a segment in the logprobs as a list, or [] where none is asked for."""
        if not self.body.logprobs or step is None or is_end(step):
            return []
        return [chat_entry(text, step, self.body.top_logprobs or 0)]

    def _logprobs(self, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
        return {"content": entries, "refusal": None} if self.body.logprobs else None
