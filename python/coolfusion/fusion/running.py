"""The protocol of state machines that the engine runs: a fused text, a rerank, or scores of whole texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from coolfusion.fusion.options import Request
from coolfusion.members.commands import Command, Reply
from coolfusion.records import Output, Step

Send = tuple[int, Command]


class Running(Protocol):
    """Takes replies of members and answers with commands, until it is finished.

    Attributes:
        request: what was asked for; the engine looks at its priority and its timeout.
        error: what ended it, or None.
    """

    request: Request
    error: Exception | None

    @property
    def session(self) -> int:
        """The number under which the engine knows it."""

    @property
    def sessions(self) -> Sequence[int]:
        """All its sessions, whose replies it takes."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""

    @property
    def steps(self) -> Sequence[Step]:
        """The steps so far; () for work that writes no text."""

    @property
    def output(self) -> Output:
        """The output so far."""

    @property
    def costs(self) -> Mapping[int, tuple[int, int]]:
        """The passes in which it had a part, and its tokens that went through them, by the number of the member."""

    def n_cached_tokens(self) -> int:
        """Returns the most tokens that the caches of all members can hold of it."""

    def start(self) -> list[Send]:
        """Returns the first commands."""

    def receive(self, reply: Reply) -> list[Send]:
        """Takes a reply; returns the commands that follow."""

    def abort(self, error: Exception | None = None) -> list[Send]:
        """Ends it; returns the commands that free its memory."""


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
