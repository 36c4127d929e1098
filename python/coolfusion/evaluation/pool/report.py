"""The report of a check: members alone, their agreement, and rules next to the best member, from the columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from coolfusion.evaluation.pool.columns import Columns, MemberColumn, RuleColumn, gain_of, mean_of
from coolfusion.evaluation.statistics import Interval

__all__ = ["MemberLine", "PoolReport", "RuleLine", "best_member", "chosen_rule", "report_of", "rule_line"]

SHOWN = 5  # of the grid


class MemberLine(NamedTuple):
    """The shares of right answers of one member alone.

    Attributes:
        name: the member.
        development: share of right greedy answers on the development half.
        report: the same on the report half.
        own_development: share of right answers by the most probable of its own words; nan where not measured.
        own_report: the same on the report half.
    """

    name: str
    development: float
    report: float
    own_development: float
    own_report: float


class RuleLine(NamedTuple):
    """The shares of right answers of all members together, by one rule.

    Attributes:
        name: the rule.
        spec: its spec.
        development: share of right answers on the development half.
        report: the same on the report half.
        baseline: the best member of the development half under the same decoding.
        gain: the difference to it on the report half, with its interval.
        overrides: share of the report half where the answer is not the primary's.
    """

    name: str
    spec: Mapping[str, Any]
    development: float
    report: float
    baseline: str
    gain: Interval
    overrides: float


class PoolReport(NamedTuple):
    """The findings of a check.

    Attributes:
        task: the name of the task.
        n_development: items of the development half.
        n_report: items of the report half.
        n_groups: paragraphs or documents of the report half.
        errors: items that failed and count as wrong.
        members: the members alone.
        primary: the best member of the development half.
        agreement: (name, name, share of equal answers) for each two members, over both halves.
        co_failure: share of the report half on which all members are wrong.
        oracle: share on which some member is right; no choice among greedy answers is right more often.
        vote: share of right answers of a majority, ties to the primary; nan for fewer than three members.
        rules: the rules with names, and the best of the grid on the development half.
        chosen: the best rule of all on the development half, of equal ones the first.
        rivals: for each member the difference of the chosen rule to it alone, on the report half. A small development
            half may name the wrong baseline, so the verdict looks at all of them.
    """

    task: str
    n_development: int
    n_report: int
    n_groups: int
    errors: int
    members: tuple[MemberLine, ...]
    primary: str
    agreement: tuple[tuple[str, str, float], ...]
    co_failure: float
    oracle: float
    vote: float
    rules: tuple[RuleLine, ...]
    chosen: RuleLine
    rivals: tuple[tuple[str, Interval], ...]


def best_member(columns: Columns, *, own: bool = False) -> int:
    """Returns the number of the best member of the development half; the first of equal ones.

    Args:
        columns: the columns.
        own: by the most probable of its own words, else by its greedy ones.
    """
    places = columns.half(True)
    shares = [_known(mean_of(each.own if own else each.right, places)) for each in columns.members]
    return max(range(len(shares)), key=lambda j: (shares[j], -j))


def chosen_rule(columns: Columns) -> RuleColumn:
    """Returns the best rule of the development half; the first of equal ones.

    Args:
        columns: the columns.
    """
    places = columns.half(True)
    return max(columns.rules, key=lambda each: _known(mean_of(each.right, places)))


def report_of(task: str, columns: Columns) -> PoolReport:
    """Returns the report of some columns.

    Args:
        task: the name of the task.
        columns: the columns.

    Complexity: O(rules * items), and a bootstrap for each rule that is shown.
    """
    development, report = columns.half(True), columns.half(False)
    primary = best_member(columns)
    members = tuple(_member_line(each, development, report) for each in columns.members)
    every = range(len(columns.groups))
    agreement = tuple(
        (one.name, other.name, mean_of([float(a == b) for a, b in zip(one.answers, other.answers, strict=True)], every))
        for one, other in combinations(columns.members, 2)
    )
    some = [max(column) for column in zip(*(each.right for each in columns.members), strict=True)]
    oracle = mean_of(some, report)
    grid = [each for each in columns.rules if not each.named]
    grid.sort(key=lambda each: -_known(mean_of(each.right, development)))
    chosen = chosen_rule(columns)
    shown = [*(each for each in columns.rules if each.named), *grid[:SHOWN]]
    lines = {each.name: rule_line(each, columns, primary) for each in [*shown, chosen]}
    return PoolReport(
        task,
        len(development),
        len(report),
        len({columns.groups[at] for at in report}),
        columns.errors,
        members,
        columns.members[primary].name,
        agreement,
        1.0 - oracle,
        oracle,
        mean_of(_votes(columns.members, primary), report) if len(members) > 2 else math.nan,
        tuple(lines[each.name] for each in shown),
        lines[chosen.name],
        tuple(
            (each.name, gain_of(chosen.right, _baseline(chosen, each, columns), columns.groups, report))
            for each in columns.members
        ),
    )


def rule_line(rule: RuleColumn, columns: Columns, primary: int) -> RuleLine:
    """Returns the line of a rule; its baseline is chosen on the development half, under the same decoding.

    Args:
        rule: the rule.
        columns: the columns of the members.
        primary: the number of the primary.
    """
    development, report = columns.half(True), columns.half(False)
    member = columns.members[best_member(columns, own=_is_own(rule, columns))]
    gain = gain_of(rule.right, _baseline(rule, member, columns), columns.groups, report)
    overrides = mean_of([float(each[primary]) for each in rule.differs], report)
    shares = mean_of(rule.right, development), mean_of(rule.right, report)
    return RuleLine(rule.name, rule.spec, *shares, member.name, gain, overrides)


def _is_own(rule: RuleColumn, columns: Columns) -> bool:
    """Returns whether the members alone may say their most probable words too."""
    return rule.has_alternatives and all(each.own for each in columns.members)


def _baseline(rule: RuleColumn, member: MemberColumn, columns: Columns) -> tuple[float, ...]:
    """Returns the answers of a member alone, under the decoding of a rule."""
    return member.own if _is_own(rule, columns) else member.right


def _member_line(member: MemberColumn, development: Sequence[int], report: Sequence[int]) -> MemberLine:
    own = [mean_of(member.own, half) if member.own else math.nan for half in (development, report)]
    return MemberLine(member.name, mean_of(member.right, development), mean_of(member.right, report), *own)


def _votes(members: Sequence[MemberColumn], primary: int) -> list[float]:
    """Returns whether the answer of most members is right; no answer counts less than any."""
    found = []
    for at in range(len(members[0].answers)):
        counts = Counter(each.answers[at] for each in members)

        def votes(j: int, at: int = at, counts: Counter[str] = counts) -> tuple[bool, int, bool, int]:
            answer = members[j].answers[at]
            return bool(answer), counts[answer], j == primary, -j

        found.append(members[max(range(len(members)), key=votes)].right[at])
    return found


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value
