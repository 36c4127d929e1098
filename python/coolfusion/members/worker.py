"""The worker of one member: it executes commands, and makes one pass of the model for all tasks that wait.

Each command is a task, and the list that holds it is its state::

    new ──advance──> waiting ──prepare──> in pass ──settle──> waiting or done
     └──────────────────── done (no pass was needed) ───────────┘

A pass that fails for many tasks is made again for each alone, so one task cannot end the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coolfusion._core import Tokenizer
from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.members.commands import (
    Close,
    Command,
    DrawText,
    Prefill,
    Propose,
    Reply,
    ScoreCandidates,
    ScoreContinuations,
    Usage,
    WriteAhead,
)
from coolfusion.members.continuations import score_continuations
from coolfusion.members.cost import PassCost
from coolfusion.members.member import OPERATIONS, Member, check_runner
from coolfusion.members.propose import continue_ahead, propose
from coolfusion.members.sampling import draw_text
from coolfusion.members.score import score_candidates
from coolfusion.members.session import ForwardRequest, Session, Task, Value
from coolfusion.models.base import Context


class _Running:
    """A command that is being executed."""

    def __init__(self, command: Command, task: Task[Any], session: Session | None, context: Context) -> None:
        self.command, self.task, self.session, self.context = command, task, session, context
        self.background = isinstance(command, WriteAhead)
        self.need: ForwardRequest | None = None
        self.alone = False  # whether it is to have a pass of its own

    def end(self) -> None:
        """Ends the task before it is done."""
        # A forked child cannot close a task that another thread of its parent was running.
        with contextlib.suppress(ValueError):
            self.task.close()
        self.release()

    def release(self) -> None:
        """Closes a context without a session, which ends with its task."""
        if self.session is None:
            self.context.close()


class ModelWorker:
    """A worker that executes the commands of one member.

    Args:
        member: the member.
        number: the number of the member in the fusion.
        tokenizers: the tokenizers of all members, by number.

    Attributes:
        member: the member.
        cost: the cost of the member's passes, by a rule that knows no clock.
    """

    def __init__(self, member: Member, number: int, tokenizers: Sequence[Tokenizer]) -> None:
        check_runner(member.runner, OPERATIONS)
        self.member, self.number = member, number
        self.cost = PassCost.of_runner(member.runner)
        self._tokenizers = tokenizers
        self._sessions: dict[int, Session] = {}
        self._running: list[_Running] = []  # all of the three lists that follow
        self._new: list[_Running] = []
        self._waiting: list[_Running] = []
        self._in_pass: list[_Running] = []
        self._failure: CoolFusionError | None = None
        member.runner.suppress_tokens = frozenset(member.suppress_tokens)

    def __repr__(self) -> str:
        return f"ModelWorker({self.member.name!r}, {len(self._sessions)} sessions, {len(self._running)} tasks)"

    @property
    def n_sessions(self) -> int:
        """Returns the number of open sessions."""
        return len(self._sessions)

    def deliver(self, command: Command) -> None:
        """Takes a command between two passes, and ends the background task of its session; computed tokens stay."""
        number = command.session
        if not isinstance(command, Close):
            if self._running:
                self._drop([old for old in self._running if old.background and old.command.session == number])
            self._enqueue(self._begin(command))
            return
        self._drop([old for old in self._running if old.command.session == number])
        session = self._sessions.pop(number, None)
        if session is not None:
            session.context.close()

    def advance(self) -> list[Reply]:
        """Runs the new tasks until each is done or needs a pass; returns the replies."""
        begun, self._new = self._new, []
        held = [each for each in begun if each.background]
        if held and not all(each.background for each in self._running):
            # A background task shares its segmenter with the tasks in front, so it begins after they have ended.
            begun, self._new = [each for each in begun if not each.background], held
        return self._advance(begun)

    def prepare(self) -> float | None:
        """Chooses the tasks of the next pass; returns its cost in seconds by the rule, None if no task needs one."""
        batch, self._waiting = self._waiting, []
        if len(batch) > 1:
            waiting = batch
            batch = [each for each in waiting if not each.background] or waiting
            batch = [each for each in batch if each.alone][:1] or batch
            self._waiting = [each for each in waiting if each not in batch]
        self._in_pass = batch
        if not batch:
            return None
        # Tokens are counted only where they have a price.
        return self.cost.of(sum(each.need.n_tokens for each in batch if each.need) if self.cost.further else 1)

    def make_pass(self) -> None:
        """Makes the pass that was prepared. A failure is kept for `settle`."""
        needs = [each.need for each in self._in_pass if each.need is not None]
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
        batch, failure = self._in_pass, self._failure
        self._in_pass, self._failure = [], None
        if failure is None:
            return self._advance(batch)
        if len(batch) == 1:
            return [self._done(batch[0], error=failure)]
        for each in batch:
            each.alone = True
        self._waiting = [*batch, *self._waiting]
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
        self._running, self._new, self._waiting, self._in_pass = [], [], [], []
        for command in commands:
            self._enqueue(self._begin(command, again=True))

    def clear(self) -> None:
        """Ends all tasks and sessions."""
        self._drop(list(self._running))
        for session in self._sessions.values():
            session.context.close()
        self._sessions.clear()
        self._failure = None

    def _begin(self, command: Command, *, again: bool = False) -> _Running:
        if isinstance(command, DrawText):
            context = self.member.runner.new_context()
            return _Running(command, draw_text(self.member, context, command), None, context)
        if isinstance(command, ScoreContinuations) and command.session not in self._sessions:
            context = self.member.runner.new_context()
            return _Running(command, score_continuations(self.member, context, command), None, context)
        if isinstance(command, Prefill):
            if command.session in self._sessions:  # begun again
                self._sessions.pop(command.session).context.close()
            align_with = [self._tokenizers[number] for number in command.align_with]
            context = self.member.runner.new_context()
            session = Session(self.member, command, align_with, context)
            self._sessions[command.session] = session
            return _Running(command, session.prefill(), session, context)
        session = self._sessions[command.session]
        if not again and not isinstance(command, Close | ScoreContinuations):
            session.commit(command.commits)
        task = _TASKS[type(command)](session, command)
        return _Running(command, _after_reload(session, task) if session.stale else task, session, session.context)

    def _enqueue(self, running: _Running) -> None:
        self._running.append(running)
        self._new.append(running)

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
                self._waiting.append(each)
                if each.background and each.session and each.session.ahead is not before:
                    replies.append(self._reply(each, last=False))
        return replies

    def _done(self, running: _Running, value: Any = None, *, error: Exception | None = None) -> Reply:
        self._running.remove(running)
        running.release()
        return self._reply(running, value, error)

    def _reply(
        self, running: _Running, value: Any = None, error: Exception | None = None, *, last: bool = True
    ) -> Reply:
        context = running.context
        alone = Usage(0, context.forward_passes, context.processed_tokens)
        usage = alone if running.session is None else running.session.usage
        return Reply(self.number, running.command.session, value, error, usage, running.background, last)

    def _drop(self, unwanted: Sequence[_Running]) -> None:
        for each in unwanted:
            for held in (self._running, self._new, self._waiting, self._in_pass):
                if each in held:
                    held.remove(each)
            each.end()


def _after_reload(session: Session, task: Task[Value]) -> Task[Value]:
    """Reads the context of a session again, and then executes its task."""
    if session.stale:
        yield from session.reload()
    return (yield from task)


def _score_after_prompt(session: Session, command: ScoreContinuations) -> Task[Any]:
    """Scores continuations in a session that has read their prompt, or reads it again after a partial reading."""
    read = tuple(session.ids[session.start :])
    return score_continuations(session.member, session.context, command, has_prompt=read == command.prompt_ids)


# The task that executes each command for an open session.
_TASKS: dict[type, Callable[[Session, Any], Task[Any]]] = {
    Propose: propose,
    ScoreCandidates: score_candidates,
    ScoreContinuations: _score_after_prompt,
    WriteAhead: continue_ahead,
}
