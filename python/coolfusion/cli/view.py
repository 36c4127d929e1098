"""Runs `coolfusion view`, which shows a trace in the terminal or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coolfusion.cli.show import colour
from coolfusion.errors import ArgumentError
from coolfusion.records import Step
from coolfusion.traces import Trace, read_traces, write_page
from coolfusion.traces.authors import initials, safe, shares_of
from coolfusion.traces.page import prompts_of

__all__ = ["view"]

NARROW, VERY_NARROW = 72, 46  # columns below which the table leaves out some of its own


def view(
    file: Annotated[Path, typer.Argument(help="A trace, as `coolfusion generate --trace FILE` writes it.")],
    html: Annotated[Path | None, typer.Option(help="Write one page for browsers to this file instead.")] = None,
    text: Annotated[int | None, typer.Option(min=1, help="Show only this text of several, from 1.")] = None,
    steps: Annotated[int, typer.Option(min=0, help="The most steps in a table; 0 leaves the table out.")] = 40,
) -> None:
    """Show a trace: the text in the colours of its authors, its steps, and how the models went together."""
    traces = [choice for trace in read_traces(file) for choice in trace.choices]
    if text is not None:
        if text > len(traces):
            raise ArgumentError(f"--text {text}: {file} holds {len(traces)} texts; expected 1 to {len(traces)}")
        traces = [traces[text - 1]]
    if html is not None:
        write_page(html, traces)
        print(html)
        return
    console = Console(highlight=False)
    for number, trace in enumerate(traces, 1):
        if len(traces) > 1:
            console.print(Text(f"text {number} of {len(traces)}", "bold"))
        console.print(shown(trace, console, steps))


def shown(trace: Trace, console: Console, most_steps: int) -> Group:
    """Returns a text with its members, its table of steps and its notes.

    Args:
        trace: the text.
        console: the console, whose width and colours decide the layout.
        most_steps: the greatest number of steps in the table.
    """
    plain = console.no_color or console.color_system is None
    parts: list[RenderableType] = [_legend(trace), _text(trace, plain), Text()]
    steps = trace.output.steps[:most_steps]
    if steps:
        parts.append(_table(trace, steps, console.width))
    left = len(trace.output.steps) - len(steps)
    if most_steps and left:
        parts.append(Text(f"{left} more steps: --steps {len(trace.output.steps)}", "dim"))
    parts += [_summary(trace), *(Text(note, "bold") for note in _notes(trace))]
    return Group(*parts)


def _legend(trace: Trace) -> Text:
    shares = shares_of(trace.output.steps, len(trace.names))
    line = Text()
    for at, (name, short) in enumerate(zip(trace.names, initials(trace.names), strict=True)):
        line.append("   " if at else "").append(f"{safe(name)} ({short})", f"bold {colour(at)}")
        line.append(f" won {shares.won[at]:.0%}" if trace.output.steps else "")
    return line


def _text(trace: Trace, plain: bool) -> Text:
    """Returns prompt and text. Without colours a sign marks each change of the author."""
    line, before = Text(), None
    for name, prompt in prompts_of(trace):
        line.append(f"{safe(name)}: " if name else "", "bold").append(safe(prompt), "dim")
        line.append("\n" if name else "")
    if trace.output.author != "fusion":
        return line.append(safe(trace.output.text), colour(trace.output.author))
    for step in trace.output.steps:
        authors = step.candidates[step.winner].members
        if plain and authors != before and step.text:
            line.append(f"[{_by(authors, trace.names)}]")
        line.append(safe(step.text), colour(*authors))
        before = authors
    return line


def _table(trace: Trace, steps: tuple[Step, ...], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", collapse_padding=True)
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("segment", overflow="fold")
    table.add_column("by", no_wrap=True)
    if width >= VERY_NARROW:
        table.add_column("margin", justify="right", no_wrap=True)
    if width >= NARROW:
        table.add_column("ms", justify="right", no_wrap=True)
        table.add_column("passed over", overflow="fold", style="dim")
    for step in steps:
        chosen = step.candidates[step.winner]
        by = _by(chosen.members, trace.names) + ("*" if step.overridden else "")
        cells = [Text(str(step.index)), Text(_segment(step.text, chosen.end), colour(*chosen.members)), Text(by)]
        if width >= VERY_NARROW:
            cells.append(Text("" if step.margin == float("inf") else f"{step.margin:.3g}"))
        if width >= NARROW:
            others = [each for at, each in enumerate(step.candidates) if at != step.winner]
            over = (f"{_segment(each.text, each.end)} ({_by(each.members, trace.names)})" for each in others)
            cells += [Text(f"{1000 * sum(step.seconds):.3g}"), Text(", ".join(over))]
        table.add_row(*cells)
    return table


def _summary(trace: Trace) -> Text:
    steps, output = trace.output.steps, trace.output
    shares = shares_of(steps, len(trace.names))
    seconds = sum(shares.seconds) if trace.seconds is None else trace.seconds
    parts = [f"{len(steps)} steps in {seconds:.2f} s", f"finish: {output.finish_reason or 'unfinished'}"]
    if output.origin is not None:
        parts.append(f"rule: {safe(output.origin.rule)}")
    if steps:
        phases = zip(("propose", "evaluate", "select", "commit"), shares.seconds, strict=True)
        parts += [f"agreement {shares.agreement:.0%}", f"all agreed in {shares.unanimous:.0%}"]
        parts += [f"{shares.overridden} overrides*"] if any(step.primary is not None for step in steps) else []
        parts.append("time: " + ", ".join(f"{name} {value:.2f} s" for name, value in phases))
    parts += [
        f"{safe(each.name)}: {len(each.token_ids)} tokens, {each.forward_passes} passes" for each in output.members
    ]
    return Text(" | ".join(parts), "dim")


def _notes(trace: Trace) -> list[str]:
    output, notes = trace.output, []
    if output.author != "fusion":
        author = trace.names[output.author]
        notes.append(f"a rerank chose the text that {author} wrote alone; the steps are those of the fused one")
    notes += output.notes
    notes += [f"error: {output.error}"] if output.error is not None else []
    notes += [trace.problem] if trace.problem is not None else []
    return [safe(note) for note in notes]


def _by(authors: tuple[int, ...], names: tuple[str, ...]) -> str:
    return "all" if len(authors) == len(names) > 1 else "+".join(initials(names)[at] for at in authors)


def _segment(text: str, end: bool) -> str:
    return "END" if end else safe(text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·"))
