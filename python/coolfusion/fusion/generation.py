"""Handles to texts that an engine writes, whose steps a thread or a coroutine iterates over."""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from coolfusion.errors import CoolFusionError, FusionError
from coolfusion.fusion.engine import Entry, FusionEngine
from coolfusion.records import Output, Step


class Handle:
    """The common part of `Generation` and `AsyncGeneration`, a request and the number of steps handed out so far.

    Args:
        engine: the engine that writes the text.
        entry: a request that the engine has checked.
    """

    def __init__(self, engine: FusionEngine, entry: Entry) -> None:
        self._engine, self._entry = engine, entry
        self._told = 0
        self._closed = False
        self._abort = weakref.finalize(self, engine.abort, entry.number)
        self._abort.atexit = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._told} steps, finish_reason={self.output.finish_reason!r})"

    @property
    def output(self) -> Output:
        """Returns the output of the steps handed out so far; `finish_reason` is None while more may come."""
        return written(self._entry, self._told)

    @property
    def error(self) -> Exception | None:
        """Returns the error that ended the text, with the text so far in `partial`, or None without an error."""
        return error_of(self._entry)

    def _knows_more(self) -> bool:
        """Returns whether a step waits to be handed out, or no further step will come."""
        running = self._entry.running
        return running.is_finished or len(running.steps) > self._told

    def _tell(self) -> Step | None:
        """Returns the next step, or None at the end of the text; raises the error that ended the text."""
        steps = self._entry.running.steps
        if len(steps) > self._told:
            self._told += 1
            return steps[self._told - 1]
        self._abort.detach()
        error = self.error
        if error is not None:
            raise error
        return None


class Generation(Handle, Iterator[Step]):
    """A text that is being written, as an iterator over its steps; `output` holds the text so far.

    The request joins the engine at once, and is written as soon as any request of the engine is waited for. It leaves
    when the text ends, when it is closed, or when no one holds this object any more.

    Args:
        engine: the engine that writes the text.
        entry: a request that the engine has checked.

    Example:
        ``for step in fusion.stream("Once upon a time"): print(step.text, end="")``
    """

    def __init__(self, engine: FusionEngine, entry: Entry) -> None:
        engine.submit(entry)
        super().__init__(engine, entry)

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Step:
        """Returns the next step of the text.

        A step that holds back text for a stop string waits for the step after it. If none comes, the step keeps the
        text that it held. A `KeyboardInterrupt` carries the text so far in `partial`, as errors do.
        """
        if self._closed:
            raise StopIteration
        try:
            self._engine.step_until(self._knows_more)
        except KeyboardInterrupt as err:
            err.partial = self.output  # type: ignore[attr-defined]
            raise
        step = self._tell()
        if step is None:
            raise StopIteration
        return step

    def close(self) -> None:
        """Ends the text and frees its memory; its `output` stays, and no step follows."""
        self._closed = True
        self._abort()


class AsyncGeneration(Handle, AsyncIterator[Step]):
    """A text that is being written, as an asynchronous iterator over its steps, ``async for step in ...``.

    Leaving the loop does not end the text; `aclose`, or cancelling the task that waits for a step, does.

    Args:
        driver: the driver that makes the engine's steps.
        entry: a request that the engine has checked.
    """

    def __init__(self, driver: Driver, entry: Entry) -> None:
        super().__init__(driver.engine, entry)
        self._driver = driver
        self._changed: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> AsyncGeneration:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __anext__(self) -> Step:
        """Returns the next step."""
        if self._closed:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        if self._changed is None:
            self._loop, self._changed = loop, asyncio.Event()
            self._entry.listener = functools.partial(_notify, loop, self._changed, self._engine, self._entry.number)
            self._driver.submit(self._entry)
        if loop is not self._loop:
            raise FusionError("this text is being written for another event loop; each loop needs its own astream")
        while not self._knows_more():
            self._changed.clear()
            if not self._knows_more():
                try:
                    await self._changed.wait()
                except asyncio.CancelledError:
                    self._abort()
                    raise
        step = self._tell()
        if step is None:
            raise StopAsyncIteration
        return step

    async def aclose(self) -> None:
        """Ends the text and frees its memory; its `output` stays, and no step follows."""
        self._closed = True
        if self._changed is None:
            self._entry.running.abort()
        self._abort()


class Driver:
    """A driver that makes an engine's steps in a thread as long as coroutines wait for them.

    At exit the thread ends after its step, because torch must not compute while the interpreter is taken down.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: FusionEngine) -> None:
        self.engine = engine
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []  # the running thread, if there is one
        self._exiting = threading.Event()
        weakref.finalize(self, _end_threads, self._exiting, self._threads)

    def submit(self, entry: Entry) -> None:
        """Adds a request, and starts a thread that makes steps until the request ends, unless one runs already."""
        self.engine.submit(entry)
        with self._lock:
            self._entries.append(entry)
            if not any(thread.is_alive() for thread in self._threads):
                thread = threading.Thread(target=self._run, name="coolfusion: engine", daemon=True)
                self._threads[:] = [thread]
                thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._entries = [entry for entry in self._entries if not entry.running.is_finished]
                if not self._entries or self._exiting.is_set():
                    self._threads.clear()
                    return
                entries = list(self._entries)
            try:
                # The engine tells each coroutine of its own steps.
                self.engine.step_until(functools.partial(_any_finished, entries, self._exiting))
            except Exception as err:  # noqa: BLE001 - coroutines wait for an answer of this thread
                for entry in entries:
                    self.engine.abort(entry.number, err)


def _any_finished(entries: Sequence[Entry], exiting: threading.Event) -> bool:
    return exiting.is_set() or any(entry.running.is_finished for entry in entries)


def _end_threads(exiting: threading.Event, threads: Sequence[threading.Thread]) -> None:
    """Waits at exit for the step that a thread is making."""
    exiting.set()
    for thread in tuple(threads):
        thread.join()


def written(entry: Entry, n_steps: int | None = None) -> Output:
    """Returns the output of a request, or that of its first `n_steps` steps before it has finished."""
    output = entry.running.output
    if n_steps is None or n_steps >= len(output.steps) or output.continuations:
        return output
    steps = output.steps[:n_steps]
    return replace(output, text="".join(step.text for step in steps), steps=steps, finish_reason=None)


def error_of(entry: Entry) -> Exception | None:
    """Returns the error that ended a request, with the text so far in `partial`, or None without an error."""
    error = entry.running.error
    if isinstance(error, CoolFusionError):
        error.partial = entry.running.output
    return error


def _notify(loop: asyncio.AbstractEventLoop, changed: asyncio.Event, engine: FusionEngine, number: int) -> None:
    """Sets an event in a loop. If the loop was closed, the text ends, because no one can wait for it."""
    try:
        loop.call_soon_threadsafe(changed.set)
    except RuntimeError:
        engine.abort(number)
