"""Select: which candidate is committed.

A rule gives one value to each candidate; the least value wins. Ties go to the candidate with the bytewise smaller text;
END has no bytes, so it wins its ties. Nested candidates ("New" and "New York") have no rule of their own, and each is
ranked by its own value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Protocol, runtime_checkable

from coolfusion.errors import ArgumentError, CoolFusionError, FusionError, ModelError
from coolfusion.records import Candidate, Score, Step


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as a selection rule sees it.

    Attributes:
        candidates: (C,) the candidates, in the order of their bytes; END first.
        scores: (C, M) scores[i][j] is candidate i under member j.
        members: numbers of the members whose scores are all numbers; a rule must not look at the others.
        names: (M,) the members' names.
        history: the steps of this text so far.
        seed: the request's seed, for rules that draw; None if it has none.
    """

    candidates: tuple[Candidate, ...]
    scores: tuple[tuple[Score, ...], ...]
    members: tuple[int, ...]
    names: tuple[str, ...]
    history: Sequence[Step] = ()
    seed: int | None = None

    def __repr__(self) -> str:
        return f"StepView(step {len(self.history)}, {len(self.candidates)} candidates, members={self.members})"

    def row(self, candidate: int) -> list[Score]:
        """Returns the scores of a candidate under the members that count, in their order."""
        return [self.scores[candidate][j] for j in self.members]

    def evidence(self, member: int) -> float:
        """Returns the sum of ln p that a member gave to all text committed so far, in nats; the prompt is not in it."""
        return math.fsum(step.scores[step.winner][member].logprob for step in self.history)


@runtime_checkable
class SelectionRule(Protocol):
    """Decides which candidate of a step wins. Any object with these attributes is a rule.

    Attributes:
        name: for `Fusion.describe`.
        boundary_mass: whether scores are to hold `boundary_logprob`, which costs a member one more row of logits.
        alternatives: how many segments each member proposes besides its greedy one.

    Example:
        >>> class Boldest:
        ...     name, boundary_mass, alternatives = "boldest", False, 0
        ...     def values(self, step):
        ...         rows = [step.row(at) for at in range(len(step.candidates))]
        ...         return [-max(score.logprob / score.n_tokens for score in row) for row in rows]
        >>> isinstance(Boldest(), SelectionRule)
        True
    """

    name: str
    boundary_mass: bool
    alternatives: int

    def values(self, step: StepView) -> Sequence[float]:
        """Returns the value of each candidate; the least wins. It must not depend on the order of the members."""


class RowRule:
    """A rule that gives a candidate its value from the candidate's own scores alone.

    Args:
        function: from one score for each member to a value.
        boundary_mass: whether the function looks at `boundary_logprob`.
    """

    alternatives = 0

    def __init__(self, function: Callable[[Sequence[Score]], float], *, boundary_mass: bool = False) -> None:
        self._function = function
        self.name = getattr(function, "__name__", "custom").lstrip("_")
        self.boundary_mass = boundary_mass
        self.__doc__ = function.__doc__

    def __call__(self, row: Sequence[Score]) -> float:
        """Returns the value of a candidate."""
        return self._function(row)

    def __repr__(self) -> str:
        return f"RowRule({self.name})"

    def values(self, step: StepView) -> list[float]:
        """Returns the value of each candidate."""
        return [self._function(step.row(at)) for at in range(len(step.candidates))]


class Selection(NamedTuple):
    """The decision of one step.

    Attributes:
        winner: index of the chosen candidate.
        values: the rule's value of every candidate.
        margin: the second least value minus the least; inf for one candidate, 0 for a tie.
        excluded: numbers of the members that were left out.
    """

    winner: int
    values: tuple[float, ...]
    margin: float
    excluded: tuple[int, ...]


def as_rule(rule: Any) -> SelectionRule:
    """Returns a rule: a `SelectionRule` as it is, and a function of one candidate's scores as a `RowRule`.

    Raises:
        ArgumentError: neither.
    """
    if isinstance(rule, SelectionRule):
        return rule
    if callable(rule):
        return RowRule(rule)
    raise ArgumentError(f"rule must be a SelectionRule or a function of one candidate's scores, not {rule!r}")


def select(
    candidates: Sequence[Candidate],
    scores: Sequence[Sequence[Score]],
    rule: SelectionRule,
    names: Sequence[str],
    *,
    history: Sequence[Step] = (),
    seed: int | None = None,
) -> Selection:
    """Chooses one candidate.

    A member with a nan among its scores is left out of the whole step, because all candidates must be compared over the
    same members. A probability of 0 is a number and stays.

    Args:
        candidates: (C,) the candidates.
        scores: (C, M) the scores.
        rule: the selection rule.
        names: (M,) the members' names, for messages.
        history: the steps so far.
        seed: the request's seed.

    Raises:
        ModelError: no member gave numbers.
        ArgumentError: the rule did not give one number for each candidate.
    """
    members = range(len(names))
    excluded = tuple(j for j in members if any(math.isnan(row[j].logprob) for row in scores))
    kept = tuple(j for j in members if j not in excluded)
    if not kept:
        raise ModelError(f"no model gave scores that are numbers: {', '.join(names)}")
    view = StepView(tuple(candidates), tuple(map(tuple, scores)), kept, tuple(names), history, seed)
    values = _values(rule, view)
    order = sorted(range(len(candidates)), key=lambda i: (values[i], candidates[i].text.encode()))
    best, second = values[order[0]], values[order[1]] if len(order) > 1 else math.inf
    return Selection(order[0], values, 0.0 if best == second else second - best, excluded)


def _values(rule: SelectionRule, view: StepView) -> tuple[float, ...]:
    """Returns the values of a rule, checked; whatever else it raises names it."""
    try:
        given = rule.values(view)
    except CoolFusionError:
        raise
    except Exception as err:
        raise FusionError(f"rule {rule.name} failed at step {len(view.history)}: {type(err).__name__}: {err}") from err
    values = tuple(given) if isinstance(given, Iterable) else ()
    numbers = all(isinstance(value, Real) and not math.isnan(value) for value in values)
    if len(values) != len(view.candidates) or not numbers:
        expected = f"expected a number for each of {len(view.candidates)} candidates"
        raise ArgumentError(f"rule {rule.name} gave {given!r}, {expected}")
    return values
