"""A deterministic model made of a function or a table, for tests, examples and documentation, without torch.

It takes the same calls as a real model, and counts passes as a model with a cache would. Logits may hold anything, also
nan and infinities, so that every branch of a loop can be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models.base import TokenPath
from coolfusion.models.numerics import log_softmax, logsumexp
from coolfusion.models.path_cache import PathLogits

Row = Sequence[float]


class ScriptedContext:
    """A text under a scripted model; made by `ScriptedModel.new_context`."""

    def __init__(self, model: ScriptedModel) -> None:
        self.forward_passes = 0
        self.processed_tokens = 0
        self._model = model
        self._ids: tuple[int, ...] = ()
        self._paths: PathLogits[Row] = PathLogits()

    def __repr__(self) -> str:
        return f"ScriptedContext({self._model.name!r}, {self.length} tokens)"

    @property
    def length(self) -> int:
        """Returns the number of committed ids."""
        return len(self._ids)

    def is_computed(self, path: TokenPath) -> bool:
        """Returns whether all committed ids and `path` have been read."""
        return path in self._paths

    def greedy(self, path: TokenPath) -> int | None:
        """Returns the most likely id after a computed path that is not suppressed; None if there is none."""
        row = self.next_logits(path)
        if math.isnan(log_softmax(row)[0]):
            return None
        allowed = set(range(len(row))) - set(self._model.suppress_tokens)
        best = max(allowed, key=lambda i: (row[i], -i), default=None)
        return None if best is None or row[best] == -math.inf else best

    def logprobs(self, path: TokenPath) -> list[float]:
        """Returns ln p of each id of `path` in turn; all of the path but its last id must be computed."""
        return [log_softmax(self.next_logits(path[:n]))[token_id] for n, token_id in enumerate(path)]

    def next_logprob(self, path: TokenPath, ids: Sequence[int]) -> float:
        """Returns ln of the summed probability of `ids` after a computed path; -inf for no ids."""
        row = log_softmax(self.next_logits(path))
        return logsumexp(row[token_id] for token_id in ids) if not math.isnan(row[0]) else math.nan

    def next_logits(self, path: TokenPath) -> Row:
        """Returns the logits after a computed path, (V,)."""
        return self._paths.rows[path]

    def commit(self, path: TokenPath) -> None:
        """Appends `path` to the committed ids and keeps the computed paths below it."""
        self._ids += path
        self._paths.commit(path)

    def clear(self) -> None:
        """Discards every computed path but the empty one."""
        self._paths.clear()

    def close(self) -> None:
        """Frees the memory."""
        self._paths.restart(())

    def _prefill(self, ids: Sequence[int]) -> int:
        self._ids = tuple(ids)
        self._paths.restart(ids)
        return self._forward(())

    def _forward(self, paths: Sequence[TokenPath]) -> int:
        """Reads the missing paths, and returns the number of tokens."""
        missing = self._paths.missing(paths)
        if not missing:
            return 0
        self._model._check(self._ids, paths)
        rows = {path: self._model._row(self._ids + path) for path in missing}
        count = len(self._paths.uncomputed_ids) + sum(1 for path in missing if path)
        self._paths.rows.update(rows)
        self._paths.uncomputed_ids = ()
        self.forward_passes += 1
        self.processed_tokens += count
        return count


class ScriptedModel:
    """A `LanguageModel` whose logits are a function of the context's ids.

    Args:
        logits: from the context, a tuple of ids, to a row of `logits_size` logits in nats.
        logits_size: length of a row.
        eos_token_ids: ids that end a text.
        max_model_len: most tokens of one context, or None; a longer one raises ModelError, as a real model would fail.
        name: the name in messages and records.
        device: any name; models with the same device take turns.

    Example:
        >>> model = ScriptedModel.from_table({(): {1: 0.75, 2: 0.25}, (1,): {0: 1.0}}, 3, eos_token_ids=(0,))
        >>> context = model.new_context()
        >>> model.prefill([(context, [2])])
        >>> context.greedy(())
        1
        >>> context.next_logprob((), [1, 2]) > -1e-9
        True
    """

    def __init__(
        self,
        logits: Callable[[tuple[int, ...]], Row],
        logits_size: int,
        *,
        eos_token_ids: Sequence[int] = (),
        max_model_len: int | None = None,
        name: str = "scripted",
        device: str = "script",
    ) -> None:
        self.name = name
        self.device = device
        self.batches_paths = True
        self.logits_size = logits_size
        self.max_model_len = max_model_len
        self.eos_token_ids = tuple(eos_token_ids)
        self.suppress_tokens: frozenset[int] = frozenset()
        self.forward_passes = 0
        self.processed_tokens = 0
        self._logits = logits

    def __repr__(self) -> str:
        return f"ScriptedModel({self.name!r}, logits_size={self.logits_size})"

    @classmethod
    def from_table(
        cls,
        table: Mapping[tuple[int, ...], Mapping[int, float]],
        logits_size: int,
        *,
        eos_token_ids: Sequence[int] = (),
        max_model_len: int | None = None,
        name: str = "scripted",
    ) -> ScriptedModel:
        """Returns a model made from a table of probabilities.

        Args:
            table: from the last ids of a context to {id: probability}; the longest matching key counts, the key ()
                matches always. Probabilities are normalised; ids that are not named have none.
            logits_size: length of a row.
            eos_token_ids: ids that end a text.
            max_model_len: most tokens of one context, or None.
            name: the name in messages and records.

        Raises:
            ArgumentError: the table has no key ().
        """
        if () not in table:
            raise ArgumentError("the table needs a row under the key () for contexts that match no other key")
        longest = max(len(key) for key in table)

        def row(ids: tuple[int, ...]) -> Row:
            tails = (ids[len(ids) - n :] for n in range(min(longest, len(ids)), -1, -1))
            chances = next(table[tail] for tail in tails if tail in table)
            return [math.log(chances[i]) if chances.get(i, 0.0) > 0.0 else -math.inf for i in range(logits_size)]

        return cls(row, logits_size, eos_token_ids=eos_token_ids, max_model_len=max_model_len, name=name)

    def new_context(self) -> ScriptedContext:
        """Returns a new empty context."""
        return ScriptedContext(self)

    def prefill(self, prompts: Sequence[tuple[ScriptedContext, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts and reads them, in one pass for all contexts.

        Args:
            prompts: contexts, each with at least one id and at most `max_model_len`.

        Raises:
            ModelError: an id has no logit, or there are no ids or too many.
        """
        for _, ids in prompts:
            self._check(tuple(ids), ())
            if not ids:
                raise ModelError(f"{self.name}: nothing to read; expected at least one token")
        self._count([context._prefill(ids) for context, ids in prompts])

    def forward(self, wanted: Sequence[tuple[ScriptedContext, Sequence[TokenPath]]]) -> None:
        """Computes paths, in one pass for all contexts.

        Args:
            wanted: contexts, each with the paths to compute.

        Raises:
            ModelError: an id has no logit, or a path grows over `max_model_len`.
        """
        self._count([context._forward(paths) for context, paths in wanted])

    def describe(self) -> dict[str, Any]:
        """Returns the facts about the model as values that JSON can hold."""
        return {
            "name": self.name,
            "kind": "scripted",
            "logits_size": self.logits_size,
            "max_model_len": self.max_model_len,
        }

    def _count(self, tokens: Sequence[int]) -> None:
        if any(tokens):
            self.forward_passes += 1
            self.processed_tokens += sum(tokens)

    def _check(self, ids: tuple[int, ...], paths: Sequence[TokenPath]) -> None:
        for token_id in (*ids, *(token_id for path in paths for token_id in path)):
            if not 0 <= token_id < self.logits_size:
                raise ModelError(f"{self.name}: token id {token_id} has no row, expected 0..{self.logits_size}")
        longest = len(ids) + max(map(len, paths), default=0)
        if self.max_model_len is not None and longest > self.max_model_len:
            raise ModelError(f"{self.name}: {longest} tokens of context, the limit is {self.max_model_len}")

    def _row(self, ids: tuple[int, ...]) -> Row:
        row = self._logits(ids)
        if len(row) != self.logits_size:
            raise ModelError(f"{self.name}: the script gave {len(row)} logits, expected {self.logits_size}")
        return row
