"""Strategies without a cache: every pass reads the whole context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.models.base import TokenPath
from coolfusion.models.transformers.strategies.sequential import SequentialContext, SequentialStrategy


class RecomputeStrategy(SequentialStrategy):
    """Reads each path in a pass over the whole context."""

    name = "recompute"
    uses_cache = False

    def rewound(self, context: SequentialContext, target: list[int], first: int) -> tuple[int, Any]:
        """Returns no cache and a prefix of no ids."""
        return 0, None


class RecomputeEachStrategy(RecomputeStrategy):
    """Makes a pass for each row, for models whose rows depend on the tokens after them."""

    name = "recompute_each"
    is_definition = True

    def passes_of(self, missing: Sequence[TokenPath]) -> list[TokenPath]:
        """Returns every missing path."""
        return list(missing)
