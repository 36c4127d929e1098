"""What a model said behind the tokens of one pass: rows of logits, and of each the few numbers that are asked for most.

The greedy id and the normaliser of all rows of a pass come over from the device in one transfer; the rows themselves
stay there, in the model's own dtype, for the rare token that is neither.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coolfusion.errors import ModelError
from coolfusion.models.base import Path
from coolfusion.models.trie import Trie
from coolfusion.scoring import logsumexp

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

# Relative to the largest logit: passes of another shape round otherwise, by some units of the dtype.
NEAR_TIE_UNITS = 16
# Rows that are widened to float64 together: with 128K tokens 64 MB.
ROWS_AT_A_TIME = 64
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
        top = logits.topk(min(2, logits.shape[-1]), -1)  # (N, 2)
        parts = [part.double().logsumexp(-1) for part in logits.split(ROWS_AT_A_TIME)]
        norm = torch.cat(parts)  # (N,) float64
        values = top.values.double()
        found = torch.stack([top.indices[:, 0].double(), values[:, 0], values[:, -1], norm]).tolist()
        self._top, self._second, self._norm = found[1:]
        # Of equals the first one: argmax promises that, topk does not.
        equal = [best == second for best, second in zip(self._top, self._second, strict=True)]
        self._best = [int(logits[at].argmax()) if equal[at] else int(value) for at, value in enumerate(found[0])]
        self._near = NEAR_TIE_UNITS * float(torch.finfo(logits.dtype).eps)

    def greedy(self, at: int, banned: tuple[int, ...], forbidden: frozenset[int]) -> int | None:
        """The most likely id of a row that is not banned; None where the row is no distribution.

        Args:
            at: the row.
            banned: ids that are never answered.
            forbidden: the same ids.
        """
        if not self.is_distribution(at):
            return None
        best = self._best[at]
        if best not in forbidden:
            margin = self._top[at] - self._second[at]
            if margin <= self._near * max(1.0, abs(self._top[at])):
                _log.info("%s: near-tie between the two best tokens: margin %.3g nats", self._name, margin)
            return best
        row = self._logits[at].clone()  # (V,)
        row[list(banned)] = -math.inf
        best = int(row.argmax())
        return best if math.isfinite(float(row[best])) else None

    def is_distribution(self, at: int) -> bool:
        """Whether a row has neither nan nor +inf, and something else than -inf."""
        return math.isfinite(self._norm[at])

    def logprob(self, at: int, token_id: int) -> float:
        """ln p of a token in a row, float64; nan where the row is no distribution."""
        if not self.is_distribution(at):
            return math.nan
        norm = float(self._norm[at])
        if token_id == self._best[at]:
            return float(self._top[at]) - norm
        return float(self._logits[at, token_id]) - norm

    def logits(self, at: int) -> list[float]:
        """(V,) float64."""
        row: list[float] = self.tensor(at).tolist()
        return row

    def tensor(self, at: int) -> Any:
        """(V,) float64, on the device."""
        return self._logits[at].double()


class Row(NamedTuple):
    """One row of a pass."""

    rows: Rows
    at: int


class Known:
    """What both kinds of contexts have: committed ids, and rows behind known paths.

    Attributes:
        model: the runner.
        ids: the committed ids.
        trie: the known paths.
        forward_passes: passes in which this context had a part.
        processed_tokens: its own tokens that went through them.
    """

    def __init__(self, model: HuggingFaceModel) -> None:
        self.forward_passes = self.processed_tokens = 0
        self.model = model
        self.ids: list[int] = []
        self.trie: Trie[Row] = Trie()
        self.closed = False

    @property
    def length(self) -> int:
        """Number of committed ids."""
        return len(self.ids)

    def is_known(self, path: Path) -> bool:
        """Whether the model has read all committed ids and `path`."""
        return path in self.trie

    def greedy(self, path: Path) -> int | None:
        """The most likely id behind a known path that is not banned; None if there is none."""
        rows, at = self.trie.rows[path]
        return rows.greedy(at, self.model.banned, self.model.forbidden)

    def logprobs(self, path: Path) -> list[float]:
        """ln p of each id of `path` in turn; all of the path but its last id must be known."""
        before = (self.trie.rows[path[:n]] for n in range(len(path)))
        return [row.rows.logprob(row.at, token_id) for row, token_id in zip(before, path, strict=True)]

    def next_logprob(self, path: Path, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` stands behind a known path."""
        rows, at = self.trie.rows[path]
        return logsumexp(rows.logprob(at, token_id) for token_id in ids) if rows.is_distribution(at) else math.nan

    def next_logits(self, path: Path) -> list[float]:
        """The row of logits behind a known path, (V,) float64."""
        rows, at = self.trie.rows[path]
        return rows.logits(at)

    def next_row(self, path: Path) -> Any:
        """The row of logits behind a known path, (V,) float64, on the device."""
        rows, at = self.trie.rows[path]
        return rows.tensor(at)

    def check_open(self) -> None:
        """Raises ModelError if it was closed."""
        if self.closed:
            raise ModelError(f"{self.model.name}: a closed context cannot be used")
