"""The protocol of executors, which take commands and return replies."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from coolfusion.members.commands import Command, Reply


@runtime_checkable
class Executor(Protocol):
    """Executes commands of several members, each by a worker of its own.

    Replies may come in any order. Which commands share a pass, and in which order replies come, must be a function of
    the commands alone and never of time. Else the same call could write another text in half precision.

    Attributes:
        concurrent: whether members compute at the same time, so that a member can write ahead while others read.
    """

    concurrent: bool

    def submit(self, member: int, command: Command) -> None:
        """Sends a command to a member. A lost member answers every command with its error."""

    def poll(self) -> list[Reply]:
        """Returns the next replies, at least one; waits for them. Call it only while a reply is expected."""

    def rest(self) -> None:
        """Waits for passes that are still being made, so that nothing of finished requests decides anything later."""

    def recover(self) -> None:
        """Makes the executor usable again after a KeyboardInterrupt inside `poll`; commands are begun again."""

    def forked(self) -> Executor:
        """Returns the executor of a forked child: its threads are new, and commands of the parent are begun again.

        Raises:
            FusionError: there can be none.
        """

    def close(self) -> None:
        """Ends all workers, with their threads or processes. A closed executor cannot be used."""
