"""The load probe: which way of using a model's cache gives the logits of a full forward pass.

Class names and flags of the cache do not tell (some are wrong without a word), so every tier is run: context,
provisional tokens, rollback, several tokens at once, commit, single tokens. What is compared is every row of logits
with the rows of one pass over all tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coolfusion.errors import ModelError
from coolfusion.models import huggingface as hf

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

# Relative to the largest logit. Right caches are at 2e-6 in float32; rounding grows with the width of a model and
# with the unit of the dtype, wrong caches are at 1e-2 and more.
FLOAT32_TOLERANCE = 1e-4
UNITS_OF_HALF_PRECISION = 16


def best_tier(runner: HuggingFaceModel) -> str:
    """The first tier of `huggingface.TIERS` that agrees with full passes; errors go to `runner.probe_errors`.

    Complexity: about five passes over 24 tokens (more with a short sliding window) for each tier tried.
    """
    torch = runner._torch
    ids = _probe_ids(runner)
    if len(ids) < 6:
        return "full"
    runner.tier = "full"
    reference = runner._forward(ids, None, every=True)[0].double()  # (T, V) float64
    dtype = next(runner._model.parameters()).dtype
    tolerance = max(FLOAT32_TOLERANCE, UNITS_OF_HALF_PRECISION * float(torch.finfo(dtype).eps))
    scale = max(1.0, float(reference.abs().max()))
    for tier in hf.TIERS[:-1]:
        runner.tier = tier
        try:
            if tier == "crop" and not _is_croppable(runner, ids):
                runner.probe_errors[tier] = "the cache holds more than one entry per position"
                continue
            error = float((_rows_by_parts(runner, ids) - reference[len(ids) // 3 :]).abs().max()) / scale
        except (ModelError, *hf.MODEL_FAILURES) as err:
            runner.probe_errors[tier] = f"{type(err).__name__}: {err}"
            continue
        runner.probe_errors[tier] = error
        if error <= tolerance:
            return tier
    return "full"


def _probe_ids(runner: HuggingFaceModel) -> list[int]:
    """Random ids from a fixed seed: as many as fit, and more than a short sliding window holds."""
    torch = runner._torch
    config = runner._model.config
    window = getattr(config, "sliding_window", None) or 0
    length = window + 16 if 0 < window <= hf.LONGEST_WINDOW_PROBED else hf.PROBE_TOKENS
    # Where the position embedding changes with the length, no cache agrees; the runner rebuilds its own there.
    length = min(length, runner.limit or length, runner._context_switch or length)
    generator = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(runner.n_rows, (length,), generator=generator).tolist()
    return ids


def _is_croppable(runner: HuggingFaceModel, ids: Sequence[int]) -> bool:
    """Whether the model's own cache has only layers of one entry per position.

    The numbers alone do not tell: a cropped hybrid model keeps a wrong recurrent state that a small random model
    hides (3e-5).
    """
    runner.tier = "copy"
    own = runner._forward(ids[:2], None, every=False)[1]
    runner.tier = "crop"
    layers = getattr(own, "layers", None) or ()
    return bool(layers) and all(type(layer).__name__ in hf.CROPPABLE_LAYERS for layer in layers)


def _rows_by_parts(runner: HuggingFaceModel, ids: Sequence[int]) -> Any:
    """Rows (T - T // 3, V) float64 of the ids after the first third, read as a fusion reads them."""
    first, second = len(ids) // 3, 2 * len(ids) // 3
    junk = list(reversed(ids[: len(ids) - second]))
    runner.prefill(ids[:first])
    runner.extend(junk)
    runner.rollback()
    parts = [runner._read(ids[first:second], every=True)]
    runner.commit()
    runner.extend(junk[:1])
    runner.rollback()
    for token_id in ids[second:]:
        parts.append(runner._read([token_id], every=True))
    return runner._torch.cat(parts).double()
