"""The paths that a model has computed after a context, each with its logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from coolfusion.models.base import TokenPath

Logits = TypeVar("Logits")


class PathLogits(Generic[Logits]):
    """Logits by path, and the committed ids that the model has not read yet.

    Keys are whole paths, because paths are a few words long. Hashing a tuple of ten ids is faster than a walk over
    ten nodes. Every prefix of a computed path is computed.

    Attributes:
        rows: the logits after each computed path; the path () is the end of the committed ids.
        uncomputed_ids: committed ids at the end that the model has not read. If there are any, no path is computed.
    """

    def __init__(self) -> None:
        self.rows: dict[TokenPath, Logits] = {}
        self.uncomputed_ids: tuple[int, ...] = ()

    def __contains__(self, path: TokenPath) -> bool:
        return path in self.rows

    def restart(self, ids: Sequence[int]) -> None:
        """Discards everything; `ids` are then committed and uncomputed."""
        self.rows, self.uncomputed_ids = {}, tuple(ids)

    def missing(self, paths: Iterable[TokenPath]) -> list[TokenPath]:
        """Returns the paths to compute so that all of `paths` and () are computed, each after its own prefixes."""
        found: dict[TokenPath, None] = {}
        for path in ((), *paths):
            for n in range(self.computed_length(path), len(path) + 1):
                found[path[:n]] = None
        return list(found)

    def computed_length(self, path: TokenPath) -> int:
        """Returns the length of the first prefix that is not computed; one more than the path's where all of it is."""
        n = len(path)
        while n >= 0 and path[:n] not in self.rows:
            n -= 1
        return n + 1

    def commit(self, path: TokenPath) -> None:
        """Appends `path` to the committed ids and keeps the computed paths below it."""
        n = self.computed_length(path)
        if n > len(path):
            self.rows = {known[len(path) :]: row for known, row in self.rows.items() if known[: len(path)] == path}
        else:
            self.uncomputed_ids += path[max(n - 1, 0) :]
            self.rows = {}

    def clear(self) -> None:
        """Discards every path but the empty one."""
        self.rows = {path: row for path, row in self.rows.items() if not path}
