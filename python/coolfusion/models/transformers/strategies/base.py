"""The interface of a strategy: one way to run a transformers model, with the kind of cache that it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from coolfusion.models.base import TokenPath
from coolfusion.models.transformers.forward import ForwardRunner

# A module's own cache holds nothing after a pass, one entry for each position in all layers, or something else.
CacheKind = Literal["nothing", "entry per position", "more"]


class Strategy(ABC):
    """One way to run a model.

    Args:
        passes: the forward passes of the model.

    Attributes:
        name: the name in `describe()`.
        batches_paths: whether any number of paths costs one pass.
        carries_window: whether its own masks carry the sliding window, so a short one shows the effect of a long one.
        rounds_only: whether nothing but rounding can be wrong, because the model is run as everybody runs it.
        is_definition: whether its logits are those that full passes are compared with; it needs no test.
    """

    name: ClassVar[str]
    batches_paths: ClassVar[bool] = False
    carries_window: ClassVar[bool] = False
    rounds_only: ClassVar[bool] = False
    is_definition: ClassVar[bool] = False

    def __init__(self, passes: ForwardRunner) -> None:
        self.passes = passes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.passes.name!r})"

    @classmethod
    def obstacle(cls, passes: ForwardRunner, kept: CacheKind, *, exact: bool) -> str | None:
        """Returns the reason why the strategy must not be tried, because numbers could not tell that it is wrong.

        Args:
            passes: the forward passes of the model.
            kept: the kind of the module's own cache.
            exact: whether the model, or a copy of it, computes in float32 or better.

        Returns:
            the reason; None if the strategy may be tried.
        """
        return "the model keeps nothing of a pass" if kept == "nothing" else None

    @abstractmethod
    def new_context(self) -> Any:
        """Returns a new empty context."""

    @abstractmethod
    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts, and reads them.

        Args:
            prompts: open contexts, each with checked ids, at least one.
        """

    @abstractmethod
    def forward(self, wanted: Sequence[tuple[Any, list[TokenPath]]]) -> None:
        """Computes paths that are missing.

        Args:
            wanted: open contexts, each once, with checked paths as `PathLogits.missing` returns them.
        """
