"""Comparison of a model's logits with those of full passes: the largest difference, relative to the largest logit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from coolfusion.models.transformers.forward import ForwardRunner

# Relative to the largest logit. Right caches are at 2e-6 in float32; rounding grows with the width of a model and
# with the unit of the dtype. Wrong caches are at 1e-2 and more.
FLOAT32_TOLERANCE = 1e-4
# In half precision rounding hides a wrong cache (MPT in a tree is off by 8e-2, ten units of bfloat16). A copy in
# float32 therefore decides on the right numbers, and the model itself must only stay within this many units.
UNITS_OF_HALF_PRECISION = 16
# Without a copy, because it would be larger than 1 GB or cannot be made: within these, or some times the noise, which
# is the difference of passes over texts of other lengths.
UNITS_WITHOUT_COPY = 4
# The longest window, in tokens, that the self-test runs past. A longer rule of attention cannot be tested.
LONGEST_TESTED_WINDOW = 512


class FullPasses:
    """The full passes over some texts, each made once.

    Args:
        passes: the forward passes of the model.

    Attributes:
        passes: the forward passes of the model.
        scale: the largest logit so far, at least 1.
    """

    def __init__(self, passes: ForwardRunner) -> None:
        self.passes = passes
        self._logits: dict[tuple[int, ...], Any] = {}  # (T, V) in the model's dtype
        self.scale = 1.0

    def prepare(self, texts: Iterable[Sequence[int]]) -> None:
        """Makes a pass over each text that is no prefix of another."""
        for text in sorted({tuple(text) for text in texts}, key=len, reverse=True):
            if not any(known[: len(text)] == text for known in self._logits):
                logits = self.passes.whole(text)
                self._logits[text] = logits
                self.scale = max(self.scale, scale_of(logits))

    def row(self, text: Sequence[int]) -> Any:
        """Returns the logits after a prepared text, (V,) float64."""
        text = tuple(text)
        return next(rows[len(text) - 1].double() for known, rows in self._logits.items() if known[: len(text)] == text)

    def worst(self, found: Sequence[tuple[tuple[int, ...], Any]]) -> float:
        """Returns the largest difference of rows from those of full passes, relative to the largest logit.

        Args:
            found: texts, each with a row after it, (V,) float64.
        """
        self.prepare(text for text, _ in found)
        return max((difference(row, self.row(text)) for text, row in found), default=0.0) / self.scale


def units(passes: ForwardRunner, count: int) -> float:
    """Returns `count` units of the dtype; in float32 and above the tolerance of float32."""
    return max(FLOAT32_TOLERANCE, count * float(passes.torch.finfo(passes.dtype).eps))


def random_ids(passes: ForwardRunner, length: int) -> list[int]:
    """Returns `length` ids from a fixed seed, or as many as fit."""
    # No cache agrees where the positions change with the length; strategies handle the change themselves.
    length = min(length, passes.max_model_len or length, passes.switch or length)
    generator = passes.torch.Generator().manual_seed(0)
    ids: list[int] = passes.torch.randint(passes.logits_size, (length,), generator=generator).tolist()
    return ids


def difference(row: Any, wanted: Any) -> float:
    """Returns the largest difference of two rows; inf where a number stands in one of them alone."""
    plain = float((row - wanted).abs().max())
    if math.isfinite(plain):
        return plain
    same = (row == wanted) | (row.isnan() & wanted.isnan())
    return float((row - wanted).abs().masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf).max())


def scale_of(rows: Any) -> float:
    """Returns the largest finite logit, at least 1."""
    plain = float(rows.abs().max())
    return max(1.0, plain if math.isfinite(plain) else float(rows.nan_to_num(0.0, 0.0, 0.0).abs().max()))
