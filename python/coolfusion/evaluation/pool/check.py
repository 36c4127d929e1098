"""A check as a whole, which records or writes missing answers, and returns report and verdict of the columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.collect import collect_steps
from coolfusion.evaluation.next_words import Position
from coolfusion.evaluation.pool.columns import Columns, MemberColumn, RuleColumn, mean_of
from coolfusion.evaluation.pool.grid import ALTERNATIVES, grid_of, named_specs
from coolfusion.evaluation.pool.of_steps import member_columns, primary_column, rule_column
from coolfusion.evaluation.pool.report import PoolReport, best_member, chosen_rule, report_of, rule_line
from coolfusion.evaluation.pool.verdict import Verdict, verdict_of
from coolfusion.evaluation.presets import single_rows
from coolfusion.evaluation.rows import Row
from coolfusion.evaluation.runner import run_task
from coolfusion.evaluation.sample_file import SampleFile, SampleRecord
from coolfusion.evaluation.steps import StepFile, StepRecord
from coolfusion.evaluation.tasks import Item, Task
from coolfusion.fusion import Fusion

__all__ = ["TASK_RULES", "Checked", "check_next_words", "check_steps", "check_task", "check_writes", "task_rows"]

TASK_RULES = ("paper", "confident", "mixture", "boldest", "primary")  # a text is written by each


class Checked(NamedTuple):
    """The result of a check.

    Attributes:
        report: the findings.
        verdict: whether to fuse, and how.
    """

    report: PoolReport
    verdict: Verdict


def check_next_words(
    fusion: Fusion,
    places: Sequence[Position],
    file: StepFile,
    *,
    task: str = "next_word",
    whole_prompt: bool = True,
    progress: Callable[[int], None] = lambda n: None,
) -> Checked:
    """Checks a pool on next words: members propose and score once, and all rules decide on that.

    Args:
        fusion: the members.
        places: the prompts with their true words.
        file: takes the recorded steps.
        task: a name for the report.
        whole_prompt: whether the prompts end with a word, so that proposals begin with white space.
        progress: a function that gets the number of steps that have been recorded, or were there.

    Raises:
        ArgumentError: no places, or fewer than two members.

    Complexity: one step of a fusion for each place, then a replay for each place and rule, of some 160.

    Example:
        ``check_next_words(fusion, positions(text, limit=200), StepFile(None, {})).verdict.text``
    """
    _check_pool(fusion, places)
    steps = collect_steps(fusion, places, file, alternatives=ALTERNATIVES, whole_prompt=whole_prompt, progress=progress)
    return check_steps(steps, task=task)


def check_steps(records: Sequence[StepRecord], *, task: str = "next_word") -> Checked:
    """Checks a pool on recorded steps, without a model.

    Args:
        records: the steps, with one alternative of each member.
        task: a name for the report.

    Complexity: a replay for each step and rule.
    """
    groups, members = tuple(record.group for record in records), member_columns(records)
    columns = Columns(groups, members, (), sum(record.error is not None for record in records))
    places = columns.half(True)
    scores = {each.name: mean_of(each.right, places) if places else 0.0 for each in members}
    alternatives = records[0].alternatives
    # A rule that asks for more than was recorded cannot be replayed.
    possible = {name: spec for name, spec in named_specs().items() if spec.get("alternatives", 0) in (0, alternatives)}
    rules = [rule_column(name, spec, records) for name, spec in possible.items()]
    rules += [rule_column(*each, records, named=False) for each in grid_of(scores, alternatives=alternatives)]
    columns = columns._replace(rules=tuple(rules))
    primary = best_member(columns)
    guarded = primary_column(chosen_rule(columns).spec, records, columns, primary)
    report = report_of(task, columns)
    line = rule_line(guarded, columns, primary)
    return Checked(report._replace(rules=(*report.rules, line)), verdict_of(report, line))


def task_rows(fusion: Fusion) -> list[Row]:
    """Returns the rows of a check of a task with written answers: the members alone, and some rules.

    Args:
        fusion: the members.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [row.name for row in task_rows(fusion())][:4]
        ['ash', 'birch', 'cedar', 'paper']
    """
    everyone = tuple(range(len(fusion.members)))
    return [*single_rows(fusion), *(Row(rule, everyone, rule, fusion.alignment) for rule in TASK_RULES)]


def check_task(
    fusion: Fusion,
    task: Task,
    items: Sequence[Item],
    file: SampleFile,
    *,
    max_new_tokens: int | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Checked:
    """Checks a pool on a task with written answers, which each member and some rules write.

    Args:
        fusion: the members.
        task: the task.
        items: its items.
        file: takes the records.
        max_new_tokens: the budget, where it is not the task's.
        progress: a function that gets the number of answers that have been written, or were there.

    Raises:
        ArgumentError: no items, fewer than two members, or a task without written answers.

    Complexity: a generation for each item, member and rule.

    Example:
        ``check_task(fusion, task_named("gsm8k"), items, SampleFile(None, {})).verdict.text``
    """
    _check_pool(fusion, items)
    check_writes(task)
    rows, n_members = task_rows(fusion), len(fusion.members)
    run_task(fusion, task, items, rows, file, max_new_tokens=max_new_tokens, progress=progress)
    found = [[file.records[task.name, row.name, item.id] for item in items] for row in rows]
    alone, together = found[:n_members], found[n_members:]
    members = tuple(
        MemberColumn(row.name, tuple(each.answer for each in column), _right(column))
        for row, column in zip(rows, alone, strict=False)
    )
    specs = named_specs()
    rules = tuple(
        RuleColumn(
            row.name,
            specs[row.name],
            _right(column),
            tuple(tuple(each.answer != own[at].answer for own in alone) for at, each in enumerate(column)),
        )
        for row, column in zip(rows[n_members:], together, strict=True)
    )
    failed = {at for column in found for at, each in enumerate(column) if each.error is not None}
    report = report_of(task.name, Columns(tuple(item.id for item in items), members, rules, len(failed)))
    return Checked(report, verdict_of(report))


def check_writes(task: Task) -> None:
    """Raises ArgumentError unless a task has written answers.

    Args:
        task: the task.
    """
    if not task.writes:
        raise ArgumentError(f"task {task.name} has no written answers; expected a task that has")


def _right(column: Sequence[SampleRecord]) -> tuple[float, ...]:
    return tuple(float(bool(each.correct)) for each in column)


def _check_pool(fusion: Fusion, items: Sequence[object]) -> None:
    if len(fusion.members) < 2:
        raise ArgumentError(f"a check compares members; expected two or more, not {len(fusion.members)}")
    if not items:
        raise ArgumentError("there are no items to check on; expected at least one")
