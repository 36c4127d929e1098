"""The thread executor, in which the members of each device compute in a thread of their own.

A pass cannot be stopped. If one takes longer than `pass_timeout`, its member is lost and its thread is left alone. The
other members of the device get a new thread.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from coolfusion.executors.inline import advanced, workers_of
from coolfusion.executors.lanes import Advanced, LaneExecutor, MemberLost
from coolfusion.members.commands import Command, Reply
from coolfusion.members.member import Member
from coolfusion.members.worker import ModelWorker


class _Thread:
    """A thread that executes orders in turn.

    Attributes:
        answers: the queue of its answers.
        since: the start of its present work in seconds, or None.
        abandoned: whether its answers are ignored, because it is lost.
    """

    def __init__(self, name: str) -> None:
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.since: float | None = None
        self.abandoned = False
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"coolfusion: {name}", daemon=True).start()

    def tell(self, order: Callable[[], None] | None) -> None:
        """Queues an order; None ends the thread."""
        self._orders.put(order)

    def rest(self) -> list[Callable[[], None]]:
        """Returns the orders that have not begun, for a thread that does not come back."""
        found = []
        while not self._orders.empty():
            order = self._orders.get(block=False)
            if order is not None:
                found.append(order)
        return found

    def _run(self) -> None:
        while (order := self._orders.get()) is not None and not self.abandoned:
            self.since = monotonic()
            order()
            self.since = None


class ThreadWorker:
    """A worker in the thread of its device."""

    def __init__(self, worker: ModelWorker, thread: _Thread, pass_timeout: float | None) -> None:
        self.worker, self.thread, self._timeout = worker, thread, pass_timeout

    def send(self, command: Command) -> None:
        """Queues the command; the thread delivers it between two passes."""
        self.thread.tell(partial(self.worker.deliver, command))

    def ask(self) -> None:
        """Has the thread advance the tasks and, where no reply is ready, make the next pass."""
        self.thread.tell(partial(self._advance_and_pass, self.thread))

    def answer(self) -> Advanced:
        """Waits for the answer to `ask`."""
        found: Advanced = self._receive()
        return found

    def passed(self) -> list[Reply]:
        """Waits for the end of the pass."""
        found: list[Reply] = self._receive()
        return found

    def recover(self) -> None:
        """Waits until the thread has done all it was told, and begins all commands again."""
        mark = object()
        self.thread.tell(self.worker.recover)
        self.thread.tell(partial(self.thread.answers.put, mark))
        while self._receive() is not mark:
            pass

    def stop(self) -> None:
        """Ends the thread."""
        self.thread.tell(None)

    def _advance_and_pass(self, thread: _Thread) -> None:
        """Runs on the thread."""
        try:
            found = advanced(self.worker)
            thread.answers.put(found)
            if found.pass_seconds is not None:
                self.worker.make_pass()
                thread.answers.put(self.worker.settle())
        except BaseException as err:  # noqa: BLE001 - the caller waits for the answers of this thread
            thread.answers.put(err)

    def _receive(self) -> Any:
        # Without a limit no pass is late; the wake-ups let an interrupt through.
        patience = 1.0 if self._timeout is None else self._timeout / 8
        while True:
            try:
                found = self.thread.answers.get(timeout=patience)
            except queue.Empty:
                since = self.thread.since
                if self._timeout is not None and since is not None and monotonic() - since > self._timeout:
                    raise self._late() from None
                continue
            if isinstance(found, BaseException):
                reason = f"{type(found).__name__}: {found}"
                raise MemberLost(f"member {self.worker.member.name}: its thread was ended by {reason}")
            return found

    def _late(self) -> MemberLost:
        self.thread.abandoned = True
        name = self.worker.member.name
        return MemberLost(f"member {name}: a pass has not come back within the time limit of {self._timeout} s")


class ThreadExecutor(LaneExecutor):
    """Executes commands in one thread for each device.

    Args:
        members: the members.
        pass_timeout: seconds that a pass may take, or None.
    """

    def __init__(self, members: Sequence[Member], pass_timeout: float | None = None) -> None:
        self._threads: list[_Thread] = []
        self._by_number: list[ThreadWorker] = []
        devices: dict[str, _Thread] = {}
        for worker in workers_of(members):
            device = worker.member.runner.device
            if device not in devices:
                names = (member.name for member in members if member.runner.device == device)
                devices[device] = self._thread(", ".join(names))
            self._by_number.append(ThreadWorker(worker, devices[device], pass_timeout))
        super().__init__(members, self._by_number)
        weakref.finalize(self, _stop, self._threads)

    def forked(self) -> ThreadExecutor:
        """Returns itself with new threads, because those of the parent do not come along into a forked child."""
        threads: dict[int, _Thread] = {}
        for number, each in enumerate(self._by_number):
            if number in self._lost:
                continue
            old = each.thread
            if id(old) not in threads:
                names = (w.worker.member.name for w in self._by_number if w.thread is old)
                threads[id(old)] = self._thread(", ".join(names))
                for order in old.rest():
                    if getattr(order, "func", None) in [worker.worker.deliver for worker in self._by_number]:
                        order()
        for number, each in enumerate(self._by_number):
            if number not in self._lost:
                each.thread = threads[id(each.thread)]
        self.recover()
        return self

    def _thread(self, name: str) -> _Thread:
        thread = _Thread(name)
        self._threads.append(thread)
        return thread

    def _replace(self, lost: int, others: Sequence[int]) -> None:
        """Gives the other members of the device a new thread, with the orders that the old one has not begun."""
        gone = self._by_number[lost]
        old, gone_worker = gone.thread, gone.worker
        old.abandoned = True
        orders = old.rest()
        old.tell(None)
        if others:
            thread = self._thread(", ".join(self._names[number] for number in others))
            for number in others:
                self._by_number[number].thread = thread
            for order in orders:
                if getattr(order, "func", None) != gone_worker.deliver:
                    thread.tell(order)


def _stop(threads: Sequence[_Thread]) -> None:
    for thread in threads:
        thread.tell(None)
