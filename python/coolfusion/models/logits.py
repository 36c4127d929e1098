"""Logits of forward passes, and the base class of contexts that look them up by path.

The argmax and the log-normalizer of every row of a pass are copied to the host in one transfer. The rows themselves
stay on the device in the model's own dtype, because other tokens are rarely asked for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from coolfusion.errors import ModelError
from coolfusion.models.base import TokenPath
from coolfusion.models.path_cache import PathLogits

# A near-tie is a margin of this many units of the dtype, relative to the largest logit, because passes of other
# shapes round otherwise by some units.
NEAR_TIE_UNITS = 16
# Rows that are widened to float64 together; with 128K tokens they take 64 MB.
ROWS_AT_A_TIME = 64
_log = logging.getLogger("coolfusion")


class LogitsOwner(Protocol):
    """The runner that logits and contexts belong to.

    Attributes:
        torch: the module.
        name: the model's name in messages.
        suppress_tokens: ids that `greedy` never returns.
    """

    torch: Any
    name: str
    suppress_tokens: frozenset[int]

    def index_tensor(self, ids: Sequence[int], device: Any) -> Any:
        """Returns `ids` as an (N,) int64 tensor on a device."""


class LogitsBatch:
    """The logits of one pass.

    Args:
        owner: the runner that made the pass.
        logits: (N, V) in the model's dtype, on its device.
    """

    def __init__(self, owner: LogitsOwner, logits: Any) -> None:
        self._owner, self._logits = owner, logits
        torch = owner.torch
        top = logits.topk(min(2, logits.shape[-1]), -1)  # (N, 2)
        parts = [part.double().logsumexp(-1) for part in logits.split(ROWS_AT_A_TIME)]
        norm = torch.cat(parts)  # (N,) float64
        values = top.values.double()
        found = torch.stack([top.indices[:, 0].double(), values[:, 0], values[:, -1], norm]).tolist()
        self._top, self._second, self._norm = found[1:]
        # argmax returns the first of equal values, which topk does not promise.
        equal = [best == second for best, second in zip(self._top, self._second, strict=True)]
        self._best = [int(logits[at].argmax()) if equal[at] else int(value) for at, value in enumerate(found[0])]
        self._near = NEAR_TIE_UNITS * float(torch.finfo(logits.dtype).eps)

    def greedy(self, at: int) -> int | None:
        """Returns the most likely id of row `at` that is not suppressed; None where the row is no distribution."""
        if not self.is_distribution(at):
            return None
        best, suppressed = self._best[at], self._owner.suppress_tokens
        if best not in suppressed:
            margin = self._top[at] - self._second[at]
            if margin <= self._near * max(1.0, abs(self._top[at])):
                _log.info("%s: near-tie between the two best tokens: margin %.3g nats", self._owner.name, margin)
            return best
        row = self._logits[at].clone()  # (V,)
        row[list(suppressed)] = -math.inf
        best = int(row.argmax())
        return best if math.isfinite(float(row[best])) else None

    def is_distribution(self, at: int) -> bool:
        """Returns whether row `at` has neither nan nor +inf, and a value other than -inf."""
        return math.isfinite(self._norm[at])

    def logprob(self, at: int, token_id: int) -> float:
        """Returns ln p of a token in row `at`; nan where the row is no distribution."""
        if not self.is_distribution(at):
            return math.nan
        norm = float(self._norm[at])
        if token_id == self._best[at]:
            return float(self._top[at]) - norm
        return float(self._logits[at, token_id]) - norm

    def summed_logprob(self, at: int, ids: Sequence[int]) -> float:
        """Returns ln of the summed probability of `ids` in row `at`.

        Returns:
            nats; -inf for no ids; nan where the row is no distribution.

        Complexity: one gather and sum on the device and one transfer, for any number of ids.
        """
        if not self.is_distribution(at):
            return math.nan
        if not ids:
            return -math.inf
        index = self._owner.index_tensor(ids, self._logits.device)  # (N,)
        return float((self._logits[at].index_select(0, index).double() - self._norm[at]).logsumexp(0))

    def draw(
        self, at: int, barred: Sequence[int], temperature: float, top_p: float, number: float, min_p: float
    ) -> int | None:
        """Returns the id of row `at` at which the cumulated probability passes a number; None without a distribution.

        Args:
            at: the row.
            barred: ids that are never drawn.
            temperature: above 0.
            top_p: only the fewest most likely ids with this probability in all count.
            number: from 0 on and below 1.
            min_p: only ids that are at least so likely, as a share of the most likely one, count.

        Complexity: one sort on the device and one transfer.
        """
        if not self.is_distribution(at):
            return None
        torch, row = self._owner.torch, self._logits[at].double()
        if barred:
            row = row.index_fill(0, self._owner.index_tensor(barred, row.device), -math.inf)
        values, order = row.sort(descending=True, stable=True)  # (V,)
        masses = ((values - values[0]) / temperature).exp()
        sums = masses.cumsum(0)
        kept = (masses >= min_p * masses[0]) & (masses > 0)
        if top_p < 1.0:
            kept &= (sums - masses) < top_p * masses.sum()
        last = kept.sum().clamp(min=1) - 1
        found = torch.searchsorted(sums, number * sums[last], right=True).minimum(last)
        chosen, best = torch.stack([order[found].double(), values[0]]).tolist()
        return int(chosen) if math.isfinite(best) else None

    def logits(self, at: int) -> list[float]:
        """Returns row `at`, (V,) float64."""
        row: list[float] = self.tensor(at).tolist()
        return row

    def tensor(self, at: int) -> Any:
        """Returns row `at` on the device, (V,) float64."""
        return self._logits[at].double()


class LogitsRow(NamedTuple):
    """One row of the logits of a pass."""

    batch: LogitsBatch
    at: int


class ContextBase:
    """A context of a runner: committed ids, and the logits after computed paths.

    Args:
        owner: the runner.

    Attributes:
        owner: the runner.
        ids: the committed ids.
        paths: the computed paths.
        closed: whether the memory was freed.
        forward_passes: passes in which this context took part.
        processed_tokens: its own tokens in those passes.
    """

    def __init__(self, owner: LogitsOwner) -> None:
        self.forward_passes = self.processed_tokens = 0
        self.owner = owner
        self.ids: list[int] = []
        self.paths: PathLogits[LogitsRow] = PathLogits()
        self.closed = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.length} tokens"
        return f"{type(self).__name__}({self.owner.name!r}, {state})"

    @property
    def length(self) -> int:
        """Returns the number of committed ids."""
        return len(self.ids)

    def is_computed(self, path: TokenPath) -> bool:
        """Returns whether the model has read all committed ids and `path`."""
        return path in self.paths

    def greedy(self, path: TokenPath) -> int | None:
        """Returns the most likely id after a computed path that is not suppressed; None if there is none."""
        batch, at = self.paths.rows[path]
        return batch.greedy(at)

    def logprobs(self, path: TokenPath) -> list[float]:
        """Returns ln p of each id of `path` in turn; all of the path but its last id must be computed."""
        before = (self.paths.rows[path[:n]] for n in range(len(path)))
        return [row.batch.logprob(row.at, token_id) for row, token_id in zip(before, path, strict=True)]

    def next_logprob(self, path: TokenPath, ids: Sequence[int]) -> float:
        """Returns ln of the summed probability of `ids` after a computed path; -inf for no ids."""
        batch, at = self.paths.rows[path]
        return batch.summed_logprob(at, ids)

    def next_logits(self, path: TokenPath) -> list[float]:
        """Returns the logits after a computed path, (V,) float64."""
        batch, at = self.paths.rows[path]
        return batch.logits(at)

    def draw(
        self, path: TokenPath, barred: Sequence[int], temperature: float, top_p: float, number: float, min_p: float
    ) -> int | None:
        """Draws an id after a computed path on the device, as `members.sampling.draw` does from a list of logits."""
        batch, at = self.paths.rows[path]
        return batch.draw(at, barred, temperature, top_p, number, min_p)

    def next_row(self, path: TokenPath) -> Any:
        """Returns the logits after a computed path on the device, (V,) float64."""
        batch, at = self.paths.rows[path]
        return batch.tensor(at)

    def commit(self, path: TokenPath) -> None:
        """Appends `path` to the committed ids and keeps the computed paths below it."""
        self.ids += path
        self.paths.commit(path)

    def clear(self) -> None:
        """Discards every computed path but the empty one."""
        self.paths.clear()

    def restart(self, ids: Sequence[int]) -> None:
        """Discards everything; `ids` are then committed and uncomputed."""
        self.ids = list(ids)
        self.paths.restart(ids)

    def close(self) -> None:
        """Frees the memory. A closed context cannot be used."""
        self.closed = True
        self.paths.restart(())

    def check_open(self) -> None:
        """Raises ModelError if the context was closed."""
        if self.closed:
            raise ModelError(f"{self.owner.name}: a closed context cannot be used")
