"""Tests of a long sliding window by a short one: the window is set to few tokens, which a short text runs past.

A short window is allowed where setting it changes the logits of later tokens and no others. Then the first few layers
show that the window has the length that the configuration says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.models.transformers.forward import MODEL_FAILURES, ForwardRunner
from coolfusion.models.transformers.measure import (
    FLOAT32_TOLERANCE,
    LONGEST_TESTED_WINDOW,
    UNITS_WITHOUT_COPY,
    FullPasses,
    difference,
    random_ids,
    scale_of,
    units,
)
from coolfusion.models.transformers.strategies.base import Strategy

# A window that shows in a test of few tokens; it must change the logits by this multiple of the tolerance.
SHORT_WINDOW = 8
WINDOW_SHOWS = 4
# Tokens that tell whether it shows.
TOKENS_LOOKED_AT = 20


def window_acts(passes: ForwardRunner) -> bool:
    """Returns whether a short window, once set, changes the logits of later tokens and no others."""
    ids = random_ids(passes, TOKENS_LOOKED_AT)
    if len(ids) < TOKENS_LOOKED_AT:
        return False
    limit = units(passes, UNITS_WITHOUT_COPY)
    wide = FullPasses(passes)
    try:
        # Layers that ignore the setting need no look here, because they disagree with the tree in the short window.
        with _fewer_layers(passes):
            wide.prepare([ids])
            with short_window(passes):
                narrow = FullPasses(passes)
                narrow.prepare([ids])
    except (ModelError, *MODEL_FAILURES):
        return False
    errors = [difference(narrow.row(ids[:n]), wide.row(ids[:n])) / wide.scale for n in range(1, len(ids) + 1)]
    return max(errors[:SHORT_WINDOW]) <= limit < WINDOW_SHOWS * limit < min(errors[SHORT_WINDOW + 4 :])


def right_at_the_window(passes: ForwardRunner, exact: ForwardRunner | None, strategy: type[Strategy]) -> bool:
    """Returns whether the logits right after a window of the model's own length are those of a full pass.

    The short window has shown all layers. Here the first few layers show that the window has the length that the
    configuration says.

    Args:
        passes: the forward passes of the model.
        exact: those of a copy in float32, or None.
        strategy: the strategy that is compared with full passes.
    """
    window = passes.window
    if window is None or window > LONGEST_TESTED_WINDOW:
        return True
    model = exact or passes
    ids = random_ids(passes, window + 8)
    if len(ids) < window + 8:
        return True  # no text is as long as the window
    try:
        with _fewer_layers(model), model.torch.inference_mode():
            rows = _rows_at_the_end(strategy(model), ids, window + 2)
            whole = model.line(ids, keep=len(rows), use_cache=False)[0][0, -len(rows) :].double()  # (N, V)
    except (ModelError, *MODEL_FAILURES):
        return False
    error = max(difference(row, wanted) for row, wanted in zip(rows, whole, strict=True)) / scale_of(whole)
    return error <= (FLOAT32_TOLERANCE if exact is not None else units(passes, UNITS_WITHOUT_COPY))


def _rows_at_the_end(strategy: Strategy, ids: list[int], n_prompt: int) -> list[Any]:
    """Reads a prompt of `n_prompt` ids and then the others as a path next to a branch; returns their logits."""
    path = tuple(ids[n_prompt:])
    context = strategy.new_context()
    try:
        strategy.prefill([(context, ids[:n_prompt])])
        rows = [context.next_row(())]
        strategy.forward([(context, context.paths.missing([path, (*path[:1], *ids[:2])]))])
        return rows + [context.next_row(path[:n]) for n in range(1, len(path) + 1)]
    finally:
        context.close()


@contextlib.contextmanager
def short_window(passes: ForwardRunner) -> Iterator[None]:
    """Gives the model a short window for the duration of the context."""
    window, places = passes.window, _configs_of_windows(passes)
    passes.window = SHORT_WINDOW
    try:
        for each in places:
            each.sliding_window = SHORT_WINDOW
        yield
    finally:
        passes.window = window
        for each in places:
            each.sliding_window = window


@contextlib.contextmanager
def _fewer_layers(passes: ForwardRunner) -> Iterator[None]:
    """Leaves the model its first layers for the duration of the context, at least one of each type."""
    config = passes.module.config
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


def _configs_of_windows(passes: ForwardRunner) -> list[Any]:
    """Returns all objects of a model that hold its window: configurations, and modules that copied the number."""
    found: dict[int, Any] = {}
    for part in passes.module.modules():
        config = getattr(part, "config", None)
        text = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
        for each in (part, config, text):
            if _own_window(each) == passes.window:
                found[id(each)] = each
    return list(found.values())


def _own_window(thing: Any) -> Any:
    return getattr(thing, "__dict__", {}).get("sliding_window")
