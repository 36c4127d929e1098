"""Comparison of a model's rows with those of whole passes: the largest difference, relative to the largest logit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

# Relative to the largest logit. Right caches are at 2e-6 in float32; rounding grows with the width of a model and
# with the unit of the dtype, wrong caches are at 1e-2 and more.
FLOAT32_TOLERANCE = 1e-4
# In half precision rounding hides a wrong cache (MPT in a tree is off by 8e-2, ten units of bfloat16): what is right is
# decided on a copy in float32, and the model itself must only stay within so many units.
UNITS_OF_HALF_PRECISION = 16
# Without a copy, since it would be larger than 1 GB or cannot be made: within these, or some times the noise, which is
# what passes over texts of other lengths differ by.
UNITS_WITHOUT_COPY = 4


class Setting:
    """One way in which a model is looked at: the whole passes over some texts, each made once.

    Args:
        runner: the model.
    """

    def __init__(self, runner: HuggingFaceModel) -> None:
        self.runner = runner
        self._passes: dict[tuple[int, ...], Any] = {}  # (T, V) in the model's dtype
        self.scale = 1.0

    def prepare(self, texts: Iterable[Sequence[int]]) -> None:
        """Pass over each text that is no beginning of another."""
        tier, self.runner.tier = self.runner.tier, "full"
        try:
            for text in sorted({tuple(text) for text in texts}, key=len, reverse=True):
                if not any(known[: len(text)] == text for known in self._passes):
                    logits = self.runner.call_with_state(text, None, keep=len(text))[0][0]
                    self._passes[text] = logits
                    self.scale = max(self.scale, scale_of(logits))
        finally:
            self.runner.tier = tier

    def row(self, text: Sequence[int]) -> Any:
        """The row behind a text that is prepared, (V,) float64."""
        text = tuple(text)
        return next(rows[len(text) - 1].double() for known, rows in self._passes.items() if known[: len(text)] == text)

    def worst(self, found: Sequence[tuple[tuple[int, ...], Any]]) -> float:
        """The largest difference of rows from those of whole passes, relative to the largest logit."""
        self.prepare(text for text, _ in found)
        return max((difference(row, self.row(text)) for text, row in found), default=0.0) / self.scale


def units(runner: HuggingFaceModel, count: int) -> float:
    """So many units of the dtype, and in float32 and above what is allowed there."""
    return max(FLOAT32_TOLERANCE, count * float(runner.torch.finfo(runner.dtype).eps))


def random_ids(runner: HuggingFaceModel, length: int) -> list[int]:
    """So many ids from a fixed seed, or as many as fit."""
    # Where the position embedding changes with the length, no cache agrees; the runner sees to that by itself.
    length = min(length, runner.limit or length, runner.switch or length)
    generator = runner.torch.Generator().manual_seed(0)
    ids: list[int] = runner.torch.randint(runner.n_rows, (length,), generator=generator).tolist()
    return ids


def difference(row: Any, wanted: Any) -> float:
    """The largest difference of two rows; inf where a number stands in one of them alone."""
    plain = float((row - wanted).abs().max())
    if math.isfinite(plain):
        return plain
    same = (row == wanted) | (row.isnan() & wanted.isnan())
    return float((row - wanted).abs().masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf).max())


def scale_of(rows: Any) -> float:
    """The largest finite logit, at least 1."""
    plain = float(rows.abs().max())
    return max(1.0, plain if math.isfinite(plain) else float(rows.nan_to_num(0.0, 0.0, 0.0).abs().max()))
