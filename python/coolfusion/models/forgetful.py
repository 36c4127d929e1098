"""A wrapper that makes a model keep nothing, so that the fusion loop is the paper's, as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.models.base import LanguageModel, TokenPath


class ForgetfulModel:
    """A `LanguageModel` that keeps no computed path from pass to pass, and reads every path in a pass of its own.

    It is the slow twin of everything that is computed once and used again, for tests and benchmarks. No draft is read,
    no score is shared, and a member's own words are computed token by token.

    Args:
        runner: the model, which must not be used by another member at the same time.

    Example:
        >>> from coolfusion.models import ScriptedModel
        >>> model = ForgetfulModel(ScriptedModel(lambda ids: [0.0, 1.0], 2))
        >>> context = model.new_context()
        >>> model.prefill([(context, [0])])
        >>> model.forward([(context, [(1, 1), (1, 0)])])
        >>> model.forward_passes
        3
    """

    batches_paths = False

    def __init__(self, runner: LanguageModel) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the model that is not defined here."""
        return getattr(self._runner, name)

    def __repr__(self) -> str:
        return f"ForgetfulModel({self._runner!r})"

    @property
    def suppress_tokens(self) -> frozenset[int]:
        """Returns the ids that are never written."""
        return self._runner.suppress_tokens

    @suppress_tokens.setter
    def suppress_tokens(self, ids: frozenset[int]) -> None:
        self._runner.suppress_tokens = ids

    def forward(self, wanted: Sequence[tuple[Any, Sequence[TokenPath]]]) -> None:
        """Computes paths, each in a pass of its own.

        Raises:
            ModelError: as the wrapped model.
        """
        for context, paths in wanted:
            context.clear()
            for path in paths or [()]:
                if not context.is_computed(path):
                    self._runner.forward([(context, [path])])
