"""Selects the candidate that is committed.

A rule gives one value to each candidate, and the least value wins. For example, 0.7 wins against 1.2. Ties go to the
candidate with the bytewise smaller text. END wins its ties, because it has no bytes. Nested candidates ("New" and
"New York") have no rule of their own, and each is ranked by its own value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Protocol, runtime_checkable

from coolfusion.errors import ArgumentError, CoolFusionError, FusionError, ModelError
from coolfusion.members.endings import Granularity
from coolfusion.records import Candidate, Score, Step

NO_SCORE = Score(0.0, 0)


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as a selection rule sees it.

    Attributes:
        candidates: (C,) the candidates, in the order of their bytes; END first.
        scores: (C, M) scores[i][j] is candidate i under member j.
        members: numbers of the members whose scores are all numbers. A rule must not use the others.
        names: (M,) the members' names.
        prompt: (M,) the score of the prompt under each member; () unless the rule asks for `prompt_scores`.
        so_far: (M,) the score under each member of the prompt, if it is known, and of all text committed since.
        history: the steps of this text so far.
        seed: the seed of the request, for rules that draw; None if it has none.
    """

    candidates: tuple[Candidate, ...]
    scores: tuple[tuple[Score, ...], ...]
    members: tuple[int, ...]
    names: tuple[str, ...]
    prompt: tuple[Score, ...] = ()
    so_far: tuple[Score, ...] = ()
    history: Sequence[Step] = ()
    seed: int | None = None

    def __repr__(self) -> str:
        return f"StepView(step {len(self.history)}, {len(self.candidates)} candidates, members={self.members})"

    def row(self, candidate: int) -> list[Score]:
        """Returns the scores of a candidate under the members that count, in their order."""
        return [self.scores[candidate][j] for j in self.members]


class Ranking(NamedTuple):
    """The decision of a rule, with the weights and the primary member that led to it.

    For example, ``Ranking([0.4, 1.1], (0.5, 0.5))`` lets the first candidate win under equal weights.

    Attributes:
        values: (C,) the value of each candidate; the least wins.
        weights: one weight for each of `StepView.members`, with the sum 1; () if the rule has none.
        primary: number of the member that the others must outbid, or None.
    """

    values: tuple[float, ...]
    weights: tuple[float, ...] = ()
    primary: int | None = None


@runtime_checkable
class SelectionRule(Protocol):
    """A rule that decides which candidate of a step wins. Objects with these attributes are rules too.

    Attributes:
        name: the name in `Fusion.describe` and in records.
        boundary_mass: whether scores are to hold `boundary_logprob`, which costs a member one more row of logits, and
            `start_logprob`. A segment then owns the boundary after it, so the next one starts a word.
        alternatives: number of segments that each member proposes besides its greedy one, in steps with several
            candidates in which the rule is unsure.
        prompt_scores: whether members score their prompts, for `StepView.prompt`; it costs a row of logits for each
            token of a prompt.

    Example:
        >>> class Boldest(SelectionRule):
        ...     name = "boldest"
        ...     def values(self, step):
        ...         rows = [step.row(at) for at in range(len(step.candidates))]
        ...         return [-max(score.logprob / score.n_tokens for score in row) for row in rows]
        >>> isinstance(Boldest(), SelectionRule)
        True
    """

    name: str = "custom"
    boundary_mass: bool = False
    alternatives: int = 0
    prompt_scores: bool = False

    def values(self, step: StepView) -> Sequence[float] | Ranking:
        """Returns the value of each candidate, of which the least wins. The order of the members must not matter."""

    def is_unsure(self, step: StepView) -> bool:
        """Returns whether `alternatives` are to be proposed and scored before the rule decides, at most once a step."""
        return True


class RowRule(SelectionRule):
    """A rule that gives a candidate its value from the candidate's own scores alone.

    Args:
        function: a function from one score for each member to a value.
        boundary_mass: whether the function uses `boundary_logprob`.

    Example:
        ``RowRule(lambda row: -max(score.logprob for score in row))`` selects by the member with the greatest ln p.
    """

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
    """The decision of one step, for example the winner 1 with the margin 0.5 for the values 1.2 and 0.7.

    Attributes:
        winner: index of the chosen candidate.
        values: the rule's value of every candidate.
        margin: the second least value minus the least; inf for one candidate, 0 for a tie.
        excluded: numbers of the members that were left out.
        weights: (M,) the weights of the members, 0 for those that were left out; () where the rule has none.
        primary: number of the member that the others had to outbid, or None.
    """

    winner: int
    values: tuple[float, ...]
    margin: float
    excluded: tuple[int, ...]
    weights: tuple[float, ...] = ()
    primary: int | None = None


def view_of(
    candidates: Sequence[Candidate],
    scores: Sequence[Sequence[Score]],
    names: Sequence[str],
    *,
    prompt: Sequence[Score] = (),
    so_far: Sequence[Score] = (),
    history: Sequence[Step] = (),
    seed: int | None = None,
) -> StepView:
    """Returns a step as a rule sees it.

    A member with a nan among its scores is left out of the whole step, because all candidates must be compared over the
    same members. A probability of 0 is a number and stays.

    Args:
        candidates: (C,) the candidates.
        scores: (C, M) the scores.
        names: (M,) the members' names, for messages.
        prompt: (M,) the scores of the prompt, or ().
        so_far: (M,) the scores of prompt and text so far, or ().
        history: the steps so far.
        seed: the request's seed.

    Raises:
        ModelError: no member gave numbers.
    """
    members = range(len(names))
    excluded = {j for row in scores for j in members if _is_broken(row[j])}
    kept = tuple(j for j in members if j not in excluded)
    if not kept:
        raise ModelError(f"no model gave scores that are numbers: {', '.join(names)}")
    so_far = tuple(so_far) or (NO_SCORE,) * len(names)
    return StepView(
        tuple(candidates), tuple(map(tuple, scores)), kept, tuple(names), tuple(prompt), so_far, history, seed
    )


def _is_broken(score: Score) -> bool:
    """Returns whether a part of a score that was measured is no number."""
    # Only nan differs from itself, a fast test because this runs for every score.
    logprob, _, _, boundary, start = score
    return logprob != logprob or boundary != boundary or start != start


def granularity_of(rule: SelectionRule) -> Granularity:
    """Returns the unit of text that suits a rule: pre-tokens if it counts the end of a segment, else words.

    Such a rule loses where the unit holds punctuation, because the votes for `garage,` and `garage.` are split
    (docs/results.md). The paper's unit is the word.

    Args:
        rule: the rule.

    Example:
        >>> from coolfusion.fusion.selection import as_rule
        >>> granularity_of(as_rule("confident")), granularity_of(as_rule("paper"))
        ('pre_token', 'word')
    """
    return "pre_token" if rule.boundary_mass else "word"


def is_unsure(rule: SelectionRule, view: StepView) -> bool:
    """Returns whether a rule wants alternatives before it decides, which it never does with one candidate."""
    return len(view.candidates) > 1 and bool(_answer(rule, view, rule.is_unsure))


def select(rule: SelectionRule, view: StepView) -> Selection:
    """Selects one candidate.

    Raises:
        ArgumentError: the rule did not give one number for each candidate.
        FusionError: the rule raised something else.
    """
    ranking, candidates = _ranking(rule, view), view.candidates
    members, kept = range(len(view.names)), view.members
    excluded = tuple(j for j in members if j not in kept)
    values = ranking.values
    order = sorted(range(len(candidates)), key=lambda i: (values[i], candidates[i].text.encode()))
    best, second = values[order[0]], values[order[1]] if len(order) > 1 else math.inf
    weights = dict(zip(kept, ranking.weights, strict=True)) if ranking.weights else {}
    everyone = tuple(weights.get(j, 0.0) for j in members) if weights else ()
    margin = 0.0 if best == second else second - best
    return Selection(order[0], values, margin, excluded, everyone, ranking.primary)


def _ranking(rule: SelectionRule, view: StepView) -> Ranking:
    """Returns the answer of a rule, checked."""
    given = _answer(rule, view, rule.values)
    found = as_ranking(given) if isinstance(given, Iterable) else Ranking(())
    if len(found.values) != len(view.candidates) or not _are_numbers(found.values):
        expected = f"expected a number for each of {len(view.candidates)} candidates"
        raise ArgumentError(f"rule {rule.name} gave {given!r}, {expected}")
    if found.weights and (len(found.weights) != len(view.members) or not _are_numbers(found.weights)):
        expected = f"expected a number for each of {len(view.members)} members"
        raise ArgumentError(f"rule {rule.name} gave the weights {found.weights!r}, {expected}")
    return found


def _answer(rule: SelectionRule, view: StepView, question: Callable[[StepView], Any]) -> Any:
    """Returns the answer of a rule to a question about a step, or raises an error that names the rule."""
    try:
        return question(view)
    except CoolFusionError:
        raise
    except Exception as err:
        raise FusionError(f"rule {rule.name} failed at step {len(view.history)}: {type(err).__name__}: {err}") from err


def as_ranking(values: Iterable[float] | Ranking) -> Ranking:
    """Returns the answer of a rule as a `Ranking`."""
    return values if isinstance(values, Ranking) else Ranking(tuple(values))


def _are_numbers(values: Iterable[object]) -> bool:
    return all(isinstance(value, Real) and not math.isnan(value) for value in values)
