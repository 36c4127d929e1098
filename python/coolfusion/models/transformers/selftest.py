"""The self-test at load: finds the first strategy that gives the logits of full forward passes.

Class names and flags of caches do not tell, because some caches are wrong without an error. Every strategy is therefore
run as the loop runs it: ragged contexts side by side, trees with two branches, uncomputed commits, single tokens. Every
row of logits is compared with the row of a pass over the whole text. Where numbers cannot tell, the structure of the
cache decides. For example, a hybrid model with a stale recurrent state differs by 3e-5 with small random weights.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from coolfusion.errors import ModelError
from coolfusion.models.transformers import proofs
from coolfusion.models.transformers.forward import MODEL_FAILURES, ForwardRunner
from coolfusion.models.transformers.measure import (
    FLOAT32_TOLERANCE,
    LONGEST_TESTED_WINDOW,
    UNITS_OF_HALF_PRECISION,
    UNITS_WITHOUT_COPY,
    FullPasses,
    difference,
    random_ids,
    units,
)
from coolfusion.models.transformers.proofs import Proof
from coolfusion.models.transformers.short_window import SHORT_WINDOW, right_at_the_window, short_window, window_acts
from coolfusion.models.transformers.strategies.base import CacheKind, Strategy
from coolfusion.models.transformers.strategies.recompute import RecomputeEachStrategy, RecomputeStrategy
from coolfusion.models.transformers.strategies.registry import STRATEGIES, TESTED
from coolfusion.models.transformers.walks import look, walk

# Without a copy, this multiple of the noise is allowed: the difference of passes over texts of other lengths.
TIMES_NOISE = 4
LARGEST_COPY = 2**28  # parameters
TEST_TOKENS = 36
# Fewer tokens than these show nothing.
FEWEST_TOKENS = 12
# Tokens of the comparison with a remembered proof.
SPOT_TOKENS = 9
# Cache layers that hold one entry per position and nothing else, so that masking or cropping is rolling back.
PLAIN_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}


class Choice(NamedTuple):
    """The strategy that was chosen.

    Attributes:
        strategy: its name.
        errors: of each strategy tried, its largest error relative to the logits, or why it cannot be used.
        how: "tested" or "remembered".
        seconds: the time that the choice took.
    """

    strategy: str
    errors: dict[str, float | str]
    how: str
    seconds: float


def choose_strategy(passes: ForwardRunner) -> Choice:
    """Returns the first strategy that agrees with full passes.

    A remembered proof is taken where a small comparison agrees with it.

    Args:
        passes: the forward passes of the model.

    Complexity: about twelve passes over 36 tokens for each strategy tried, with a longer window two more over one
        window. In half precision as many again over a copy in float32, which lives as long as the test.
    """
    start = time.perf_counter()
    key = proofs.key_of(passes)
    known = proofs.recall(key, STRATEGIES)
    if known is not None and _still_right(passes, STRATEGIES[known.strategy]):
        return Choice(known.strategy, known.errors, "remembered", time.perf_counter() - start)
    found = _tested(passes)
    proofs.remember(key, found)
    return Choice(found.strategy, found.errors, "tested", time.perf_counter() - start)


def _still_right(passes: ForwardRunner, strategy: type[Strategy]) -> bool:
    """Returns whether two short texts with branches have the logits of full passes."""
    if strategy.is_definition:
        return True
    ids = random_ids(passes, SPOT_TOKENS)
    try:
        return FullPasses(passes).worst(look(strategy(passes), ids)) <= units(passes, UNITS_OF_HALF_PRECISION)
    except (ModelError, *MODEL_FAILURES):
        return False


def _tested(passes: ForwardRunner) -> Proof:
    """Runs the whole test, with a short window first where the model lets it be set."""
    exact = _exact_copy(passes)
    window = passes.window
    if window is not None and window > SHORT_WINDOW and window_acts(exact or passes):
        with contextlib.ExitStack() as stack:
            for each in (passes, exact):
                if each is not None:
                    stack.enter_context(short_window(each))
            found = _first_right(passes, exact)
        strategy = STRATEGIES[found.strategy]
        if strategy.carries_window and right_at_the_window(passes, exact, strategy):
            return found
    return _first_right(passes, exact)


def _first_right(passes: ForwardRunner, exact: ForwardRunner | None) -> Proof:
    """Compares the strategies in turn.

    Args:
        passes: the forward passes of the model.
        exact: those of a copy in float32, or None.
    """
    errors: dict[str, float | str] = {}
    ids = _test_ids(passes)
    if len(ids) < FEWEST_TOKENS:
        return Proof(RecomputeStrategy.name, errors)
    own = FullPasses(passes)
    precise = None if exact is None else FullPasses(exact)
    spread = noise = _error_of_lengths(precise or own, ids)
    if spread > (units(passes, UNITS_OF_HALF_PRECISION) if exact is None else FLOAT32_TOLERANCE):
        errors[RecomputeStrategy.name] = spread
        return Proof(RecomputeEachStrategy.name, errors)
    kept = _cache_kind(passes, ids)
    is_exact = exact is not None or units(passes, 1) <= FLOAT32_TOLERANCE
    for strategy in TESTED:
        why = strategy.obstacle(passes, kept, exact=is_exact)
        errors[strategy.name], right = (why, False) if why else _tried(own, precise, strategy, ids, noise)
        if right:
            return Proof(strategy.name, errors)
    return Proof(RecomputeStrategy.name, errors)


def _exact_copy(passes: ForwardRunner) -> ForwardRunner | None:
    """Returns the model in float32; None where it is exact, too large, quantised, or lies on several devices."""
    torch, module = passes.torch, passes.module
    if torch.finfo(passes.dtype).eps <= torch.finfo(torch.float32).eps:
        return None
    weights = [weight.data for weight in module.parameters()]
    odd = any(type(weight) is not torch.Tensor or not weight.is_floating_point() for weight in weights)
    if odd or hasattr(module, "hf_device_map") or sum(weight.numel() for weight in weights) > LARGEST_COPY:
        return None
    try:
        # Weights that are copied as float32 at once need no copy in their own dtype before.
        known = {id(weight): torch.nn.Parameter(weight.detach().float(), False) for weight in module.parameters()}
        return ForwardRunner(copy.deepcopy(module, known).float(), passes.name)
    except (ModelError, *MODEL_FAILURES):  # flash attention, for example, has no float32
        return None


def _tried(
    own: FullPasses, precise: FullPasses | None, strategy: type[Strategy], ids: Sequence[int], noise: float
) -> tuple[float | str, bool]:
    """Compares one strategy, in float32 first, then in the model's own dtype.

    Args:
        own: full passes of the model.
        precise: full passes of a copy in float32, or None.
        strategy: the strategy.
        ids: the ids of the test.
        noise: the difference of full passes over texts of other lengths.

    Returns:
        the error, or why there is none, and whether the strategy is right.
    """
    passes = own.passes
    loose = precise is not None or strategy.rounds_only
    most = units(passes, UNITS_OF_HALF_PRECISION)
    allowed = most if loose else min(most, max(units(passes, UNITS_WITHOUT_COPY), TIMES_NOISE * noise))
    error = 0.0
    for full, tolerance in ((precise, FLOAT32_TOLERANCE), (own, allowed)):
        if full is None:
            continue
        try:
            if full is own and precise is not None:
                # The copy has shown the right numbers. The dtype can add rounding, and numbers that it does not have.
                error = full.worst(look(strategy(passes), random_ids(passes, SPOT_TOKENS)))
            else:
                error = full.worst(walk(strategy(full.passes), ids))
        except (ModelError, *MODEL_FAILURES) as err:
            return f"{type(err).__name__}: {err}", False
        if not error <= tolerance:
            return error, False
    return error, True


def _test_ids(passes: ForwardRunner) -> list[int]:
    """Returns random ids from a fixed seed: as many as fit, and more than a short window holds."""
    windows = [passes.window or 0, *passes.hidden_windows]
    window = max((each for each in windows if each <= LONGEST_TESTED_WINDOW), default=0)
    return random_ids(passes, window + 24 if window > 0 else TEST_TOKENS)


def _error_of_lengths(full: FullPasses, ids: Sequence[int]) -> float:
    """Returns the difference of rows of a full pass from the last rows of passes over prefixes, relative to the scale.

    The difference is more than rounding where rows depend on the tokens after them. Rows do so in models that look
    ahead, and with activations that are quantised by the range of a whole pass.
    """
    full.prepare([ids])
    error = 0.0
    for n in (1, len(ids) // 3, len(ids) - 1):
        row = full.passes.line(ids[:n], keep=1, use_cache=False)[0][0, -1].double()  # (V,)
        error = max(error, difference(row, full.row(ids[:n])))
    return error / full.scale


def _cache_kind(passes: ForwardRunner, ids: Sequence[int]) -> CacheKind:
    """Returns the kind of the module's own cache after a pass over two ids."""
    try:
        own: Any = passes.line(ids[:2], keep=1, use_cache=True)[1]
    except ModelError:
        return "nothing"
    layers = getattr(own, "layers", None) or ()
    if layers and all(type(layer).__name__ in PLAIN_LAYERS for layer in layers):
        return "entry per position"
    return "nothing" if own is None else "more"
