"""A transformers causal model as a `LanguageModel`, with a cache that is proved right at load.

Architectures differ in what their caches can do, and some are silently wrong: a recurrent state cannot be cropped,
and some recurrent models only continue one token at a time. So a probe compares continuations with full forward
passes on random tokens and takes the first tier that agrees:

* ``crop``: attention caches; losing tokens are cut off the end.
* ``copy``: any cache; provisional tokens go into a copy, several at a time.
* ``step``: the same, token by token.
* ``full``: no cache, the whole context in each pass.

Probabilities are float64 log-softmax values of the model's own logits over all rows.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from coolfusion.errors import ModelError

TIERS = ("crop", "copy", "step", "full")
# What torch and transformers raise where an architecture cannot do what a tier asks, or has no room for it.
MODEL_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError)
# Cache layers that hold one entry per position and nothing else, so that cutting entries off is rolling back.
CROPPABLE_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}
# transformers calls it `cache` from 5.24 on; before that each architecture had its own name.
STATE_NAMES = ("cache", "past_key_values", "cache_params", "state", "mems")
LIMIT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")
PROBE_TOKENS = 24
LONGEST_WINDOW_PROBED = 512


class HuggingFaceModel:
    """One transformers causal model with one context. Two runners may share the same module.

    Args:
        model: a transformers model with a language-model head; it is put into eval mode.
        name: for messages and records.
        end_ids: ids that end a text; None takes them from the model's configurations.
        limit: most tokens of context; None takes it from the configuration.
        tier: a tier of the module's list, or None to probe.

    Raises:
        ModelError: the model cannot be run at all.
    """

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        end_ids: Sequence[int] | None = None,
        limit: int | None = None,
        tier: str | None = None,
    ) -> None:
        import torch

        self.name = name
        self._torch = torch
        self._model = model.eval()
        arguments = inspect.signature(model.forward).parameters
        self._state_name = next((name for name in STATE_NAMES if name in arguments), None)
        self._takes_keep = "logits_to_keep" in arguments
        self._context_switch = _context_switch(model.config)
        self.limit = position_limit(model.config) if limit is None else limit
        self.forward_passes = self.tokens_processed = 0
        self._banned: tuple[int, ...] | None = None  # the tuple that `_banned_index` was made of
        self._banned_index: Any = None
        self._ids: list[int] = []
        self._committed = 0
        self._state: Any = None  # the cache behind `_ids`, and the one behind the committed ids
        self._base: Any = None
        self._row: Any = None  # (V,) logits for the next token, in the model's own dtype
        self._base_row: Any = None
        self._logprobs: Any = None  # (V,) float64, of `_row`
        self.tier = "full"
        self.n_rows = int(self._forward([0], None, every=False)[0].shape[-1])
        found = configured_end_ids(model) if end_ids is None else end_ids
        self.end_ids = tuple(sorted({i for i in found if 0 <= i < self.n_rows}))
        self.probe_errors: dict[str, float | str] = {}
        self.tier = tier if tier is not None else self._probe()
        self._reset()
        self.forward_passes = self.tokens_processed = 0

    def prefill(self, ids: Sequence[int]) -> None:
        """Forget everything and make `ids` the committed context, in one pass."""
        self._reset()
        self.extend(ids)
        self.commit()

    def extend(self, ids: Sequence[int]) -> None:
        """Read `ids` after the context, provisionally.

        Raises:
            ModelError: an id has no row, the context grows over the limit, or the model fails.
        """
        if ids:
            self._set_row(self._read(ids, every=False)[-1])

    def commit(self) -> None:
        """Make the present context the one that `rollback` returns to."""
        self._committed = len(self._ids)
        self._base, self._base_row = self._state, self._row

    def rollback(self) -> None:
        """Return to the last committed context; no pass, except back over a change of the position embedding."""
        extra = len(self._ids) - self._committed
        if not extra:
            return
        crossed = self._crosses(self._committed, len(self._ids))
        del self._ids[self._committed :]
        if crossed and self.tier != "full":
            self._base = self._state = self._forward(self._ids, self._fresh(), every=False)[1]
        elif self.tier == "crop":
            self._state.crop(-extra)  # transformers: at most 0, the number of tokens to remove
        else:
            self._state = self._base
        self._set_row(self._base_row)

    def pending(self) -> tuple[int, ...]:
        """The ids read since the last commit."""
        return tuple(self._ids[self._committed :])

    def next_logits(self) -> Sequence[float]:
        """The row of logits for the next token, (V,) float64 on the CPU."""
        row: list[float] = self._row.double().tolist()
        return row

    def greedy(self, banned: tuple[int, ...]) -> int | None:
        """The most likely next id outside `banned`; None if the row is no distribution."""
        with self._torch.inference_mode():
            row = self._next_logprobs()  # (V,) float64
            if banned:
                if banned is not self._banned:
                    self._banned = banned
                    self._banned_index = self._torch.tensor(banned, device=row.device)
                row = row.index_fill(0, self._banned_index, -float("inf"))
            best = int(row.argmax())  # the first of equals; a nan counts as greatest
            return best if bool(self._torch.isfinite(row[best])) else None

    def next_logprob(self, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` comes next; -inf for no ids."""
        with self._torch.inference_mode():
            row = self._next_logprobs()
            if not ids:
                return float("nan") if bool(row.isnan().any()) else -float("inf")
            return float(row[list(ids)].logsumexp(0) if len(ids) > 1 else row[ids[0]])

    def score(self, ids: Sequence[int]) -> list[float]:
        """ln p of each of `ids` in turn after the committed context; one pass, none for a single id."""
        self.rollback()
        if not ids:
            return []
        with self._torch.inference_mode():
            first = self._row[None]  # (1, V)
            rows = self._torch.cat([first, self._read(ids[:-1], every=True)]) if len(ids) > 1 else first  # (T, V)
            self._check_ids(ids[-1:])
            logprobs = rows.double().log_softmax(-1)  # (T, V) float64
            index = self._torch.tensor(list(ids), device=logprobs.device)[:, None]  # (T, 1)
            scores: list[float] = logprobs.gather(1, index)[:, 0].tolist()
        self.rollback()
        return scores

    def describe(self) -> dict[str, Any]:
        """The architecture, the tier, and the largest error of each probed tier relative to the logits' scale."""
        parameter = next(self._model.parameters())
        return {
            "name": self.name,
            "kind": type(self._model).__name__,
            "n_rows": self.n_rows,
            "limit": self.limit,
            "end_ids": list(self.end_ids),
            "device": str(parameter.device),
            "dtype": str(parameter.dtype).removeprefix("torch."),
            "tier": self.tier,
            "probe_errors": dict(self.probe_errors),
        }

    def _reset(self) -> None:
        self._ids.clear()
        self._committed = 0
        self._state = self._base = self._base_row = None
        self._set_row(None)

    def _set_row(self, row: Any) -> None:
        self._row, self._logprobs = row, None

    def _next_logprobs(self) -> Any:
        if self._logprobs is None:
            self._logprobs = self._row.double().log_softmax(-1)  # (V,) float64
        return self._logprobs

    def _check_ids(self, ids: Sequence[int]) -> None:
        wrong = [i for i in ids if not 0 <= i < self.n_rows]
        if wrong:
            raise ModelError(f"{self.name}: token id {wrong[0]} has no row, expected 0..{self.n_rows}")

    def _read(self, ids: Sequence[int], *, every: bool) -> Any:
        """Read `ids`; their rows (T, V) if `every`, else at least the last one."""
        self._check_ids(ids)
        before, after = len(self._ids), len(self._ids) + len(ids)
        if self.limit is not None and after > self.limit:
            raise ModelError(f"{self.name}: {after} tokens of context, the limit is {self.limit}")
        self._ids.extend(ids)
        if self.tier == "full" or self._crosses(before, after):
            rows, self._state = self._forward(self._ids, self._fresh(), every=every)
            return rows[-len(ids) :]
        if self._state is None:
            self._state = self._fresh()
        elif self._state is self._base and self.tier != "crop":
            with self._torch.inference_mode():
                self._state = copy.deepcopy(self._base)
        if self.tier != "step":
            rows, self._state = self._forward(ids, self._state, every=every)
            return rows
        parts = []
        for token_id in ids:
            row, self._state = self._forward([token_id], self._state, every=every)
            parts.append(row)
        return self._torch.cat(parts)

    def _forward(self, ids: Sequence[int], state: Any, *, every: bool) -> tuple[Any, Any]:
        """One pass: rows (T, V), or (1, V) unless `every`, and the state after it."""
        torch = self._torch
        options: dict[str, Any] = {"use_cache": self.tier != "full"}
        if self._takes_keep:
            options["logits_to_keep"] = 0 if every else 1
        if state is not None:
            options[self._state_name or "past_key_values"] = state
        try:
            with torch.inference_mode():
                tokens = torch.tensor([list(ids)], device=next(self._model.parameters()).device)  # (1, T) int64
                out = self._model(tokens, **options)
        except MODEL_FAILURES as err:
            raise ModelError(f"{self.name}: a forward pass over {len(ids)} tokens failed: {err}") from err
        self.forward_passes += 1
        self.tokens_processed += len(ids)
        if self._state_name is None:  # a model that takes anything by name
            self._state_name = next((name for name in STATE_NAMES if out.get(name) is not None), None)
        rows = out.logits[0] if every else out.logits[0, -1:]
        return rows, out.get(self._state_name) if self._state_name and self.tier != "full" else None

    def _fresh(self) -> Any:
        """The state before the first token: None lets the model make its own."""
        if self.tier != "crop":
            return None
        from transformers import DynamicCache

        # Without a config all layers grow, also those with a sliding window (the mask carries the window): a layer
        # that forgets could not be rolled back.
        return DynamicCache()

    def _crosses(self, before: int, after: int) -> bool:
        """Whether the position embedding changes between two lengths, which makes everything cached wrong."""
        switch = self._context_switch
        return switch is not None and before > 0 and before <= switch < after

    def _probe(self) -> str:
        from coolfusion.models.probe import best_tier

        return best_tier(self)


def position_limit(config: Any) -> int | None:
    """The most positions a configuration allows, or None.

    Configurations translate their own names (GPT-2's n_positions, RWKV's context_length) to the first one.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = [getattr(text, name, None) for name in LIMIT_NAMES]
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def configured_end_ids(model: Any) -> set[int]:
    """END ids of generation_config and config, each an int or a list."""
    ends: set[int] = set()
    for config in (getattr(model, "generation_config", None), model.config):
        value = getattr(config, "eos_token_id", None)
        ends.update([value] if isinstance(value, int) else value or [])
    return ends


def _context_switch(config: Any) -> int | None:
    """The length above which longrope uses other frequencies, or None."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    rope = getattr(text, "rope_parameters", None) or {}
    if not isinstance(rope, dict) or rope.get("rope_type") != "longrope":
        return None
    switch = rope.get("original_max_position_embeddings", getattr(text, "original_max_position_embeddings", None))
    return switch if isinstance(switch, int) else None
