"""The number of CPU threads that suits some models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["threads_for"]

SMALL = 64 << 20  # bytes of weights


def threads_for(names: Sequence[str]) -> int | None:
    """Returns 1 if all models are local and small, because waiting for each other costs threads more than they bring.

    None leaves torch its own number.
    """
    sizes = [sum(file.stat().st_size for file in Path(name).glob("*.safetensors")) for name in names]
    return 1 if all(0 < size <= SMALL for size in sizes) else None
