"""Columns of next-word tasks: every rule decides again in the recorded steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from coolfusion.evaluation.next_words import is_right, letters
from coolfusion.evaluation.pool.columns import Columns, MemberColumn, RuleColumn, gain_of
from coolfusion.evaluation.replay import own_words, replay
from coolfusion.evaluation.steps import StepRecord
from coolfusion.fusion.selection import rule_from_spec

__all__ = ["member_columns", "primary_column", "rule_column"]

MARGINS = 24  # the most that are tried


def member_columns(records: Sequence[StepRecord]) -> tuple[MemberColumn, ...]:
    """Returns the columns of the members alone.

    Args:
        records: the steps; one without a step is wrong for everyone.

    Complexity: O(candidates).
    """
    names = records[0].names
    words = [(("", ""),) * len(names) if record.error is not None else own_words(record) for record in records]
    found = []
    for j, name in enumerate(names):
        greedy, own = (
            tuple(_right(record, each[j][n]) for record, each in zip(records, words, strict=True)) for n in (0, 1)
        )
        answers = tuple(letters(each[j][0]) for each in words)
        found.append(MemberColumn(name, answers, greedy, own if records[0].alternatives else ()))
    return tuple(found)


def rule_column(name: str, spec: Mapping[str, Any], records: Sequence[StepRecord], *, named: bool = True) -> RuleColumn:
    """Returns the column of a rule.

    Args:
        name: its name in tables.
        spec: its spec.
        records: the steps.
        named: whether it has a name of `RULES`.

    Raises:
        ArgumentError: a wrong spec, or alternatives that the records do not hold.

    Complexity: a replay for each step.
    """
    rule = rule_from_spec(spec)
    right, differs = [], []
    for record in records:
        if record.error is not None:
            right.append(0.0)
            differs.append((False,) * len(record.names))
            continue
        winner = replay(record, rule).winner
        right.append(_right(record, winner.text))
        differs.append(tuple(j not in winner.members for j in range(len(record.names))))
    return RuleColumn(name, spec, tuple(right), tuple(differs), named)


def primary_column(
    spec: Mapping[str, Any],
    records: Sequence[StepRecord],
    columns: Columns,
    primary: int,
    progress: Callable[[int], None] = lambda n: None,
) -> RuleColumn:
    """Returns the column of a primary member with a margin that is calibrated on the development half.

    Of the margins with a gain there whose interval lies above 0, the one with the greatest gain is taken, and of equal
    ones the greatest. Without any, the margin is infinite, and the primary decides alone.

    Args:
        spec: the rule that the others must win by; its alternatives are left out.
        records: the steps.
        columns: the columns of the members.
        primary: the number of the primary member.
        progress: is told of each margin that was tried.

    Complexity: a replay for each step and margin, of at most 24.
    """
    inner, name = _without_alternatives(spec), columns.members[primary].name
    places = columns.half(True)

    def column(margin: float, rows: Sequence[StepRecord]) -> RuleColumn:
        given = "inf" if margin == math.inf else margin
        found = {"kind": "primary", "rule": inner, "margin": given, "member": name}
        return rule_column(f"primary {name}, margin {margin:.3g}", found, rows, named=False)

    own = columns.members[primary].right
    half, alone = [records[at] for at in places], [own[at] for at in places]
    groups = [columns.groups[at] for at in places]
    best, most = math.inf, 0.0
    for margin in reversed(_margins(inner, half, primary)):
        gain = gain_of(column(margin, half).right, alone, groups, range(len(half)))
        progress(1)
        if gain.low > 0.0 and gain.difference > most:
            best, most = margin, gain.difference
    return column(best, records)


def _right(record: StepRecord, text: str) -> float:
    return float(record.error is None and is_right(text, record.gold))


def _margins(inner: Mapping[str, Any], records: Iterable[StepRecord], primary: int) -> list[float]:
    """Returns margins between which decisions change, in ascending order; some of them where there are many."""
    rule, found = rule_from_spec(inner), {0.0}
    for record in records:
        if record.error is not None:
            continue
        view, selection = replay(record, rule)
        pairs = list(zip(view.candidates, selection.values, strict=True))
        own = min((value for each, value in pairs if primary in each.members), default=math.inf)
        best = min(value for _, value in pairs)
        if best < own < math.inf:
            found.add(own - best)
    ordered = sorted(found)
    step = max(1, -(-len(ordered) // MARGINS))
    return ordered[::step]


def _without_alternatives(spec: Mapping[str, Any]) -> dict[str, Any]:
    if "rule" in spec:
        return {**spec, "rule": _without_alternatives(spec["rule"])}
    return {**spec, "alternatives": 0} if "alternatives" in spec else dict(spec)
