"""The base of the strategies that read one line of tokens at a time, where a model cannot read a tree.

A cache holds one line of ids. To read a path it is rewound to where the path leaves the line, and reads on from there.
A member's own words are such a line and cost one pass for each token, as with any cache. Every other path costs one
pass plus the cost of rewinding the cache.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from coolfusion.models.base import TokenPath
from coolfusion.models.logits import ContextBase, LogitsBatch, LogitsRow
from coolfusion.models.transformers.strategies.base import Strategy


class SequentialContext(ContextBase):
    """A context with a cache of its own.

    Attributes:
        line: the ids that the cache has read.
        cache: the cache or state after them, or None.
        kept: the ids that the copy has read, a prefix of every text to come.
        copy: a copy of the cache or state after them, or None.
    """

    def __init__(self, owner: Any) -> None:
        super().__init__(owner)
        self.drop_caches()

    def drop_caches(self) -> None:
        """Frees the cache and its copy."""
        self.line: list[int] = []
        self.cache: Any = None
        self.kept: list[int] = []
        self.copy: Any = None

    def restart(self, ids: Sequence[int]) -> None:
        """Discards everything; `ids` are then committed and uncomputed."""
        super().restart(ids)
        self.drop_caches()

    def close(self) -> None:
        """Frees the memory. A closed context cannot be used."""
        super().close()
        self.drop_caches()

    def first_missing(self, path: TokenPath) -> int:
        """Returns the position in the text of the first token of `path` without logits."""
        return len(self.ids) + self.paths.computed_length(path) - 1


class SequentialStrategy(Strategy):
    """Reads the missing paths of each context one after the other.

    Attributes:
        uses_cache: whether the module returns its state after a pass.
    """

    uses_cache: ClassVar[bool] = True

    def new_context(self) -> SequentialContext:
        """Returns a new empty context."""
        return SequentialContext(self.passes)

    def prefill(self, prompts: Sequence[tuple[SequentialContext, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts and reads them, in a pass for each."""
        for context, ids in prompts:
            context.restart(ids)
            self._read(context, [()])

    def forward(self, wanted: Sequence[tuple[SequentialContext, list[TokenPath]]]) -> None:
        """Computes paths that are missing, context by context."""
        for context, missing in wanted:
            self._read(context, missing)

    def _read(self, context: SequentialContext, missing: Sequence[TokenPath]) -> None:
        switch, length = self.passes.switch, context.length
        # The length of the longest path of a pass decides on its positions (longrope).
        near = [path for path in missing if switch is not None and length + len(path) <= switch]
        for group in (near, [path for path in missing if path not in near]):
            self.read_paths(context, self.passes_of(group))

    def passes_of(self, missing: Sequence[TokenPath]) -> list[TokenPath]:
        """Returns the paths that need a pass: those that are no prefix of another."""
        return leaves(missing)

    def read_paths(self, context: SequentialContext, paths: Sequence[TokenPath]) -> None:
        """Reads each path in a pass of its own."""
        for path in paths:
            self._read_path(context, path)

    def _read_path(self, context: SequentialContext, path: TokenPath) -> None:
        target, first = [*context.ids, *path], context.first_missing(path)
        start, cache = self.rewound(context, target, first)
        batch = self._read_line(context, target, start, first, cache)
        context.paths.uncomputed_ids = ()
        for at in range(first, len(target)):
            context.paths.rows[tuple(target[context.length : at + 1])] = LogitsRow(batch, at - first)

    def _read_line(
        self, context: SequentialContext, target: list[int], start: int, first: int, cache: Any
    ) -> LogitsBatch:
        """Reads target[start:] after `cache`; returns the logits from position `first` on."""
        passes, keep = self.passes, len(target) - first
        # A pass that fails leaves a cache in an unknown state.
        context.line, context.cache = [], None
        parts = []
        for ids in self.chunks(target[start:], start):
            logits, cache = passes.line(ids, cache, keep=min(keep, len(ids)), use_cache=self.uses_cache)
            parts.append(logits[0, -keep:])
            passes.count([(context, len(ids))])
        if self.uses_cache:
            context.line, context.cache = target, cache
        return LogitsBatch(passes, passes.torch.cat(parts)[-keep:])

    def chunks(self, line: list[int], start: int) -> Iterable[list[int]]:
        """Returns the ids of each pass over a line that begins at position `start`."""
        return [line]

    @abstractmethod
    def rewound(self, context: SequentialContext, target: list[int], first: int) -> tuple[int, Any]:
        """Returns a cache that has read a prefix of `target`.

        Args:
            context: the context.
            target: the ids to read.
            first: the most ids that the prefix may have.

        Returns:
            the length of the prefix, and the cache.
        """

    def crosses_switch(self, context: SequentialContext, target: list[int]) -> bool:
        """Returns whether positions of `target` differ from those in the cache, which is then wrong."""
        switch = self.passes.switch
        return switch is not None and (len(context.line) <= switch) != (len(target) <= switch)


def leaves(paths: Sequence[TokenPath]) -> list[TokenPath]:
    """Returns the paths that are no prefix of another."""
    return [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns the length of the common prefix."""
    n = min(len(one), len(other))
    return next((at for at in range(n) if one[at] != other[at]), n)
