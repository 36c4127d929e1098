"""Rules of one family: the power mean over members of the probability of a candidate.

Each member u gives a candidate c the probability P_u(c) of its tokens. Where it is measured, the probability that a
word ends there is a factor of it. With weights w_u of the sum 1 a candidate gets

    M_a(c) = (sum over u of w_u P_u(c)^a)^(1/a)

and the greatest mean wins. The exponent a says who decides: the strictest member (a = -inf), the weighted geometric
mean (0), the arithmetic mean (1), or the boldest member (+inf). Specialists want a large exponent because one member
knows. Members of like strength want one of 0.5 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection.base import Ranking, SelectionRule, StepView
from coolfusion.fusion.selection.measures import Unit, logprob_of
from coolfusion.fusion.selection.weights import Uniform, Weights
from coolfusion.models.numerics import logsumexp, total
from coolfusion.records import Score


class PowerMean(SelectionRule):
    """A rule that selects the candidate with the greatest power mean of its probabilities.

    Args:
        exponent: a in the formula above; any number or an infinity.
        weights: the weights of the members; None counts all alike.
        per: the divisor of ln P_u before the mean: 1 ("segment"), its tokens under u ("token"), or its bytes ("byte").
            A divisor takes away the disadvantage of long candidates.
        boundary_mass: whether P_u holds the probability that a word ends after the candidate.
        alternatives: number of segments that each member proposes besides its greedy one, if the pool is unsure.
        unsure_below: the pool is unsure if the weighted mean probability of each candidate is below this.
        name: the name in records; None names the formula.

    Raises:
        ArgumentError: the exponent is no number, or the unit is unknown.

    Complexity: O(candidates * members).

    Source:
        docs/concepts.md, "power mean". Exponent 1 is the mixture of Jacobs et al. (1991), 0 the product of experts of
        Hinton (1999).

    Example:
        Probabilities (.6, .1) and (.3, .3): exponent 1 takes the first (.35 against .3), exponent 0 the second (.24
        against .3).
    """

    def __init__(
        self,
        exponent: float = 0.5,
        weights: Weights | None = None,
        *,
        per: Unit = "segment",
        boundary_mass: bool = True,
        alternatives: int = 0,
        unsure_below: float = 0.15,
        name: str | None = None,
    ) -> None:
        if math.isnan(exponent):
            raise ArgumentError("exponent must be a number, not nan")
        if per not in ("segment", "token", "byte"):
            raise ArgumentError(f"per {per!r} is unknown; expected 'segment' or 'token' or 'byte'")
        self.exponent, self.weights, self.per = float(exponent), weights or Uniform(), per
        self.boundary_mass, self.alternatives, self.unsure_below = boundary_mass, alternatives, unsure_below
        self.prompt_scores = self.weights.prompt_scores
        self.name = name or f"power_mean({exponent:g}, {self.weights!r}, per {per})"

    def __repr__(self) -> str:
        return f"PowerMean({self.exponent:g}, {self.weights!r}, per={self.per!r})"

    def values(self, step: StepView) -> Ranking:
        """Returns minus ln of the mean, in nats, for each candidate."""
        weights = self.weights.of(step)
        values = [self._value(step.row(at), weights) for at in range(len(step.candidates))]
        return Ranking(tuple(values), tuple(weights))

    def is_unsure(self, step: StepView) -> bool:
        """Returns whether sum over u of w_u P_u(c) is below `unsure_below` for every candidate c."""
        weights = self.weights.of(step)
        rows = (step.row(at) for at in range(len(step.candidates)))
        pooled = (total(w * math.exp(logprob_of(s)) for s, w in zip(row, weights, strict=True)) for row in rows)
        return max(pooled) < self.unsure_below

    def _value(self, row: Sequence[Score], weights: Sequence[float]) -> float:
        terms = [(logprob_of(score, self.per), weight) for score, weight in zip(row, weights, strict=True) if weight]
        if self.exponent == math.inf:
            return -max(term for term, _ in terms)
        if self.exponent == -math.inf:
            return -min(term for term, _ in terms)
        if self.exponent == 0.0:
            return -total(weight * term for term, weight in terms)
        mean = logsumexp(math.log(weight) + self.exponent * term for term, weight in terms)
        return -mean / self.exponent
