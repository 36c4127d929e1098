"""The protocol of the state machines that the engine runs, for example of a fused text or a rerank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from coolfusion.fusion.options import Request
from coolfusion.members.commands import Command, Reply
from coolfusion.records import Output, Step

Send = tuple[int, Command]


class Running(Protocol):
    """A state machine that takes replies of members and returns commands, until the work has ended.

    Attributes:
        request: the request, of which the engine reads the priority and the timeout.
        error: the error that ended the work, or None.
    """

    request: Request
    error: Exception | None

    @property
    def session(self) -> int:
        """Returns the number under which the engine knows the work."""

    @property
    def sessions(self) -> Sequence[int]:
        """Returns all sessions whose replies the work takes."""

    @property
    def is_finished(self) -> bool:
        """Returns whether the work has ended."""

    @property
    def steps(self) -> Sequence[Step]:
        """Returns the steps so far, or () for work that writes no text."""

    @property
    def output(self) -> Output:
        """Returns the output so far."""

    @property
    def costs(self) -> Mapping[int, tuple[int, int]]:
        """Returns the number of passes with tokens of the work, and of these tokens, by the number of the member."""

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of the work."""

    def start(self) -> list[Send]:
        """Returns the first commands."""

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply, and returns the commands that follow."""

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends the work, and returns the commands that free its memory."""


def added(costs: Sequence[Mapping[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    """Returns the sums of costs by member.

    Args:
        costs: passes and tokens by the number of the member.

    Example:
        >>> added([{0: (1, 5)}, {0: (2, 2), 1: (1, 1)}])
        {0: (3, 7), 1: (1, 1)}
    """
    found: dict[int, tuple[int, int]] = {}
    for each in costs:
        for member, (passes, tokens) in each.items():
            old = found.get(member, (0, 0))
            found[member] = old[0] + passes, old[1] + tokens
    return found
