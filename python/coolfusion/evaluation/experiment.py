"""An evaluation as a whole: tasks over files, rows, a file of records, and one table for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.data import digest_of, read_records
from coolfusion.evaluation.presets import single_rows
from coolfusion.evaluation.rows import Row
from coolfusion.evaluation.runner import run_task
from coolfusion.evaluation.sample_file import SampleFile
from coolfusion.evaluation.summary import Summary, summarize, with_holm
from coolfusion.evaluation.tasks import Item, Task, items_of, task_named
from coolfusion.fusion import Fusion

__all__ = ["Loaded", "load_task", "rows_of", "run_experiment"]

Progress = Callable[[str, int], None]


class Loaded(NamedTuple):
    """A task with its items.

    Attributes:
        task: the task.
        items: its items.
        facts: plain values that decide the items, the digests of the files and the number of shown examples.
    """

    task: Task
    items: list[Item]
    facts: dict[str, Any]


def load_task(
    name: str,
    data: str | Path,
    *,
    limit: int | None = None,
    shots: int = 0,
    shots_data: str | Path | None = None,
) -> Loaded:
    """Reads the items of a task, before any model is loaded.

    Args:
        name: the name of the task.
        data: the file of its records.
        limit: the most items, or None.
        shots: number of examples that are shown before each prompt.
        shots_data: the file that they come from, the first ones of it.

    Raises:
        ArgumentError: an unknown task, a file that cannot be read, a record of another form, or too few examples.
        TextError: a file is not UTF-8.

    Example:
        ``load_task("gsm8k", "gsm8k/test.jsonl", limit=100, shots=5, shots_data="gsm8k/train.jsonl")``
    """
    task, facts = task_named(name), {"data": digest_of(data), "shots": shots}
    examples: list[dict[str, Any]] = []
    if shots and shots_data is None:
        raise ArgumentError(f"{shots} examples are to be shown; expected a file that they come from")
    if shots_data is not None and shots:
        examples = read_records(shots_data)[:shots]
        facts["shots_data"] = digest_of(shots_data)
        if len(examples) < shots:
            raise ArgumentError(f"{shots_data}: holds {len(examples)} records, and {shots} examples are to be shown")
    return Loaded(task, items_of(task, read_records(data), shots=examples, limit=limit), facts)


def rows_of(task: Task, rows: Sequence[Row]) -> list[Row]:
    """Returns the rows that a task can have: a likelihood knows no rerank and no alignment.

    Args:
        task: the task.
        rows: all rows.
    """
    if task.writes:
        return list(rows)
    return [row for row in rows if row.rerank == "no" and row.alignment == "aligned"]


def run_experiment(
    fusion: Fusion,
    tasks: Sequence[Loaded],
    rows: Sequence[Row],
    *,
    out: str | Path | None = None,
    setup: dict[str, Any] | None = None,
    max_new_tokens: int | None = None,
    progress: Progress = lambda task, n: None,
) -> list[Summary]:
    """Answers all items of all tasks by all rows; returns a table for each task.

    Args:
        fusion: the members.
        tasks: the tasks with their items.
        rows: the rows that answer, with the single members among them, as `single_rows` makes them.
        out: the file of records, to which a later run of the same set-up adds missing ones; None keeps none.
        setup: further plain values of the set-up, for example the folders of the models and their dtype.
        max_new_tokens: the budget, where it is not that of each task.
        progress: a function that gets the task, and the number of records that were added or were there.

    Raises:
        ArgumentError: the file holds records of another set-up, an unknown rule, or rows without the single members.

    Complexity: as `run_task` for each task; nothing for records that are in the file.

    Example:
        ``run_experiment(fusion, [load_task("gsm8k", path)], standard_rows(fusion, ["mixture"]), out="records.jsonl")``
    """
    names = [row.name for row in rows]
    singles = [row.name for row in single_rows(fusion)]
    if len(set(names)) < len(names) or not set(singles) <= set(names):
        raise ArgumentError(f"rows {names} must have different names and hold the single members {singles}")
    facts = {
        **(setup or {}),
        "members": [member.name for member in fusion.members],
        "rows": [list(row) for row in rows],
        "tasks": {each.task.name: each.facts for each in tasks},
        "max_new_tokens": max_new_tokens,
    }
    file = SampleFile(out, facts)
    found = []
    for task, items, _ in tasks:

        def tell(n: int, name: str = task.name) -> None:
            progress(name, n)

        own = rows_of(task, rows)
        run_task(fusion, task, items, own, file, max_new_tokens=max_new_tokens, progress=tell)
        ids = [item.id for item in items]
        found.append(summarize(task, file.records.values(), ids, singles, [row.name for row in own]))
    return with_holm(found)
