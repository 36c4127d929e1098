"""Who runs the models: orders go in, answers come out, and tasks of one model share its passes.

Turns (`generation`) are coroutines that yield the orders of a phase and are resumed with all its answers. A `Worker`
holds the tasks of one member: it runs each until it needs something of the model, then makes one pass for all of
them. Models of one device take turns, the one with most tasks waiting first, which keeps many texts in step. With
several devices, or with a time limit, each device has a thread, a *station*; it owns its models, their contexts and
segmenters, and nothing but orders and answers crosses over.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from time import monotonic, perf_counter
from typing import Any, TypeVar

from coolfusion.drafting import PassCost
from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.member import Member, Need
from coolfusion.models.base import Context
from coolfusion.schedule import Order

Result = TypeVar("Result")
Turn = Generator[list[Order], list[Any], Result]
_Queue = queue.SimpleQueue[Any]


class _Phase:
    """Orders that were handed out together, and the answers so far."""

    def __init__(self, turn: int, orders: Sequence[Order]) -> None:
        self.turn = turn
        self.answers: list[Any] = [None] * sum(not order.background for order in orders)
        self.missing = len(self.answers)


class _Ticket:
    """An order on its way."""

    def __init__(self, order: Order, phase: _Phase, place: int) -> None:
        self.order, self.phase, self.place = order, phase, place
        self.need: Need | None = None
        self.alone = False


class Worker:
    """The tasks of one member's model.

    Attributes:
        member: the member.
        cost: what its passes take.
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.cost = PassCost()
        self._new: list[_Ticket] = []
        self._waiting: list[_Ticket] = []
        self._in_pass: list[_Ticket] = []

    @property
    def load(self) -> tuple[int, int]:
        """Tasks that somebody waits for, and all."""
        tickets = self._new + self._waiting
        return sum(not ticket.order.background for ticket in tickets), len(tickets)

    def add(self, ticket: _Ticket) -> None:
        """Take an order. What ran in the background for the same text ends; what it has read stays known."""
        self._drop(lambda old: old.order.background and old.order.state.context is ticket.order.state.context)
        self._new.append(ticket)

    def forget(self, context: Context) -> None:
        """End all tasks of a context, and close it."""
        self._drop(lambda ticket: ticket.order.state.context is context)
        context.close()

    def clear(self) -> list[_Ticket]:
        """End all tasks; which they were."""
        tickets = self._new + self._waiting + self._in_pass
        self._new, self._waiting, self._in_pass = [], [], []
        return tickets

    def step(self) -> list[tuple[_Ticket, Any]]:
        """Run the tasks until some are done, or make one pass for all that wait; what is done, with its answers."""
        # What runs in the background shares segmenters with what does not: it begins when that has ended.
        new = [ticket for ticket in self._new if not ticket.order.background] or self._new
        if self._waiting and not any(not ticket.order.background for ticket in new):
            new = []
        self._new = [ticket for ticket in self._new if ticket not in new]
        done = self._advance(new)
        if done or not self._waiting:
            return done
        batch = [ticket for ticket in self._waiting if not ticket.order.background] or self._waiting
        batch = [ticket for ticket in batch if ticket.alone][:1] or batch
        self._waiting = [ticket for ticket in self._waiting if ticket not in batch]
        self._in_pass = batch
        needs = [ticket.need for ticket in batch if ticket.need is not None]
        try:
            self._make_known(needs)
        except CoolFusionError as err:
            return self._failed(batch, err)
        except Exception as err:  # noqa: BLE001 - whatever a model raises ends its tasks, not the process
            reason = f"{type(err).__name__}: {err}"
            failure = ModelError(f"member {self.member.name}: a pass over {len(needs)} texts failed: {reason}")
            failure.__cause__ = err
            return self._failed(batch, failure)
        self._in_pass = []
        return self._advance(batch)

    def _make_known(self, needs: Sequence[Need]) -> None:
        runner = self.member.runner
        prompts = [(need.context, need.prompt) for need in needs if need.prompt is not None]
        wanted = [(need.context, need.paths) for need in needs if need.prompt is None]
        if prompts:
            runner.prefill(prompts)
        if wanted:
            passes, tokens, began = runner.forward_passes, runner.processed_tokens, perf_counter()
            runner.extend(wanted)
            if runner.forward_passes == passes + 1:
                self.cost.observe(perf_counter() - began, (runner.processed_tokens - tokens) / len(wanted))

    def _advance(self, tickets: Iterable[_Ticket]) -> list[tuple[_Ticket, Any]]:
        done: list[tuple[_Ticket, Any]] = []
        for ticket in tickets:
            try:
                ticket.need = next(ticket.order.task)
            except StopIteration as stop:
                done.append((ticket, stop.value))
            except Exception as err:  # noqa: BLE001 - crosses over to the thread that asked for it
                done.append((ticket, err))
            else:
                self._waiting.append(ticket)
        return done

    def _failed(self, batch: Sequence[_Ticket], error: CoolFusionError) -> list[tuple[_Ticket, Any]]:
        """A pass that failed for many texts is tried for each by itself, so that one cannot end the others."""
        self._in_pass = []
        if len(batch) > 1:
            for ticket in batch:
                ticket.alone = True
            self._waiting += batch
            return []
        for ticket in batch:
            ticket.order.task.close()
        return [(ticket, error) for ticket in batch]

    def _drop(self, unwanted: Any) -> None:
        self._new = [ticket for ticket in self._new if not unwanted(ticket)]
        self._waiting = [ticket for ticket in self._waiting if not unwanted(ticket)]


def _busiest(workers: Sequence[Worker]) -> Worker | None:
    """The worker to run next, or None if there is nothing to do."""
    loads = [worker.load for worker in workers]
    best = max(range(len(workers)), key=lambda n: (loads[n], -n), default=None)
    return workers[best] if best is not None and loads[best][1] else None


class _Station:
    """The thread of one device.

    Attributes:
        workers: the models of the device.
        inbox: what to do between two passes; None to stop.
        at_work: the worker whose step is running, and since when.
    """

    def __init__(self, workers: list[Worker], inbox: _Queue, outbox: _Queue) -> None:
        self.workers, self.inbox, self._outbox = workers, inbox, outbox
        self.at_work: tuple[Worker, float] | None = None
        self.abandoned = False
        names = ", ".join(worker.member.name for worker in workers)
        threading.Thread(target=self._run, name=f"coolfusion: {names}", daemon=True).start()

    def _run(self) -> None:
        while not self.abandoned:
            worker = _busiest(self.workers)
            with contextlib.suppress(queue.Empty):
                message = self.inbox.get(block=worker is None)
                if message is None:
                    return
                message()
                continue
            assert worker is not None  # else the queue would still be waited for
            self.at_work = worker, monotonic()
            try:
                done = worker.step()
            except BaseException as err:  # noqa: BLE001 - somebody waits for the answers of this thread
                reason = f"{type(err).__name__}: {err}"
                failure = ModelError(f"member {worker.member.name}: its thread was ended by {reason}")
                done = [(ticket, failure) for ticket in worker.clear()]
            self.at_work = None
            for each in done if not self.abandoned else ():
                self._outbox.put(each)


class Crew:
    """The workers of a fusion's members. One run at a time; a second thread waits.

    Args:
        members: the members.
        time_limit: seconds that a pass may take, or None. A pass cannot be stopped: its thread is left behind, and its
            member is lost for this crew.

    Attributes:
        apart: whether there are several devices.
        costs: what the members' passes take.
    """

    def __init__(self, members: Sequence[Member], time_limit: float | None = None) -> None:
        self._workers = [Worker(member) for member in members]
        self._numbers = {id(member): number for number, member in enumerate(members)}
        self._time_limit = time_limit
        self._lost: dict[int, CoolFusionError] = {}
        self._lock = threading.Lock()
        self._outbox: _Queue = queue.SimpleQueue()
        self._stations: list[_Station] = []
        devices: dict[str, list[Worker]] = {}
        for worker in self._workers:
            devices.setdefault(worker.member.runner.device, []).append(worker)
        self.apart = len(devices) > 1
        self.costs = [worker.cost for worker in self._workers]
        if self.apart or time_limit is not None:
            self._stations = [_Station(each, queue.SimpleQueue(), self._outbox) for each in devices.values()]
            weakref.finalize(self, _stop, self._stations)

    def run(self, turns: Sequence[Turn[Result]]) -> list[Result | CoolFusionError]:
        """Run turns to their end, all in step; what each returned, or the error that ended it.

        Complexity: each phase of a turn costs one exchange with each model's thread; passes are shared by all turns.
        """
        results: list[Any] = [None] * len(turns)
        running: dict[int, _Phase] = {}
        with self._lock:
            if not self._stations:
                for worker in self._workers:
                    worker.clear()  # what an interrupt left behind
            for turn in range(len(turns)):
                self._resume(turns, turn, None, running, results)
            while running:
                for ticket, answer in self._answers():
                    phase = ticket.phase
                    if isinstance(answer, Exception) and not isinstance(answer, CoolFusionError):
                        raise answer
                    if ticket.order.background or running.get(phase.turn) is not phase:
                        continue
                    phase.answers[ticket.place] = answer
                    phase.missing -= 1
                    if not phase.missing:
                        self._resume(turns, phase.turn, running.pop(phase.turn).answers, running, results)
        return results

    def close(self, members: Sequence[Member], contexts: Sequence[Context]) -> None:
        """End the tasks of contexts, one of each of these members, and give back their memory."""
        for member, context in zip(members, contexts, strict=True):
            number = self._numbers[id(member)]
            if number not in self._lost:
                self._tell(number, functools.partial(self._workers[number].forget, context))

    def _resume(
        self, turns: Sequence[Turn[Any]], turn: int, answers: Any, running: dict[int, _Phase], results: list[Any]
    ) -> None:
        """Go on with a turn until it waits for an answer or ends."""
        while True:
            try:
                orders = turns[turn].send(answers)
            except StopIteration as stop:
                results[turn] = stop.value
                return
            except CoolFusionError as err:
                results[turn] = err
                return
            phase = _Phase(turn, orders)
            places = itertools.count()
            for order in orders:
                number = self._numbers[id(order.state.member)]
                place = -1 if order.background else next(places)
                if number in self._lost and not order.background:
                    phase.answers[place] = self._lost[number]
                    phase.missing -= 1
                elif number not in self._lost:
                    ticket = _Ticket(order, phase, place)
                    self._tell(number, functools.partial(self._workers[number].add, ticket))
            if phase.missing:
                running[turn] = phase
                return
            answers = phase.answers

    def _tell(self, number: int, what: Callable[[], None]) -> None:
        station = next((each for each in self._stations if self._workers[number] in each.workers), None)
        if station is None:
            what()
        else:
            station.inbox.put(what)

    def _answers(self) -> list[tuple[_Ticket, Any]]:
        if not self._stations:
            worker = _busiest(self._workers)
            assert worker is not None  # somebody waits, so somebody has a task
            return worker.step()
        # Without a limit no pass is late; the wake-ups let an interrupt through.
        patience = 1.0 if self._time_limit is None else self._time_limit / 8
        while True:
            with contextlib.suppress(queue.Empty):
                return [self._outbox.get(timeout=patience)]
            late = [answer for station in tuple(self._stations) for answer in self._late(station)]
            if late:
                return late

    def _late(self, station: _Station) -> list[tuple[_Ticket, Any]]:
        """The tasks of a model that takes too long, with the error; its device's other models get a new thread."""
        at_work = station.at_work
        if at_work is None or self._time_limit is None or monotonic() - at_work[1] <= self._time_limit:
            return []
        station.abandoned = True
        worker = at_work[0]
        name = worker.member.name
        error = ModelError(f"member {name}: a pass has not come back within the time limit of {self._time_limit} s")
        self._lost[self._workers.index(worker)] = error
        self._stations.remove(station)
        rest = [each for each in station.workers if each is not worker]
        # Tickets that are still on their way to the lost worker are added here, so that nobody waits for them.
        with contextlib.suppress(queue.Empty):
            while (message := station.inbox.get(block=False)) is not None:
                message()
        if rest:
            self._stations.append(_Station(rest, queue.SimpleQueue(), self._outbox))
        return [(ticket, error) for ticket in worker.clear()]


def _stop(stations: list[_Station]) -> None:
    for station in stations:
        station.inbox.put(None)
