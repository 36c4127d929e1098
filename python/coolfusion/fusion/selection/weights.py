"""The weights of members in a step, as functions of the step alone.

Weights are 0 or more, belong to `StepView.members` in their order, and have the sum 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection.base import StepView
from coolfusion.fusion.selection.measures import nats_per_byte


class Weights(Protocol):
    """The weights of the members of a step, for example (.5, .5) for two.

    Attributes:
        prompt_scores: whether the weights need the scores of the prompt.
    """

    prompt_scores: bool

    def of(self, step: StepView) -> list[float]:
        """Returns the weights of `step.members`, with the sum 1."""


class Uniform(Weights):
    """Equal weights, w_u = 1 / M, for example 1/3 for each of three members."""

    prompt_scores = False

    def __repr__(self) -> str:
        return "Uniform()"

    def of(self, step: StepView) -> list[float]:
        """Returns 1 / M for each member."""
        return [1.0 / len(step.members)] * len(step.members)


class Fixed(Weights):
    """Given weights of members by name, for example those that a pool check measured.

    Members that are not named count nothing. If none of the step's members is named, all count alike.

    Args:
        by_name: weights of 0 or more, not all 0; their sum need not be 1.

    Raises:
        ArgumentError: a weight is negative or no number, or no weight is above 0.

    Example:
        ``Fixed({"smollm2": 1.0, "gemma": 3.0})`` counts gemma three quarters.
    """

    prompt_scores = False

    def __init__(self, by_name: Mapping[str, float]) -> None:
        self.by_name = dict(by_name)
        if not any(self.by_name.values()) or not all(0.0 <= w < math.inf for w in self.by_name.values()):
            raise ArgumentError(f"weights must be numbers of at least 0, not all of them 0; these are {self.by_name}")

    def __repr__(self) -> str:
        return f"Fixed({self.by_name})"

    def of(self, step: StepView) -> list[float]:
        """Returns the given weights, normalised over the members of the step."""
        return _normalised([self.by_name.get(step.names[j], 0.0) for j in step.members])


class ByEvidence(Weights):
    """Weights by the quality of the members' predictions of the prompt and the text so far.

    w_u is proportional to exp(-kappa * b_u), where b_u are the nats per byte that member u gave to prompt and text.
    This is a posterior over the members, tempered so that it does not sharpen as the text grows.

    Args:
        kappa: 0 or more, in bytes per nat; 0 counts all alike.

    Raises:
        ArgumentError: kappa is negative or no number.

    Source:
        A tempered posterior (Hedge with a rate of kappa over the bytes); measured in docs/results.md.

    Example:
        With kappa 3, nats per byte of 0.7 and 1.0 give weights of .71 and .29.
    """

    prompt_scores = True

    def __init__(self, kappa: float = 3.0) -> None:
        self.kappa = _not_negative("kappa", kappa)

    def __repr__(self) -> str:
        return f"ByEvidence(kappa={self.kappa:g})"

    def of(self, step: StepView) -> list[float]:
        """Returns the weights, in which members that have scored no byte yet count as the average of the others."""
        return _from_losses([nats_per_byte(step.so_far[j]) for j in step.members], self.kappa)


class ByRecentText(Weights):
    """Weights by the quality of the members' predictions of the last segments, which follow a change of subject.

    w_u is proportional to exp(-kappa * b_u). Here b_u are nats per byte over the committed segments, and a segment that
    lies n steps back counts decay^n. Steps that count less than a hundredth are left out.

    Args:
        kappa: 0 or more, in bytes per nat.
        decay: between 0 and 1.

    Raises:
        ArgumentError: a value is outside its range.

    Source:
        Hedge with discounted losses (SpecEM, arXiv 2412.07380, weighs members by past wins in the same manner).

    Example:
        With decay .9 the segment before last counts .9 of the last.
    """

    prompt_scores = False

    def __init__(self, kappa: float = 3.0, decay: float = 0.9) -> None:
        self.kappa, self.decay = _not_negative("kappa", kappa), decay
        if not 0.0 < decay < 1.0:
            raise ArgumentError(f"decay must be between 0 and 1, not {decay!r}")
        self._steps = math.ceil(math.log(0.01) / math.log(decay))

    def __repr__(self) -> str:
        return f"ByRecentText(kappa={self.kappa:g}, decay={self.decay:g})"

    def of(self, step: StepView) -> list[float]:
        """Returns the weights, which are equal before the first segment."""
        recent = [each.scores[each.winner] for each in step.history[-self._steps :]]
        losses = []
        for j in step.members:
            nats = n_bytes = 0.0
            for row in recent:
                nats = self.decay * nats - row[j].logprob
                n_bytes = self.decay * n_bytes + max(row[j].n_bytes, 1)
            losses.append(nats / n_bytes if n_bytes else math.nan)
        return _from_losses(losses, self.kappa)


def _not_negative(name: str, value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise ArgumentError(f"{name} must be a number of at least 0, not {value!r}")
    return float(value)


def _from_losses(losses: Sequence[float], kappa: float) -> list[float]:
    """Returns weights proportional to exp(-kappa * loss). A nan is unknown and counts as the mean of the known ones."""
    known = [loss for loss in losses if math.isfinite(loss)]
    middle = math.fsum(known) / len(known) if known else 0.0
    filled = [middle if math.isnan(loss) else loss for loss in losses]
    least = min(filled)
    if least == math.inf:
        return _normalised([1.0] * len(losses))
    return _normalised([math.exp(-kappa * (loss - least)) if loss < math.inf else 0.0 for loss in filled])


def _normalised(weights: Sequence[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight / total for weight in weights] if total else [1.0 / len(weights)] * len(weights)
