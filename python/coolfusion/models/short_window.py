"""Proofs of a long sliding window by a short one: the window is set to few tokens, which a short text runs past.

That is allowed where setting it changes the rows behind it and those alone. Then the first few layers show that the
length of the window is the one that the configuration says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from coolfusion.errors import ModelError
from coolfusion.models import huggingface as hf
from coolfusion.models.measure import (
    FLOAT32_TOLERANCE,
    UNITS_WITHOUT_COPY,
    Setting,
    difference,
    random_ids,
    scale_of,
    units,
)

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

LONGEST_WINDOW_PROBED = 512
# A window that shows in a probe of few tokens, and so many times the tolerance is what it must change.
SHORT_WINDOW = 8
WINDOW_SHOWS = 4
# Tokens that tell whether it shows.
LOOKED_AT = 20


def window_acts(runner: HuggingFaceModel) -> bool:
    """Whether a short window that is set changes the rows behind it, and those alone."""
    ids = random_ids(runner, LOOKED_AT)
    if len(ids) < LOOKED_AT:
        return False
    limit = units(runner, UNITS_WITHOUT_COPY)
    wide = Setting(runner)
    try:
        # Layers that ignore what is set need no look here, because they disagree with the tree in the short window.
        with _fewer_layers(runner):
            wide.prepare([ids])
            with short_window(runner):
                narrow = Setting(runner)
                narrow.prepare([ids])
    except (ModelError, *hf.MODEL_FAILURES):
        return False
    errors = [difference(narrow.row(ids[:n]), wide.row(ids[:n])) / wide.scale for n in range(1, len(ids) + 1)]
    return max(errors[:SHORT_WINDOW]) <= limit < WINDOW_SHOWS * limit < min(errors[SHORT_WINDOW + 4 :])


def right_at_the_window(runner: HuggingFaceModel, exact: HuggingFaceModel | None, tier: str) -> bool:
    """Whether the rows right after a window of the model's own length are those of a whole pass.

    The short window has shown all layers; here the first few show that the length of the window is the one that the
    configuration says.
    """
    window = runner.window
    if window is None or window > LONGEST_WINDOW_PROBED:
        return True
    model = exact or runner
    ids = random_ids(runner, window + 8)
    if len(ids) < window + 8:
        return True  # no text is as long as the window
    tier, model.tier = model.tier, tier
    first, path = ids[: window + 2], tuple(ids[window + 2 :])
    try:
        with _fewer_layers(model):
            [context] = model.open(1)
            model.prefill([(context, first)])
            rows = [context.next_row(())]
            model.extend([(context, [path, (*path[:1], *ids[:2])])])
            rows += [context.next_row(path[:n]) for n in range(1, len(path) + 1)]
            context.close()
            model.tier = "full"
            whole = model.call_with_state(ids, None, keep=len(rows))[0][0, -len(rows) :].double()  # (N, V)
    except (ModelError, *hf.MODEL_FAILURES):
        return False
    finally:
        model.tier = tier
    error = max(difference(row, wanted) for row, wanted in zip(rows, whole, strict=True)) / scale_of(whole)
    return error <= (FLOAT32_TOLERANCE if exact is not None else units(runner, UNITS_WITHOUT_COPY))


@contextlib.contextmanager
def short_window(runner: HuggingFaceModel) -> Iterator[None]:
    """The model with another window, as long as that lasts."""
    window, places = runner.window, _configs_of_windows(runner)
    runner.window = SHORT_WINDOW
    try:
        for each in places:
            each.sliding_window = SHORT_WINDOW
        yield
    finally:
        runner.window = window
        for each in places:
            each.sliding_window = window


@contextlib.contextmanager
def _fewer_layers(runner: HuggingFaceModel) -> Iterator[None]:
    """The model with its first layers alone, of each type one at least, as long as that lasts."""
    config = runner.module.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    count, types = getattr(text, "num_hidden_layers", None), getattr(text, "layer_types", None) or []
    needed = max([2, *(types.index(each) + 1 for each in set(types))])
    if not isinstance(count, int) or needed >= count or "num_hidden_layers" not in vars(text):
        yield
        return
    text.num_hidden_layers = needed
    try:
        yield
    finally:
        text.num_hidden_layers = count


def _configs_of_windows(runner: HuggingFaceModel) -> list[Any]:
    """All objects of a model that hold its window: configurations, and modules that took the number from there."""
    found: dict[int, Any] = {}
    for part in runner.module.modules():
        config = getattr(part, "config", None)
        text = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
        for each in (part, config, text):
            if _own_window(each) == runner.window:
                found[id(each)] = each
    return list(found.values())


def _own_window(thing: Any) -> Any:
    return getattr(thing, "__dict__", {}).get("sliding_window")
