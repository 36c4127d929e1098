"""A model that computes in another process, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from coolfusion.errors import ModelError
from coolfusion.models.base import LanguageModel


class ModelFacts(NamedTuple):
    """The facts of a model that the engine needs, as plain values; the attributes are those of `LanguageModel`."""

    name: str
    logits_size: int
    max_model_len: int | None
    eos_token_ids: tuple[int, ...]
    device: str
    batches_paths: bool
    pass_seconds: tuple[float, float] | None
    description: dict[str, Any]

    @classmethod
    def of(cls, runner: LanguageModel, name: str) -> ModelFacts:
        """Returns the facts of a model."""
        seconds = getattr(runner, "pass_seconds", None)
        return cls(
            name,
            runner.logits_size,
            runner.max_model_len,
            tuple(runner.eos_token_ids),
            runner.device,
            runner.batches_paths,
            None if seconds is None else (float(seconds[0]), float(seconds[1])),
            runner.describe(),
        )


class RemoteModel:
    """A `LanguageModel` that computes in another process: it can be described, and not called from here.

    Args:
        facts: the facts of the model.
    """

    def __init__(self, facts: ModelFacts) -> None:
        self._facts = facts
        self.name = facts.name
        self.logits_size = facts.logits_size
        self.max_model_len = facts.max_model_len
        self.eos_token_ids = facts.eos_token_ids
        self.device = facts.device
        self.pass_seconds = facts.pass_seconds
        self.suppress_tokens: frozenset[int] = frozenset()
        self.forward_passes = self.processed_tokens = 0

    def __repr__(self) -> str:
        return f"RemoteModel(name={self.name!r}, device={self.device!r})"

    @property
    def batches_paths(self) -> bool:
        """Returns whether any number of paths costs one pass."""
        return self._facts.batches_paths

    def new_context(self) -> NoReturn:
        """Raises ModelError, because the contexts are in the process of the model."""
        raise ModelError(f"{self.name} computes in another process; its contexts cannot be used from here")

    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> NoReturn:
        """Raises ModelError, as `new_context`."""
        self.new_context()

    def forward(self, wanted: Sequence[tuple[Any, Sequence[Any]]]) -> NoReturn:
        """Raises ModelError, as `new_context`."""
        self.new_context()

    def describe(self) -> dict[str, Any]:
        """Returns the description of the model that its own process made."""
        return dict(self._facts.description)
