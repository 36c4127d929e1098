"""The load probe: which way of running a model gives the logits of full forward passes.

Class names and flags of the cache do not tell (some are wrong without a word), so every tier is run as the loop runs
it: ragged contexts side by side, trees with two branches, what is committed unread, single tokens. What is compared is
every row of logits with the row of a pass over the whole text. Where numbers cannot tell, the structure of the cache
must: a hybrid model that keeps a wrong recurrent state differs by 3e-5 with small random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coolfusion.errors import ModelError
from coolfusion.models import huggingface as hf
from coolfusion.models.chain import CROPPED

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

# Relative to the largest logit. Right caches are at 2e-6 in float32; rounding grows with the width of a model and
# with the unit of the dtype, wrong caches are at 1e-2 and more.
FLOAT32_TOLERANCE = 1e-4
UNITS_OF_HALF_PRECISION = 16
PROBE_TOKENS = 36
LONGEST_WINDOW_PROBED = 512
# Cache layers that hold one entry per position and nothing else, so that hiding or cutting off is rolling back.
PLAIN_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}
# Attention that takes the additive mask of a tree. The others take other masks, or none at all.
TREE_ATTENTION = {"eager", "sdpa"}


def best_tier(runner: HuggingFaceModel) -> str:
    """The first tier of `huggingface.TIERS` that agrees with full passes; errors go to `runner.probe_errors`.

    Complexity: about twelve passes over 36 tokens (more with a short sliding window) for each tier tried.
    """
    torch = runner.torch
    ids = _probe_ids(runner)
    if len(ids) < 12:
        return "full"
    runner.tier = "full"
    tolerance = max(FLOAT32_TOLERANCE, UNITS_OF_HALF_PRECISION * float(torch.finfo(runner.dtype).eps))
    plain = _has_plain_cache(runner, ids)
    for tier in hf.TIERS[:-1]:
        runner.tier = tier
        try:
            if tier in ("tree", *CROPPED) and not plain:
                runner.probe_errors[tier] = "the cache holds more than one entry per position"
                continue
            if tier == "tree" and getattr(runner.module.config, "_attn_implementation", None) not in TREE_ATTENTION:
                runner.probe_errors[tier] = "this attention takes no mask of a tree"
                continue
            error = _largest_error(runner, ids)
        except (ModelError, *hf.MODEL_FAILURES) as err:
            runner.probe_errors[tier] = f"{type(err).__name__}: {err}"
            continue
        runner.probe_errors[tier] = error
        if error <= tolerance:
            return tier
    return "full"


def _probe_ids(runner: HuggingFaceModel) -> list[int]:
    """Random ids from a fixed seed: as many as fit, and more than a short sliding window holds."""
    window = runner.window or 0
    length = window + 24 if 0 < window <= LONGEST_WINDOW_PROBED else PROBE_TOKENS
    # Where the position embedding changes with the length, no cache agrees; the runner sees to that by itself.
    length = min(length, runner.limit or length, runner.switch or length)
    generator = runner.torch.Generator().manual_seed(0)
    ids: list[int] = runner.torch.randint(runner.n_rows, (length,), generator=generator).tolist()
    return ids


def _has_plain_cache(runner: HuggingFaceModel, ids: Sequence[int]) -> bool:
    """Whether the model's own cache has only layers of one entry per position."""
    runner.tier = "copy"
    try:
        own = runner.call_with_state(ids[:2], None, keep=1)[1]
    except ModelError:
        return False
    finally:
        runner.tier = "full"
    layers = getattr(own, "layers", None) or ()
    return bool(layers) and all(type(layer).__name__ in PLAIN_LAYERS for layer in layers)


def _largest_error(runner: HuggingFaceModel, ids: Sequence[int]) -> float:
    """Of two texts that are read as a fusion reads them, relative to the largest logit."""
    first, second, late = len(ids) // 4, len(ids) // 2, len(ids) - 4
    other = list(reversed(ids))
    one, two = runner.open(2)
    runner.prefill([(one, ids[:first]), (two, other[: second + 1])])
    branch, wrong = tuple(ids[first:second]), tuple(other[:3])
    found = []

    def look(context: Any, *paths: tuple[int, ...]) -> None:
        for path in paths:
            found.append(((*context.ids, *path), context.next_logits(path)))

    look(one, ())
    look(two, ())
    runner.extend([(one, [branch, (*branch[:1], *wrong), wrong]), (two, [wrong])])
    look(one, *(branch[:n] for n in range(1, len(branch) + 1)), (*branch[:1], *wrong), wrong)
    look(two, wrong)
    one.commit(branch[:-1])
    two.commit((*wrong[:1], *branch[:2]))
    look(one, ())
    runner.extend([(one, [branch[-1:] + tuple(ids[second : late - 1])]), (two, [()])])
    look(two, ())
    one.commit(branch[-1:] + tuple(ids[second : late - 2]))
    one.commit(tuple(ids[late - 2 : late]))
    for token_id in ids[late:]:
        runner.extend([(one, [(token_id,)])])
        look(one, (), (token_id,))
        one.commit((token_id,))
    one.close()
    two.close()
    torch = runner.torch
    worst, scale = 0.0, 1.0
    full: dict[tuple[int, ...], Any] = {}
    tier, runner.tier = runner.tier, "full"
    try:
        for text in sorted({text for text, _ in found}, key=len, reverse=True):
            if not any(known[: len(text)] == text for known in full):
                logits = runner.call_with_state(text, None, keep=len(text))[0]
                full[text] = logits[0].double()  # (T, V)
    finally:
        runner.tier = tier
    for text, row in found:
        wanted = next(rows[len(text) - 1] for known, rows in full.items() if known[: len(text)] == text)
        scale = max(scale, float(wanted.abs().max()))
        worst = max(worst, float((torch.tensor(row, dtype=torch.float64, device=wanted.device) - wanted).abs().max()))
    return worst / scale
