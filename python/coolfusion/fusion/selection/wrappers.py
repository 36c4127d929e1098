"""Rules around another rule, for a primary member whose word counts first and for a filter of outliers."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection.base import Ranking, SelectionRule, StepView, as_ranking
from coolfusion.fusion.selection.measures import logprob_of, nats_per_byte


class Primary(SelectionRule):
    """A rule that selects the proposal of one member, unless another candidate is better by a margin.

    The values of candidates that the primary does not propose grow by the margin. END wins if the primary proposes it.
    Otherwise it cannot win, because the primary ends the text.

    Args:
        rule: the rule that gives the values.
        margin: nats of `rule`, 0 or more; inf leaves every decision to the primary.
        member: the name of the primary; None takes the member that gave the prompt the fewest nats per byte.

    Raises:
        ArgumentError: the margin is negative.

    Source:
        The clamp of the main model in CoRE (arXiv 2510.13855) and the verifier of SAFE (arXiv 2510.15346), as a margin.

    Example:
        Values (2.0, 1.9), the first by the primary: with margin .3 the first wins, with 0 the second.
    """

    def __init__(self, rule: SelectionRule, margin: float = 0.0, member: str | None = None) -> None:
        if not margin >= 0.0:
            raise ArgumentError(f"margin must be at least 0 nats, not {margin!r}")
        self.rule, self.margin, self.member = rule, float(margin), member
        self.boundary_mass, self.alternatives = rule.boundary_mass, rule.alternatives
        self.prompt_scores = rule.prompt_scores or member is None
        self.name = f"primary({member or 'by prompt'}, margin {margin:g}, {rule.name})"

    def __repr__(self) -> str:
        return f"Primary({self.rule!r}, margin={self.margin:g}, member={self.member!r})"

    def is_unsure(self, step: StepView) -> bool:
        """Returns whether the inner rule is unsure."""
        return self.rule.is_unsure(step)

    def values(self, step: StepView) -> Ranking:
        """Returns the values of the rule, with the margin added for candidates of others."""
        found, primary = as_ranking(self.rule.values(step)), self._primary(step)
        if primary is None:
            return found
        proposes = any(primary in candidate.members for candidate in step.candidates)
        values = []
        for candidate, value in zip(step.candidates, found.values, strict=True):
            own = primary in candidate.members
            if candidate.end:
                values.append(-math.inf if own else math.inf)
            else:
                values.append(value if own or not proposes else value + self.margin)
        return Ranking(tuple(values), found.weights, primary)

    def _primary(self, step: StepView) -> int | None:
        """Returns the number of the primary, or None if it takes no part in this step."""
        if self.member is not None:
            return next((j for j in step.members if step.names[j] == self.member), None)
        if not step.prompt:
            return None
        losses = {j: nats_per_byte(step.prompt[j]) for j in step.members}
        known = {j: loss for j, loss in losses.items() if not math.isnan(loss)}
        # Equal losses are told apart by name, because the order of the members must not matter.
        return min(known, key=lambda j: (known[j], step.names[j])) if known else None


class WithoutOutliers(SelectionRule):
    """A rule that leaves out members that find the candidates far less likely than the others, then applies another.

    A member's loss is the mean over candidates of -ln p per byte. Members whose loss exceeds the median of all by more
    than `tolerance` are left out. With two members there is no majority, so both stay.

    Args:
        rule: the rule for the members that stay.
        tolerance: nats per byte, 0 or more.

    Raises:
        ArgumentError: the tolerance is negative.

    Source:
        Consistency filters as in CoRE (arXiv 2510.13855), with the median in place of a threshold of probability.

    Example:
        Losses of .6, .7 and 3.0 with a tolerance of 1: the third member is left out.
    """

    def __init__(self, rule: SelectionRule, tolerance: float = 1.0) -> None:
        if not tolerance >= 0.0:
            raise ArgumentError(f"tolerance must be at least 0 nats per byte, not {tolerance!r}")
        self.rule, self.tolerance = rule, float(tolerance)
        self.boundary_mass, self.alternatives = rule.boundary_mass, rule.alternatives
        self.prompt_scores = rule.prompt_scores
        self.name = f"without_outliers({tolerance:g}, {rule.name})"

    def __repr__(self) -> str:
        return f"WithoutOutliers({self.rule!r}, tolerance={self.tolerance:g})"

    def is_unsure(self, step: StepView) -> bool:
        """Returns whether the inner rule is unsure."""
        return self.rule.is_unsure(step)

    def values(self, step: StepView) -> Ranking:
        """Returns the values of the rule over the members that stay; the others have the weight 0."""
        losses = {j: statistics.fmean(-logprob_of(row[j], "byte") for row in step.scores) for j in step.members}
        most = statistics.median(losses.values()) + self.tolerance
        kept = tuple(j for j in step.members if losses[j] <= most or len(losses) < 3)
        found = as_ranking(self.rule.values(replace(step, members=kept)))
        weights = dict(zip(kept, found.weights or [1.0 / len(kept)] * len(kept), strict=True))
        return Ranking(found.values, tuple(weights.get(j, 0.0) for j in step.members), found.primary)
