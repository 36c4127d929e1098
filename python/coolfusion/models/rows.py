"""What a model said behind the tokens of one pass: rows of logits, and of each the few numbers that are asked for most.

The greedy id and the normaliser of all rows of a pass come over from the device in one transfer; the rows themselves
stay there, in the model's own dtype, for the rare token that is neither.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

# Relative to the largest logit: passes of another shape round otherwise, by some units of the dtype.
NEAR_TIE_UNITS = 16
_log = logging.getLogger("coolfusion")


class Rows:
    """The rows of one pass.

    Args:
        torch: the module.
        logits: (N, V) in the model's dtype, on its device.
        name: the model's, for messages.
    """

    def __init__(self, torch: Any, logits: Any, name: str) -> None:
        self._torch, self._logits, self._name = torch, logits, name
        best = logits.argmax(-1)  # (N,) int64, the first of equals
        top = logits.topk(min(2, logits.shape[-1]), -1).values.double()  # (N, 2)
        norm = logits.double().logsumexp(-1)  # (N,) float64
        found = torch.stack([best.double(), top[:, 0], top[:, -1], norm]).tolist()
        self._best = [int(value) for value in found[0]]
        self._top, self._second, self._norm = found[1:]
        self._near = NEAR_TIE_UNITS * float(torch.finfo(logits.dtype).eps)

    def greedy(self, at: int, banned: tuple[int, ...], forbidden: frozenset[int]) -> int | None:
        """The most likely id of a row that is not banned; None where the row is no distribution.

        Args:
            at: the row.
            banned: ids that are never answered.
            forbidden: the same ids.
        """
        if not math.isfinite(self._norm[at]):
            return None
        best = self._best[at]
        if best not in forbidden:
            if (
                self._top[at] - self._second[at] <= self._near * max(1.0, abs(self._top[at]))
                and self._second[at] != self._top[at]
            ):
                margin = self._top[at] - self._second[at]
                _log.info("%s: near-tie between the two best tokens: margin %.3g nats", self._name, margin)
            return best
        row = self._logits[at].clone()  # (V,)
        row[list(banned)] = -math.inf
        best = int(row.argmax())
        return best if math.isfinite(float(row[best])) else None

    def logprob(self, at: int, token_id: int) -> float:
        """ln p of a token in a row, float64; nan where the row is no distribution."""
        norm = self._norm[at]
        if not math.isfinite(norm):
            return math.nan
        if token_id == self._best[at]:
            return float(self._top[at] - norm)
        return float(self._logits[at, token_id]) - norm

    def logits(self, at: int) -> list[float]:
        """(V,) float64."""
        row: list[float] = self._logits[at].double().tolist()
        return row


class Row(NamedTuple):
    """One row of a pass."""

    rows: Rows
    at: int


def logprobs(known: dict[tuple[int, ...], Row], path: Sequence[int]) -> list[float]:
    """ln p of each id of a path of which all but the last are known."""
    path = tuple(path)
    found = []
    for n, token_id in enumerate(path):
        row = known[path[:n]]
        found.append(row.rows.logprob(row.at, token_id))
    return found
