"""A deterministic model made of a function or a table: for tests, examples and documentation, without torch.

It takes the same calls as a real model, and counts its passes as a model with a cache would. Rows may hold anything,
also nan and infinities, so that every branch of a loop can be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models.base import Path
from coolfusion.models.trie import Trie
from coolfusion.scoring import log_softmax, logsumexp

Row = Sequence[float]


class ScriptedContext:
    """One text under a scripted model; opened by `ScriptedModel.open`."""

    def __init__(self, model: ScriptedModel) -> None:
        self.forward_passes = 0
        self.processed_tokens = 0
        self._model = model
        self._ids: tuple[int, ...] = ()
        self._trie: Trie[Row] = Trie()

    @property
    def length(self) -> int:
        """Number of committed ids."""
        return len(self._ids)

    def is_known(self, path: Path) -> bool:
        """Whether all committed ids and `path` have been read."""
        return path in self._trie

    def greedy(self, path: Path) -> int | None:
        """The most likely id behind a known path that is not banned, the smallest of equals; None if there is none."""
        row = self.next_logits(path)
        if math.isnan(log_softmax(row)[0]):
            return None
        allowed = set(range(len(row))) - set(self._model.banned)
        best = max(allowed, key=lambda i: (row[i], -i), default=None)
        return None if best is None or row[best] == -math.inf else best

    def logprobs(self, path: Path) -> list[float]:
        """ln p of each id of `path` in turn; all of the path but its last id must be known."""
        return [log_softmax(self.next_logits(path[:n]))[token_id] for n, token_id in enumerate(path)]

    def next_logprob(self, path: Path, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` stands behind a known path."""
        row = log_softmax(self.next_logits(path))
        return logsumexp(row[token_id] for token_id in ids) if not math.isnan(row[0]) else math.nan

    def next_logits(self, path: Path) -> Row:
        """The row of logits behind a known path, (V,)."""
        return self._trie.rows[path]

    def commit(self, path: Path) -> None:
        """Append `path` to the committed ids; what is known below it stays known."""
        self._ids += path
        self._trie.commit(path)

    def clear(self) -> None:
        """Forget every path but the empty one."""
        self._trie.clear()

    def close(self) -> None:
        """Give back the memory."""
        self._trie.restart(())

    def _prefill(self, ids: Sequence[int]) -> int:
        self._ids = tuple(ids)
        self._trie.restart(ids)
        return self._extend(())

    def _extend(self, paths: Sequence[Path]) -> int:
        """Read what is missing; how many tokens that was."""
        missing = self._trie.missing(paths)
        if not missing:
            return 0
        self._model._check(self._ids, paths)
        rows = {path: self._model._row(self._ids + path) for path in missing}
        count = len(self._trie.unread) + sum(1 for path in missing if path)
        self._trie.rows.update(rows)
        self._trie.unread = ()
        self.forward_passes += 1
        self.processed_tokens += count
        return count


class ScriptedModel:
    """A `LanguageModel` whose logits are a function of the context's ids.

    Args:
        logits: from the context, a tuple of ids, to a row of `n_rows` logits in nats.
        n_rows: length of a row.
        end_ids: ids that end a text.
        limit: most tokens of context, or None; a longer context raises ModelError, as a real model would fail.
        name: for messages and records.
        device: models of one device take turns; the name is not looked at.

    Example:
        >>> model = ScriptedModel.from_table({(): {1: 0.75, 2: 0.25}, (1,): {0: 1.0}}, n_rows=3, end_ids=(0,))
        >>> [context] = model.open(1)
        >>> model.prefill([(context, [2])])
        >>> context.greedy(())
        1
        >>> context.next_logprob((), [1, 2]) > -1e-9
        True
    """

    def __init__(
        self,
        logits: Callable[[tuple[int, ...]], Row],
        n_rows: int,
        *,
        end_ids: Sequence[int] = (),
        limit: int | None = None,
        name: str = "scripted",
        device: str = "script",
    ) -> None:
        self.name = name
        self.device = device
        self.packs = True
        self.n_rows = n_rows
        self.limit = limit
        self.end_ids = tuple(end_ids)
        self.banned: tuple[int, ...] = ()
        self.forward_passes = 0
        self.processed_tokens = 0
        self._logits = logits

    @classmethod
    def from_table(
        cls,
        table: Mapping[tuple[int, ...], Mapping[int, float]],
        n_rows: int,
        *,
        end_ids: Sequence[int] = (),
        limit: int | None = None,
        name: str = "scripted",
    ) -> ScriptedModel:
        """A model from a table of probabilities.

        Args:
            table: from the last ids of a context to {id: probability}; the longest matching key counts, the key ()
                matches always. Probabilities are normalised; ids that are not named have none.
            n_rows: length of a row.
            end_ids: ids that end a text.
            limit: most tokens of context, or None.
            name: for messages and records.

        Raises:
            ArgumentError: the table has no key ().
        """
        if () not in table:
            raise ArgumentError("the table needs a row under the key () for contexts that match no other key")
        longest = max(len(key) for key in table)

        def row(ids: tuple[int, ...]) -> Row:
            tails = (ids[len(ids) - n :] for n in range(min(longest, len(ids)), -1, -1))
            chances = next(table[tail] for tail in tails if tail in table)
            return [math.log(chances[i]) if chances.get(i, 0.0) > 0.0 else -math.inf for i in range(n_rows)]

        return cls(row, n_rows, end_ids=end_ids, limit=limit, name=name)

    def open(self, count: int) -> list[ScriptedContext]:
        """So many new contexts."""
        return [ScriptedContext(self) for _ in range(count)]

    def prefill(self, prompts: Sequence[tuple[ScriptedContext, Sequence[int]]]) -> None:
        """Make ids all that is committed in a context, and known; one pass for all contexts.

        Raises:
            ModelError: an id without a row, none, or more than the limit.
        """
        for context, ids in prompts:
            self._check(tuple(ids), ())
            if not ids:
                raise ModelError(f"{self.name}: nothing to read; expected at least one token")
            context.close()
        self._count([context._prefill(ids) for context, ids in prompts])

    def extend(self, wanted: Sequence[tuple[ScriptedContext, Sequence[Path]]]) -> None:
        """Make paths known; one pass for all contexts.

        Raises:
            ModelError: an id without a row, or more tokens than the limit.
        """
        self._count([context._extend(paths) for context, paths in wanted])

    def describe(self) -> dict[str, Any]:
        """What is known of the model."""
        return {"name": self.name, "kind": "scripted", "n_rows": self.n_rows, "limit": self.limit}

    def _count(self, tokens: Sequence[int]) -> None:
        if any(tokens):
            self.forward_passes += 1
            self.processed_tokens += sum(tokens)

    def _check(self, ids: tuple[int, ...], paths: Sequence[Path]) -> None:
        for token_id in (*ids, *(token_id for path in paths for token_id in path)):
            if not 0 <= token_id < self.n_rows:
                raise ModelError(f"{self.name}: token id {token_id} has no row, expected 0..{self.n_rows}")
        longest = len(ids) + max(map(len, paths), default=0)
        if self.limit is not None and longest > self.limit:
            raise ModelError(f"{self.name}: {longest} tokens of context, the limit is {self.limit}")

    def _row(self, ids: tuple[int, ...]) -> Row:
        row = self._logits(ids)
        if len(row) != self.n_rows:
            raise ModelError(f"{self.name}: the script gave {len(row)} logits, expected {self.n_rows}")
        return row
