"""The load probe: which way of running a model gives the logits of full forward passes.

Class names and flags of the cache do not tell (some are wrong without a word), so every tier is run as the loop runs
it: ragged contexts side by side, trees with two branches, what is committed unread, single tokens. What is compared is
every row of logits with the row of a pass over the whole text. Where numbers cannot tell, the structure of the cache
must: a hybrid model that keeps a wrong recurrent state differs by 3e-5 with small random weights.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coolfusion.errors import ModelError
from coolfusion.models import huggingface as hf
from coolfusion.models import proofs
from coolfusion.models.chain import CROPPED
from coolfusion.models.measure import (
    FLOAT32_TOLERANCE,
    UNITS_OF_HALF_PRECISION,
    UNITS_WITHOUT_COPY,
    Setting,
    difference,
    random_ids,
    units,
)
from coolfusion.models.short_window import (
    LONGEST_WINDOW_PROBED,
    SHORT_WINDOW,
    right_at_the_window,
    short_window,
    window_acts,
)

if TYPE_CHECKING:
    from coolfusion.models.huggingface import HuggingFaceModel

# Without a copy, so many times the noise is allowed, which is what passes over texts of other lengths differ by.
TIMES_NOISE = 4
LARGEST_COPY = 2**28  # parameters
PROBE_TOKENS = 36
# Of the comparison with what is remembered.
SPOT_TOKENS = 9
# Cache layers that hold one entry per position and nothing else, so that hiding or cutting off is rolling back.
PLAIN_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}
# Attention that takes the additive mask of a tree. The others take other masks, or none at all.
TREE_ATTENTION = {"eager", "sdpa"}
# Texts, and the row of logits behind each, (V,) float64.
Read = list[tuple[tuple[int, ...], Any]]


def best_tier(runner: HuggingFaceModel) -> str:
    """The first tier of `huggingface.TIERS` that agrees with full passes; errors go to `runner.probe_errors`.

    A proof that was made before is taken where a small comparison agrees with it; `runner.proof` tells.

    Complexity: about twelve passes over 36 tokens for each tier tried, with a longer window two more over one window;
    in half precision as many again over a copy in float32, which lives as long as the probe.
    """
    start = time.perf_counter()
    key = proofs.key_of(runner)
    known = proofs.recall(key)
    if known is not None and _still_right(runner, known.tier):
        runner.probe_errors = dict(known.errors)
        runner.proof = {"how": "remembered", "seconds": time.perf_counter() - start}
        return known.tier
    runner.probe_errors = {}
    tier = _probed(runner)
    proofs.remember(key, proofs.Proof(tier, runner.probe_errors))
    runner.proof = {"how": "probed", "seconds": time.perf_counter() - start}
    return tier


def _still_right(runner: HuggingFaceModel, tier: str) -> bool:
    """Whether two short texts with branches, read in a tier, have the rows of whole passes."""
    if tier == "each":
        return True  # every row has a whole pass of its own: nothing to compare it with
    ids = random_ids(runner, SPOT_TOKENS)
    runner.tier = tier
    try:
        return Setting(runner).worst(_rows_of_a_look(runner, ids)) <= units(runner, UNITS_OF_HALF_PRECISION)
    except (ModelError, *hf.MODEL_FAILURES):
        return False


def _probed(runner: HuggingFaceModel) -> str:
    """The tier, by the whole probe: with a short window first where the model lets it be set."""
    runner.tier = "full"
    exact = _exact_copy(runner)
    window = runner.window
    if window is not None and window > SHORT_WINDOW and window_acts(exact or runner):
        with contextlib.ExitStack() as stack:
            for model in (runner, exact):
                if model is not None:
                    stack.enter_context(short_window(model))
            tier = _first_right(runner, exact)
        if tier == "tree" and right_at_the_window(runner, exact, tier):
            return tier
        runner.probe_errors = {}
    return _first_right(runner, exact)


def _first_right(runner: HuggingFaceModel, exact: HuggingFaceModel | None) -> str:
    ids = _probe_ids(runner)
    if len(ids) < 12:
        return "full"
    runner.tier = "full"
    own = Setting(runner)
    precise = None if exact is None else Setting(exact)
    spread = noise = _error_of_lengths(precise or own, ids)
    if spread > (units(runner, UNITS_OF_HALF_PRECISION) if exact is None else FLOAT32_TOLERANCE):
        runner.probe_errors["full"] = spread
        return "each"
    kept = _what_it_keeps(runner, ids)
    for tier in hf.TIERS[: hf.TIERS.index("full")]:
        why = _never(runner, tier, kept, exact)
        runner.probe_errors[tier], right = (why, False) if why else _tried(own, precise, tier, ids, noise)
        if right:
            return tier
    return "full"


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
        # Weights that are copied as float32 at once need no copy in their own dtype before.
        known = {id(weight): torch.nn.Parameter(weight.detach().float(), False) for weight in module.parameters()}
        return hf.HuggingFaceModel(copy.deepcopy(module, known).float(), name=runner.name, end_ids=(), tier="full")
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
    if tier == "copy" and kept == "more" and exact is None and units(runner, 1) > FLOAT32_TOLERANCE:
        return "rounding would hide a state that goes wrong over several tokens"
    return None


def _tried(
    own: Setting, precise: Setting | None, tier: str, ids: Sequence[int], noise: float
) -> tuple[float | str, bool]:
    """The error of a tier, or why it cannot be, and whether it is right: in float32 first, then as it is."""
    runner = own.runner
    # Token by token is how everybody runs a state: nothing but rounding can be wrong there.
    loose = precise is not None or tier == "step"
    most = units(runner, UNITS_OF_HALF_PRECISION)
    allowed = most if loose else min(most, max(units(runner, UNITS_WITHOUT_COPY), TIMES_NOISE * noise))
    error = 0.0
    for setting, tolerance in ((precise, FLOAT32_TOLERANCE), (own, allowed)):
        if setting is None:
            continue
        setting.runner.tier = tier
        try:
            if setting is own and precise is not None:
                # The copy has shown what is right; the dtype can add rounding, and numbers that it does not have.
                error = setting.worst(_rows_of_a_look(setting.runner, random_ids(own.runner, SPOT_TOKENS)))
            else:
                error = setting.worst(_rows_of_a_walk(setting.runner, ids))
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
    return random_ids(runner, length)


def _error_of_lengths(setting: Setting, ids: Sequence[int]) -> float:
    """What rows of a full pass differ by from the last rows of passes over beginnings, relative to the largest logit.

    More than rounding where rows depend on what stands behind them: models that look ahead, activations that are
    quantised by the range of a whole pass.
    """
    setting.prepare([ids])
    error = 0.0
    for n in (1, len(ids) // 3, len(ids) - 1):
        row = setting.runner.call_with_state(ids[:n], None, keep=1)[0][0, -1].double()  # (V,)
        error = max(error, difference(row, setting.row(ids[:n])))
    return error / setting.scale


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


def _rows_of_a_look(runner: HuggingFaceModel, ids: Sequence[int]) -> Read:
    """The same in few tokens: prompts of two lengths, branches, and what was committed unread.

    All that is looked at are beginnings of one text, so that one whole pass tells what is right; other branches are
    there to be hidden from them.
    """
    half = len(ids) // 2
    path, wrong = tuple(ids[half - 1 : -1]), tuple(reversed(ids[:2]))
    one, two = runner.open(2)
    try:
        runner.prefill([(one, ids[: half - 1]), (two, ids[: half + 1])])
        found: Read = [(tuple(each.ids), each.next_row(())) for each in (one, two)]
        runner.extend([(one, [wrong, path]), (two, [wrong[:1], tuple(ids[half + 1 : half + 2])])])
        found += [((*one.ids, *path[:n]), one.next_row(path[:n])) for n in range(1, len(path) + 1)]
        found.append((tuple(ids[: half + 2]), two.next_row((ids[half + 1],))))
        one.commit((*path, ids[-1]))
        runner.extend([(one, [()])])
        return [*found, (tuple(ids), one.next_row(()))]
    finally:
        one.close()
        two.close()


def _rows_of_a_walk(runner: HuggingFaceModel, ids: Sequence[int]) -> Read:
    """Two texts, read as a fusion reads them: each text that a row stands behind, and the row."""
    first, second, late = len(ids) // 4, len(ids) // 2, len(ids) - 4
    other = list(reversed(ids))
    one, two = runner.open(2)
    runner.prefill([(one, ids[:first]), (two, other[: second + 1])])
    branch, wrong = tuple(ids[first:second]), tuple(other[:3])
    found: Read = []

    def look(context: Any, *paths: tuple[int, ...]) -> None:
        for path in paths:
            found.append(((*context.ids, *path), context.next_row(path)))

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
