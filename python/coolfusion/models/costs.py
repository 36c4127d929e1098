"""The cost of a model's passes, from its size and the kind of its device, so that it is the same at every run.

The numbers are no measurements and need not be near the truth. They decide how far drafts are written ahead, and only
their ratios count. A clock would give other numbers at every run. Passes would then have other shapes, which in half
precision round to other texts.
"""

from __future__ import annotations

from typing import Any

LAYER = {"cpu": 2.5e-4, "other": 8e-5}  # seconds that the calls of one layer take, whatever its size
BYTES = {"cpu": 1e10, "other": 1.5e12}  # of weights read in a second
OPERATIONS = {"cpu": 4e10, "other": 2e14}  # in a second


def pass_seconds(module: Any, place: Any) -> tuple[float, float]:
    """Returns the assumed seconds of a pass over one token, and of each further token.

    Args:
        module: the torch module.
        place: its device.
    """
    kind = "cpu" if place.type == "cpu" else "other"
    parameters = {id(each): each for each in module.parameters()}.values()
    weights = sum(each.numel() for each in parameters)
    size = sum(each.numel() * each.element_size() for each in parameters)
    layers = int(getattr(module.config.get_text_config(), "num_hidden_layers", None) or 1)
    return 1e-4 + layers * LAYER[kind] + size / BYTES[kind], 2.0 * weights / OPERATIONS[kind]
