"""The thread of one device. It does what it is told, and tells how far it has come.

Two threads never touch the same records: while a station advances tasks the caller waits for its word, and what it
does while the caller goes on is a pass of a model and nothing else.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.worker import Done, Worker, busiest


class Announced(float):
    """A pass begins; what it will take by the rule of costs. An empty list of answers follows when it is made."""


class Station:
    """The thread of one device.

    Attributes:
        workers: the models of the device.
        outbox: answers to `go`, and to nothing else.
        at_work: the worker whose tasks or pass are running, and since when.
        due: when the present pass is over, by the rule of costs; None where there is none.
        stirred: whether there may be something to do.
        abandoned: a pass takes too long; nobody listens to this thread any more.
    """

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self.outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.at_work: tuple[Worker, float] | None = None
        self.due: float | None = None
        self.stirred = False
        self.abandoned = False
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._in_pass: Worker | None = None
        names = ", ".join(worker.member.name for worker in workers)
        threading.Thread(target=self._run, name=f"coolfusion: {names}", daemon=True).start()

    def tell(self, what: Callable[[], None]) -> None:
        """Have the thread do something between two passes."""
        self._inbox.put(what)

    def go(self) -> None:
        """Have the thread advance its tasks; the outbox gets what is done, or an `Announced`, or None for nothing."""
        self._inbox.put(self._go)

    def stop(self) -> None:
        """End the thread."""
        self._inbox.put(None)

    def drain(self) -> None:
        """Do what the thread was told and has not done: for a thread that does not come back."""
        while not self._inbox.empty():
            what = self._inbox.get(block=False)
            if what is not None and what != self._go:
                what()

    def _run(self) -> None:
        while (what := self._inbox.get()) is not None and not self.abandoned:
            what()

    def _go(self) -> None:
        try:
            answer = self._advance()
        except BaseException as err:  # noqa: BLE001 - somebody waits for the answers of this thread
            answer = self._ended(err)
        if not isinstance(answer, Announced):
            self.at_work = None
            self.outbox.put(answer)
            return
        self.outbox.put(answer)
        worker = self._in_pass
        assert worker is not None  # it has announced a pass
        done: Done = []
        try:
            worker.make_pass()
        except BaseException as err:  # noqa: BLE001 - as above
            self._in_pass = None
            done = self._ended(err)
        self.at_work = None
        if not self.abandoned:
            self.outbox.put(done)

    def _advance(self) -> Done | Announced | None:
        if self._in_pass is not None:
            worker, self._in_pass = self._in_pass, None
            self.at_work = worker, monotonic()
            done = worker.settle()
            if done:
                return done
        while (chosen := busiest(self.workers)) is not None:
            self.at_work = chosen, monotonic()
            done = chosen.advance()
            if done:
                return done
            seconds = chosen.prepare()
            if seconds is not None:
                self._in_pass = chosen
                return Announced(seconds)
        return None

    def _ended(self, err: BaseException) -> Done:
        assert self.at_work is not None  # it is set before anything that can fail
        worker = self.at_work[0]
        reason = f"{type(err).__name__}: {err}"
        failure = ModelError(f"member {worker.member.name}: its thread was ended by {reason}")
        return [(ticket, failure) for ticket in worker.clear()]
