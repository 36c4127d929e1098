"""Runs `coolfusion generate` for one prompt, and prints the text as it comes or when it has ended."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Any

from rich.console import Console

from coolfusion.cli.many import INTERRUPTED, as_line
from coolfusion.cli.show import summary
from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion
from coolfusion.records import Output
from coolfusion.traces import TraceWriter

__all__ = ["stream_one", "write_one"]


def stream_one(
    fusion: Fusion, prompt: str | None, options: dict[str, Any], console: Console, trace: TraceWriter | None
) -> int:
    """Prints the text as it comes, and returns the exit code.

    Where stdout is no terminal, a counter on stderr shows the progress, because the text is not seen.
    """
    begun, code = perf_counter(), 0
    generation = fusion.stream(prompt, **options)
    counting = console.is_terminal and not sys.stdout.isatty()
    with ExitStack() as stack:
        stack.callback(print, flush=True)  # ends the line, also after an error
        if trace is not None:
            trace.begin([member.name for member in fusion.members], generation.output.origin)
            stack.callback(lambda: trace.end(generation.output, perf_counter() - begun))
        status = stack.enter_context(console.status("writing")) if counting else None
        try:
            for step in generation:
                print(step.text, end="", flush=True)
                if trace is not None:
                    trace.step(step)
                if status is not None:
                    status.update(f"{step.index + 1} steps, {len(generation.output.text)} characters")
        except KeyboardInterrupt:
            code = INTERRUPTED
    console.print(summary(generation.output, perf_counter() - begun), style="dim", markup=False)
    return code


def write_one(
    fusion: Fusion,
    prompt: str | None,
    options: dict[str, Any],
    as_json: bool,
    console: Console,
    trace: TraceWriter | None,
) -> int:
    """Writes one or several whole texts, prints them or their outputs as JSON, and returns the exit code."""
    begun, code = perf_counter(), 0
    output: Output | None = None
    try:
        with console.status("writing"):
            output = fusion.generate(prompt, **options)
    except KeyboardInterrupt as err:
        output, code = getattr(err, "partial", None), INTERRUPTED
        if output is None:
            raise
    except CoolFusionError as err:
        output = err.partial
        raise
    finally:
        if trace is not None and output is not None:
            trace.write(output, perf_counter() - begun)
    seconds, choices = perf_counter() - begun, output.choices
    for number, choice in enumerate(choices, 1):
        print(as_line(replace(choice, others=())) if as_json else choice.text, flush=True)
        told = f"text {number} of {len(choices)}, seed {choice.seed} | " if len(choices) > 1 else ""
        console.print(told + summary(choice, seconds), style="dim", markup=False)
    return code
