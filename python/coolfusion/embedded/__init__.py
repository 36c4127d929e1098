"""The three small models that the package brings along; see README.md beside this file for what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["folders", "fusion"]


def folders() -> list[Path]:
    """The folders of the embedded models, by name.

    Returns:
        one folder a model, each with config.json, weights and tokenizer; for `Fusion.from_pretrained`.
    """
    return sorted(path.parent for path in Path(__file__).parent.glob("*/config.json"))


def fusion(**options: Any) -> Any:
    """Loads the embedded models as a `Fusion`.

    Args:
        options: those of `Fusion.from_pretrained`.

    Example:
        >>> len(fusion().members)
        3
    """
    from coolfusion.fusion import Fusion

    return Fusion.from_pretrained(folders(), **options)
