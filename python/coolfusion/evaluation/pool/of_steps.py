"""Columns of next-word tasks: every rule decides again in the recorded steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coolfusion.evaluation.next_words import is_right, letters
from coolfusion.evaluation.pool.columns import Columns, MemberColumn, RuleColumn, gain_of
from coolfusion.evaluation.replay import own_words, replay
from coolfusion.evaluation.steps import StepRecord
from coolfusion.fusion.fields import plain_number
from coolfusion.fusion.selection import rule_from_spec

__all__ = ["member_columns", "primary_column", "rule_column"]

MARGINS = 24  # the most that are tried


def member_columns(records: Sequence[StepRecord]) -> tuple[MemberColumn, ...]:
    """Returns the columns of the members alone.

    Args:
        records: the steps; one without a step is wrong for all members.

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
) -> RuleColumn:
    """Returns the column of a primary member with a margin that is calibrated on the development half.

    A margin counts if the interval of its gain there lies above 0. The one with the greatest gain is taken, and of
    equal ones the greatest. Where none counts, the margin is infinite, and the primary decides alone.

    Args:
        spec: the rule that the others must win by; its alternatives are left out.
        records: the steps.
        columns: the columns of the members.
        primary: the number of the primary member.

    Complexity: a replay for each step and margin, of at most 24.
    """
    inner, name = _without_alternatives(spec), columns.members[primary].name
    places = columns.half(True)

    def column(margin: float, rows: Sequence[StepRecord]) -> RuleColumn:
        found = {"kind": "primary", "rule": inner, "margin": plain_number(margin), "member": name}
        return rule_column(f"primary {name}, margin {margin:.3g}", found, rows, named=False)

    own = columns.members[primary].right
    half, alone = [records[at] for at in places], [own[at] for at in places]
    groups = [columns.groups[at] for at in places]
    for margin in _by_gain(_overrides(inner, half, primary)):
        if gain_of(column(margin, half).right, alone, groups, range(len(half))).low > 0.0:
            return column(margin, records)
    return column(math.inf, records)


def _right(record: StepRecord, text: str) -> float:
    return float(record.error is None and is_right(text, record.gold))


def _overrides(inner: Mapping[str, Any], records: Iterable[StepRecord], primary: int) -> list[tuple[float, float]]:
    """Returns for each step that others win without a margin the margin that they can afford, and the gain."""
    rule, found = rule_from_spec(inner), []
    for record in records:
        if record.error is not None:
            continue
        view, selection = replay(record, rule)
        pairs = [(value, each) for each, value in zip(view.candidates, selection.values, strict=True)]
        own = [pair for pair in pairs if primary in pair[1].members]
        others = [pair for pair in pairs if primary not in pair[1].members and not pair[1].end]
        # The primary ends the text, and its END is never outbid.
        if not own or not others or any(each.end for _, each in own):
            continue
        (value, word), (lower, other) = (min(each, key=lambda pair: pair[0]) for each in (own, others))
        if lower < value < math.inf:
            found.append((value - lower, _right(record, other.text) - _right(record, word.text)))
    return sorted(found, key=lambda each: each[0])


def _by_gain(overrides: Sequence[tuple[float, float]]) -> list[float]:
    """Returns margins by falling gain, of equal ones the greater first; they lie between those that decide."""
    found, gain = [], 0.0
    for at in range(len(overrides) - 1, -1, -1):
        afforded, brought = overrides[at]
        gain += brought
        below = overrides[at - 1][0] if at else -afforded
        if gain > 0.0 and below < afforded:
            found.append((-gain, -(afforded + below) / 2.0))
    return [-margin for _, margin in sorted(found)][:MARGINS]


def _without_alternatives(spec: Mapping[str, Any]) -> dict[str, Any]:
    if "rule" in spec:
        return {**spec, "rule": _without_alternatives(spec["rule"])}
    return {**spec, "alternatives": 0} if "alternatives" in spec else dict(spec)
