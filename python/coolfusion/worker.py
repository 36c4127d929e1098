"""The tasks of one member's model: each runs until it needs something of the model, then one pass is made for all.

A step has two halves, because a device may have a thread: what tasks do (`advance`), which is quick and touches the
records, and the pass of the model (`make_pass`), which is slow and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coolfusion.drafting import PassCost
from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.member import Member, Need
from coolfusion.models.base import Context, Path
from coolfusion.schedule import Order


class Phase:
    """Orders that were handed out together, and the answers so far."""

    def __init__(self, turn: int, orders: Sequence[Order]) -> None:
        self.turn = turn
        self.answers: list[Any] = [None] * sum(not order.background for order in orders)
        self.missing = len(self.answers)


class Ticket:
    """An order on its way."""

    def __init__(self, order: Order, phase: Phase, place: int) -> None:
        self.order, self.phase, self.place = order, phase, place
        self.need: Need | None = None
        self.alone = False


Done = list[tuple[Ticket, Any]]


class Worker:
    """The tasks of one member's model.

    Attributes:
        member: the member.
        cost: what its passes take, by a rule that knows no clock.
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.cost = PassCost.of_runner(member.runner)
        self._new: list[Ticket] = []
        self._waiting: list[Ticket] = []
        self._in_pass: list[Ticket] = []
        self._texts_in_pass = 0
        self._failure: CoolFusionError | None = None

    @property
    def load(self) -> tuple[int, int]:
        """Tasks that somebody waits for, and all."""
        tickets = self._new + self._waiting
        return sum(not ticket.order.background for ticket in tickets), len(tickets)

    def add(self, ticket: Ticket) -> None:
        """Take an order. What ran in the background for the same text ends; what it has read stays known."""
        self._drop(lambda old: old.order.background and old.order.state.context is ticket.order.state.context)
        self._new.append(ticket)

    def forget(self, context: Context) -> None:
        """End all tasks of a context, and close it."""
        self._drop(lambda ticket: ticket.order.state.context is context)
        context.close()

    def clear(self) -> list[Ticket]:
        """End all tasks; which they were."""
        tickets = self._new + self._waiting + self._in_pass
        self._new, self._waiting, self._in_pass, self._failure = [], [], [], None
        return tickets

    def step(self) -> Done:
        """Run the tasks until some are done, or make one pass for all that wait; what is done, with its answers."""
        done = self.advance()
        if done or self.prepare() is None:
            return done
        self.make_pass()
        return self.settle()

    def advance(self) -> Done:
        """Run the tasks that have not begun until each is done or needs a pass."""
        # What runs in the background shares segmenters with what does not: it begins when that has ended.
        new = [ticket for ticket in self._new if not ticket.order.background] or self._new
        if self._waiting and not any(not ticket.order.background for ticket in new):
            new = []
        self._new = [ticket for ticket in self._new if ticket not in new]
        return self._advance(new)

    def prepare(self) -> float | None:
        """Choose the tasks of the next pass; what it will take by the rule of `cost`, None if no task needs one."""
        if not self._waiting:
            return None
        batch = [ticket for ticket in self._waiting if not ticket.order.background] or self._waiting
        batch = [ticket for ticket in batch if ticket.alone][:1] or batch
        self._waiting = [ticket for ticket in self._waiting if ticket not in batch]
        self._in_pass, self._texts_in_pass = batch, len(batch)
        return self.cost.of(sum(_tokens(ticket.need) for ticket in batch))

    def make_pass(self) -> None:
        """Make the pass that was prepared. A failure is kept for `settle`."""
        needs = [ticket.need for ticket in self._in_pass if ticket.need is not None]
        runner = self.member.runner
        try:
            prompts = [(need.context, need.prompt) for need in needs if need.prompt is not None]
            wanted = [(need.context, need.paths) for need in needs if need.prompt is None]
            if prompts:
                runner.prefill(prompts)
            if wanted:
                runner.extend(wanted)
        except CoolFusionError as err:
            self._failure = err
        except Exception as err:  # noqa: BLE001 - whatever a model raises ends its tasks, not the process
            reason = f"{type(err).__name__}: {err}"
            self._failure = ModelError(f"member {self.member.name}: a pass over {len(needs)} texts failed: {reason}")
            self._failure.__cause__ = err

    def settle(self) -> Done:
        """Go on with the tasks of the pass that was made; of those that it failed for the error."""
        batch, failure = self._in_pass, self._failure
        self._in_pass, self._failure = [], None
        if failure is None:
            return self._advance(batch)
        if self._texts_in_pass > 1:
            # A pass that failed for many texts is tried for each by itself, so that one cannot end the others.
            for ticket in batch:
                ticket.alone = True
            self._waiting += batch
            return []
        for ticket in batch:
            ticket.order.task.close()
        return [(ticket, failure) for ticket in batch]

    def _advance(self, tickets: Iterable[Ticket]) -> Done:
        done: Done = []
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

    def _drop(self, unwanted: Callable[[Ticket], bool]) -> None:
        self._new = [ticket for ticket in self._new if not unwanted(ticket)]
        self._waiting = [ticket for ticket in self._waiting if not unwanted(ticket)]
        self._in_pass = [ticket for ticket in self._in_pass if not unwanted(ticket)]


def busiest(workers: Sequence[Worker]) -> Worker | None:
    """The worker to run next, or None if there is nothing to do."""
    loads = [worker.load for worker in workers]
    best = max(range(len(workers)), key=lambda n: (loads[n], -n), default=None)
    return workers[best] if best is not None and loads[best][1] else None


def _tokens(need: Need | None) -> int:
    """How many tokens of a text are read for a need."""
    if need is None:
        return 0
    if need.prompt is not None:
        return len(need.prompt)
    ends: set[Path] = {path[:n] for path in need.paths for n in range(len(path) + 1)}
    return sum(not need.context.is_known(end) for end in ends)
