"""Places of a server: how many texts may be written or wait at the same time, and whether it takes new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coolfusion.serve.errors import ApiError

__all__ = ["Places"]

RETRY_AFTER = {"Retry-After": "1"}


class Places:
    """Counts the texts that are in the server; used in the event loop alone.

    Args:
        most: how many there may be.

    Attributes:
        taken: how many there are.
        draining: whether the server stops, and takes no new request.

    Example:
        ``with places.take(2): ...``
    """

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self.draining = False

    def __repr__(self) -> str:
        return f"Places({self.taken} of {self.most}, draining={self.draining})"

    def check_open(self) -> None:
        """Raises ApiError (503) while the server stops; requests that were let in before go on."""
        if self.draining:
            raise ApiError(503, "the server stops and takes no new request", code="stopping", headers=RETRY_AFTER)

    @contextmanager
    def take(self, count: int = 1) -> Iterator[None]:
        """Takes places for a request; they are free again afterwards.

        Args:
            count: texts of the request.

        Raises:
            ApiError: all places are taken (429), or there are fewer in all (400).
        """
        if count > self.most:
            raise ApiError(
                400, f"the request asks for {count} texts, and this server takes {self.most}", code="too_many_texts"
            )
        if self.taken + count > self.most:
            raise ApiError(
                429,
                f"{self.taken} of {self.most} places are taken and the request needs {count}; try again later",
                code="queue_full",
                headers=RETRY_AFTER,
            )
        self.taken += count
        try:
            yield
        finally:
            self.taken -= count
