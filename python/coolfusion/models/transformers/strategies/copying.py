"""Strategies for any kind of state: a path that may lose is read into a copy of the state after the text."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from coolfusion.models.transformers.forward import ForwardRunner
from coolfusion.models.transformers.strategies.base import CacheKind
from coolfusion.models.transformers.strategies.sequential import SequentialContext, SequentialStrategy, common_length


class CopyStrategy(SequentialStrategy):
    """Copies the state, and continues it by several tokens in one pass."""

    name = "copy"

    @classmethod
    def obstacle(cls, passes: ForwardRunner, kept: CacheKind, *, exact: bool) -> str | None:
        """Returns the reason against copying, a state that goes wrong too slowly for half precision to show it."""
        if kept == "more" and not exact and not cls.rounds_only:
            return "rounding would hide a state that goes wrong over several tokens"
        return super().obstacle(passes, kept, exact=exact)

    def rewound(self, context: SequentialContext, target: list[int], first: int) -> tuple[int, Any]:
        """Returns the state, or a copy of an earlier one, and the length of the prefix of `target` that it has read."""
        if self.crosses_switch(context, target):
            context.kept, context.copy = [], None
            return 0, None
        line, torch = context.line, self.passes.torch
        if context.cache is not None and min(common_length(line, target), first) == len(line):
            if line == context.ids[: len(line)]:  # committed ids cannot lose, so every later path begins with them
                with torch.inference_mode():
                    context.kept, context.copy = line, copy.deepcopy(context.cache)
            return len(line), context.cache
        kept = context.kept
        if context.copy is not None and target[: len(kept)] == kept and len(kept) <= first:
            with torch.inference_mode():
                return len(kept), copy.deepcopy(context.copy)
        return 0, None


class StepwiseStrategy(CopyStrategy):
    """Copies the state, and continues it token by token."""

    name = "stepwise"
    rounds_only = True

    def chunks(self, line: list[int], start: int) -> Iterable[list[int]]:
        """Returns single ids; from the first token on also such a model reads many ids at a time."""
        return [[token_id] for token_id in line] if start else [line]
