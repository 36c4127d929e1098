"""The worker of one member: it executes commands, and makes one pass of the model for all tasks that wait.

Each command is a task with a state::

    NEW ──advance──> WAITING ──prepare──> IN_PASS ──settle──> WAITING or done
     └──────────────────── done (no pass was needed) ───────────┘

A pass that fails for many tasks is made again for each alone, so one task cannot end the others.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coolfusion._core import Tokenizer
from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.members.commands import (
    Close,
    Command,
    Prefill,
    Propose,
    Reply,
    ScoreCandidates,
    ScoreContinuations,
    WriteAhead,
)
from coolfusion.members.continuations import score_continuations
from coolfusion.members.cost import PassCost
from coolfusion.members.member import Member
from coolfusion.members.propose import continue_ahead, propose
from coolfusion.members.score import score_candidates
from coolfusion.members.session import ForwardRequest, Session, Task
from coolfusion.models.base import Context


class _State(enum.Enum):
    NEW = "new"
    WAITING = "waiting"
    IN_PASS = "in pass"


class _Running:
    """A command that is being executed."""

    def __init__(self, command: Command, task: Task[Any], session: Session | None, context: Context) -> None:
        self.command, self.task, self.session, self.context = command, task, session, context
        self.background = isinstance(command, WriteAhead)
        self.state = _State.NEW
        self.need: ForwardRequest | None = None
        self.alone = False  # whether it is to have a pass of its own

    def end(self) -> None:
        """Ends the task; a context without a session is closed with it."""
        # A forked child cannot close a task that another thread of its parent was running.
        with contextlib.suppress(ValueError):
            self.task.close()
        if self.session is None:
            self.context.close()


class ModelWorker:
    """Executes the commands of one member.

    Args:
        member: the member.
        number: its number in the fusion.
        tokenizers: those of all members, by number.

    Attributes:
        member: the member.
        cost: the cost of its passes by a rule that knows no clock.
    """

    def __init__(self, member: Member, number: int, tokenizers: Sequence[Tokenizer]) -> None:
        self.member, self.number = member, number
        self.cost = PassCost.of_runner(member.runner)
        self._tokenizers = tokenizers
        self._sessions: dict[int, Session] = {}
        self._running: list[_Running] = []
        self._failure: CoolFusionError | None = None
        self._shared = False  # whether the present pass is one of several tasks
        member.runner.suppress_tokens = frozenset(member.suppress_tokens)

    @property
    def n_sessions(self) -> int:
        """Number of open sessions."""
        return len(self._sessions)

    def deliver(self, command: Command) -> None:
        """Takes a command, between two passes. It ends the background task of its session; what was computed stays."""
        number = command.session
        closing = isinstance(command, Close)
        if self._running:
            self._drop(lambda old: old.command.session == number and (old.background or closing))
        if closing:
            session = self._sessions.pop(number, None)
            if session is not None:
                session.context.close()
        else:
            self._running.append(self._begin(command))

    def advance(self) -> list[Reply]:
        """Runs the new tasks until each is done or needs a pass; returns the replies."""
        # A background task shares its segmenter with the tasks in front, so it begins after they have ended.
        front = any(not each.background for each in self._running)
        return self._advance([each for each in self._in(_State.NEW) if not (front and each.background)])

    def prepare(self) -> float | None:
        """Chooses the tasks of the next pass; returns its cost in seconds by the rule, None if no task needs one."""
        waiting = self._in(_State.WAITING)
        batch = [each for each in waiting if not each.background] or waiting
        batch = [each for each in batch if each.alone][:1] or batch
        for each in batch:
            each.state = _State.IN_PASS
        self._shared = len(batch) > 1
        return self.cost.of(sum(each.need.n_tokens for each in batch if each.need)) if batch else None

    def make_pass(self) -> None:
        """Makes the pass that was prepared. A failure is kept for `settle`."""
        needs = [each.need for each in self._in(_State.IN_PASS) if each.need is not None]
        runner = self.member.runner
        try:
            prompts = [(need.context, need.prompt) for need in needs if need.prompt is not None]
            wanted = [(need.context, need.paths) for need in needs if need.prompt is None]
            if prompts:
                runner.prefill(prompts)
            if wanted:
                runner.forward(wanted)
        except CoolFusionError as err:
            self._failure = err
        except Exception as err:  # noqa: BLE001 - a failing model ends its tasks, not the process
            reason = f"{type(err).__name__}: {err}"
            self._failure = ModelError(f"member {self.member.name}: a pass over {len(needs)} texts failed: {reason}")
            self._failure.__cause__ = err

    def settle(self) -> list[Reply]:
        """Continues the tasks of the pass that was made; returns the replies."""
        batch, failure = self._in(_State.IN_PASS), self._failure
        self._failure = None
        if failure is None:
            return self._advance(batch)
        if not self._shared:
            return [self._done(each, error=failure) for each in batch]
        for each in batch:
            each.state, each.alone = _State.WAITING, True
        return []

    def recover(self) -> None:
        """Begins all commands again, with contexts read again, because an interrupted pass leaves caches unknown."""
        self._failure = None
        commands = [each.command for each in self._running]
        for each in self._running:
            each.end()
        for number, session in self._sessions.items():
            session.context.close()
            self._sessions[number] = session.again(self.member.runner.new_context())
        self._running = [self._begin(command, again=True) for command in commands]

    def clear(self) -> None:
        """Ends all tasks and sessions."""
        self._drop(lambda each: True)
        for session in self._sessions.values():
            session.context.close()
        self._sessions.clear()
        self._failure = None

    def _begin(self, command: Command, *, again: bool = False) -> _Running:
        if isinstance(command, ScoreContinuations):
            context = self.member.runner.new_context()
            return _Running(command, score_continuations(self.member, context, command), None, context)
        if isinstance(command, Prefill):
            if command.session in self._sessions:  # begun again
                self._sessions.pop(command.session).context.close()
            align_with = [self._tokenizers[number] for number in command.align_with]
            context = self.member.runner.new_context()
            session = Session(self.member, command.token_ids, align_with, context)
            self._sessions[command.session] = session
            return _Running(command, session.prefill(), session, context)
        session = self._sessions[command.session]
        if not again and not isinstance(command, Close):
            session.commit(command.commits)
        return _Running(command, _execute(session, command), session, session.context)

    def _in(self, state: _State) -> list[_Running]:
        return [each for each in self._running if each.state is state]

    def _advance(self, tasks: Iterable[_Running]) -> list[Reply]:
        replies = []
        for each in tasks:
            before = each.session.ahead if each.session else None
            try:
                each.need = next(each.task)
            except StopIteration as stop:
                replies.append(self._done(each, stop.value))
            except Exception as err:  # noqa: BLE001 - crosses over to the engine
                replies.append(self._done(each, error=err))
            else:
                each.state = _State.WAITING
                if each.background and each.session and each.session.ahead is not before:
                    replies.append(self._reply(each, last=False))
        return replies

    def _done(self, running: _Running, value: Any = None, *, error: Exception | None = None) -> Reply:
        self._running.remove(running)
        reply = self._reply(running, value, error)
        running.end()
        return reply

    def _reply(
        self, running: _Running, value: Any = None, error: Exception | None = None, *, last: bool = True
    ) -> Reply:
        usage = None if running.session is None else running.session.usage
        session, background = running.command.session, running.background
        return Reply(self.number, session, value, error, usage, background=background, last=last)

    def _drop(self, unwanted: Callable[[_Running], bool]) -> None:
        for each in [each for each in self._running if unwanted(each)]:
            self._running.remove(each)
            each.end()


def _execute(session: Session, command: Command) -> Task[Any]:
    """Executes a command for an open session."""
    if session.stale:
        yield from session.reload()
    if isinstance(command, Propose):
        return (yield from propose(session, command))
    if isinstance(command, ScoreCandidates):
        return (yield from score_candidates(session, command))
    if isinstance(command, WriteAhead):
        return (yield from continue_ahead(session, command))
    raise TypeError(f"no task executes {command!r}")
