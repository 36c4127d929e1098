"""The in-line executor: all members compute in the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.executors.lanes import Advanced, LaneExecutor
from coolfusion.members.commands import Command, Reply
from coolfusion.members.member import Member
from coolfusion.members.worker import ModelWorker


class InlineWorker:
    """A worker in the caller's thread."""

    def __init__(self, worker: ModelWorker) -> None:
        self.worker = worker

    def send(self, command: Command) -> None:
        """Delivers the command."""
        self.worker.deliver(command)

    def ask(self) -> None:
        """Does nothing, because `answer` does the work."""

    def answer(self) -> Advanced:
        """Advances the tasks and makes the next pass."""
        found = advanced(self.worker)
        if found.pass_seconds is not None:
            self.worker.make_pass()
        return found

    def passed(self) -> list[Reply]:
        """Returns the replies of the pass."""
        return self.worker.settle()

    def recover(self) -> None:
        """Begins all commands again."""
        self.worker.recover()

    def stop(self) -> None:
        """Frees the memory of all sessions."""
        self.worker.clear()


class InlineExecutor(LaneExecutor):
    """Executes commands in the caller's thread; nothing can stop a pass that takes too long.

    Args:
        members: the members.

    Example:
        ``InlineExecutor(members).submit(0, Prefill(1, (5, 7)))``
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(members, [InlineWorker(worker) for worker in workers_of(members)])

    def forked(self) -> InlineExecutor:
        """Returns itself: a forked child has all that it needs, and begins its commands again."""
        self.recover()
        return self


def workers_of(members: Sequence[Member]) -> list[ModelWorker]:
    """Returns a worker for each member."""
    tokenizers = [member.tokenizer for member in members]
    return [ModelWorker(member, number, tokenizers) for number, member in enumerate(members)]


def advanced(worker: ModelWorker) -> Advanced:
    """Advances the tasks of a worker; where that gives no reply, prepares the next pass, which the caller makes."""
    replies = worker.advance()
    return Advanced(replies, None if replies else worker.prepare())
