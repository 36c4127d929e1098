"""The transformers cache of the tree strategy: layers whose tokens are placed by a `TreeKVCache`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol


class Placement(NamedTuple):
    """The place of the tokens of the present pass in the cache.

    Attributes:
        rows: the rows of the batch, a slice where they are contiguous, else (B,) int64.
        index: (B,) int64, the same rows.
        slots: (B, T) int64, or the first slot of all tokens where they are consecutive.
        kv_len: number of slots that the pass attends to; 0 in a prefill, which attends to its own tokens alone.
    """

    rows: Any = slice(0, 0)
    index: Any = None
    slots: Any = 1
    kv_len: int = 0


class TokenWriter(Protocol):
    """The cache that places tokens.

    Attributes:
        placement: the place of the tokens of the present pass.
    """

    placement: Placement

    def written(self, held: Any, new: Any) -> Any:
        """Writes the keys or values of the present pass; returns those of all rows."""


def new_layers(cache: TokenWriter) -> Any:
    """Returns a transformers cache whose layers are written by a `TokenWriter`."""
    from transformers.cache_utils import Cache, DynamicLayer

    class TreeLayer(DynamicLayer):  # type: ignore[no-untyped-call]
        """The keys and values of one layer, (B, H, S, D), written in place."""

        def __init__(self, tree: TokenWriter) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._tree = tree
            self.keys = self.values = None

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            """Writes the tokens of this pass; returns all keys and values that it attends to."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.keys = self.values = None
            self.keys = self._tree.written(self.keys, key_states)
            self.values = self._tree.written(self.values, value_states)
            place = self._tree.placement
            if not place.kv_len:
                return key_states, value_states
            return self._seen(self.keys, place), self._seen(self.values, place)

        @staticmethod
        def _seen(held: Any, place: Placement) -> Any:
            rows = place.rows if isinstance(place.rows, slice) else place.rows.to(held.device)
            return held[rows, :, : place.kv_len]

        def get_seq_length(self) -> int:
            """Returns the number of tokens before those of this pass."""
            return max(0, self._tree.placement.kv_len - 1)

    make: Callable[[], Any] = partial(TreeLayer, cache)
    layers: Any = Cache
    return layers(layer_class_to_replicate=make)
