"""The other tiers: one line of tokens at a time behind each context, where a model cannot read a tree.

* ``rows``: attention caches; what lost is cut off the end, and several paths are rows of a batch, in one pass.
* ``crop``: the same, path by path.
* ``copy``: any cache; what may lose goes into a copy, several tokens at a time.
* ``step``: the same, token by token.
* ``full``: no cache, the whole context in each pass.
* ``each``: the same with a pass for each row, where rows depend on what stands behind them.

A cache holds one line of ids. To read a path it goes back to where the path leaves the line, or to the copy of an
earlier end of the text, and reads on from there. A member's own words are such a line, so that they cost a pass for
each token as with any cache; other paths cost a pass each, and the way back.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coolfusion.models.base import Path
from coolfusion.models.rows import Known, Row, Rows

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel


CROPPED = ("rows", "crop")
CACHELESS = ("full", "each")


class ChainContext(Known):
    """One text under a transformers model: a cache of its own."""

    def __init__(self, model: HuggingFaceModel) -> None:
        super().__init__(model)
        self._line: list[int] = []  # what the cache has read
        self._cache: Any = None
        self._kept: list[int] = []  # what the copy has read, the beginning of every text to come
        self._copy: Any = None

    def commit(self, path: Path) -> None:
        """Append `path` to the committed ids; what is known below it stays known."""
        self.ids += path
        self.trie.commit(path)

    def clear(self) -> None:
        """Forget every path but the empty one."""
        self.trie.clear()

    def close(self) -> None:
        """Give back the memory."""
        self.closed = True
        self.forget()

    def forget(self) -> None:
        """The cache and all that is known."""
        self.trie.restart(())
        self._line, self._kept = [], []
        self._cache = self._copy = None

    def read(self, missing: Sequence[Path]) -> None:
        """Read what is missing: the longest paths, each with all its prefixes."""
        switch = self.model.switch
        # Positions that change with the length of a text are those of the longest path of a pass.
        near = [path for path in missing if switch is not None and len(self.ids) + len(path) <= switch]
        for group in (near, [path for path in missing if path not in near]):
            leaves = list(group) if self.model.tier == "each" else _leaves(group)
            if self.model.tier == "rows" and len(leaves) > 1:
                self._read_rows(leaves)
            else:
                for path in leaves:
                    self._read(path)

    def _read(self, path: Path) -> None:
        """Read a path behind all committed ids, from the first token on whose row is not known."""
        target = [*self.ids, *path]
        first = len(self.ids) + self._n_known(path) - 1
        start, cache = (0, None) if self.model.tier in CACHELESS else self._rewound(target, first)
        rows = self._forward(target, start, first, cache)
        self.trie.unread = ()
        for at in range(first, len(target)):
            self.trie.rows[tuple(target[len(self.ids) : at + 1])] = Row(rows, at - first)

    def _read_rows(self, leaves: Sequence[Path]) -> None:
        """Read several paths in one pass: the cache is repeated, and cut back to the first path afterwards."""
        torch, model = self.model.torch, self.model
        targets = [[*self.ids, *leaf] for leaf in leaves]
        firsts = [len(self.ids) + self._n_known(leaf) - 1 for leaf in leaves]
        shared = min([*firsts, *(_common(targets[0], target) for target in targets)])
        start, cache = self._rewound(targets[0], shared)
        longest = max(map(len, targets)) - start
        tokens = torch.zeros((len(targets), longest), dtype=torch.int64)  # (B, T), padded where nothing looks at
        for at, target in enumerate(targets):
            tokens[at, : len(target) - start] = torch.tensor(target[start:])
        self._line, self._cache = [], None
        if start:
            cache.batch_repeat_interleave(len(targets))
        keep = longest - (shared - start)
        logits = model.call(tokens, cache, keep=keep)[:, -keep:]  # (B, N, V)
        model.count([(self, sum(len(target) - start for target in targets))])
        self.trie.unread = ()
        index = [(b, at) for b, target in enumerate(targets) for at in range(firsts[b], len(target))]
        picked = logits[torch.tensor([b for b, _ in index]), torch.tensor([at - shared for _, at in index])]  # (N, V)
        rows = Rows(torch, picked, model.name)
        for number, (b, at) in enumerate(index):
            node = tuple(targets[b][len(self.ids) : at + 1])
            if node not in self.trie:
                self.trie.rows[node] = Row(rows, number)
        with torch.inference_mode():
            cache.batch_select_indices(torch.tensor([0], device=model.place))
        if longest > len(targets[0]) - start:
            cache.crop(len(targets[0]) - start - longest)
        self._line, self._cache = targets[0], cache

    def _n_known(self, path: Path) -> int:
        """Length of the first beginning of a path that is not known."""
        return next(n for n in range(len(path) + 1) if path[:n] not in self.trie)

    def _forward(self, target: list[int], start: int, first: int, cache: Any) -> Rows:
        """Read target[start:]; the rows from position `first` on."""
        model = self.model
        line = target[start:]
        keep = len(target) - first
        # A pass that fails leaves a cache of which nobody knows what it has read.
        self._line, self._cache = [], None
        parts = []
        # From the first token on also a model that continues by single tokens reads many at a time.
        for ids in [[token_id] for token_id in line] if model.tier == "step" and start else [line]:
            logits, cache = model.call_with_state(ids, cache, keep=min(keep, len(ids)))
            parts.append(logits[0, -keep:])
            model.count([(self, len(ids))])
        if model.tier not in CACHELESS:
            self._line, self._cache = target, cache
        return Rows(model.torch, model.torch.cat(parts)[-keep:], model.name)

    def _rewound(self, target: list[int], first: int) -> tuple[int, Any]:
        """A cache that has read a beginning of `target`, of at most `first` tokens, and how much that is."""
        model, line = self.model, self._line
        if model.switch is not None and (len(line) <= model.switch) != (len(target) <= model.switch):
            self._kept, self._copy = [], None
            return 0, model.fresh_state()  # other positions: everything cached is wrong
        common = min(_common(line, target), first)
        if self._cache is not None and model.tier in CROPPED and common:
            if common < len(line):
                self._cache.crop(common - len(line))  # transformers: at most 0, the tokens to remove
            return common, self._cache
        if self._cache is not None and model.tier not in CROPPED and common == len(line):
            if line == self.ids[: len(line)]:  # nothing in it can lose: the place to come back to
                with model.torch.inference_mode():
                    self._kept, self._copy = line, copy.deepcopy(self._cache)
            return common, self._cache
        if self._copy is not None and target[: len(self._kept)] == self._kept and len(self._kept) <= first:
            with model.torch.inference_mode():
                return len(self._kept), copy.deepcopy(self._copy)
        return 0, model.fresh_state()


def _leaves(paths: Sequence[Path]) -> list[Path]:
    """Those that are no beginning of another."""
    return [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    n = min(len(one), len(other))
    return next((at for at in range(n) if one[at] != other[at]), n)
