"""The columns of a check, which hold the right answers of each member and each rule; the rest follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from coolfusion.evaluation.statistics import Interval, is_development, paired_bootstrap, weighted_mean

__all__ = ["Columns", "MemberColumn", "RuleColumn", "gain_of", "mean_of"]


class MemberColumn(NamedTuple):
    """The answers of one member alone.

    Attributes:
        name: the member.
        answers: (N,) its answers, in a form in which equal answers are equal.
        right: (N,) 1 where its greedy answer is right, else 0.
        own: (N,) the same for the most probable of its own words; () where no alternatives were scored.
    """

    name: str
    answers: tuple[str, ...]
    right: tuple[float, ...]
    own: tuple[float, ...] = ()


class RuleColumn(NamedTuple):
    """The answers of all members together, by one rule.

    Attributes:
        name: the rule.
        spec: its spec.
        right: (N,) 1 where the answer is right, else 0.
        differs: (N, M) whether the answer is not that of each member.
        named: whether it has a name of `RULES`; else it is one of a grid.
    """

    name: str
    spec: Mapping[str, Any]
    right: tuple[float, ...]
    differs: tuple[tuple[bool, ...], ...]
    named: bool = True

    @property
    def has_alternatives(self) -> bool:
        """Returns whether the members proposed more than their greedy words."""
        spec: Any = self.spec
        while "rule" in spec:
            spec = spec["rule"]
        return bool(spec.get("alternatives", 0))


class Columns(NamedTuple):
    """The answers to all items.

    Attributes:
        groups: (N,) the paragraph or document of each item; a hash of it decides the half.
        members: (M,) the members alone.
        rules: the members together.
        errors: number of items that failed. They count as wrong for all members and rules.
    """

    groups: tuple[str, ...]
    members: tuple[MemberColumn, ...]
    rules: tuple[RuleColumn, ...]
    errors: int = 0

    def half(self, development: bool) -> list[int]:
        """Returns the places of the items of one half.

        Args:
            development: the development half, else the report half.
        """
        return [at for at, group in enumerate(self.groups) if is_development(group) is development]


def mean_of(right: Sequence[float], places: Sequence[int]) -> float:
    """Returns the share of right answers among some items; nan for none.

    Args:
        right: (N,) 1 or 0.
        places: of the items.

    Example:
        >>> mean_of([1.0, 0.0, 1.0], [0, 1])
        0.5
    """
    return weighted_mean([right[at] for at in places], [1.0] * len(places))


def gain_of(right: Sequence[float], others: Sequence[float], groups: Sequence[str], places: Sequence[int]) -> Interval:
    """Returns the difference of two shares with its paired 95 % bootstrap interval, by group.

    Items of one paragraph are drawn together, because they are not independent.

    Args:
        right: (N,) 1 or 0.
        others: (N,) those of the baseline.
        groups: (N,) the group of each item.
        places: of the items that count.

    Complexity: O(resamples * groups).

    Example:
        >>> gain_of([1.0, 1.0, 0.0], [0.0, 1.0, 0.0], ["a", "a", "b"], [0, 1]).difference
        0.5
    """
    members: dict[str, list[int]] = {}
    for at in places:
        members.setdefault(groups[at], []).append(at)
    weights = [float(len(own)) for own in members.values()]
    ours, theirs = ([mean_of(each, own) for own in members.values()] for each in (right, others))
    return paired_bootstrap(ours, theirs, weights)
