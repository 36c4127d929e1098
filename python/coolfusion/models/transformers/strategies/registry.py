"""The strategies in the order of preference. The self-test takes the first that agrees with full passes."""

from __future__ import annotations

from coolfusion.models.transformers.strategies.base import Strategy
from coolfusion.models.transformers.strategies.copying import CopyStrategy, StepwiseStrategy
from coolfusion.models.transformers.strategies.cropping import BatchStrategy, CropStrategy
from coolfusion.models.transformers.strategies.recompute import RecomputeEachStrategy, RecomputeStrategy
from coolfusion.models.transformers.strategies.tree import TreeStrategy

# Compared with full passes, in this order.
TESTED: tuple[type[Strategy], ...] = (TreeStrategy, BatchStrategy, CropStrategy, CopyStrategy, StepwiseStrategy)
_ALL: tuple[type[Strategy], ...] = (*TESTED, RecomputeStrategy, RecomputeEachStrategy)
STRATEGIES = {each.name: each for each in _ALL}
