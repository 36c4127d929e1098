"""Runs `coolfusion pool`, which measures whether fusing some models pays, and writes the recipe that does it."""

from __future__ import annotations

import json
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
from coolfusion.cli.pool_tables import agreement_line, members_table, rules_table
from coolfusion.errors import ArgumentError
from coolfusion.evaluation.collect import setup_of
from coolfusion.evaluation.data import digest_of
from coolfusion.evaluation.experiment import load_task
from coolfusion.evaluation.next_words import part_of, positions_of
from coolfusion.evaluation.pool import Checked, check_next_words, check_task
from coolfusion.evaluation.pool.check import check_writes, task_rows
from coolfusion.evaluation.pool.grid import ALTERNATIVES
from coolfusion.evaluation.pool.verdict import recipe_of
from coolfusion.evaluation.sample_file import SampleFile
from coolfusion.evaluation.steps import StepFile
from coolfusion.evaluation.tasks import TASKS, task_named
from coolfusion.fusion.options import PREFIXES, Prefix, check_choice
from coolfusion.members.endings import GRANULARITIES, Granularity
from coolfusion.records import to_jsonable

__all__ = ["pool"]

OF_WORDS = ("word", "pre_token")  # granularities with segments of one word at most
STEPS = ("next_word", "lambada")  # tasks that need one step of a fusion
CHECKED = ", ".join(name for name, task in TASKS.items() if task.writes)


def pool(
    more_models: MoreModels = None,
    models: Models = None,
    data: Annotated[Path | None, typer.Option(help="The file of the task: plain text, or JSON lines.")] = None,
    task: Annotated[str, typer.Option(help=f"One of {CHECKED}.")] = "next_word",
    limit: Annotated[int, typer.Option(min=1, help="The most items.")] = 100,
    part: Annotated[str, typer.Option(help="The part of the file of a next-word task, in fractions.")] = "0:1",
    seed: Annotated[int, typer.Option(help="Draws the places of a next-word task.")] = 1,
    granularity: Annotated[
        str, typer.Option(help=f"The unit that the models propose and choose: {', '.join(GRANULARITIES)}.")
    ] = "pre_token",
    prefix: Annotated[
        str, typer.Option(help="always puts BOS before a prompt; likelier leaves it out where that is likelier.")
    ] = "always",
    whole_prompt: Annotated[
        bool, typer.Option(help="Whether a prompt ends with a word, so that proposals begin with white space.")
    ] = True,
    records: Annotated[
        Path | None, typer.Option(help="A file of records, JSON lines; a run that ended is resumed from it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the recipe to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report and the recipe as JSON.")] = False,
    max_new_tokens: Budget = None,
    device: Device = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
    processes: Processes = False,
) -> None:
    """Say whether fusing some models pays, by which rule, and write a recipe for it."""
    names = names_of(models, more_models, at_least=2)
    if data is None:
        raise ArgumentError("no data; expected --data FILE")
    facts: dict[str, Any] = {"models": names, "dtype": dtype, "data": digest_of(data), "limit": limit}
    check_choice("granularity", granularity, OF_WORDS if task in STEPS else GRANULARITIES)
    check_choice("prefix", prefix, PREFIXES)
    if task in STEPS:
        facts |= {"part": part, "seed": seed, "whole_prompt": whole_prompt}
        places = positions_of(task, data, part=part_of(part), limit=limit, seed=seed)
    else:
        check_writes(task_named(task))
        loaded = load_task(task, data, limit=limit)
        facts |= {**loaded.facts, "max_new_tokens": max_new_tokens}
    console = Console(stderr=True)
    loading: dict[str, Any] = {"device": device, "dtype": dtype, "threads": threads, "processes": processes}
    with (
        load(names, console, granularity=granularity, prefix=prefix, **loading) as fusion,
        Progress(*bar_columns(), console=console) as bar,
    ):
        if task in STEPS:
            running = bar.add_task("steps", total=len(places))
            steps = StepFile(records, setup_of(fusion, ALTERNATIVES, task=task, **facts))
            checked = check_next_words(
                fusion,
                places,
                steps,
                task=task,
                whole_prompt=whole_prompt,
                progress=lambda n: bar.advance(running, n),
            )
        else:
            rows = task_rows(fusion)
            running = bar.add_task(task, total=len(loaded.items) * len(rows))
            file = SampleFile(
                records,
                {
                    **facts,
                    "task": task,
                    "granularity": granularity,
                    "prefix": prefix,
                    "rows": [list(row) for row in rows],
                },
            )
            checked = check_task(
                fusion,
                loaded.task,
                loaded.items,
                file,
                max_new_tokens=max_new_tokens,
                progress=lambda n: bar.advance(running, n),
            )
    measured = {name: value for name, value in facts.items() if name != "models"}
    recipe = recipe_of(
        *checked, granularity=cast(Granularity, granularity), prefix=cast(Prefix, prefix), facts=measured
    )
    if out is not None:
        recipe.write(out)
    if as_json:
        shown = {**to_jsonable(checked), "recipe": recipe.as_dict()}
        print(json.dumps(shown, ensure_ascii=False, allow_nan=False))
        return
    _show(checked, out)


def _show(checked: Checked, out: Path | None) -> None:
    shown = Console()
    shown.print(members_table(checked.report))
    shown.print(agreement_line(checked.report), style="dim", markup=False, highlight=False)
    shown.print(rules_table(checked.report))
    shown.print(checked.verdict.text, markup=False, highlight=False)
    if out is not None:
        shown.print(f"recipe: {out}", style="dim", markup=False, highlight=False)
