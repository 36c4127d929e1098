"""Writes the texts of one request. They take places, are written together, and end in the metrics."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from coolfusion.fusion import Request
from coolfusion.fusion.rerank_options import as_rerank
from coolfusion.records import Step
from coolfusion.serve.runner import Batch
from coolfusion.serve.service import Plan, Service

__all__ = ["Writing", "written"]


class Writing:
    """The texts of one request while they are written.

    Args:
        service: the service.
        batch: the batch of the texts in the engine.
        choices: the number of texts for each prompt.

    Attributes:
        entries: one entry for each text. Those of one prompt stand together.
        choices: the number of texts for each prompt.
    """

    def __init__(self, service: Service, batch: Batch, choices: int) -> None:
        self.entries, self.choices = batch.entries, choices
        self._service, self._batch, self._began, self._first = service, batch, perf_counter(), True
        # A rerank may choose another text than the one that the steps write.
        self._whole = [as_rerank(entry.running.request.rerank) is not None for entry in self.entries]

    def __repr__(self) -> str:
        return f"Writing({self._batch!r}, {self.choices} for each prompt)"

    async def finished(self) -> None:
        """Waits for the ends of all texts, and raises the first error of one."""
        async for _ in self.segments():
            pass

    async def segments(self) -> AsyncIterator[tuple[int, str, Step | None, bool]]:
        """Yields the number of a text, the text that is new, the step, and whether the text has ended.

        For example, (0, " upon", step, False) adds a word to the first text. A reranked text comes whole at its end.
        Raises the error that ended a text.
        """
        async for at, step in self._batch.steps():
            if self._first:
                self._service.metrics.note_first(perf_counter() - self._began)
                self._first = False
            if step is None:
                text = self.entries[at].running.output.text if self._whole[at] else ""
                yield at, text, None, True
            elif not self._whole[at]:
                yield at, step.text, step, False


@asynccontextmanager
async def written(
    service: Service, plan: Plan, prompts: Sequence[Any], choices: int, budget: int, **options: Any
) -> AsyncIterator[Writing]:
    """Writes texts. At the end of the block they leave the engine, whether they are finished or not.

    Args:
        service: the service.
        plan: the members and options that write them.
        prompts: texts or ids, or lists of messages.
        choices: the number of texts for each prompt.
        budget: the budget of each member, in its own tokens.
        options: further options of `Request`.

    Raises:
        ApiError: there are too few places for the texts.
        CoolFusionError: a prompt or an option cannot be used.
    """
    given = {**plan.request_options, **options, "max_new_tokens": budget}
    requests = [request for prompt in prompts for request in requests_of(prompt, choices, given)]
    # One fewer, because the gate has taken a place.
    with service.places.take(len(requests) - 1):
        entries = await service.open(plan, requests)
        with service.submit(entries) as batch:
            try:
                yield Writing(service, batch, choices)
            finally:
                service.metrics.note_texts(entries)


def requests_of(prompt: Any, choices: int, options: dict[str, Any]) -> list[Request]:
    """Returns the requests for the choices of a prompt, with the seeds that `Request.n` gives to its texts.

    Each choice is a request of its own, because the steps of each are streamed. For example, three choices with the
    seed 5 have the seeds 5, 6 and 7.

    Args:
        prompt: a text or ids, or a list of messages.
        choices: the number of choices.
        options: options of `Request`.
    """
    seed = options.get("seed")
    if seed is None and options.get("temperature"):
        seed = secrets.randbits(48)
    given = {"messages": prompt} if isinstance(prompt, list) else {"prompt": prompt}
    seeds = [None if seed is None else seed + k for k in range(choices)]
    return [Request(**given, **{**options, "seed": each}) for each in seeds]
