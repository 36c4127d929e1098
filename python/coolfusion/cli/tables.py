"""Renders the tables of an evaluation on a terminal."""

from __future__ import annotations

import math

from rich.table import Table

from coolfusion.evaluation.summary import Line, Summary

__all__ = ["summary_notes", "summary_table"]


def summary_table(summary: Summary) -> Table:
    """Returns the table of one task."""
    sizes = f"{summary.n_development} development and {summary.n_report} report items"
    table = Table(title=f"{summary.task}: {summary.metric}, {sizes}", title_justify="left")
    others = list(summary.lines[0].others)
    table.add_column("row", no_wrap=True)
    for name in ("dev", "report", *others, f"vs {summary.baseline} [95 %]", "p", "p Holm", "passes", "GFLOP", "ms"):
        table.add_column(name, justify="right")
    for line in summary.lines:
        table.add_row(*_cells(line), style="bold" if line.row == summary.baseline else None)
    return table


def summary_notes(summary: Summary) -> str:
    """Returns the notes below the table: the co-failure, and the rows with items that failed."""
    notes = []
    if not math.isnan(summary.co_failure):
        ceiling = f"1 - beta {1.0 - summary.co_failure:.3f} bounds every choice among the members' answers"
        notes.append(f"co-failure beta {summary.co_failure:.3f}; {ceiling}")
    failed = [f"{line.row} {line.errors}" for line in summary.lines if line.errors]
    if failed:
        notes.append(f"items that failed and count as wrong: {', '.join(failed)}")
    return "\n".join(notes)


def _cells(line: Line) -> list[str]:
    gain = line.gain
    interval = f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    costs = [f"{line.passes:.1f}", f"{line.flops / 1e9:.4g}", f"{line.ms:.1f}"]
    means = [_number(line.development), _number(line.report), *(_number(each) for each in line.others.values())]
    shown = "-" if math.isnan(gain.difference) else interval
    return [line.row, *means, shown, _number(line.p), _number(line.p_holm), *costs]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) >= 0.001 or value == 0.0 else f"{value:.1e}"
