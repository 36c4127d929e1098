"""A transformers causal model as a `LanguageModel`, run in the best way that is proved right at load.

Architectures differ in what their caches can do, and some are silently wrong: a recurrent state cannot be cropped,
positional biases ignore the positions of a tree, some models continue one token at a time only. So a probe compares
what the loop does with full forward passes on random tokens and takes the first tier that agrees: ``tree`` (`arena`),
or ``rows``, ``crop``, ``copy``, ``step``, ``full``, ``each`` (`chain`).

Probabilities are float64 log-softmax values of the model's own logits over all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.arena import Arena, TreeContext, by_arena
from coolfusion.models.base import Path
from coolfusion.models.chain import CACHELESS, CROPPED, ChainContext
from coolfusion.models.config import context_switch, find_end_ids, hidden_windows, position_limit, sliding_window
from coolfusion.models.costs import pass_seconds
from coolfusion.models.rows import Row, Rows

TIERS = ("tree", "rows", "crop", "copy", "step", "full", "each")
# What torch and transformers raise where an architecture cannot do what a tier asks, or has no room for it.
MODEL_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError)
# transformers calls it `cache` from 5.24 on; before that each architecture had its own name.
STATE_NAMES = ("cache", "past_key_values", "cache_params", "state", "mems")
HuggingFaceContext = TreeContext | ChainContext


class HuggingFaceModel:
    """One transformers causal model. Two runners may share a module.

    Args:
        module: a transformers model with a language-model head; it is put into eval mode.
        name: for messages and records.
        end_ids: ids that end a text; None takes them from the model's configurations.
        limit: most tokens of context; None takes it from the configuration.
        tier: a tier of `TIERS`, or None to probe.

    Attributes:
        module: the torch module, whose calls are the passes.
        tier: how it is run.
        packs: whether any number of paths costs one pass.
        pass_seconds: what a pass over one token, and each token more, is taken to cost; never measured.
        proof: how the tier was found ("probed", "remembered" or "given"), and how many seconds that took.
        probe_errors: of each tier tried, its largest error relative to the logits, or why it cannot be.

    Raises:
        ModelError: the model cannot be run at all.
    """

    def __init__(
        self,
        module: Any,
        *,
        name: str,
        end_ids: Sequence[int] | None = None,
        limit: int | None = None,
        tier: str | None = None,
    ) -> None:
        import torch

        self.name = name
        self.torch = torch
        self.module = module.eval()
        # An adapter passes everything on and says nothing of it in its own signature.
        base = module.get_base_model() if hasattr(module, "get_base_model") else module
        arguments = inspect.signature(base.forward).parameters
        self._state_name = next((name for name in STATE_NAMES if name in arguments), None)
        self._takes_keep = "logits_to_keep" in arguments
        self.place = module.get_input_embeddings().weight.device
        self.device = str(self.place)
        self.dtype = _dtype(module)
        self.pass_seconds = pass_seconds(module, self.place)
        self.switch = context_switch(module.config)
        self.window, self.layer_types = sliding_window(module.config)
        self.limit = position_limit(module.config) if limit is None else limit
        self.hidden_windows = [n for n in hidden_windows(module.config) if self.limit is None or n < self.limit]
        self.forward_passes = self.processed_tokens = 0
        self.forbidden: frozenset[int] = frozenset()
        self._banned: tuple[int, ...] = ()
        self.tier = "full"
        first = self.call_with_state([0], None, keep=1)[0]
        self.n_rows = int(first.shape[-1])
        if bool(first.isnan().all()):
            raise ModelError(f"{name}: the model gives no number for any token; expected weights without nan")
        found = find_end_ids(module) if end_ids is None else end_ids
        self.end_ids = tuple(sorted({i for i in found if 0 <= i < self.n_rows}))
        self.probe_errors: dict[str, float | str] = {}
        self.proof: dict[str, str | float] = {"how": "given", "seconds": 0.0}
        self.tier = tier if tier is not None else self._probe()
        self.forward_passes = self.processed_tokens = 0

    @property
    def banned(self) -> tuple[int, ...]:
        """Ids that `greedy` never answers."""
        return self._banned

    @banned.setter
    def banned(self, ids: tuple[int, ...]) -> None:
        self._banned = ids
        self.forbidden = frozenset(ids)

    @property
    def packs(self) -> bool:
        """Whether any number of paths costs one pass."""
        return self.tier in ("tree", "rows")

    def open(self, count: int) -> list[Any]:
        """So many new contexts; on the tree tier they share passes."""
        if self.tier == "tree":
            return list(Arena(self, count).contexts)
        return [ChainContext(self) for _ in range(count)]

    def prefill(self, prompts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        """Make ids all that is committed in a context, and known; one pass on the tree tier, else one each.

        Raises:
            ModelError: an id has no row, there are none or too many, or the model fails.
        """
        for context, ids in prompts:
            context.check_open()
            if not ids:
                raise ModelError(f"{self.name}: nothing to read; expected at least one token")
            self._check(ids, len(ids))
        with self.torch.inference_mode():
            if self.tier == "tree":
                for arena, group in by_arena(prompts):
                    for alike in self._by_positions(group):
                        arena.prefill(alike)
                for context, ids in prompts:
                    context.ids = list(ids)
                return
            for context, ids in prompts:
                context.forget()
                context.ids = list(ids)
                context.trie.restart(ids)
                context.read([()])

    def extend(self, wanted: Sequence[tuple[Any, Sequence[Path]]]) -> None:
        """Make paths known, of many contexts at once: in one pass on the tree tier.

        Raises:
            ModelError: an id has no row, a path grows over the limit, or the model fails. What was known stays so.
        """
        with self.torch.inference_mode():
            self._extend(wanted)

    def _extend(self, wanted: Sequence[tuple[Any, Sequence[Path]]]) -> None:
        missing = []
        for context, paths in wanted:
            context.check_open()
            for path in paths:
                self._check(path, context.length + len(path))
            nodes = context.trie.missing(paths)
            if nodes:
                missing.append((context, nodes))
        if self.tier != "tree":
            for context, nodes in missing:
                context.read(nodes)
            return
        missing = self._read_anew(missing)
        for arena, group in by_arena(missing):
            self._extend_arena(arena, group)

    def describe(self) -> dict[str, Any]:
        """The architecture, the tier, and the largest error of each probed tier relative to the logits' scale."""
        return {
            "name": self.name,
            "kind": type(self.module).__name__,
            "n_rows": self.n_rows,
            "limit": self.limit,
            "end_ids": list(self.end_ids),
            "device": self.device,
            "dtype": str(self.dtype).removeprefix("torch."),
            "tier": self.tier,
            "proof": dict(self.proof),
            "probe_errors": dict(self.probe_errors),
        }

    def call(self, tokens: Any, cache: Any, *, keep: Any, **options: Any) -> Any:
        """One pass over a batch.

        Args:
            tokens: (B, T) int64.
            cache: what the model writes to.
            keep: how many rows at the end are wanted, or the (E,) positions of all that are.
            options: passed on.

        Returns:
            (B, N, V) logits, of all tokens where the model cannot leave out any.
        """
        if self._takes_keep:
            options["logits_to_keep"] = keep  # an index stays on the CPU: the head may be on any device
        options[self._state_name or "past_key_values"] = cache
        return self._pass(tokens, use_cache=True, **options).logits

    def call_with_state(self, ids: Sequence[int], state: Any, *, keep: int) -> tuple[Any, Any]:
        """One pass over one line: (1, N, V) logits with at least `keep` rows at the end, and the state after it."""
        options: dict[str, Any] = {"use_cache": self.tier not in CACHELESS}
        if self._takes_keep:
            options["logits_to_keep"] = keep
        if state is not None:
            options[self._state_name or "past_key_values"] = state
        out = self._pass(self.torch.tensor([list(ids)]), **options)
        if self._state_name is None:  # a model that takes anything by name
            self._state_name = next((name for name in STATE_NAMES if out.get(name) is not None), None)
        if self._state_name is None or self.tier in CACHELESS:
            return out.logits, None
        return out.logits, out.get(self._state_name)

    def fresh_state(self) -> Any:
        """The state before the first token: None lets the model make its own."""
        if self.tier not in CROPPED:
            return None
        from transformers import DynamicCache

        # Without a config all layers grow, also those with a sliding window (the mask carries the window): a layer
        # that forgets could not be rolled back.
        return DynamicCache()

    def count(self, parts: Iterable[tuple[Any, int]]) -> None:
        """A pass was made, of these contexts over so many tokens each."""
        for context, tokens in parts:
            context.forward_passes += 1
            context.processed_tokens += tokens
            self.processed_tokens += tokens

    def _pass(self, tokens: Any, **options: Any) -> Any:
        try:
            with self.torch.inference_mode():
                out = self.module(tokens.to(self.place), **options)
        except MODEL_FAILURES as err:
            raise ModelError(f"{self.name}: a forward pass over {tuple(tokens.shape)} tokens failed: {err}") from err
        self.forward_passes += 1
        return out

    def _read_anew(self, missing: list[tuple[Any, list[Path]]]) -> list[tuple[Any, list[Path]]]:
        """Where positions changed with the length of the text: read all of it again, and what was known behind it.

        Returns:
            what is missing now.
        """
        if self.switch is None:
            return missing
        anew = [each for each in missing if each[0].stale or each[0].n_read <= self.switch < each[0].length]
        wanted = {id(context): [*context.trie.rows, *nodes] for context, nodes in anew}
        self.prefill([(context, list(context.ids)) for context, _ in anew])
        found = [(c, c.trie.missing(wanted[id(c)]) if id(c) in wanted else nodes) for c, nodes in missing]
        return [(context, nodes) for context, nodes in found if nodes]

    def _extend_arena(self, arena: Arena, group: list[tuple[TreeContext, list[Path]]]) -> None:
        """One pass; where positions change with the length, what lies beyond the change is read by itself."""
        if self.switch is None:
            if group:
                arena.extend(group)
            return
        inside = []
        for context, nodes in group:
            beyond = [path for path in nodes if context.length <= self.switch < context.length + len(path)]
            near = [path for path in nodes if path not in beyond]
            if near:
                inside.append((context, near))
        for alike in self._by_positions(inside):
            arena.extend(alike)
        for context, nodes in group:
            self._read_beyond(context, nodes)

    def _read_beyond(self, context: TreeContext, nodes: list[Path]) -> None:
        """Paths over the change of positions, each in a pass of its own over everything; nothing is kept of it."""
        assert self.switch is not None
        beyond = [path for path in nodes if context.length <= self.switch < context.length + len(path)]
        for leaf in [p for p in beyond if not any(q[: len(p)] == p and q != p for q in beyond)]:
            ids = [*context.ids, *leaf]
            logits = self._pass(self.torch.tensor([ids]), use_cache=False).logits[0]  # (T, V)
            self.count([(context, len(ids))])
            own = [n for n in range(1, len(leaf) + 1) if context.length + n > self.switch and leaf[:n] in beyond]
            rows = Rows(self.torch, logits[[context.length + n - 1 for n in own]], self.name)
            for at, n in enumerate(own):
                context.trie.rows[leaf[:n]] = Row(rows, at)

    def _by_positions(self, group: Sequence[tuple[TreeContext, Any]]) -> list[list[tuple[TreeContext, Any]]]:
        """Contexts that may share a pass: the lengths of all decide on the positions of each."""
        if self.switch is None:
            return [list(group)] if group else []
        switch = self.switch
        long = [each for each in group if self._reach(*each) > switch]
        short = [each for each in group if self._reach(*each) <= switch]
        return [each for each in (short, long) if each]

    @staticmethod
    def _reach(context: TreeContext, what: Any) -> int:
        """Length of a prompt, or of a text with its longest path."""
        if what and isinstance(what[0], tuple):
            return context.length + max(map(len, what))
        return len(what)

    def _check(self, ids: Sequence[int], length: int) -> None:
        wrong = next((i for i in ids if not 0 <= i < self.n_rows), None)
        if wrong is not None:
            raise ModelError(f"{self.name}: token id {wrong} has no row, expected 0..{self.n_rows}")
        if self.limit is not None and length > self.limit:
            raise ModelError(f"{self.name}: {length} tokens of context, the limit is {self.limit}")

    def _probe(self) -> str:
        from coolfusion.models.probe import best_tier

        return best_tier(self)


def _dtype(module: Any) -> Any:
    """What the model computes in; quantised weights are no floating-point numbers."""
    return next(p.dtype for p in module.parameters() if p.dtype.is_floating_point)
