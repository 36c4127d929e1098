"""Runs the engine's steps in one thread, which tells the event loop of new steps.

The event loop adds and aborts entries. It never waits for a model, because all clients would wait with it. After each
step the thread wakes the loop once, however many texts have new steps.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from coolfusion.errors import FusionError, RequestTimeoutError
from coolfusion.fusion.engine import Entry, FusionEngine
from coolfusion.fusion.generation import error_of
from coolfusion.records import Step

__all__ = ["Batch", "Runner"]

T = TypeVar("T")


class Runner:
    """Runs an engine's steps for one event loop.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: FusionEngine) -> None:
        self.engine = engine
        self._work = threading.Condition()
        self._stopped = False
        self._changed: deque[Batch] = deque()
        self._batches: set[Batch] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Runner({self.engine!r}, {len(self._batches)} batches)"

    @property
    def n_batches(self) -> int:
        """The number of open batches."""
        return len(self._batches)

    def start(self) -> None:
        """Starts the thread, which will tell the event loop that calls this."""
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="coolfusion: server", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread after the step that it makes. Texts that are not finished end with an error."""
        self.abort(FusionError("the server stops"))
        with self._work:
            self._stopped = True
            self._work.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._thread = None

    def submit(self, entries: Sequence[Entry], timeout: float | None = None) -> Batch:
        """Adds entries that `FusionEngine.open` has made.

        Args:
            entries: the entries; all of them share the passes.
            timeout: seconds until the batch ends with a `RequestTimeoutError`, or None.
        """
        batch = Batch(self, entries, timeout)
        self._batches.add(batch)
        for entry in entries:
            entry.listener = batch.note
            self.engine.submit(entry)
        self._wake()
        return batch

    def enter(self, make: Callable[[], Sequence[Entry]], timeout: float | None = None) -> Batch:
        """Adds work that enters the engine as soon as it is made, such as scores.

        Args:
            make: a function that enters the work and returns its entries.
            timeout: see `submit`.
        """
        batch = Batch(self, [], timeout)
        batch.entries = entries = list(make())
        self._batches.add(batch)
        for entry in entries:
            entry.listener = batch.note
        self._wake()
        return batch

    def abort(self, error: Exception) -> None:
        """Ends all batches with an error. Any thread may call it.

        Args:
            error: the error, which is raised to all callers that wait.
        """
        for batch in tuple(self._batches):
            batch.abort(error)
        self._wake()

    def note(self, batch: Batch) -> None:
        """Notes that a batch has changed. The thread that makes a step calls it."""
        self._changed.append(batch)

    def forget(self, batch: Batch) -> None:
        """Ends the entries of a batch that are still in the engine."""
        self._batches.discard(batch)
        for entry in batch.entries:
            entry.listener = None
            if not entry.running.is_finished:
                self.engine.abort(entry.number)

    def _wake(self) -> None:
        with self._work:
            self._work.notify()

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._stopped and not self.engine.has_unfinished:
                    self._work.wait()
                if self._stopped:
                    return
            try:
                self.engine.step()
            except Exception as err:  # noqa: BLE001 - clients wait for an answer of this thread
                self.abort(err)
            self._tell()

    def _tell(self) -> None:
        """Wakes the loop for all batches that have changed."""
        changed = set()
        while self._changed:
            changed.add(self._changed.popleft())
        if changed and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set_all, changed)


class Batch:
    """The entries of one request, for which one client waits.

    Args:
        runner: the runner of the engine.
        entries: the entries.
        timeout: seconds until it ends with a `RequestTimeoutError`, or None.

    Attributes:
        entries: the entries, in their order.
        changed: an event that is set in the event loop when an entry may have a new step or its end.
    """

    def __init__(self, runner: Runner, entries: Sequence[Entry], timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        if runner._thread is None or runner._loop is not loop:
            raise FusionError("no steps are made for this event loop; expected the application's lifespan to run in it")
        self.entries = list(entries)
        self.changed = asyncio.Event()
        self._runner = runner
        self._error: Exception | None = None
        self._timeout = timeout
        self._deadline = None if timeout is None else loop.time() + timeout

    def __repr__(self) -> str:
        return f"Batch({len(self.entries)} entries, finished={self.is_finished})"

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.forget(self)

    @property
    def is_finished(self) -> bool:
        """Returns whether no further step will come."""
        return self._error is not None or all(entry.running.is_finished for entry in self.entries)

    def note(self) -> None:
        """Notes a change. The thread that makes a step calls it."""
        self._runner.note(self)

    def abort(self, error: Exception) -> None:
        """Ends the batch with an error. Any thread may call it.

        Args:
            error: the error, which is raised to the caller that waits.
        """
        self._error = error
        for entry in self.entries:
            self._runner.engine.abort(entry.number, error)
        loop = self._runner._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.changed.set)

    async def finished(self) -> None:
        """Waits until all entries have ended, and raises the first error of one."""
        while not self.is_finished:
            await self._wait(lambda: self.is_finished)
        self._raise()

    async def steps(self) -> AsyncIterator[tuple[int, Step | None]]:
        """Yields the number of an entry with each of its steps, and with None when the entry has ended.

        For example, (1, None) says that the second entry has ended. Raises the error that ended an entry.
        """
        told, open_ones = [0] * len(self.entries), set(range(len(self.entries)))
        while open_ones:
            for at in sorted(open_ones):
                running = self.entries[at].running
                is_finished = running.is_finished  # read before the steps, because the thread may add the last ones now
                for step in running.steps[told[at] :]:
                    told[at] += 1
                    yield at, step
                if is_finished:
                    self._raise_of(self.entries[at])
                    open_ones.discard(at)
                    yield at, None
            if self._error is not None:
                raise self._error
            if open_ones:
                await self._wait(lambda: self._knows_more(told, open_ones))

    def _knows_more(self, told: Sequence[int], open_ones: set[int]) -> bool:
        running = {at: self.entries[at].running for at in open_ones}
        ready = (each.is_finished or len(each.steps) > told[at] for at, each in running.items())
        return self._error is not None or any(ready)

    async def _wait(self, done: Callable[[], bool]) -> None:
        self.changed.clear()
        if done():
            return
        left = None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()
        try:
            # Not `wait_for`, which loses a cancellation that comes together with the event (Python 3.11).
            async with asyncio.timeout(left):
                await self.changed.wait()
        except TimeoutError as err:
            raise RequestTimeoutError(f"the request did not end within {self._timeout:g} s") from err

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        for entry in self.entries:
            self._raise_of(entry)

    def _raise_of(self, entry: Entry) -> None:
        error = error_of(entry)
        if error is not None:
            raise error


def _set_all(batches: set[Batch]) -> None:
    for batch in batches:
        batch.changed.set()
