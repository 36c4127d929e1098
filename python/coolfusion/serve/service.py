"""Serves one fusion to the routes: resolves the models that clients name, and does the routes' work."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.engine import Entry
from coolfusion.fusion.reasoning import Think
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.serve.admission import Places
from coolfusion.serve.errors import ApiError
from coolfusion.serve.metrics import Metrics
from coolfusion.serve.protocol import Reranking, Thinking, WritingRequest
from coolfusion.serve.runner import Batch, Runner
from coolfusion.serve.settings import ServerSettings

__all__ = ["ROUTES", "Plan", "Service"]

T = TypeVar("T")
ROUTES = (
    "/health",
    "/metrics",
    "/v1/models",
    "/v1/completions",
    "/v1/chat/completions",
    "/tokenize",
    "/detokenize",
    "/tokenizer_info",
)


class Plan(NamedTuple):
    """The members and options that write the texts of a request.

    Attributes:
        model: the name under which the client asked.
        members: the numbers of the members that write, for example (0, 2).
        engine_options: options of `FusionEngine.open`.
        request_options: options of `Request`.
    """

    model: str
    members: tuple[int, ...]
    engine_options: dict[str, Any]
    request_options: dict[str, Any]


class Service:
    """A fusion with its runner, its places and its metrics.

    Args:
        fusion: the fusion.
        settings: the settings of the server.
    """

    def __init__(self, fusion: Fusion, settings: ServerSettings) -> None:
        self.fusion, self.settings = fusion, settings
        self.runner = Runner(fusion.engine)
        self.places = Places(fusion.engine.max_concurrent_requests + settings.max_waiting)
        self.metrics = Metrics(fusion, self.places, ROUTES)
        self.created = int(time.time())
        names = [member.name for member in fusion.members]
        everyone = tuple(range(len(names)))
        alone = {name: (at,) for at, name in enumerate(names) if names.count(name) == 1}
        self.models: dict[str, tuple[int, ...]] = {**alone, settings.name: everyone}

    def __repr__(self) -> str:
        return f"Service({self.fusion!r}, {self.places!r})"

    def plan(self, body: WritingRequest) -> Plan:
        """Returns the plan of a request, from the fields that all kinds of requests share.

        Args:
            body: the request.

        Raises:
            ApiError: the model is unknown (404), or fields conflict (400).
            ArgumentError: a value is outside its range.
        """
        members = self.numbers_of(body.model)
        if body.members is not None:
            if len(members) < len(self.fusion.members):
                raise ApiError(400, f"members needs the model {self.settings.name}", param="members", code="conflict")
            members = self._numbers(body.members)
        if body.stream_options is not None and not body.stream:
            raise ApiError(400, "stream_options needs stream", param="stream_options", code="conflict")
        engine: dict[str, Any] = {"members": members}
        for name in ("rule", "granularity", "alignment", "prefix"):
            if getattr(body, name) is not None:
                engine[name] = getattr(body, name)
        request: dict[str, Any] = {"rerank": self._rerank(body.rerank), "think": _think(body.think)}
        if body.stop is not None:
            request["stop_strings"] = body.stop
        for name in ("temperature", "top_p", "min_p", "seed", "on_failure", "overlong"):
            if getattr(body, name) is not None:
                request[name] = getattr(body, name)
        return Plan(body.model, members, engine, request)

    def numbers_of(self, model: str) -> tuple[int, ...]:
        """Returns the numbers of a model's members, for example (0, 1) for the fused model of two.

        Args:
            model: the name of the model.

        Raises:
            ApiError: the name is unknown (404).
        """
        if model not in self.models:
            message = f"model {model!r:.80} is unknown; expected one of {', '.join(self.models)}"
            raise ApiError(404, message, param="model", code="model_not_found")
        return self.models[model]

    async def open(self, plan: Plan, requests: Sequence[Request]) -> list[Entry]:
        """Returns checked entries, which another thread makes because long prompts would hold the event loop up.

        Args:
            plan: the members and options that write them.
            requests: one request for each text.

        Raises:
            CoolFusionError: a prompt or an option cannot be used.
        """

        def make() -> list[Entry]:
            return [self.fusion.engine.open(request, **plan.engine_options) for request in requests]

        return await self.aside(make)

    def submit(self, entries: Sequence[Entry]) -> Batch:
        """Adds entries for which places were taken.

        Args:
            entries: the entries.
        """
        return self.runner.submit(entries, self.settings.timeout)

    async def aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs a function in another thread and returns its result, because it would hold the event loop up.

        Args:
            work: the function.
            arguments: the arguments of the function.
        """
        return await asyncio.to_thread(functools.partial(work, *arguments))

    def _rerank(self, given: bool | Reranking | None) -> bool | Rerank:
        if given is None:
            return self.fusion.reranks
        return Rerank(**given.model_dump()) if isinstance(given, Reranking) else given

    def _numbers(self, given: Sequence[str | int]) -> tuple[int, ...]:
        """Returns the numbers of members that are given by names or numbers."""
        names = [member.name for member in self.fusion.members]
        found = set()
        for each in given:
            known = range(len(names)) if isinstance(each, int) else names
            if each not in known or (isinstance(each, str) and names.count(each) > 1):
                raise ArgumentError(f"members has {each!r:.80}; expected numbers from 0 on, or names out of {names}")
            found.add(each if isinstance(each, int) else names.index(each))
        return tuple(sorted(found))


def _think(given: bool | Thinking | None) -> Think | None:
    if isinstance(given, Thinking):
        return Think(**given.model_dump())
    return Think() if given else None
