"""The paths that a model has read behind a context, each with what the model said there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from coolfusion.models.base import Path

Row = TypeVar("Row")


class Trie(Generic[Row]):
    """Rows by path, and the committed ids that nobody has read yet.

    A path is a key whole: paths are a few words long, and a tuple of ten ids is hashed in less time than ten nodes are
    walked. The prefixes of a known path are known.

    Attributes:
        rows: what the model said behind each known path; () is the end of the committed ids.
        unread: committed ids at the end that the model has not read; if there are any, no path is known.
    """

    def __init__(self) -> None:
        self.rows: dict[Path, Row] = {}
        self.unread: tuple[int, ...] = ()

    def __contains__(self, path: Path) -> bool:
        return path in self.rows

    def restart(self, ids: Sequence[int]) -> None:
        """Forget everything; `ids` are committed and unread."""
        self.rows, self.unread = {}, tuple(ids)

    def missing(self, paths: Iterable[Path]) -> list[Path]:
        """The paths to read, each behind its own prefixes, so that all of `paths` are known; () is always one."""
        found: dict[Path, None] = {}
        for path in ((), *paths):
            for n in range(self._known(path), len(path) + 1):
                found[path[:n]] = None
        return list(found)

    def _known(self, path: Path) -> int:
        """Length of the first prefix of `path` that is not known; one more than the path where all of it is."""
        n = len(path)
        while n >= 0 and path[:n] not in self.rows:
            n -= 1
        return n + 1

    def commit(self, path: Path) -> None:
        """Append `path` to the committed ids; what is below it stays."""
        n = self._known(path)
        if n > len(path):
            self.rows = {known[len(path) :]: row for known, row in self.rows.items() if known[: len(path)] == path}
        else:
            self.unread += path[max(n - 1, 0) :]
            self.rows = {}

    def clear(self) -> None:
        """Forget every path but the empty one."""
        self.rows = {path: row for path, row in self.rows.items() if not path}
