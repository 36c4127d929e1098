"""A deterministic model made of a function or a table: for tests, examples and documentation, without torch.

It takes the same calls as a real runner, keeps the whole context, and counts its passes as a runner with a cache
would. Rows may hold anything, also nan and infinities, so that every branch of a loop can be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.scoring import log_softmax, logsumexp

Row = Sequence[float]


class ScriptedModel:
    """A `LanguageModel` whose logits are a function of the context's ids.

    Args:
        logits: from the context, a tuple of ids, to a row of `n_rows` logits in nats.
        n_rows: length of a row.
        end_ids: ids that end a text.
        limit: most tokens of context, or None; a longer context raises ModelError, as a real model would fail.
        name: for messages and records.

    Example:
        >>> model = ScriptedModel.from_table({(): {1: 0.75, 2: 0.25}, (1,): {0: 1.0}}, n_rows=3, end_ids=(0,))
        >>> model.prefill([2])
        >>> model.greedy(banned=())
        1
        >>> model.next_logprob([1, 2]) > -1e-9
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
    ) -> None:
        self.name = name
        self.n_rows = n_rows
        self.limit = limit
        self.end_ids = tuple(end_ids)
        self.forward_passes = 0
        self.tokens_processed = 0
        self._logits = logits
        self._ids: tuple[int, ...] = ()
        self._committed = 0

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

    def prefill(self, ids: Sequence[int]) -> None:
        """Forget everything and make `ids` the committed context."""
        self._ids = ()
        self._committed = 0
        self.extend(ids)
        self.commit()

    def extend(self, ids: Sequence[int]) -> None:
        """Read `ids` after the context, provisionally.

        Raises:
            ModelError: an id without a row, or more tokens than the limit.
        """
        for token_id in ids:
            if not 0 <= token_id < self.n_rows:
                raise ModelError(f"{self.name}: token id {token_id} has no row, expected 0..{self.n_rows}")
        if self.limit is not None and len(self._ids) + len(ids) > self.limit:
            raise ModelError(f"{self.name}: {len(self._ids) + len(ids)} tokens of context, the limit is {self.limit}")
        if ids:
            self._ids += tuple(ids)
            self.forward_passes += 1
            self.tokens_processed += len(ids)

    def commit(self) -> None:
        """Make the present context the one that `rollback` returns to."""
        self._committed = len(self._ids)

    def rollback(self) -> None:
        """Return to the last committed context."""
        self._ids = self._ids[: self._committed]

    def pending(self) -> tuple[int, ...]:
        """The ids read since the last commit."""
        return self._ids[self._committed :]

    def next_logits(self) -> Row:
        """The row of logits for the next token, (V,)."""
        row = self._logits(self._ids)
        if len(row) != self.n_rows:
            raise ModelError(f"{self.name}: the script gave {len(row)} logits, expected {self.n_rows}")
        return row

    def greedy(self, banned: tuple[int, ...]) -> int | None:
        """The most likely next id outside `banned`, the smallest of equals; None if the row is no distribution."""
        row = self.next_logits()
        if math.isnan(log_softmax(row)[0]):
            return None
        forbidden = set(banned)
        best = max((i for i in range(self.n_rows) if i not in forbidden), key=lambda i: (row[i], -i), default=None)
        return None if best is None or row[best] == -math.inf else best

    def next_logprob(self, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` comes next."""
        row = log_softmax(self.next_logits())
        return logsumexp(row[token_id] for token_id in ids) if not math.isnan(row[0]) else math.nan

    def score(self, ids: Sequence[int]) -> list[float]:
        """ln p of each of `ids` in turn after the committed context."""
        self.rollback()
        logprobs = []
        for n, token_id in enumerate(ids):
            logprobs.append(log_softmax(self._row_after(ids[:n]))[token_id])
        if len(ids) > 1:
            self.forward_passes += 1
            self.tokens_processed += len(ids) - 1
        return logprobs

    def describe(self) -> dict[str, Any]:
        """What is known of the model."""
        return {"name": self.name, "kind": "scripted", "n_rows": self.n_rows, "limit": self.limit}

    def _row_after(self, ids: Sequence[int]) -> Row:
        """The row after the committed context and `ids`, without changing the context."""
        self._ids += tuple(ids)
        row = self.next_logits()
        self.rollback()
        return row
