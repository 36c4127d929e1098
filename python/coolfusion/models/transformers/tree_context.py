"""A context of the tree strategy, and the new tokens that it reads in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from coolfusion.models.base import TokenPath
from coolfusion.models.logits import ContextBase, LogitsBatch, LogitsOwner, LogitsRow

NO_ROW = -1


class RowHolder(Protocol):
    """The cache that a context has a row of."""

    def release(self, context: TreeContext) -> None:
        """Frees the row of a context, if it has one."""


class TreeContext(ContextBase):
    """A text with a row of a `TreeKVCache`; each of its tokens lies in a slot of the row.

    Args:
        owner: the runner.
        cache: the cache that gives it a row with its first pass.
        number: number of contexts that were made before it.

    Attributes:
        number: number of contexts that were made before it.
        row: its row of the cache, or `NO_ROW` before its first pass and after the last.
        slots: the slot of each computed path but ().
        unmasked_late: slots of committed tokens that the prefix mask still hides.
        free_slots: slots of tokens that lost.
        n_slots: the slots in use or free; slot 0 belongs to the cache.
        n_read: number of committed ids in slots.
        stale: whether all committed ids must be read again.
    """

    def __init__(self, owner: LogitsOwner, cache: RowHolder, number: int) -> None:
        super().__init__(owner)
        self.number = number
        self.row = NO_ROW
        self._cache = cache
        self._empty_slots()

    def _empty_slots(self) -> None:
        self.slots: dict[TokenPath, int] = {}
        self.unmasked_late: list[int] = []
        self.free_slots: list[int] = []
        self.n_slots, self.n_read, self.stale = 1, 0, False

    def commit(self, path: TokenPath) -> None:
        """Appends `path` to the committed ids and keeps the computed paths below it."""
        super().commit(path)
        uncomputed = len(self.paths.uncomputed_ids)
        n_computed = len(path) - min(uncomputed, len(path))
        self.n_read = len(self.ids) - uncomputed
        if any(path[:n] not in self.slots for n in range(1, n_computed + 1)):
            self.stale = True  # computed without the cache
            self.slots = {}
            return
        for n in range(1, n_computed + 1):
            self.unmasked_late.append(self.slots.pop(path[:n]))
        kept = {}
        for node, slot in self.slots.items():
            if not uncomputed and node[: len(path)] == path:
                kept[node[len(path) :]] = slot
            else:
                self.free_slots.append(slot)
        self.slots = kept

    def clear(self) -> None:
        """Discards every computed path but the empty one."""
        super().clear()
        self.free_slots += self.slots.values()
        self.slots = {}

    def restart(self, ids: Sequence[int]) -> None:
        """Discards everything; `ids` are then committed and uncomputed."""
        super().restart(ids)
        self._empty_slots()

    def close(self) -> None:
        """Frees the row. A closed context cannot be used."""
        super().close()
        self._empty_slots()
        self._cache.release(self)

    def take_slots(self, count: int) -> list[int]:
        """Returns slots for new tokens: free ones first, then unused ones."""
        self.free_slots.sort(reverse=True)
        taken = [self.free_slots.pop() for _ in range(min(count, len(self.free_slots)))]
        new = count - len(taken)
        taken += range(self.n_slots, self.n_slots + new)
        self.n_slots += new
        return taken

    def filled(self, logits: LogitsRow) -> None:
        """Records that all committed ids lie in slots from 1 on, with the logits after the last."""
        self.n_read = len(self.ids)
        self.n_slots = self.n_read + 1
        self.paths.uncomputed_ids = ()
        self.paths.rows[()] = logits


class NewTokens:
    """The tokens that one context reads in a pass: uncomputed committed ids, then the nodes of its tree.

    Args:
        context: the context.
        missing: its missing paths, each after its own prefixes.

    Attributes:
        context: the context.
        tokens: (T,) ids.
        slots: (T,) their slots.
        positions: (T,) their positions in the text.
        rows_needed: the tokens with logits that can be asked for; those inside the committed ids cannot.
        seen_slots: for each token the slots of computed paths that it sees, besides committed and new tokens.
    """

    def __init__(self, context: TreeContext, missing: Sequence[TokenPath]) -> None:
        self.context = context
        uncomputed = context.paths.uncomputed_ids
        self._n_uncomputed = len(uncomputed)
        self._nodes = [path for path in missing if path]
        self.tokens = [*uncomputed, *(path[-1] for path in self._nodes)]
        self.slots = context.take_slots(len(self.tokens))
        after = context.n_read + self._n_uncomputed
        self.positions = [*range(context.n_read, after), *(after + len(path) - 1 for path in self._nodes)]
        self.rows_needed = list(range(max(0, self._n_uncomputed - 1), len(self.tokens)))
        self._find_parents()

    def _find_parents(self) -> None:
        """Finds for each token the new token before it, or -1, and the slots of computed paths that it follows."""
        count, old_slots = self._n_uncomputed, self.context.slots
        self._parents = list(range(-1, count - 1))
        self.seen_slots: list[list[int]] = [[] for _ in range(count)]
        new = {path: count + at for at, path in enumerate(self._nodes)}
        for path in self._nodes:
            stem = path[:-1]
            parent = new[stem] if stem in new else (count - 1 if not stem else -1)
            self._parents.append(parent)
            if parent >= 0:
                self.seen_slots.append(self.seen_slots[parent])
            else:
                self.seen_slots.append([old_slots[stem[:n]] for n in range(1, len(stem) + 1)])

    def lineages(self) -> list[list[int]]:
        """Returns for each token the slots that it sees besides the committed ones, its own included."""
        found: list[list[int]] = []
        for at, (parent, slot) in enumerate(zip(self._parents, self.slots, strict=True)):
            found.append([*(found[parent] if parent >= 0 else self.seen_slots[at]), slot])
        return found

    def ancestors(self, torch: Any) -> Any:
        """Returns (T, T) bool: the new tokens that each new token follows, itself included."""
        found = torch.eye(len(self.tokens), dtype=torch.bool)
        for at, parent in enumerate(self._parents):
            if parent >= 0:
                found[at] |= found[parent]
        return found

    def give_back(self) -> None:
        """Frees the slots after a pass that failed."""
        self.context.free_slots += self.slots

    def store(self, batch: LogitsBatch, at: int) -> int:
        """Stores the logits of the pass, whose rows begin at row `at`; returns the row after the last."""
        context, count = self.context, self._n_uncomputed
        if count:
            context.paths.rows[()] = LogitsRow(batch, at)
            context.unmasked_late += self.slots[:count]
            context.n_read += count
            context.paths.uncomputed_ids = ()
            at += 1
        for path, slot in zip(self._nodes, self.slots[count:], strict=True):
            context.paths.rows[path] = LogitsRow(batch, at)
            context.slots[path] = slot
            at += 1
        return at
