"""Loads the models of a command, and defines the options that choose and load them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn

from coolfusion.errors import NoModelsError
from coolfusion.fusion import Fusion

__all__ = ["bar_columns", "load", "names_of"]

MoreModels = Annotated[list[str] | None, typer.Argument(metavar="MODEL", help="Further models.", show_default=False)]
Models = Annotated[
    list[str] | None, typer.Option(help="Model directories or hub names; further ones may follow the first.")
]
Budget = Annotated[int | None, typer.Option(min=1, help="Budget of each model; that of the task if left out.")]
Device = Annotated[str | None, typer.Option(help="A torch device; the first GPU if there is one.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or float64.")]
Threads = Annotated[
    int | None, typer.Option(help="CPU threads of one operation; 1 if all models are small, else as torch takes.")
]
Processes = Annotated[bool, typer.Option("--processes", help="Run each model in a process of its own.")]
SMALL = 64 << 20  # bytes of weights


def names_of(models: Sequence[str] | None, more: Sequence[str] | None, *, at_least: int = 1) -> list[str]:
    """Returns the names of the models, which stand after `--models` and as arguments.

    Raises:
        NoModelsError: there are fewer than are needed.
    """
    names = [*(models or ()), *(more or ())]
    if len(names) < at_least:
        needed = "two or more" if at_least > 1 else "directories or hub names"
        raise NoModelsError(f"{len(names) or 'no'} models; expected {needed}: coolfusion COMMAND MODEL_A MODEL_B")
    return names


def load(
    names: Sequence[str],
    console: Console,
    *,
    dtype: str,
    device: str | None = None,
    threads: int | None = None,
    processes: bool = False,
    **options: Any,
) -> Fusion:
    """Prints the names of the models and loads them. Further options are those of `Fusion.from_pretrained`.

    Small models get one thread, because several threads lose more time by waiting for each other than they save.
    """
    console.print(f"loading {len(names)} models: {' '.join(Path(name).name for name in names)}", style="dim")
    sizes = [sum(file.stat().st_size for file in Path(name).glob("*.safetensors")) for name in names]
    if threads is None and all(0 < size <= SMALL for size in sizes):
        threads = 1
    executor: Literal["processes"] | None = "processes" if processes else None
    return Fusion.from_pretrained(
        names,
        device=device,
        dtype=dtype,
        threads=threads,
        executor=executor,
        **options,
    )


def bar_columns() -> tuple[ProgressColumn, ...]:
    """Returns the columns of a progress bar."""
    return TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
