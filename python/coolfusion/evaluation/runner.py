"""Runs the rows of an evaluation over the items of a task; a file of records lets a run go on where one ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from coolfusion.evaluation.rows import Answer, Row, answer_items, parameters_of
from coolfusion.evaluation.sample_file import SampleFile, SampleRecord
from coolfusion.evaluation.tasks import Item, Task
from coolfusion.fusion import Fusion

__all__ = ["CHUNK", "run_task"]

CHUNK = 16  # items that share passes, and that an interrupted run loses at most


def run_task(
    fusion: Fusion,
    task: Task,
    items: Sequence[Item],
    rows: Sequence[Row],
    file: SampleFile,
    *,
    max_new_tokens: int | None = None,
    chunk: int = CHUNK,
    progress: Callable[[int], None] = lambda n: None,
) -> None:
    """Answers the items that the file does not hold yet; an item that fails counts as wrong, with its error recorded.

    Args:
        fusion: the members.
        task: the task.
        items: its items.
        rows: the rows that answer.
        file: takes the records.
        max_new_tokens: the budget, where it is not the task's.
        chunk: items that share passes.
        progress: a function that gets the number of records that have been added, or were there.

    Raises:
        ArgumentError: a rule is unknown.

    Complexity: one generation, or one likelihood, for each row and item; rows that differ in the kind of their rerank
        share one.

    Example:
        ``run_task(fusion, task_named("gsm8k"), items, [Row("mixture", (0, 1), "mixture")], SampleFile(None, {}))``
    """
    sizes = parameters_of(fusion)
    for start in range(0, len(items), chunk):
        part = items[start : start + chunk]
        for group in _groups(rows):
            missing = [
                item for item in part if any((task.name, row.name, item.id) not in file.records for row in group)
            ]
            progress(len(group) * (len(part) - len(missing)))
            if not missing:
                continue
            found = answer_items(fusion, task, group, missing, max_new_tokens=max_new_tokens)
            for row, answers in zip(group, found, strict=True):
                pairs = zip(missing, answers, strict=True)
                file.add(_record(task, item, row, answer, sizes) for item, answer in pairs)
            progress(len(group) * len(missing))


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yields rows that need the same work."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        key = row.name if row.rerank == "no" else row[1:4]
        groups.setdefault(key, []).append(row)
    yield from groups.values()


def _record(task: Task, item: Item, row: Row, answer: Answer, sizes: Sequence[int]) -> SampleRecord:
    golds = item.sample.golds
    if task.writes:
        scores = task.scores(answer.text, golds) if answer.error is None else dict.fromkeys(task.metrics, 0.0)
        correct: bool | None = scores[task.correct] == 1.0
        weight = 1.0
    else:
        scores, correct, weight = {task.metrics[0]: answer.score}, None, float(len(golds[0].encode()))
    return SampleRecord(
        task.name,
        item.id,
        row.name,
        answer.text,
        task.answer(answer.text),
        scores,
        correct,
        weight,
        sum(passes for passes, _ in answer.costs.values()),
        sum(tokens for _, tokens in answer.costs.values()),
        math.fsum(2.0 * sizes[member] * tokens for member, (_, tokens) in answer.costs.items()),
        answer.seconds,
        answer.error,
    )
