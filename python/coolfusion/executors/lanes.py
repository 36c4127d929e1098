"""The order in which members compute, by a clock that counts the costs of passes instead of time.

Members whose models share a device form a *lane* and take turns, the one with most commands first. Lanes compute at the
same time. A pass ends at the time that the rule of costs gives it, whenever it really comes back. So which tasks share
a pass is a function of the commands alone, and the three local executors make the same passes (invariant I28).
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from coolfusion.errors import ModelError
from coolfusion.members.commands import Close, Command, Reply, WriteAhead
from coolfusion.members.member import Member


class Advanced(NamedTuple):
    """The answer of a worker whose tasks have been advanced.

    Attributes:
        replies: those of commands that are done.
        pass_seconds: the cost of the pass that begins now, by the rule; None where none begins.
    """

    replies: list[Reply]
    pass_seconds: float | None


class MemberLost(Exception):
    """The loss of a worker that does not come back.

    Attributes:
        error: the error that its commands are answered with.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.error = ModelError(reason)


class Worker(Protocol):
    """Carries commands to one member's worker. Each `ask` is answered once, and each pass that it announces."""

    def send(self, command: Command) -> None:
        """Queues a command; it is delivered between two passes."""

    def ask(self) -> None:
        """Has the worker advance its tasks and, where no reply is ready, make the next pass."""

    def answer(self) -> Advanced:
        """Waits for the answer to `ask`. Raises MemberLost."""

    def passed(self) -> list[Reply]:
        """Waits for the end of the pass that was announced; returns the replies. Raises MemberLost."""

    def recover(self) -> None:
        """Takes unanswered commands back, and begins all commands again."""

    def stop(self) -> None:
        """Ends the worker."""


class _Stage(enum.Enum):
    IDLE = "idle"
    ADVANCING = "advancing"
    IN_PASS = "in pass"


class _Lane:
    """Members that take turns.

    Attributes:
        members: their numbers.
        stage: the present work of the lane.
        current: number of the member that was asked last.
        due: the end of its pass on the clock of costs, in seconds.
        stirred: whether there may be something to do.
    """

    def __init__(self, members: Sequence[int]) -> None:
        self.members = list(members)
        self.stage = _Stage.IDLE
        self.current = self.members[0]
        self.due = 0.0
        self.stirred = False

    @property
    def in_pass(self) -> bool:
        """Returns whether a pass is being made."""
        return self.stage is _Stage.IN_PASS


class LaneExecutor:
    """The base class of the local executors.

    Args:
        members: the members.
        workers: one for each.
        parallel: whether each member has a lane of its own, also where models share a device.

    Attributes:
        concurrent: whether there are several lanes.
    """

    def __init__(self, members: Sequence[Member], workers: Sequence[Worker], *, parallel: bool = False) -> None:
        self._names = [member.name for member in members]
        self._workers = list(workers)
        devices: dict[str, list[int]] = {}
        for number, member in enumerate(members):
            lane = f"member {number}" if parallel else member.runner.device
            devices.setdefault(lane, []).append(number)
        self._lanes = [_Lane(numbers) for numbers in devices.values()]
        self._lane_of = {number: lane for lane in self._lanes for number in lane.members}
        self.concurrent = len(self._lanes) > 1
        self._front: list[set[int]] = [set() for _ in members]  # sessions with a command that is waited for
        self._background: list[set[int]] = [set() for _ in members]  # sessions that write ahead
        self._lost: dict[int, ModelError] = {}
        self._ready: list[Reply] = []
        self._now = 0.0

    def __repr__(self) -> str:
        names = (name if at not in self._lost else f"{name} (lost)" for at, name in enumerate(self._names))
        return f"{type(self).__name__}([{', '.join(names)}])"

    def submit(self, member: int, command: Command) -> None:
        """Sends a command to a member."""
        if member in self._lost:
            if not isinstance(command, Close | WriteAhead):
                self._ready.append(Reply(member, command.session, error=self._lost[member]))
            return
        self._background[member].discard(command.session)
        if isinstance(command, Close):
            self._front[member].discard(command.session)
        else:
            (self._background if isinstance(command, WriteAhead) else self._front)[member].add(command.session)
        self._workers[member].send(command)
        self._lane_of[member].stirred = True

    def poll(self) -> list[Reply]:
        """Returns the next replies, at least one; waits for them."""
        while True:
            found = self._ready or self._next()
            self._ready = []
            for member, session, _, _, _, background, last in found:
                if last:
                    (self._background if background else self._front)[member].discard(session)
            if found:
                return found

    def rest(self) -> None:
        """Waits for passes that are still being made, and sets the clock back."""
        for lane in tuple(self._lanes):
            if lane.stage is not _Stage.IDLE:
                with contextlib.suppress(MemberLost):
                    self._finish(lane)
        self._now = 0.0

    def close(self) -> None:
        """Ends all workers."""
        for worker in self._workers:
            worker.stop()

    def recover(self) -> None:
        """Begins all commands again after a KeyboardInterrupt inside `poll`, because an answer may be lost."""
        for number, worker in enumerate(self._workers):
            if number not in self._lost:
                worker.recover()
        for lane in self._lanes:
            lane.stage, lane.stirred = _Stage.IDLE, True

    def _next(self) -> list[Reply]:
        for lane in tuple(self._lanes):
            if lane.stage is _Stage.IDLE and lane.stirred:
                busiest = self._busiest(lane)
                if busiest is None:
                    lane.stirred = False
                    continue
                lane.current = busiest
                self._workers[busiest].ask()
                lane.stage = _Stage.ADVANCING
            if lane.stage is _Stage.ADVANCING:
                replies = self._advanced(lane)
                if replies:
                    return replies
        # Of the passes that are being made the one that ends first by the rule, whichever really does.
        passing = [lane for lane in self._lanes if lane.stage is _Stage.IN_PASS]
        lane = passing[0] if len(passing) == 1 else min(passing, key=lambda lane: lane.due)
        self._now = lane.due
        return self._finish(lane)

    def _advanced(self, lane: _Lane) -> list[Reply]:
        try:
            replies, seconds = self._workers[lane.current].answer()
        except MemberLost as err:
            return self._lose(lane, err.error)
        if seconds is None:
            lane.stage, lane.stirred = _Stage.IDLE, bool(replies)
        else:
            lane.stage, lane.due = _Stage.IN_PASS, self._now + seconds
        return replies

    def _finish(self, lane: _Lane) -> list[Reply]:
        """Waits for the present work of a lane."""
        if lane.stage is _Stage.ADVANCING:
            replies = self._advanced(lane)
            if not lane.in_pass:
                return replies
        try:
            replies = self._workers[lane.current].passed()
        except MemberLost as err:
            return self._lose(lane, err.error)
        lane.stage = _Stage.IDLE
        return replies

    def _lose(self, lane: _Lane, error: ModelError) -> list[Reply]:
        """Answers the commands of a lost worker with its error, and continues its lane without it."""
        number = lane.current
        self._lost[number] = error
        waiting = sorted(self._front[number])
        self._front[number].clear()
        self._background[number].clear()
        lane.members.remove(number)
        lane.stage, lane.stirred = _Stage.IDLE, True
        if not lane.members:
            self._lanes.remove(lane)
        self._replace(number, lane.members)
        return [Reply(number, session, error=error) for session in waiting]

    def _replace(self, lost: int, others: Sequence[int]) -> None:
        """Restores the other members of a lane whose member was lost."""

    def _busiest(self, lane: _Lane) -> int | None:
        """Returns the member with most commands that are waited for, then with most at all; None if there are none."""
        best, most = None, (0, 0)
        for number in lane.members:
            front = len(self._front[number])
            load = front, front + len(self._background[number])
            if load > most:
                best, most = number, load
        return best
