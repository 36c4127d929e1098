"""Runs `coolfusion eval` and `coolfusion ablation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import Progress

from coolfusion.cli.loading import (
    Budget,
    Device,
    Dtype,
    Models,
    MoreModels,
    Processes,
    Threads,
    bar_columns,
    load,
    names_of,
)
from coolfusion.cli.tables import summary_notes, summary_table
from coolfusion.errors import ArgumentError
from coolfusion.evaluation.experiment import Loaded, load_task, rows_of, run_experiment
from coolfusion.evaluation.presets import PAPER_TASKS, paper_rows, standard_rows
from coolfusion.evaluation.rows import Row
from coolfusion.evaluation.tasks import TASKS
from coolfusion.fusion import Fusion
from coolfusion.fusion.options import check_choice
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.members.endings import GRANULARITIES, Granularity

__all__ = ["ablation", "evaluate"]

SUFFIXES = (".jsonl", ".jsonl.gz", ".tsv", ".txt")
Limit = Annotated[int | None, typer.Option(min=1, help="The most items of each task.")]
Out = Annotated[Path | None, typer.Option(help="A file of records, JSON lines; a run that ended is resumed from it.")]


def evaluate(
    task: Annotated[str, typer.Argument(help=f"One of {', '.join(TASKS)}; or several with commas.")],
    more_models: MoreModels = None,
    models: Models = None,
    data: Annotated[list[Path] | None, typer.Option(help="The file of the task; one for each, in their order.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="A selection rule; may be repeated.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A file of `coolfusion pool`; its rule gets a row.")] = None,
    granularity: Annotated[
        str | None,
        typer.Option(help=f"The unit that the rules choose, else one that suits each: {', '.join(GRANULARITIES)}."),
    ] = None,
    limit: Limit = None,
    out: Out = None,
    shots: Annotated[int, typer.Option(min=0, help="Examples that are shown before each prompt.")] = 0,
    shots_data: Annotated[Path | None, typer.Option(help="The file that they come from.")] = None,
    max_new_tokens: Budget = None,
    device: Device = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
    processes: Processes = False,
) -> None:
    """Measure a pool and each of its members on tasks over local files."""
    names, files, rules = task.split(","), list(data or ()), list(rule or (() if recipe else (DEFAULT_RULE,)))
    if len(files) != len(names):
        raise ArgumentError(f"{len(names)} tasks and {len(files)} files; expected one --data FILE for each task")
    for each in rules:
        as_rule(each)
    if granularity is not None:
        check_choice("granularity", granularity, GRANULARITIES)
    plan = None if recipe is None else read_recipe(recipe)
    tasks = [
        load_task(name, file, limit=limit, shots=shots, shots_data=shots_data)
        for name, file in zip(names, files, strict=True)
    ]
    chosen, setup = names_of(models, more_models), {} if plan is None else {"recipe": plan.as_dict()}
    loading = {"device": device, "dtype": dtype, "threads": threads, "processes": processes, "recipe": plan}

    def rows(fusion: Fusion) -> list[Row]:
        unit = cast(Granularity | None, granularity)
        return standard_rows(fusion, rules, recipe=plan is not None, granularity=unit)

    _run(tasks, chosen, rows, out, max_new_tokens, loading, setup)


def ablation(
    more_models: MoreModels = None,
    models: Models = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder with gsm8k.jsonl, mgsm.tsv, coqa.jsonl and so on.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="A task of the paper; may be repeated. All if left out.")
    ] = None,
    limit: Limit = None,
    out: Out = None,
    max_new_tokens: Budget = None,
    device: Device = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
    processes: Processes = False,
) -> None:
    """Run the ablation of the paper: single models, Cool2, Rerank, shortest and aligned segments, and Cool+R."""
    if data is None:
        raise ArgumentError("no folder of data; expected --data FOLDER")
    wanted = task or list(PAPER_TASKS)
    tasks = [load_task(name, _file_of(data, name), limit=limit) for name in wanted]
    loading = {"device": device, "dtype": dtype, "threads": threads, "processes": processes}
    _run(tasks, names_of(models, more_models), paper_rows, out, max_new_tokens, loading)


def _file_of(folder: Path, task: str) -> Path:
    found = [folder / f"{task}{suffix}" for suffix in SUFFIXES if (folder / f"{task}{suffix}").is_file()]
    if not found:
        raise ArgumentError(f"{folder}: holds no file of {task}; expected {task}.jsonl (or {', '.join(SUFFIXES[1:])})")
    return found[0]


def _run(
    tasks: Sequence[Loaded],
    models: Sequence[str],
    rows: Callable[[Fusion], list[Row]],
    out: Path | None,
    max_new_tokens: int | None,
    loading: dict[str, Any],
    facts: dict[str, Any] | None = None,
) -> None:
    console = Console(stderr=True)
    setup = {"models": list(models), "dtype": loading["dtype"], **(facts or {})}
    with load(models, console, **loading) as fusion, Progress(*bar_columns(), console=console) as bar:
        chosen = rows(fusion)
        bars = {
            each.task.name: bar.add_task(each.task.name, total=len(each.items) * len(rows_of(each.task, chosen)))
            for each in tasks
        }
        found = run_experiment(
            fusion,
            tasks,
            chosen,
            out=out,
            setup=setup,
            max_new_tokens=max_new_tokens,
            progress=lambda name, n: bar.advance(bars[name], n),
        )
    shown = Console()
    for summary in found:
        shown.print(summary_table(summary))
        shown.print(summary_notes(summary), style="dim", markup=False, highlight=False)
