"""The rules that a check tries: those with names, and a small grid of the power mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from coolfusion.fusion.selection import RULES, ByEvidence, Fixed, PowerMean, Uniform, Weights, spec_of

__all__ = ["ALTERNATIVES", "grid_of", "named_specs"]

ALTERNATIVES = 1  # of each member; more brought nothing where it was measured (docs/results.md)
EXPONENTS = (0.0, 0.5, 1.0, 2.0, 16.0, math.inf)
KAPPAS = (3.0, 10.0)
SHARPNESS = 4.0  # of weights by measured scores: twice as often right counts 16 times as much


def named_specs() -> dict[str, dict[str, Any]]:
    """Returns the specs of all named rules, in the order of `RULES`.

    Example:
        >>> "mixture" in named_specs()
        True
    """
    return {name: spec_of(make()) for name, make in RULES.items()}


def grid_of(scores: Mapping[str, float], *, alternatives: int = ALTERNATIVES) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields names and specs of power means: exponent x unit x weights x end of the word and alternatives.

    Weights are uniform, by the evidence of the prompt, or by the members' scores on the development half.

    Args:
        scores: the members' shares of right answers on the development half.
        alternatives: most alternatives of each member. 0 leaves the rules with alternatives out.

    Complexity: O(size of the grid), 144 rules.

    Example:
        >>> len(list(grid_of({"a": 0.3, "b": 0.1})))
        144
    """
    weights: list[tuple[str, Weights]] = [("uniform", Uniform())]
    weights += [(f"kappa {kappa:g}", ByEvidence(kappa)) for kappa in KAPPAS]
    if any(scores.values()):
        weights.append(("by score", Fixed({name: score**SHARPNESS for name, score in scores.items()})))
    further = [(False, 0), (True, 0), *([(True, alternatives)] if alternatives else [])]
    for exponent in EXPONENTS:
        for per in ("segment", "byte"):
            for label, each in weights:
                for mass, count in further:
                    parts = [f"mean {exponent:g}", f"per {per}", label]
                    parts += ["end of word"] * mass + [f"{count} more"] * bool(count)
                    rule = PowerMean(exponent, each, per=per, boundary_mass=mass, alternatives=count)
                    yield ", ".join(parts), spec_of(rule)
