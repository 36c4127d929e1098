"""One forward pass of a transformers module, counted: the layer that every strategy builds on."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.logits import ContextBase
from coolfusion.models.transformers.config import context_switch, hidden_windows, position_limit, sliding_window

# torch and transformers raise these if an architecture cannot run a strategy, or lacks memory for it.
MODEL_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError)
# transformers calls the argument `cache` from 5.24 on; before that each architecture had its own name.
STATE_NAMES = ("cache", "past_key_values", "cache_params", "state", "mems")
# Sets of ids whose index tensors are kept on the device, such as all ids that begin a word.
MOST_INDEX_TENSORS = 16


class ForwardRunner:
    """Runs and counts the forward passes of one transformers module.

    Args:
        module: a transformers model with a language-model head; it is put into eval mode.
        name: the model's name in messages.
        max_model_len: most tokens of context; None takes the number from the configuration.

    Attributes:
        torch: the torch module.
        module: the transformers model.
        place: the torch device of its input embeddings.
        dtype: the dtype that it computes in.
        logits_size: length V of a row of logits.
        max_model_len: most tokens of context, or None.
        window: length of its sliding window in tokens, or None.
        layer_types: types of layers that take masks of their own; empty with one mask for all.
        hidden_windows: lengths in tokens from which attention may leave out tokens by rules of its own.
        switch: length in tokens above which all positions are others (longrope), or None.
        suppress_tokens: ids that `greedy` of a context never returns.
        forward_passes: passes so far.
        processed_tokens: tokens in those passes.

    Raises:
        ModelError: the module fails on one token, or gives no number.
    """

    def __init__(self, module: Any, name: str, max_model_len: int | None = None) -> None:
        import torch

        self.name = name
        self.torch: Any = torch
        self.module = module.eval()
        # An adapter passes all arguments on, and its own signature does not name them.
        base = module.get_base_model() if hasattr(module, "get_base_model") else module
        arguments = inspect.signature(base.forward).parameters
        self._state_name = next((name for name in STATE_NAMES if name in arguments), None)
        self._takes_keep = "logits_to_keep" in arguments
        self.place = module.get_input_embeddings().weight.device
        # Quantised weights are no floating-point numbers.
        self.dtype = next(p.dtype for p in module.parameters() if p.dtype.is_floating_point)
        self.switch = context_switch(module.config)
        self.window, self.layer_types = sliding_window(module.config)
        self.max_model_len = position_limit(module.config) if max_model_len is None else max_model_len
        limit = self.max_model_len
        self.hidden_windows = [n for n in hidden_windows(module.config) if limit is None or n < limit]
        self.suppress_tokens: frozenset[int] = frozenset()
        self._index_tensors: dict[tuple[int, ...], Any] = {}
        self.forward_passes = self.processed_tokens = 0
        first = self.line([0], keep=1, use_cache=False)[0]
        self.logits_size = int(first.shape[-1])
        if bool(first.isnan().all()):
            raise ModelError(f"{name}: the model gives no number for any token; expected weights without nan")

    def run(self, tokens: Any, **options: Any) -> Any:
        """Makes one pass over a batch.

        Args:
            tokens: (B, T) int64.
            options: further arguments of the module.

        Returns:
            the module's output.

        Raises:
            ModelError: the module fails.
        """
        try:
            with self.torch.inference_mode():
                out = self.module(tokens.to(self.place), **options)
        except MODEL_FAILURES as err:
            raise ModelError(f"{self.name}: a forward pass over {tuple(tokens.shape)} tokens failed: {err}") from err
        self.forward_passes += 1
        return out

    def batch(self, tokens: Any, cache: Any, *, keep: Any, **options: Any) -> Any:
        """Makes one pass over a batch with a cache.

        Args:
            tokens: (B, T) int64.
            cache: a transformers cache, which the module reads and writes.
            keep: the number of rows at the end that are wanted, or the (E,) positions of all wanted rows.
            options: further arguments of the module.

        Returns:
            (B, N, V) logits; of all tokens where the module cannot leave out any.
        """
        if self._takes_keep:
            options["logits_to_keep"] = keep  # an index stays on the CPU because the head may be on any device
        options[self._state_name or "past_key_values"] = cache
        return self.run(tokens, use_cache=True, **options).logits

    def line(self, ids: Sequence[int], state: Any = None, *, keep: int, use_cache: bool) -> tuple[Any, Any]:
        """Makes one pass over a line of ids.

        Args:
            ids: (T,) ids.
            state: the state or cache after the ids before, or None.
            keep: the number of rows at the end that are wanted.
            use_cache: whether the module returns its state.

        Returns:
            (1, N, V) logits with at least `keep` rows at the end, and the state after the ids or None.
        """
        options: dict[str, Any] = {"use_cache": use_cache}
        if self._takes_keep:
            options["logits_to_keep"] = keep
        if state is not None:
            options[self._state_name or "past_key_values"] = state
        out = self.run(self.torch.tensor([list(ids)]), **options)
        if self._state_name is None:  # a module that takes any argument by name
            self._state_name = next((name for name in STATE_NAMES if out.get(name) is not None), None)
        if self._state_name is None or not use_cache:
            return out.logits, None
        return out.logits, out.get(self._state_name)

    def whole(self, ids: Sequence[int]) -> Any:
        """Makes one pass over a text without any cache; returns (T, V) logits."""
        return self.line(ids, keep=len(ids), use_cache=False)[0][0]

    def count(self, parts: Iterable[tuple[ContextBase, int]]) -> None:
        """Adds one pass to the counters of contexts.

        Args:
            parts: the contexts that took part, each with the number of its own tokens.
        """
        for context, tokens in parts:
            context.forward_passes += 1
            context.processed_tokens += tokens
            self.processed_tokens += tokens

    def index_tensor(self, ids: Sequence[int], device: Any) -> Any:
        """Returns `ids` as an (N,) int64 tensor on a device; tensors of recent ids are kept."""
        key = tuple(ids)
        found = self._index_tensors.pop(key, None)
        if found is None or found.device != device:
            found = self.torch.tensor(key, dtype=self.torch.int64, device=device)
            if len(self._index_tensors) >= MOST_INDEX_TENSORS:
                del self._index_tensors[next(iter(self._index_tensors))]
        self._index_tensors[key] = found
        return found
