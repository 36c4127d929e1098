"""The strategy that reads the token trees of many contexts in one pass.

A pass appends tokens with their positions. An additive mask hides from each token all tokens that it does not follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.base import TokenPath
from coolfusion.models.logits import LogitsBatch, LogitsRow
from coolfusion.models.transformers.forward import MODEL_FAILURES, ForwardRunner
from coolfusion.models.transformers.measure import LONGEST_TESTED_WINDOW
from coolfusion.models.transformers.strategies.base import CacheKind, Strategy
from coolfusion.models.transformers.strategies.sequential import leaves
from coolfusion.models.transformers.tree_cache import TreeKVCache
from coolfusion.models.transformers.tree_context import NewTokens, TreeContext

# Up to this many tokens of a context in a pass, a list of visible slots is quicker than a matrix.
FEW_TOKENS = 48
# Attention that takes the additive mask of a tree. The others take other masks, or none.
TREE_ATTENTION = {"eager", "sdpa"}

Wanted = Sequence[tuple[TreeContext, list[TokenPath]]]


class TreeStrategy(Strategy):
    """Reads all missing paths of all contexts in one pass.

    Args:
        passes: the forward passes of the model.

    Attributes:
        cache: the keys and values of all contexts.
    """

    name = "tree"
    batches_paths = True
    carries_window = True

    def __init__(self, passes: ForwardRunner) -> None:
        super().__init__(passes)
        self.cache = TreeKVCache(passes)

    @classmethod
    def obstacle(cls, passes: ForwardRunner, kept: CacheKind, *, exact: bool) -> str | None:
        """Returns the reason against a tree that no number shows: the cache, the attention, or a long window."""
        longest = max(passes.hidden_windows, default=0)
        if kept == "more":
            return "the cache holds more than one entry per position"
        if kept == "nothing":
            return super().obstacle(passes, kept, exact=exact)
        if getattr(passes.module.config, "_attn_implementation", None) not in TREE_ATTENTION:
            return "this attention takes no mask of a tree"
        if longest > LONGEST_TESTED_WINDOW:
            return f"attention may leave out tokens by a rule of its own from {longest} on, which no mask carries"
        return None

    def new_context(self) -> TreeContext:
        """Returns a new empty context."""
        return self.cache.new_context()

    def prefill(self, prompts: Sequence[tuple[TreeContext, Sequence[int]]]) -> None:
        """Replaces the committed ids of contexts and reads them in one pass; equal prompts are read once and copied."""
        for context, ids in prompts:
            context.restart(ids)
        self.cache.reserve([context for context, _ in prompts], max(len(ids) for _, ids in prompts) + 1)
        for contexts in self._by_positions([(context, context.length) for context, _ in prompts]):
            self._prefill(contexts)

    def forward(self, wanted: Wanted) -> None:
        """Computes paths that are missing in one pass; paths over the change of positions have passes of their own."""
        wanted = self._read_again(wanted)
        switch = self.passes.switch
        near, beyond = [], []
        for context, missing in wanted:
            far = [p for p in missing if switch is not None and context.length <= switch < context.length + len(p)]
            rest = [path for path in missing if path not in far]
            near += [(context, rest)] if rest else []
            beyond += [(context, far)] if far else []
        reach = [((context, missing), context.length + max(map(len, missing))) for context, missing in near]
        for group in self._by_positions(reach):
            self._forward(group)
        for context, far in beyond:
            self._read_beyond(context, far)

    def _prefill(self, contexts: Sequence[TreeContext]) -> None:
        """Reads the committed ids of contexts into their rows, padded at the right."""
        first: dict[tuple[int, ...], TreeContext] = {}
        for context in contexts:
            first.setdefault(tuple(context.ids), context)
        self.cache.hide(contexts)  # a pass that fails leaves nothing to see
        batch = self._read_prompts(list(first.values()))
        number = {ids: at for at, ids in enumerate(first)}
        for context in contexts:
            ids = tuple(context.ids)
            if context is not first[ids]:
                self.cache.copy_row(first[ids].row, context.row, len(ids) + 1)
            self.cache.show(context.row, len(ids))
            context.filled(LogitsRow(batch, number[ids]))
        self.passes.count([(each, each.length if each is first[tuple(each.ids)] else 0) for each in contexts])

    def _read_prompts(self, contexts: Sequence[TreeContext]) -> LogitsBatch:
        """Makes the pass of a prefill; returns the logits after each prompt, (B, V)."""
        torch, prompts = self.passes.torch, [context.ids for context in contexts]
        longest = max(map(len, prompts))
        tokens = torch.zeros((len(prompts), longest), dtype=torch.int64)  # (B, T)
        for at, ids in enumerate(prompts):
            tokens[at, : len(ids)] = torch.tensor(ids)
        ends = sorted({len(ids) - 1 for ids in prompts})
        self.cache.place([context.row for context in contexts], 1, 0)
        keep: Any = torch.tensor(ends) if len(ends) > 1 else longest - ends[0]
        logits = self.passes.batch(tokens, self.cache.passed(), keep=keep)  # (B, E, V)
        if logits.shape[1] == longest > len(ends):  # a model that cannot leave out rows
            logits = logits[:, ends]
        places = torch.tensor([ends.index(len(ids) - 1) for ids in prompts])
        return LogitsBatch(self.passes, logits[torch.arange(len(prompts)), places])

    def _forward(self, wanted: Wanted) -> None:
        """Reads missing paths in one pass."""
        parts = [NewTokens(context, missing) for context, missing in wanted]
        try:
            logits, places, keep = self._pass(parts)
        except (ModelError, *MODEL_FAILURES):
            for part in parts:
                part.give_back()
            raise
        if len(parts) == 1:
            picked = logits[0, -keep:]  # (N, V)
        else:
            index = [(places[part.context.row], q) for part in parts for q in part.rows_needed]
            torch = self.passes.torch
            picked = logits[torch.tensor([b for b, _ in index]), torch.tensor([q for _, q in index])]  # (N, V)
        batch = LogitsBatch(self.passes, picked)
        at = 0
        for part in parts:
            at = part.store(batch, at)
        self.passes.count([(part.context, len(part.tokens)) for part in parts])

    def _pass(self, parts: Sequence[NewTokens]) -> tuple[Any, dict[int, int], int]:
        """Makes one pass over all parts.

        Returns:
            (B, N, V) logits, the place in the batch of each row of the cache, and the number of last logits that count.
        """
        torch, cache = self.passes.torch, self.cache
        contexts = [part.context for part in parts]
        kv_len = max(context.n_slots for context in contexts)
        cache.reserve(contexts, kv_len)
        rows = cache.rows_of_pass(contexts)
        places = {row: at for at, row in enumerate(rows)}
        width = max(len(part.tokens) for part in parts)
        tokens, slots, positions = ([[0] * width for _ in rows] for _ in range(3))
        for part in parts:
            at, count = places[part.context.row], len(part.tokens)
            tokens[at][:count], slots[at][:count], positions[at][:count] = part.tokens, part.slots, part.positions
        cache.unmask(contexts)
        device = cache.prefix_mask.device
        where, placed = torch.tensor(slots, device=device), torch.tensor(positions, device=device)  # (B, T)
        start = parts[0].slots[0]
        consecutive = len(rows) == 1 and parts[0].slots == list(range(start, start + width))
        cache.place(rows, start if consecutive else where, kv_len)
        if self.passes.window is not None:
            cache.positions[cache.placement.index[:, None], where] = placed
        mask = self._mask(parts, places, width, kv_len)  # (B, 1, T, S)
        keep = len(parts[0].rows_needed) if len(rows) == 1 else width
        masks = self._by_layer(mask, placed, kv_len)
        logits = self.passes.batch(
            torch.tensor(tokens), cache.passed(), keep=keep, attention_mask=masks, position_ids=placed
        )  # (B, T, V)
        return logits, places, keep

    def _mask(self, parts: Sequence[NewTokens], places: dict[int, int], width: int, kv_len: int) -> Any:
        """Returns the (B, 1, T, S) additive mask: committed tokens, a token's own ancestors, and itself are visible."""
        torch, cache = self.passes.torch, self.cache
        mask = cache.prefix_mask[cache.placement.rows][:, None, None, :kv_len].repeat(1, 1, width, 1)
        visible: list[int] = []
        for part in parts:
            row = places[part.context.row]
            if len(part.tokens) > FEW_TOKENS:
                seen = part.ancestors(torch).to(mask.device)  # (T, T) bool
                block = mask.new_full(seen.shape, cache.mask_value).masked_fill_(seen, 0.0)
                mask[row, 0][: len(part.tokens), torch.tensor(part.slots)] = block
            lists = part.seen_slots if len(part.tokens) > FEW_TOKENS else part.lineages()
            for query, slots in enumerate(lists):
                start = (row * width + query) * kv_len
                visible += [start + slot for slot in slots]
        if visible:
            mask.view(-1).index_fill_(0, torch.tensor(visible, device=mask.device), 0.0)
        return mask

    def _by_layer(self, mask: Any, placed: Any, kv_len: int) -> Any:
        """Returns the mask as the model takes it: one, one with the sliding window, or one for each type of layer."""
        window, types = self.passes.window, self.passes.layer_types
        if window is None:
            return dict.fromkeys(types, mask) if types else mask
        seen = self.cache.positions[self.cache.placement.rows][:, None, None, :kv_len]  # (B, 1, 1, S)
        distance = placed[:, None, :, None] - seen  # (B, 1, T, S)
        short = mask.masked_fill(distance >= window, self.cache.mask_value)
        return {name: short if "sliding" in name else mask for name in types} if types else short

    def _read_again(self, wanted: Wanted) -> Wanted:
        """Reads texts again whose positions have changed with their length; returns the paths that are missing then."""
        switch = self.passes.switch
        if switch is None:
            return wanted
        changed = [each for each, _ in wanted if each.stale or each.n_read <= switch < each.length]
        if not changed:
            return wanted
        computed = {id(context): list(context.paths.rows) for context in changed}
        self.prefill([(context, list(context.ids)) for context in changed])
        asked = [(context, [*computed.get(id(context), ()), *paths]) for context, paths in wanted]
        found = [(context, context.paths.missing(paths)) for context, paths in asked]
        return [(context, missing) for context, missing in found if missing]

    def _read_beyond(self, context: TreeContext, far: list[TokenPath]) -> None:
        """Reads paths over the change of positions, each in a pass over the whole text; the cache keeps none of it."""
        passes, switch = self.passes, self.passes.switch
        assert switch is not None  # there is a change
        for leaf in leaves(far):
            ids = [*context.ids, *leaf]
            logits = passes.run(passes.torch.tensor([ids]), use_cache=False).logits[0]  # (T, V)
            passes.count([(context, len(ids))])
            own = [n for n in range(1, len(leaf) + 1) if context.length + n > switch and leaf[:n] in far]
            batch = LogitsBatch(passes, logits[[context.length + n - 1 for n in own]])
            for at, n in enumerate(own):
                context.paths.rows[leaf[:n]] = LogitsRow(batch, at)

    def _by_positions(self, items: Sequence[tuple[Any, int]]) -> list[list[Any]]:
        """Groups items that may share a pass, because the longest text of a pass decides on all positions (longrope).

        Args:
            items: pairs of an item and the length of its longest text.
        """
        switch = self.passes.switch
        short = [item for item, length in items if switch is None or length <= switch]
        long = [item for item, length in items if switch is not None and length > switch]
        return [group for group in (short, long) if group]
