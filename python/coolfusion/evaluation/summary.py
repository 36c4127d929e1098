"""The table of an evaluation, from its records: means, and paired comparisons with the best single member.

The development half of the items chooses the best single member. All comparisons are made on the report half, so the
choice does not flatter the baseline. Three rows follow from the members' own answers: the majority of their answers,
a random member, and the oracle, which knows which member is right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from coolfusion.evaluation.sample_file import SampleRecord
from coolfusion.evaluation.statistics import Interval, holm, is_development, mcnemar, paired_bootstrap, weighted_mean
from coolfusion.evaluation.tasks import Task

__all__ = ["Line", "Summary", "summarize", "with_holm"]


class Line(NamedTuple):
    """One row of the table.

    Attributes:
        row: the name of the row.
        development: mean of the first metric on the development half.
        report: the same on the report half.
        others: means of the further metrics on the report half, by name.
        gain: the difference to the best single member on the report half, with its interval.
        p: McNemar's exact p on the report half; nan for rows without right answers of their own.
        p_holm: p, corrected for the number of tasks.
        passes: for each item, on average.
        flops: for each item, on average.
        ms: milliseconds for each item, on average.
        errors: items that failed.
    """

    row: str
    development: float
    report: float
    others: dict[str, float]
    gain: Interval
    p: float
    p_holm: float
    passes: float
    flops: float
    ms: float
    errors: int


class Summary(NamedTuple):
    """The table of one task.

    Attributes:
        task: the name of the task.
        metric: the name of the first metric.
        baseline: the best single member on the development half.
        lines: one for each row.
        n_development: items of the development half.
        n_report: items of the report half.
        co_failure: share of the items of the report half that no member answers; nan without right answers. One minus
            it bounds every choice among the members' own answers.
    """

    task: str
    metric: str
    baseline: str
    lines: tuple[Line, ...]
    n_development: int
    n_report: int
    co_failure: float


class _Cell(NamedTuple):
    """The scores and costs of one row for one item."""

    scores: Mapping[str, float]
    correct: bool | None
    weight: float
    passes: float
    flops: float
    seconds: float
    error: bool


def summarize(
    task: Task, records: Iterable[SampleRecord], items: Sequence[str], singles: Sequence[str], rows: Sequence[str]
) -> Summary:
    """Returns the table of a task.

    Args:
        task: the task.
        records: those of the task, of all rows and items that are named; others are left out.
        items: ids of the items.
        singles: names of the rows of single members.
        rows: names of all rows, in the order of the table.

    Complexity: O(rows * items * resamples).

    Example:
        ``summarize(task_named("gsm8k"), file.records.values(), ids, ["a", "b"], ["a", "b", "mixture"]).lines``
    """
    found = {(record.row, record.item): record for record in records if record.task == task.name}
    columns = {row: [_cell(found[row, item]) for item in items] for row in rows}
    own = [[found[row, item] for row in singles] for item in items]
    if len(singles) > 1:
        cells = [columns[row] for row in singles]
        per_item = list(zip(*cells, strict=True))
        if task.writes:
            columns["majority vote"] = [
                _together(each, each[_vote(votes)]) for each, votes in zip(per_item, own, strict=True)
            ]
        columns["random member"] = [_average(each) for each in per_item]
        sign = -1.0 if task.lower_is_better else 1.0
        columns["oracle"] = [
            _together(each, max(each, key=lambda cell: (sign * cell.scores[task.metrics[0]], bool(cell.correct))))
            for each in per_item
        ]
    halves = [is_development(item) for item in items]
    means = {
        row: _mean([cell for cell, half in zip(columns[row], halves, strict=True) if half], task) for row in singles
    }
    best = _best(means, lower=task.lower_is_better)
    lines = tuple(_line(row, cells, columns[best], halves, task) for row, cells in columns.items())
    failing = [not any(record.correct for record in each) for each, half in zip(own, halves, strict=True) if not half]
    co_failure = sum(failing) / len(failing) if failing and task.writes else math.nan
    return Summary(task.name, task.metrics[0], best, lines, sum(halves), len(halves) - sum(halves), co_failure)


def with_holm(summaries: Sequence[Summary]) -> list[Summary]:
    """Returns summaries whose p of each row is corrected over the tasks by Holm's method.

    Args:
        summaries: one for each task.
    """
    names = {line.row for summary in summaries for line in summary.lines}
    corrected: dict[tuple[str, str], float] = {}
    for name in names:
        held = [(summary.task, line.p) for summary in summaries for line in summary.lines if line.row == name]
        for (task, _), value in zip(held, holm([p for _, p in held]), strict=True):
            corrected[task, name] = value
    return [
        summary._replace(lines=tuple(line._replace(p_holm=corrected[summary.task, line.row]) for line in summary.lines))
        for summary in summaries
    ]


def _cell(record: SampleRecord) -> _Cell:
    return _Cell(
        record.scores,
        record.correct,
        record.weight,
        record.passes,
        record.flops,
        record.seconds,
        record.error is not None,
    )


def _vote(records: Sequence[SampleRecord]) -> int:
    """Returns the first member with the answer that most members give; none counts less than any answer."""
    votes = Counter(record.answer for record in records)
    return max(range(len(records)), key=lambda j: (bool(records[j].answer), votes[records[j].answer], -j))


def _together(cells: Sequence[_Cell], chosen: _Cell) -> _Cell:
    """Returns the chosen cell at the cost of all."""
    passes, flops = math.fsum(cell.passes for cell in cells), math.fsum(cell.flops for cell in cells)
    return chosen._replace(passes=passes, flops=flops, seconds=math.fsum(cell.seconds for cell in cells))


def _average(cells: Sequence[_Cell]) -> _Cell:
    """Returns the expectation of a member that is drawn; it is neither right nor wrong."""
    n = len(cells)
    scores = {name: math.fsum(cell.scores[name] for cell in cells) / n for name in cells[0].scores}
    passes, flops, seconds = (math.fsum(each) / n for each in zip(*(cell[3:6] for cell in cells), strict=True))
    return _Cell(scores, None, cells[0].weight, passes, flops, seconds, error=False)


def _mean(cells: Sequence[_Cell], task: Task, metric: str | None = None) -> float:
    name = task.metrics[0] if metric is None else metric
    known = [cell for cell in cells if not math.isnan(cell.scores[name])]
    return weighted_mean([cell.scores[name] for cell in known], [cell.weight for cell in known])


def _best(means: Mapping[str, float], *, lower: bool) -> str:
    """Returns the best single member; the first of equal ones, and where nothing is known."""
    sign = -1.0 if lower else 1.0
    return max(means, key=lambda row: -math.inf if math.isnan(means[row]) else sign * means[row])


def _line(row: str, cells: Sequence[_Cell], baseline: Sequence[_Cell], halves: Sequence[bool], task: Task) -> Line:
    metric = task.metrics[0]
    report = [(cell, other) for cell, other, half in zip(cells, baseline, halves, strict=True) if not half]
    pairs = [each for each in report if not any(math.isnan(cell.scores[metric]) for cell in each)]
    gain = paired_bootstrap(
        [cell.scores[metric] for cell, _ in pairs],
        [other.scores[metric] for _, other in pairs],
        [cell.weight for cell, _ in pairs],
    )
    judged = bool(report) and all(cell.correct is not None for each in report for cell in each)
    p = mcnemar([bool(cell.correct) for cell, _ in report], [bool(other.correct) for _, other in report])
    n = max(1, len(cells))
    return Line(
        row,
        _mean([cell for cell, half in zip(cells, halves, strict=True) if half], task),
        _mean([cell for cell, _ in report], task),
        {name: _mean([cell for cell, _ in report], task, name) for name in task.metrics[1:]},
        gain,
        p if judged else math.nan,
        math.nan,
        math.fsum(cell.passes for cell in cells) / n,
        math.fsum(cell.flops for cell in cells) / n,
        1000.0 * math.fsum(cell.seconds for cell in cells) / n,
        sum(cell.error for cell in cells),
    )
