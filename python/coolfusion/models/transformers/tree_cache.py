"""The keys and values of all contexts of one model: a row for each context, a slot for each token.

Slots need not be contiguous. Committing a path unmasks its slots in place; slots of tokens that lost return to the free
list of their context. Slot 0 of every row takes the padding of passes. Keys and values are copied only when the cache
grows or shrinks, and when few contexts are left among many rows.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.transformers.forward import MODEL_FAILURES, ForwardRunner
from coolfusion.models.transformers.tree_context import NO_ROW, TreeContext
from coolfusion.models.transformers.tree_layers import Placement, new_layers

FIRST_SLOTS = 64
GROWTH = 1.5
# A cache of this many times the rows or slots in use is copied to a smaller one.
SHRINK_AT = 2
# Contexts in at most one of this many rows are sparse. A pass then gathers their rows, and the cache moves them
# together.
SPARSE = 8


class TreeKVCache:
    """The cache of one model. A context takes a row with its first pass and gives it back when it is closed.

    Args:
        passes: the forward passes of the model.

    Attributes:
        layers: the transformers cache that passes are given, or None while no context has a row.
        placement: the place of the tokens of the present pass.
        prefix_mask: (B, S) additive: 0 at slots of committed tokens, `mask_value` elsewhere.
        positions: (B, S) int64 positions of tokens, for sliding windows.
        n_rows: rows that there is memory for.
        n_slots: slots of each row.
        mask_value: the addend that hides a token, which is finite because -inf in a whole row gives nan.
    """

    def __init__(self, passes: ForwardRunner) -> None:
        self._passes = passes
        self._rows: list[weakref.ref[TreeContext] | None] = []
        self._made = 0
        self.mask_value = float(passes.torch.finfo(passes.dtype).min)
        self.placement = Placement()
        self._drop()

    def _drop(self) -> None:
        self.layers: Any = None
        self.prefix_mask: Any = None
        self.positions: Any = None
        self.n_rows = self.n_slots = 0

    @property
    def n_bytes(self) -> int:
        """Returns the bytes of keys, values and masks in memory."""
        held = [getattr(layer, name) for layer, name in self._filled()]
        held += [each for each in (self.prefix_mask, self.positions) if each is not None]
        return sum(each.numel() * each.element_size() for each in held)

    def contexts(self) -> list[TreeContext | None]:
        """Returns the context of each row in use; None for a hole. A context without references is a hole."""
        return [None if each is None else each() for each in self._rows]

    def new_context(self) -> TreeContext:
        """Returns a new empty context, which has no row yet."""
        self._made += 1
        return TreeContext(self._passes, self, self._made)

    def reserve(self, contexts: Iterable[TreeContext], slots: int) -> None:
        """Gives rows to contexts that have none, in the order in which they were made, and makes room.

        Args:
            contexts: the contexts of a pass.
            slots: number of slots that each row must have.

        Raises:
            ModelError: there is no memory for it; contexts that had a row keep it and all that it holds.
        """
        new = sorted((each for each in contexts if each.row == NO_ROW), key=lambda each: each.number)
        if not new and slots <= self.n_slots:
            return
        held = self.contexts()
        holes = [row for row, context in enumerate(held) if context is None]
        for context in new:
            if holes:
                context.row = holes.pop(0)
                self._rows[context.row] = weakref.ref(context)
            else:
                context.row = len(self._rows)
                self._rows.append(weakref.ref(context))
        try:
            self._grow(len(self._rows), slots)
        except MODEL_FAILURES as err:
            for context in new:
                self._rows[context.row], context.row = None, NO_ROW
            self._trim()
            raise ModelError(f"{self._passes.name}: no memory for a cache of {slots} tokens more: {err}") from err
        if new:
            self.hide(new)

    def _grow(self, rows: int, slots: int) -> None:
        """Makes room for these numbers of rows and slots, and some more."""
        if rows > self.n_rows:
            rows = max(rows, int(self.n_rows * GROWTH))
        if slots > self.n_slots:
            slots = max(slots, FIRST_SLOTS, int(self.n_slots * GROWTH))
        if rows > self.n_rows or slots > self.n_slots:
            self._resize(max(rows, self.n_rows), max(slots, self.n_slots))

    def _trim(self) -> list[TreeContext | None]:
        """Removes holes after the last row in use; returns the contexts of the others."""
        held = self.contexts()
        while held and held[-1] is None:
            held.pop()
        self._rows = self._rows[: len(held)]
        return held

    def release(self, context: TreeContext) -> None:
        """Frees the row of a context, if it has one, and memory where few rows or slots are in use."""
        if context.row == NO_ROW:
            return
        self._rows[context.row], context.row = None, NO_ROW
        held = self._trim()
        live = [each for each in held if each is not None]
        if not live:
            self._drop()
            return
        if len(live) * SPARSE <= len(held):
            self._move_together(held)
        self._shrink(len(self._rows), max(FIRST_SLOTS, int(max(each.n_slots for each in live) * GROWTH)))

    def _shrink(self, rows: int, slots: int) -> None:
        """Frees memory where much more than these numbers of rows or slots is held."""
        rows = rows if rows * SHRINK_AT <= self.n_rows else self.n_rows
        slots = slots if slots * SHRINK_AT <= self.n_slots else self.n_slots
        if rows < self.n_rows or slots < self.n_slots:
            with contextlib.suppress(*MODEL_FAILURES):  # without memory for the copy the larger cache stays
                self._resize(rows, slots)

    def rows_of_pass(self, contexts: Sequence[TreeContext]) -> list[int]:
        """Returns the rows of the batch of a pass: all from the first to the last context, unless they are sparse."""
        rows = sorted(context.row for context in contexts)
        first, last = rows[0], rows[-1] + 1
        return rows if len(rows) * SPARSE <= last - first else list(range(first, last))

    def place(self, rows: Sequence[int], slots: Any, kv_len: int) -> None:
        """Sets the place of the tokens of the next pass.

        Args:
            rows: (B,) the rows of the batch, in ascending order except in a prefill.
            slots: (B, T) int64, or the first slot where all are consecutive.
            kv_len: number of slots that the pass attends to; 0 in a prefill.
        """
        index = self._passes.torch.tensor(list(rows), device=self._passes.place)
        contiguous = kv_len > 0 and rows[-1] + 1 - rows[0] == len(rows)
        self.placement = Placement(slice(rows[0], rows[-1] + 1) if contiguous else index, index, slots, kv_len)

    def passed(self) -> Any:
        """Returns the transformers cache for the next pass."""
        if self.layers is None:
            self.layers = new_layers(self)
        return self.layers

    def copy_row(self, source: int, target: int, slots: int) -> None:
        """Copies the first slots of a row into another row."""
        for layer, name in self._filled():
            held = getattr(layer, name)
            held[target, :, :slots] = held[source, :, :slots]

    def hide(self, contexts: Sequence[TreeContext]) -> None:
        """Masks all slots of contexts."""
        self.prefix_mask[[context.row for context in contexts]] = self.mask_value

    def show(self, row: int, count: int) -> None:
        """Unmasks slots 1 to `count` of a row, which hold the positions from 0 on."""
        self.prefix_mask[row, 1 : count + 1] = 0.0
        self.positions[row, 1 : count + 1] = self._passes.torch.arange(count, device=self.positions.device)

    def unmask(self, contexts: Sequence[TreeContext]) -> None:
        """Unmasks the slots of tokens that were committed since the last pass."""
        found = [each.row * self.n_slots + s for each in contexts for s in each.unmasked_late]
        if found:
            where = self._passes.torch.tensor(found, device=self.prefix_mask.device)
            self.prefix_mask.view(-1).index_fill_(0, where, 0.0)
            for context in contexts:
                context.unmasked_late.clear()

    def written(self, held: Any, new: Any) -> Any:
        """Writes the keys or values of the present pass.

        Args:
            held: (B, H, S, D) of all rows, or None before the first pass.
            new: (b, H, T, D) of the pass.

        Returns:
            (B, H, S, D) of all rows.
        """
        place, count = self.placement, new.shape[2]
        if held is None:
            # Zeros, because a nan in a masked slot would still give nan.
            held = new.new_zeros((self.n_rows, new.shape[1], self.n_slots, new.shape[3]))
        if not place.kv_len:
            held[place.index.to(held.device), :, 1 : 1 + count] = new
        elif isinstance(place.slots, int):
            held[place.rows, :, place.slots : place.slots + count] = new
        else:
            rows, slots = place.index.to(held.device)[:, None], place.slots.to(held.device)  # (b, 1), (b, T)
            held[rows, :, slots] = new.transpose(1, 2)
        return held

    def _filled(self) -> list[tuple[Any, str]]:
        """Returns the layers with the names of the tensors that they hold."""
        layers = self.layers.layers if self.layers is not None else ()
        names = ("keys", "values")
        return [(layer, name) for layer in layers for name in names if getattr(layer, name) is not None]

    def _move_together(self, held: list[TreeContext | None]) -> None:
        """Moves the last contexts into the holes before them."""
        holes = [row for row, context in enumerate(held) if context is None]
        with self._passes.torch.inference_mode():
            while holes and holes[0] < len(held):
                context = held.pop()
                if context is None:
                    continue
                source, target = context.row, holes.pop(0)
                self.copy_row(source, target, context.n_slots)
                self.prefix_mask[target] = self.prefix_mask[source]
                self.positions[target] = self.positions[source]
                context.row, self._rows[target] = target, self._rows[source]
        self._rows = self._rows[: len(held)]

    def _resize(self, rows: int, slots: int) -> None:
        """Copies everything to `rows` rows of `slots` slots.

        Tensors are never smaller than `n_rows` and `n_slots` say, also after a copy for which there was no memory.
        """
        grows = rows > self.n_rows or slots > self.n_slots
        with self._passes.torch.inference_mode():
            steps = [self._resize_layers, self._resize_masks]
            for resize in steps if grows else reversed(steps):
                resize(rows, slots)

    def _resize_masks(self, rows: int, slots: int) -> None:
        torch, passes = self._passes.torch, self._passes
        mask = torch.full((rows, slots), self.mask_value, dtype=passes.dtype, device=passes.place)
        positions = torch.zeros((rows, slots), dtype=torch.int64, device=passes.place)
        if self.prefix_mask is not None:
            _copy_common(self.prefix_mask, mask)
            _copy_common(self.positions, positions)
        self.prefix_mask, self.positions = mask, positions
        self.n_rows, self.n_slots = rows, slots

    def _resize_layers(self, rows: int, slots: int) -> None:
        for layer, name in self._filled():
            held = getattr(layer, name)
            new = held.new_zeros((rows, held.shape[1], slots, held.shape[3]))
            _copy_common(held, new)
            setattr(layer, name, new)


def _copy_common(source: Any, target: Any) -> None:
    """Copies the part that two tensors have in common."""
    part = tuple(slice(min(pair)) for pair in zip(source.shape, target.shape, strict=True))
    target[part] = source[part]
