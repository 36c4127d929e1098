"""Strategies whose cache is rewound by cropping: `batch` reads several paths as rows of one pass, `crop` one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.models.base import TokenPath
from coolfusion.models.logits import LogitsBatch, LogitsRow
from coolfusion.models.transformers.forward import ForwardRunner
from coolfusion.models.transformers.strategies.base import CacheKind
from coolfusion.models.transformers.strategies.sequential import SequentialContext, SequentialStrategy, common_length


class CropStrategy(SequentialStrategy):
    """Crops an attention cache to the prefix that a path shares with it, path by path."""

    name = "crop"

    @classmethod
    def obstacle(cls, passes: ForwardRunner, kept: CacheKind, *, exact: bool) -> str | None:
        """Returns the reason against cropping, a cache with more than one entry for each position, or with none."""
        if kept == "more":
            return "the cache holds more than one entry per position"
        return super().obstacle(passes, kept, exact=exact)

    def rewound(self, context: SequentialContext, target: list[int], first: int) -> tuple[int, Any]:
        """Returns the cache, cropped to the prefix that it shares with `target`, and the length of that prefix."""
        if self.crosses_switch(context, target):
            return 0, _empty_cache()
        line = context.line
        common = min(common_length(line, target), first)
        if context.cache is None or not common:
            return 0, _empty_cache()
        if common < len(line):
            context.cache.crop(common - len(line))  # transformers takes the negative number of tokens to remove
        return common, context.cache


class BatchStrategy(CropStrategy):
    """Reads several paths in one pass: the cache is repeated for each, and cropped to the first path afterwards."""

    name = "batch"
    batches_paths = True

    def read_paths(self, context: SequentialContext, paths: Sequence[TokenPath]) -> None:
        """Reads all paths in one pass."""
        if len(paths) > 1:
            self._read_rows(context, paths)
        else:
            super().read_paths(context, paths)

    def _read_rows(self, context: SequentialContext, paths: Sequence[TokenPath]) -> None:
        passes, torch = self.passes, self.passes.torch
        targets = [[*context.ids, *path] for path in paths]
        firsts = [context.first_missing(path) for path in paths]
        shared = min([*firsts, *(common_length(targets[0], target) for target in targets)])
        start, cache = self.rewound(context, targets[0], shared)
        longest = max(map(len, targets)) - start
        tokens = torch.zeros((len(targets), longest), dtype=torch.int64)  # (B, T), padded at the right
        for at, target in enumerate(targets):
            tokens[at, : len(target) - start] = torch.tensor(target[start:])
        context.line, context.cache = [], None
        if start:
            cache.batch_repeat_interleave(len(targets))
        keep = longest - (shared - start)
        logits = passes.batch(tokens, cache, keep=keep)[:, -keep:]  # (B, N, V)
        passes.count([(context, sum(len(target) - start for target in targets))])
        self._store(context, targets, firsts, logits, shared)
        with torch.inference_mode():
            cache.batch_select_indices(torch.tensor([0], device=passes.place))
        if longest > len(targets[0]) - start:
            cache.crop(len(targets[0]) - start - longest)
        context.line, context.cache = targets[0], cache

    def _store(
        self, context: SequentialContext, targets: list[list[int]], firsts: list[int], logits: Any, shared: int
    ) -> None:
        """Stores the rows of a pass by path; `logits` (B, N, V) begin at position `shared` of each target."""
        torch = self.passes.torch
        context.paths.uncomputed_ids = ()
        index = [(b, at) for b, target in enumerate(targets) for at in range(firsts[b], len(target))]
        picked = logits[torch.tensor([b for b, _ in index]), torch.tensor([at - shared for _, at in index])]  # (N, V)
        batch = LogitsBatch(self.passes, picked)
        for number, (b, at) in enumerate(index):
            node = tuple(targets[b][context.length : at + 1])
            if node not in context.paths:
                context.paths.rows[node] = LogitsRow(batch, number)


def _empty_cache() -> Any:
    from transformers import DynamicCache

    # Without a configuration all layers grow, also those with a sliding window (the mask carries the window). A layer
    # that forgets could not be rolled back.
    return DynamicCache()
