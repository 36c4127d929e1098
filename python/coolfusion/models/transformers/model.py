"""A transformers causal model as a `LanguageModel`, run by the best strategy that a self-test proves right at load.

The caches of architectures differ in their abilities, and some are wrong without an error. For example, a recurrent
state cannot be cropped. Positional biases ignore the positions of a tree, and some models continue by single tokens
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.errors import ArgumentError, ModelError
from coolfusion.models.base import TokenPath
from coolfusion.models.costs import pass_seconds
from coolfusion.models.transformers.config import find_eos_token_ids
from coolfusion.models.transformers.forward import ForwardRunner
from coolfusion.models.transformers.selftest import choose_strategy
from coolfusion.models.transformers.strategies.base import Strategy
from coolfusion.models.transformers.strategies.registry import STRATEGIES


class HuggingFaceModel:
    """A `LanguageModel` that runs one transformers causal model. Two runners may share a module.

    Args:
        module: a transformers model with a language-model head; it is put into eval mode.
        name: the name in messages and records.
        eos_token_ids: ids that end a text; None takes them from the model's configurations.
        max_model_len: most tokens of one context; None takes the number from the configuration.
        strategy: the name of a strategy in `registry.STRATEGIES`; None takes the best by a self-test.

    Attributes:
        module: the torch module, whose calls are the passes.
        passes: its forward passes, counted.
        runner: the strategy that makes them.
        eos_token_ids: ids that end a text, in ascending order.
        device: the device, as text.
        pass_seconds: assumed seconds of a pass over one token, and of each further token; never measured.
        proof: how the strategy was found ("tested", "remembered" or "given"), and the seconds that it took.
        selftest_errors: of each strategy tried, its largest error relative to the logits, or why it cannot be used.

    Raises:
        ArgumentError: an unknown strategy.
        ModelError: the model cannot be run at all.
    """

    def __init__(
        self,
        module: Any,
        *,
        name: str,
        eos_token_ids: Sequence[int] | None = None,
        max_model_len: int | None = None,
        strategy: str | None = None,
    ) -> None:
        if strategy is not None and strategy not in STRATEGIES:
            raise ArgumentError(f"strategy {strategy!r} is unknown; expected one of {', '.join(STRATEGIES)}")
        self.name = name
        self.module = module
        self.passes = ForwardRunner(module, name, max_model_len)
        self.device = str(self.passes.place)
        self.pass_seconds = pass_seconds(module, self.passes.place)
        found = find_eos_token_ids(module) if eos_token_ids is None else eos_token_ids
        self.eos_token_ids = tuple(sorted({i for i in found if 0 <= i < self.logits_size}))
        self.selftest_errors: dict[str, float | str] = {}
        self.proof: dict[str, str | float] = {"how": "given", "seconds": 0.0}
        if strategy is None:
            chosen = choose_strategy(self.passes)
            strategy, self.selftest_errors = chosen.strategy, dict(chosen.errors)
            self.proof = {"how": chosen.how, "seconds": chosen.seconds}
        self.runner: Strategy = STRATEGIES[strategy](self.passes)
        self.passes.forward_passes = self.passes.processed_tokens = 0

    def __repr__(self) -> str:
        return f"HuggingFaceModel({self.name!r}, {type(self.module).__name__}, {self.strategy!r}, {self.device!r})"

    @property
    def strategy(self) -> str:
        """Returns the name of the strategy that runs the model."""
        return self.runner.name

    @property
    def batches_paths(self) -> bool:
        """Returns whether any number of paths costs one pass."""
        return self.runner.batches_paths

    @property
    def logits_size(self) -> int:
        """Returns the length V of a row of logits."""
        return self.passes.logits_size

    @property
    def max_model_len(self) -> int | None:
        """Returns the most tokens of one context, or None without a limit."""
        return self.passes.max_model_len

    @property
    def forward_passes(self) -> int:
        """Returns the number of passes since the model was loaded."""
        return self.passes.forward_passes

    @property
    def processed_tokens(self) -> int:
        """Returns the number of tokens in those passes."""
        return self.passes.processed_tokens

    @property
    def suppress_tokens(self) -> frozenset[int]:
        """Returns the ids that `greedy` never returns."""
        return self.passes.suppress_tokens

    @suppress_tokens.setter
    def suppress_tokens(self, ids: frozenset[int]) -> None:
        self.passes.suppress_tokens = frozenset(ids)

    def new_context(self) -> Any:
        """Returns a new empty context."""
        return self.runner.new_context()

    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts and reads them: in one pass by a tree, else in a pass each.

        Args:
            prompts: contexts, each with at least one id and at most `max_model_len`.

        Raises:
            ModelError: an id has no logit, there are no ids or too many, or the model fails. After a failure of the
                model the ids are committed, and not computed.
        """
        last: dict[int, tuple[Any, Sequence[int]]] = {}
        for context, ids in prompts:
            context.check_open()
            if not ids:
                raise ModelError(f"{self.name}: nothing to read; expected at least one token")
            self._check(ids, len(ids))
            last[id(context)] = context, ids
        if last:
            with self.passes.torch.inference_mode():
                self.runner.prefill(list(last.values()))

    def forward(self, wanted: Sequence[tuple[Any, Sequence[TokenPath]]]) -> None:
        """Computes paths, of all contexts in one pass by a tree.

        Args:
            wanted: contexts, each with the paths to compute. The empty path () is always computed.

        Raises:
            ModelError: an id has no logit, a path grows over `max_model_len`, a context is empty, or the model fails.
                Paths that were computed before remain so.
        """
        asked: dict[int, tuple[Any, list[TokenPath]]] = {}
        for context, paths in wanted:
            context.check_open()
            if not context.length:
                raise ModelError(f"{self.name}: an empty context has no logits; expected a prefill before")
            for path in paths:
                self._check(path, context.length + len(path))
            asked.setdefault(id(context), (context, []))[1].extend(paths)
        missing = [(context, context.paths.missing(paths)) for context, paths in asked.values()]
        missing = [(context, paths) for context, paths in missing if paths]
        if missing:
            with self.passes.torch.inference_mode():
                self.runner.forward(missing)

    def describe(self) -> dict[str, Any]:
        """Returns the architecture, its size, the strategy, and the largest error of each tested strategy."""
        return {
            "name": self.name,
            "kind": type(self.module).__name__,
            "parameters": sum(parameter.numel() for parameter in self.module.parameters()),
            "logits_size": self.logits_size,
            "max_model_len": self.max_model_len,
            "eos_token_ids": list(self.eos_token_ids),
            "device": self.device,
            "dtype": str(self.passes.dtype).removeprefix("torch."),
            "strategy": self.strategy,
            "proof": dict(self.proof),
            "selftest_errors": dict(self.selftest_errors),
        }

    def _check(self, ids: Sequence[int], length: int) -> None:
        wrong = next((i for i in ids if not 0 <= i < self.logits_size), None)
        if wrong is not None:
            raise ModelError(f"{self.name}: token id {wrong} has no row, expected 0..{self.logits_size}")
        if self.max_model_len is not None and length > self.max_model_len:
            raise ModelError(f"{self.name}: {length} tokens of context, the limit is {self.max_model_len}")
