"""The best tier: a tree of tokens behind each of many contexts, read in one pass.

The contexts of an arena are the rows of one batch; each token lies in a slot of its row. A pass appends tokens, tells
their positions, and hides from each what it does not follow by a mask. So a slot may lie anywhere: what wins stays
where it is and is unhidden, what loses is overwritten by later tokens, and nothing is ever moved or copied but when
the arena grows. Slot 0 of every row takes the tokens of rows that have nothing to read in a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coolfusion.errors import ModelError
from coolfusion.models.base import Path
from coolfusion.models.rows import Known, Row, Rows

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

FIRST_CAPACITY = 64
GROWTH = 1.5
# Up to so many tokens of a context in a pass a list of what each sees is quicker than a matrix.
FEW_TOKENS = 48


class _Writing(NamedTuple):
    """Where the tokens of the present pass go.

    Attributes:
        first: the first of the rows.
        last: the one behind the last.
        slots: (B, T) int64, or the first slot of all rows where they are consecutive.
        span: slots that the pass looks at; 0 in a pass over empty rows, which looks at itself alone.
        empty: (B,) int64 numbers of the rows in a pass over empty rows.
    """

    first: int = 0
    last: int = 0
    slots: Any = 1
    span: int = 0
    empty: Any = None


class Arena:
    """The keys and values of some contexts. A context's row is given back with it, the memory with the last one.

    Args:
        model: whose.
        count: rows.
    """

    def __init__(self, model: HuggingFaceModel, count: int) -> None:
        self.model, self.count = model, count
        self.capacity = 0
        self.writing = _Writing()
        self.contexts = [TreeContext(self, row) for row in range(count)]
        self._hidden: Any = None  # (B, S) additive: 0 where a committed token lies
        self._positions: Any = None  # (B, S) int64, for sliding windows
        self._cache: Any = None
        self._open = count

    def give_back(self) -> None:
        """A context was closed."""
        self._open -= 1
        if not self._open:
            self._cache = self._hidden = self._positions = None
            self.capacity = 0

    def prefill(self, prompts: Sequence[tuple[TreeContext, Sequence[int]]]) -> None:
        """Read whole contexts into their rows, in one pass: padded at the right, where nothing looks at.

        Equal prompts are read once and copied.
        """
        torch, model = self.model.torch, self.model
        first: dict[tuple[int, ...], TreeContext] = {}
        for context, ids in prompts:
            first.setdefault(tuple(ids), context)
        longest = max(map(len, first))
        self._reserve(longest + 1)
        tokens = torch.zeros((len(first), longest), dtype=torch.int64)  # (B, T)
        for at, ids in enumerate(first):
            tokens[at, : len(ids)] = torch.tensor(ids)
        ends = sorted({len(ids) - 1 for ids in first})
        self.writing = _Writing(empty=torch.tensor([context.row for context in first.values()]))
        keep: Any = torch.tensor(ends) if len(ends) > 1 else longest - ends[0]
        logits = model.call(tokens, self._new_cache(), keep=keep)  # (B, E, V)
        if logits.shape[1] == longest > len(ends):  # a model that cannot leave out
            logits = logits[:, ends]
        places = torch.tensor([ends.index(len(ids) - 1) for ids in first])
        found = Rows(torch, logits[torch.arange(len(first)), places], model.name)  # (B, V)
        number = {ids: at for at, ids in enumerate(first)}
        for context, prompt in prompts:
            ids, count = tuple(prompt), len(prompt)
            if context is not first[ids]:
                for layer in self._cache.layers:
                    for held in (layer.keys, layer.values):
                        held[context.row, :, : count + 1] = held[first[ids].row, :, : count + 1]
            self._hidden[context.row] = self._lowest
            self._hidden[context.row, 1 : count + 1] = 0.0
            self._positions[context.row, 1 : count + 1] = torch.arange(count, device=self._positions.device)
            context.filled(count, Row(found, number[ids]))
        model.count([(context, len(ids) if context is first[tuple(ids)] else 0) for context, ids in prompts])

    def extend(self, wanted: Sequence[tuple[TreeContext, list[Path]]]) -> None:
        """Read what is missing, of all contexts in one pass."""
        torch, model = self.model.torch, self.model
        parts = [_Part(context, missing) for context, missing in wanted]
        try:
            logits, first, keep = self._pass(parts)
        except ModelError:
            for part in parts:
                part.context.free += part.slots
            raise
        if len(parts) == 1:
            picked = logits[0, -keep:]  # (N, V)
        else:
            index = [(part.context.row - first, q) for part in parts for q in part.rows_needed]
            picked = logits[torch.tensor([b for b, _ in index]), torch.tensor([q for _, q in index])]  # (N, V)
        found = Rows(torch, picked, model.name)
        at = 0
        for part in parts:
            at = part.take(found, at)
        model.count([(part.context, len(part.tokens)) for part in parts])

    def _pass(self, parts: Sequence[_Part]) -> tuple[Any, int, int]:
        """One pass over all parts: (B, T, V) logits, the arena's row of the first, and how many at the end count."""
        torch, model = self.model.torch, self.model
        span = max(part.context.top for part in parts)
        self._reserve(span)
        first, last = min(part.context.row for part in parts), max(part.context.row for part in parts) + 1
        width = max(len(part.tokens) for part in parts)
        n_rows = last - first
        tokens = [[0] * width for _ in range(n_rows)]
        slots = [[0] * width for _ in range(n_rows)]
        positions = [[0] * width for _ in range(n_rows)]
        for part in parts:
            at, count = part.context.row - first, len(part.tokens)
            tokens[at][:count], slots[at][:count], positions[at][:count] = part.tokens, part.slots, part.positions
        self._settle(parts)
        device = self._hidden.device
        where = torch.tensor(slots, device=device)  # (B, T)
        placed = torch.tensor(positions, device=device)  # (B, T)
        if model.window is not None:
            self._positions[torch.arange(first, last, device=device)[:, None], where] = placed
        mask = self._mask(parts, first, last, width, span)  # (B, 1, T, S)
        start = parts[0].slots[0]
        consecutive = n_rows == 1 and parts[0].slots == list(range(start, start + width))
        self.writing = _Writing(first, last, start if consecutive else where, span)
        keep = parts[0].n_rows_needed if n_rows == 1 else width
        logits = model.call(
            torch.tensor(tokens),
            self._new_cache(),
            keep=keep,
            attention_mask=self._by_layer(mask, placed, first, last, span),
            position_ids=placed,
        )  # (B, T, V)
        return logits, first, keep

    @property
    def _lowest(self) -> float:
        return float(self.model.torch.finfo(self.model.dtype).min)

    def _reserve(self, slots: int) -> None:
        """Room for so many slots in each row."""
        torch = self.model.torch
        if self._hidden is not None and slots <= self.capacity:
            return
        old, self.capacity = self.capacity, max(slots, FIRST_CAPACITY, int(self.capacity * GROWTH))
        hidden = torch.full((self.count, self.capacity), self._lowest, dtype=self.model.dtype, device=self.model.place)
        positions = torch.zeros((self.count, self.capacity), dtype=torch.int64, device=self.model.place)
        if self._hidden is not None:
            hidden[:, :old], positions[:, :old] = self._hidden, self._positions
        self._hidden, self._positions = hidden, positions

    def _new_cache(self) -> Any:
        if self._cache is None:
            self._cache = new_cache(self)
        return self._cache

    def _settle(self, parts: Sequence[_Part]) -> None:
        """Unhide what was committed since the last pass."""
        found = [part.context.row * self.capacity + slot for part in parts for slot in part.context.settled]
        if found:
            self._hidden.view(-1).index_fill_(0, self.model.torch.tensor(found, device=self._hidden.device), 0.0)
            for part in parts:
                part.context.settled.clear()

    def _mask(self, parts: Sequence[_Part], first: int, last: int, width: int, span: int) -> Any:
        """(B, 1, T, S) additive: committed tokens, the token's own ancestors, and itself."""
        torch = self.model.torch
        mask = self._hidden[first:last, None, None, :span].repeat(1, 1, width, 1)
        seen_places: list[int] = []
        for part in parts:
            row = part.context.row - first
            if len(part.tokens) > FEW_TOKENS:
                seen = part.ancestors(torch).to(mask.device)  # (T, T) bool
                block = mask.new_full(seen.shape, self._lowest).masked_fill_(seen, 0.0)
                mask[row, 0][: len(part.tokens), torch.tensor(part.slots)] = block
            visible = part.known if len(part.tokens) > FEW_TOKENS else part.lineages()
            for query, slots in enumerate(visible):
                start = (row * width + query) * span
                seen_places += [start + slot for slot in slots]
        if seen_places:
            mask.view(-1).index_fill_(0, torch.tensor(seen_places, device=mask.device), 0.0)
        return mask

    def _by_layer(self, mask: Any, placed: Any, first: int, last: int, span: int) -> Any:
        """The mask as the model takes it: one, one with the sliding window in it, or one for each type of layer."""
        window, types = self.model.window, self.model.layer_types
        if window is None:
            return dict.fromkeys(types, mask) if types else mask
        distance = placed[:, None, :, None] - self._positions[first:last, None, None, :span]  # (B, 1, T, S)
        short = mask.masked_fill(distance >= window, self._lowest)
        return {name: short if "sliding" in name else mask for name in types} if types else short


class _Part:
    """What one context reads in a pass: committed ids that nobody has read, then the nodes of its tree."""

    def __init__(self, context: TreeContext, missing: list[Path]) -> None:
        self.context = context
        trie, before = context.trie, context.n_read
        self._unread = trie.unread
        self._nodes = [path for path in missing if path]
        self.tokens = [*self._unread, *(path[-1] for path in self._nodes)]
        self.slots = context.take_slots(len(self.tokens))
        after = before + len(self._unread)
        self.positions = [*range(before, after), *(after + len(path) - 1 for path in self._nodes)]
        # The rows behind the committed ids and behind each node; those inside the unread ids nobody asks for.
        self.rows_needed = list(range(max(0, len(self._unread) - 1), len(self.tokens)))
        self.n_rows_needed = len(self.rows_needed)
        self._find_parents()

    def _find_parents(self) -> None:
        """For each token the number of the new one before it, or -1, and the slots of known nodes that it follows."""
        n_unread, known_slots = len(self._unread), self.context.slots
        self._parents = list(range(-1, n_unread - 1))
        self.known: list[list[int]] = [[] for _ in range(n_unread)]
        new = {path: n_unread + at for at, path in enumerate(self._nodes)}
        for path in self._nodes:
            stem = path[:-1]
            parent = new[stem] if stem in new else (n_unread - 1 if not stem else -1)
            self._parents.append(parent)
            if parent >= 0:
                self.known.append(self.known[parent])
            else:
                self.known.append([known_slots[stem[:n]] for n in range(1, len(stem) + 1)])

    def lineages(self) -> list[list[int]]:
        """For each token the slots that it sees beyond the committed ones, its own included."""
        found: list[list[int]] = []
        for at, (parent, slot) in enumerate(zip(self._parents, self.slots, strict=True)):
            found.append([*(found[parent] if parent >= 0 else self.known[at]), slot])
        return found

    def ancestors(self, torch: Any) -> Any:
        """(T, T) bool: which new tokens a new token follows, itself included."""
        found = torch.eye(len(self.tokens), dtype=torch.bool)
        for at, parent in enumerate(self._parents):
            if parent >= 0:
                found[at] |= found[parent]
        return found

    def take(self, rows: Rows, at: int) -> int:
        """The pass is made: its rows become known; the number of the next part's first row."""
        context, trie = self.context, self.context.trie
        if self._unread:
            trie.rows[()] = Row(rows, at)
            context.settled += self.slots[: len(self._unread)]
            context.n_read += len(self._unread)
            trie.unread = ()
            at += 1
        for path, slot in zip(self._nodes, self.slots[len(self._unread) :], strict=True):
            trie.rows[path] = Row(rows, at)
            context.slots[path] = slot
            at += 1
        return at


class TreeContext(Known):
    """One text under a transformers model: a row of an arena."""

    def __init__(self, arena: Arena, row: int) -> None:
        super().__init__(arena.model)
        self.arena, self.row = arena, row
        self.slots: dict[Path, int] = {}
        self.settled: list[int] = []  # slots of committed tokens that the arena still hides
        self.free: list[int] = []
        self.n_read = 0
        self.stale = False  # whether all that was read must be read again
        self.top = 1  # the first slot that was never used

    def commit(self, path: Path) -> None:
        """Append `path` to the committed ids; what is known below it stays known."""
        self.ids += path
        self.trie.commit(path)
        unread = len(self.trie.unread)
        n_known = len(path) - min(unread, len(path))
        if any(path[:n] not in self.slots for n in range(1, n_known + 1)):
            self.stale = True  # known, and yet never in the cache
            self.slots, self.n_read = {}, len(self.ids) - unread
            return
        for n in range(1, n_known + 1):
            self.settled.append(self.slots.pop(path[:n]))
        self.n_read = len(self.ids) - unread
        kept = {}
        for node, slot in self.slots.items():
            if not unread and node[: len(path)] == path:
                kept[node[len(path) :]] = slot
            else:
                self.free.append(slot)
        self.slots = kept

    def clear(self) -> None:
        """Forget every path but the empty one."""
        self.trie.clear()
        self.free += self.slots.values()
        self.slots = {}

    def close(self) -> None:
        """Give back the memory."""
        if not self.closed:
            self.closed = True
            self._forget()
            self.arena.give_back()

    def take_slots(self, count: int) -> list[int]:
        """Slots for new tokens: those that are free, then new ones."""
        self.free.sort(reverse=True)
        taken = [self.free.pop() for _ in range(min(count, len(self.free)))]
        new = count - len(taken)
        taken += range(self.top, self.top + new)
        self.top += new
        return taken

    def filled(self, count: int, row: Row) -> None:
        """The arena has read `count` ids into this row, from slot 1 on."""
        self._forget()
        self.top, self.n_read = count + 1, count
        self.trie.rows[()] = row

    def _forget(self) -> None:
        self.trie.restart(())
        self.slots, self.settled, self.free = {}, [], []
        self.top, self.n_read, self.stale = 1, 0, False


def new_cache(arena: Arena) -> Any:
    """A transformers cache whose layers lie in an arena."""
    from transformers.cache_utils import Cache, DynamicLayer

    class ArenaLayer(DynamicLayer):  # type: ignore[no-untyped-call]
        """Keys and values of one layer, (B, H, S, D): room for all slots, written in place."""

        def __init__(self, arena: Arena) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._arena = arena

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            """Write the tokens of this pass; all that the pass looks at."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.keys = self.values = None
            self.keys = self._written(self.keys, key_states)
            self.values = self._written(self.values, value_states)
            writing = self._arena.writing
            if not writing.span:
                return key_states, value_states
            rows = slice(writing.first, writing.last)
            return self.keys[rows, :, : writing.span], self.values[rows, :, : writing.span]

        def _written(self, held: Any, new: Any) -> Any:
            arena, writing = self._arena, self._arena.writing
            if held is None or held.shape[2] < arena.capacity:
                shape = (arena.count, new.shape[1], arena.capacity, new.shape[3])
                # Zeros, not whatever was there: a hidden nan would still be one.
                room = new.new_zeros(shape)
                if held is not None:
                    room[:, :, : held.shape[2]] = held
                held = room
            if not writing.span:
                held[writing.empty.to(held.device), :, 1 : 1 + new.shape[2]] = new
                return held
            first, last = writing.first, writing.last
            if isinstance(writing.slots, int):
                held[first:last, :, writing.slots : writing.slots + new.shape[2]] = new
            else:
                slots = writing.slots.to(held.device)  # (B, T)
                rows = arena.model.torch.arange(first, last, device=held.device)[:, None]
                held[rows, :, slots] = new.transpose(1, 2)
            return held

        def get_seq_length(self) -> int:
            """Tokens before those of this pass."""
            return max(0, self._arena.writing.span - 1)

    make: Any = partial(ArenaLayer, arena)
    return Cache(layer_class_to_replicate=make)


def by_arena(wanted: Iterable[tuple[TreeContext, Any]]) -> list[tuple[Arena, list[tuple[TreeContext, Any]]]]:
    """Contexts with those that they share passes with."""
    found: dict[int, tuple[Arena, list[tuple[TreeContext, Any]]]] = {}
    for context, what in wanted:
        found.setdefault(id(context.arena), (context.arena, []))[1].append((context, what))
    return list(found.values())
