"""What is printed of the rows: for each operation and family the ratios, worst first."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benches.timing import Row

BYTES = "byte"


class Summary(NamedTuple):
    """One operation beside one other way, over one family (or all): ratios above 1 say that ours is faster."""

    operation: str
    ours: str
    other: str
    family: str
    rows: int
    # First passes; where there are passes after them also those.
    median: float
    worst: float
    worst_row: str
    again_median: float | None
    again_worst: float | None
    # ns per unit, median of the first passes.
    our_ns: float
    other_ns: float
    unit: str


def by(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """(operation, family) -> rows, and each operation with all families under ""."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for family in ("", row.family):
            found.setdefault((row.operation, family), []).append(row)
    return found


def summaries(rows: Sequence[Row]) -> Iterator[Summary]:
    for (operation, family), block in by([row for row in rows if row.first]).items():
        ours = next(iter(block[0].first))
        for other in dict.fromkeys(name for row in block for name in row.first_ratio):
            those = [row for row in block if other in row.first_ratio]
            again = [row.again_ratio[other] for row in those if other in row.again_ratio]
            low = min(those, key=lambda row: row.first_ratio[other])
            yield Summary(
                operation,
                ours,
                other,
                family,
                len(those),
                statistics.median(row.first_ratio[other] for row in those),
                low.first_ratio[other],
                f"{low.tokenizer}, {low.text}",
                statistics.median(again) if again else None,
                min(again) if again else None,
                statistics.median(row.first[ours] for row in those),
                statistics.median(row.first[other] for row in those),
                low.unit,
            )


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def speed(ns: float, unit: str) -> str:
    """MB/s for what is counted in bytes, else time per token or push."""
    if unit == BYTES:
        return f"{number(1e3 / ns)} MB/s"
    return f"{number(ns)} ns" if ns < 1e4 else f"{number(ns / 1e3)} us" if ns < 1e7 else f"{number(ns / 1e6)} ms"


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The tables as text."""
    last = ""
    for each in sorted(summaries(rows), key=lambda each: [row.operation for row in rows].index(each.operation)):
        if each.operation != last:
            last = each.operation
            yield f"\n{each.operation}: {each.ours} (first pass; passes after it in brackets)"
            yield f"  {'beside':<28} {'family':<34} {'ours':>11} {'other':>11} {'median':>16} {'worst':>16}  worst row"
        median, worst = (
            number(first) + ("" if later is None else f" ({number(later)})")
            for first, later in ((each.median, each.again_median), (each.worst, each.again_worst))
        )
        family = each.family or "all"
        ours, other = speed(each.our_ns, each.unit), speed(each.other_ns, each.unit)
        yield f"  {each.other:<28} {family:<34} {ours:>11} {other:>11} {median:>16} {worst:>16}  {each.worst_row}"
    wrong: dict[tuple[str, str], int] = {}
    for row in rows:
        for name, count in row.differing.items():
            wrong[row.operation, name] = wrong.get((row.operation, name), 0) + count
    if wrong:
        yield "\ndocuments with another answer:"
        yield from (f"  {operation}, {name}: {count}" for (operation, name), count in wrong.items())
    absent = dict.fromkeys(row.operation for row in rows if not row.first and not row.checked)
    if absent:
        yield f"\nnot in this build, or nothing to compare in some rows: {', '.join(absent)}"
