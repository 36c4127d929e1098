"""Limits the number of texts that a server writes or keeps waiting, because each of them holds memory.

For example, a server with 96 places and 95 texts refuses a request for two more with the status 429.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coolfusion.serve.errors import ApiError

__all__ = ["Places"]

RETRY_AFTER = {"Retry-After": "1"}


class Places:
    """Counts the texts in the server, without a lock because only the event loop uses it.

    Args:
        most: the greatest number of texts.

    Attributes:
        taken: the number of texts now.
        draining: whether the server stops, so that it takes no new request.

    Example:
        ``with places.take(2): ...``
    """

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self.draining = False

    def __repr__(self) -> str:
        return f"Places({self.taken} of {self.most}, draining={self.draining})"

    def check_open(self) -> None:
        """Raises ApiError (503) while the server stops. Requests that were let in before continue."""
        if self.draining:
            raise ApiError(503, "the server stops and takes no new request", code="stopping", headers=RETRY_AFTER)

    @contextmanager
    def take(self, count: int = 1) -> Iterator[None]:
        """Takes places for a request until the block ends.

        Args:
            count: the number of texts of the request.

        Raises:
            ApiError: too few places are free (429), or the server has fewer in all (400).
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
