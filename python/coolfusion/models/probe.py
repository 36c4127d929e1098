"""The load probe: which way of running a model gives the logits of full forward passes.

Class names and flags of the cache do not tell (some are wrong without a word), so every tier is run as the loop runs
it: ragged contexts side by side, trees with two branches, what is committed unread, single tokens. What is compared is
every row of logits with the row of a pass over the whole text. Where numbers cannot tell, the structure of the cache
must: a hybrid model that keeps a wrong recurrent state differs by 3e-5 with small random weights.
"""

from __future__ import annotations

import copy
import math
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
# In half precision rounding hides a wrong cache (MPT in a tree is off by 8e-2, ten units of bfloat16): what is right is
# decided on a copy in float32, and the model itself must only stay within so many units.
UNITS_OF_HALF_PRECISION = 16
# Without a copy, since it would be larger than 1 GB or cannot be made: within these, or some times the noise, which is
# what passes over texts of other lengths differ by.
UNITS_WITHOUT_COPY = 4
TIMES_NOISE = 4
LARGEST_COPY = 2**28  # parameters
PROBE_TOKENS = 36
LONGEST_WINDOW_PROBED = 512
# Cache layers that hold one entry per position and nothing else, so that hiding or cutting off is rolling back.
PLAIN_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}
# Attention that takes the additive mask of a tree. The others take other masks, or none at all.
TREE_ATTENTION = {"eager", "sdpa"}


def best_tier(runner: HuggingFaceModel) -> str:
    """The first tier of `huggingface.TIERS` that agrees with full passes; errors go to `runner.probe_errors`.

    Complexity: about twelve passes over 36 tokens (more with a short window) for each tier tried; in half precision as
    many again over a copy in float32, which lives as long as the probe.
    """
    ids = _probe_ids(runner)
    if len(ids) < 12:
        return "full"
    runner.tier = "full"
    exact = _exact_copy(runner)
    noise = _error_of_lengths(runner, ids)
    spread = noise if exact is None else _error_of_lengths(exact, ids)
    if spread > (_units(runner, UNITS_OF_HALF_PRECISION) if exact is None else FLOAT32_TOLERANCE):
        runner.probe_errors["full"] = spread
        return "each"
    kept = _what_it_keeps(runner, ids)
    for tier in hf.TIERS[: hf.TIERS.index("full")]:
        why = _never(runner, tier, kept, exact)
        runner.probe_errors[tier], right = (why, False) if why else _tried(runner, exact, tier, ids, noise)
        if right:
            return tier
    return "full"


def _units(runner: HuggingFaceModel, count: int) -> float:
    """So many units of the dtype, and in float32 and above what is allowed there."""
    return max(FLOAT32_TOLERANCE, count * float(runner.torch.finfo(runner.dtype).eps))


def _exact_copy(runner: HuggingFaceModel) -> HuggingFaceModel | None:
    """The same model in float32; None where it is as exact itself, too large, quantised, or lies on several devices."""
    torch, module = runner.torch, runner.module
    if torch.finfo(runner.dtype).eps <= torch.finfo(torch.float32).eps:
        return None
    weights = [weight.data for weight in module.parameters()]
    odd = any(type(weight) is not torch.Tensor or not weight.is_floating_point() for weight in weights)
    if odd or hasattr(module, "hf_device_map") or sum(weight.numel() for weight in weights) > LARGEST_COPY:
        return None
    try:
        return hf.HuggingFaceModel(copy.deepcopy(module).float(), name=runner.name, end_ids=(), tier="full")
    except (ModelError, *hf.MODEL_FAILURES):  # flash attention, for one, has no float32
        return None


def _never(runner: HuggingFaceModel, tier: str, kept: str, exact: HuggingFaceModel | None) -> str | None:
    """Why a tier is not tried: what numbers cannot tell."""
    longest = max(runner.hidden_windows, default=0)
    if kept == "nothing":
        return "the model keeps nothing of a pass"
    if tier in ("tree", *CROPPED) and kept == "more":
        return "the cache holds more than one entry per position"
    if tier == "tree" and getattr(runner.module.config, "_attn_implementation", None) not in TREE_ATTENTION:
        return "this attention takes no mask of a tree"
    if tier == "tree" and longest > LONGEST_WINDOW_PROBED:
        return f"attention may leave out tokens by a rule of its own from {longest} on, which no mask carries"
    if tier == "copy" and kept == "more" and exact is None and _units(runner, 1) > FLOAT32_TOLERANCE:
        return "rounding would hide a state that goes wrong over several tokens"
    return None


def _tried(
    runner: HuggingFaceModel, exact: HuggingFaceModel | None, tier: str, ids: Sequence[int], noise: float
) -> tuple[float | str, bool]:
    """The error of a tier, or why it cannot be, and whether it is right: in float32 first, then as it is."""
    # Token by token is how everybody runs a state: nothing but rounding can be wrong there.
    loose = exact is not None or tier == "step"
    most = _units(runner, UNITS_OF_HALF_PRECISION)
    allowed = most if loose else min(most, max(_units(runner, UNITS_WITHOUT_COPY), TIMES_NOISE * noise))
    error = 0.0
    for model, tolerance in ((exact, FLOAT32_TOLERANCE), (runner, allowed)):
        if model is None:
            continue
        model.tier = tier
        try:
            error = _largest_error(model, ids)
        except (ModelError, *hf.MODEL_FAILURES) as err:
            return f"{type(err).__name__}: {err}", False
        if not error <= tolerance:
            return error, False
    return error, True


def _probe_ids(runner: HuggingFaceModel) -> list[int]:
    """Random ids from a fixed seed: as many as fit, and more than a short window holds."""
    windows = [runner.window or 0, *runner.hidden_windows]
    window = max((each for each in windows if each <= LONGEST_WINDOW_PROBED), default=0)
    length = window + 24 if window > 0 else PROBE_TOKENS
    # Where the position embedding changes with the length, no cache agrees; the runner sees to that by itself.
    length = min(length, runner.limit or length, runner.switch or length)
    generator = runner.torch.Generator().manual_seed(0)
    ids: list[int] = runner.torch.randint(runner.n_rows, (length,), generator=generator).tolist()
    return ids


def _difference(row: Any, wanted: Any) -> float:
    """The largest difference of two rows; inf where a number stands in one of them alone."""
    same = (row == wanted) | (row.isnan() & wanted.isnan())
    return float((row - wanted).abs().masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf).max())


def _error_of_lengths(runner: HuggingFaceModel, ids: Sequence[int]) -> float:
    """What rows of a full pass differ by from the last rows of passes over beginnings, relative to the largest logit.

    More than rounding where rows depend on what stands behind them: models that look ahead, activations that are
    quantised by the range of a whole pass.
    """
    whole = runner.call_with_state(ids, None, keep=len(ids))[0][0].double()  # (T, V)
    error = 0.0
    for n in (1, len(ids) // 3, len(ids) - 1):
        row = runner.call_with_state(ids[:n], None, keep=1)[0][0, -1].double()  # (V,)
        error = max(error, _difference(row, whole[n - 1]))
    return error / _scale(whole)


def _scale(rows: Any) -> float:
    """The largest finite logit, at least 1."""
    return max(1.0, float(rows.nan_to_num(0.0, 0.0, 0.0).abs().max()))


def _what_it_keeps(runner: HuggingFaceModel, ids: Sequence[int]) -> str:
    """What the model's own cache has: "nothing", one "entry per position" in all layers, or something "more"."""
    runner.tier = "copy"
    try:
        own = runner.call_with_state(ids[:2], None, keep=1)[1]
    except ModelError:
        return "nothing"
    finally:
        runner.tier = "full"
    layers = getattr(own, "layers", None) or ()
    if layers and all(type(layer).__name__ in PLAIN_LAYERS for layer in layers):
        return "entry per position"
    return "nothing" if own is None else "more"


def _rows_of_a_walk(runner: HuggingFaceModel, ids: Sequence[int]) -> list[tuple[tuple[int, ...], Sequence[float]]]:
    """Two texts, read as a fusion reads them: each text that a row stands behind, and the row."""
    first, second, late = len(ids) // 4, len(ids) // 2, len(ids) - 4
    other = list(reversed(ids))
    one, two = runner.open(2)
    runner.prefill([(one, ids[:first]), (two, other[: second + 1])])
    branch, wrong = tuple(ids[first:second]), tuple(other[:3])
    found: list[tuple[tuple[int, ...], Sequence[float]]] = []

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
    return found


def _largest_error(runner: HuggingFaceModel, ids: Sequence[int]) -> float:
    """Of the rows of a walk from those of full passes, relative to the largest logit."""
    found = _rows_of_a_walk(runner, ids)
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
        scale = max(scale, _scale(wanted))
        worst = max(worst, _difference(torch.tensor(row, dtype=torch.float64, device=wanted.device), wanted))
    return worst / scale
