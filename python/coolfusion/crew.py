"""Who runs the models: orders go in, answers come out, and tasks of one model share its passes.

Turns (`generation`) are coroutines that yield the orders of a phase and are resumed with all its answers. Models of
one device take turns, the one with most tasks waiting first, which keeps many texts in step. With several devices, or
with a time limit, each device has a thread (`station`). Passes run at the same time there, but what is done with them
is decided by a clock of its own: a pass ends at the time that the rule of costs gives it, whenever it really comes
back. So which tasks share a pass never depends on measured time: docs/design.md, "the same passes at every run".
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from time import monotonic
from typing import Any, TypeVar

from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.member import Member
from coolfusion.models.base import Context
from coolfusion.schedule import Order
from coolfusion.station import Announced, Station
from coolfusion.worker import Done, Phase, Ticket, Worker, busiest

Result = TypeVar("Result")
Turn = Generator[list[Order], list[Any], Result]


class Crew:
    """The workers of a fusion's members. One run at a time; a second thread waits.

    Args:
        members: the members.
        time_limit: seconds that a pass may take, or None. A pass cannot be stopped: its thread is left behind, and its
            member is lost for this crew.

    Attributes:
        apart: whether there are several devices.
        costs: what the members' passes take, by a rule.
    """

    def __init__(self, members: Sequence[Member], time_limit: float | None = None) -> None:
        self._workers = [Worker(member) for member in members]
        self._numbers = {id(member): number for number, member in enumerate(members)}
        self._time_limit = time_limit
        self._lost: dict[int, CoolFusionError] = {}
        self._devices: dict[str, list[Worker]] = {}
        for worker in self._workers:
            self._devices.setdefault(worker.member.runner.device, []).append(worker)
        self.apart = len(self._devices) > 1
        self.costs = [worker.cost for worker in self._workers]
        self._stations: list[Station] = []
        self._now = 0.0  # of the clock that decides
        self._background: set[int] = set()  # contexts with a task in the background
        self._begin()

    def run(self, turns: Sequence[Turn[Result]]) -> list[Result | CoolFusionError]:
        """Run turns to their end, all in step; what each returned, or the error that ended it.

        Complexity: each pass of a model with a thread costs two exchanges with it; passes are shared by all turns.
        """
        if os.getpid() != self._process:
            self._begin()  # threads do not come along into a forked process
        results: list[Any] = [None] * len(turns)
        running: dict[int, Phase] = {}
        with self._lock:
            self._tidy()
            self._interrupted = True
            for turn in range(len(turns)):
                self._resume(turns, turn, None, running, results)
            while running:
                for ticket, answer in self._answers():
                    phase = ticket.phase
                    if isinstance(answer, Exception) and not isinstance(answer, CoolFusionError):
                        raise answer
                    if ticket.order.background:
                        self._background.discard(id(ticket.order.state.context))
                    if ticket.order.background or running.get(phase.turn) is not phase:
                        continue
                    phase.answers[ticket.place] = answer
                    phase.missing -= 1
                    if not phase.missing:
                        self._resume(turns, phase.turn, running.pop(phase.turn).answers, running, results)
            self._interrupted = False
        return results

    def close(self, members: Sequence[Member], contexts: Sequence[Context]) -> None:
        """End the tasks of contexts, one of each of these members, and give back their memory."""
        for member, context in zip(members, contexts, strict=True):
            number = self._numbers[id(member)]
            self._background.discard(id(context))
            if number not in self._lost:
                self._tell(number, functools.partial(self._workers[number].forget, context))

    def _begin(self) -> None:
        """Make the threads of this process."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._interrupted = False
        self._background.clear()
        for worker in self._workers:
            worker.clear()
        self._stations[:] = []
        if self.apart or self._time_limit is not None:
            well = [[w for w in each if self._workers.index(w) not in self._lost] for each in self._devices.values()]
            self._stations[:] = [Station(each) for each in well if each]
            weakref.finalize(self, _stop, self._stations)

    def _tidy(self) -> None:
        """What a run begins with: nothing of the runs before it that could decide anything in this one."""
        if not self._stations:
            if self._interrupted:
                for worker in self._workers:
                    worker.clear()
            return
        if self._interrupted:
            for station in tuple(self._stations):
                mark = object()
                for worker in station.workers:
                    station.tell(worker.clear)  # type: ignore[arg-type]  # which tasks they were does not matter
                station.tell(functools.partial(station.outbox.put, mark))
                while station in self._stations and self._receive(station) is not mark:
                    pass
                station.due = None
            self._background.clear()
        if not self._background:
            for station in tuple(self._stations):
                if station.due is not None:
                    self._receive(station)
                    station.due = None
            self._now = 0.0

    def _resume(
        self, turns: Sequence[Turn[Any]], turn: int, answers: Any, running: dict[int, Phase], results: list[Any]
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
            phase = Phase(turn, orders)
            places = itertools.count()
            for order in orders:
                number = self._numbers[id(order.state.member)]
                place = -1 if order.background else next(places)
                if number in self._lost and not order.background:
                    phase.answers[place] = self._lost[number]
                    phase.missing -= 1
                elif number not in self._lost:
                    (self._background.add if order.background else self._background.discard)(id(order.state.context))
                    ticket = Ticket(order, phase, place)
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
            station.stirred = True
            station.tell(what)

    def _answers(self) -> Done:
        """What is done next, with its answers."""
        if not self._stations:
            worker = busiest(self._workers)
            assert worker is not None  # somebody waits, so somebody has a task
            return worker.step()
        while True:
            for station in tuple(self._stations):
                if station.due is None and station.stirred:
                    station.go()
                    answer = self._receive(station)
                    if isinstance(answer, Announced):
                        station.due = self._now + answer
                    elif answer is None:
                        station.stirred = False
                    else:
                        return answer  # type: ignore[no-any-return]
            # Of the passes that are being made the one that ends first by the rule, whichever really does.
            station = min((s for s in self._stations if s.due is not None), key=lambda s: s.due or 0.0)
            self._now, station.due = station.due or 0.0, None
            done: Done = self._receive(station)
            if done:
                return done

    def _receive(self, station: Station) -> Any:
        """The next word of a station; of one that takes too long its tasks, each with the error."""
        # Without a limit no pass is late; the wake-ups let an interrupt through.
        patience = 1.0 if self._time_limit is None else self._time_limit / 8
        while True:
            with contextlib.suppress(queue.Empty):
                return station.outbox.get(timeout=patience)
            at_work = station.at_work
            if at_work and self._time_limit is not None and monotonic() - at_work[1] > self._time_limit:
                return self._late(station, at_work[0])

    def _late(self, station: Station, worker: Worker) -> Done:
        """The tasks of a model that takes too long, with the error; its device's other models get a new thread."""
        station.abandoned = True
        name = worker.member.name
        error = ModelError(f"member {name}: a pass has not come back within the time limit of {self._time_limit} s")
        self._lost[self._workers.index(worker)] = error
        rest = [each for each in station.workers if each is not worker]
        # Tickets that are still on their way to the lost worker are added here, so that nobody waits for them.
        station.drain()
        station.stop()
        at = self._stations.index(station)
        self._stations[at : at + 1] = [Station(rest)] if rest else []
        if rest:
            self._stations[at].stirred = True
        return [(ticket, error) for ticket in worker.clear()]


def _stop(stations: list[Station]) -> None:
    for station in stations:
        station.stop()
