"""docs/performance.md and docs/performance.svg from the results files; ``make performance`` runs what it needs first.

    python -m benches.performance [--results FOLDER] [--docs FOLDER]

The prose and the order of the tables are those of ``benches/performance.md``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benches.report import Summary, number, speed, summaries
from benches.rivals import Rivalry, cell, refusals
from benches.timing import Row

ROOT = Path(__file__).parents[1]
TEMPLATE = Path(__file__).with_name("performance.md")
# Where nothing is kept from one pass to the next the passes after the first are the figure: a new process is warm then.
WARM = ("stream decode", "decode", "boundaries", "common boundaries", "align")


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return head, rows


def table(found: Sequence[Summary]) -> Iterator[str]:
    """All families, then each."""
    yield "| beside | family | ours | other | median ratio | worst ratio | worst row |"
    yield "|---|---|---|---|---|---|---|"
    for other in dict.fromkeys(each.other for each in found):
        for each in (one for one in found if one.other == other):
            family = each.family or f"**all** ({each.rows} rows)"
            cells = [
                family,
                speed(each.our_ns, each.unit),
                speed(each.other_ns, each.unit),
                both(each.median, each.again_median),
                both(each.worst, each.again_worst),
                each.worst_row,
            ]
            yield f"| {other} | {' | '.join(cells)} |"


def both(first: float, again: float | None) -> str:
    return number(first) if again is None else f"{number(first)} ({number(again)})"


def operation_table(name: str, found: Sequence[Summary]) -> str:
    """The table of one operation; contexts of the stream encoder are one table each."""
    parts = []
    for operation in dict.fromkeys(each.operation for each in found):
        if operation != name and not operation.startswith(f"{name} after"):
            continue
        block = [each for each in found if each.operation == operation]
        title = f"{operation}: `{block[0].ours}`, first pass" + (
            " (passes after it in brackets)" if block[0].again_median is not None else ""
        )
        parts.append("\n".join([f"{title[0].upper()}{title[1:]}.", "", *table(block)]))
    return "\n\n".join(parts) or "Not measured in this run."


def rivals_table(found: Sequence[Rivalry]) -> str:
    rivals = list(dict.fromkeys(each.rival for each in found))
    rows = ["| tokenizer | " + " | ".join(rivals) + " |", "|---" * (len(rivals) + 1) + "|"]
    for name in dict.fromkeys(each.tokenizer for each in found):
        cells = [cell([each for each in found if (each.tokenizer, each.rival) == (name, rival)]) for rival in rivals]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", *(f"- {line.replace('|', '/')}" for line in refusals(found))])


def machine_text(head: dict[str, Any]) -> str:
    where = head["machine"]
    size = " A short run (`--quick`): few documents, one round." if head.get("quick") else ""
    return (
        f"Measured on {where['cpu']}, {where['cores']} cores, Python {where['python']}, `tokenizers` "
        f"{where['tokenizers']}, at commit `{where['commit']}`. Figures move from machine to machine; ratios of one "
        f"run move less.{size}"
    )


def plot(found: Sequence[Summary], path: Path) -> None:
    """For each operation and other way, a line from the worst to the median ratio of each family, logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "coolfusion", "font.size": 8})
    from matplotlib import pyplot

    shown = [each for each in found if each.family and each.other not in ("Tokenizer.settled_cuts",)]
    labels = list(dict.fromkeys(f"{each.operation}: {each.other}" for each in shown))
    families = sorted({each.family for each in shown})
    figure, axes = pyplot.subplots(figsize=(9, 0.3 * len(labels) + 1.4))
    for at, family in enumerate(families):
        those = [each for each in shown if each.family == family]
        height = [labels.index(f"{each.operation}: {each.other}") + (at - len(families) / 2) * 0.1 for each in those]
        middle = [headline(each)[0] for each in those]
        worst = [headline(each)[1] for each in those]
        axes.hlines(height, worst, middle, color=f"C{at}", linewidth=1)
        axes.plot(middle, height, "o", color=f"C{at}", markersize=3.5, label=family)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="time of the other / our time; dot: median of the rows, end of the line: worst row")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.6 / (0.3 * len(labels) + 1.4)), ncols=3, frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def headline(each: Summary) -> tuple[float, float]:
    """Median and worst ratio of the pass that counts."""
    if each.operation in WARM and each.again_median is not None and each.again_worst is not None:
        return each.again_median, each.again_worst
    return each.median, each.worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benches" / "results", metavar="FOLDER")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", metavar="FOLDER")
    arguments = parser.parse_args()
    head, rows = read(arguments.results / "bench.jsonl")
    found = list(summaries([Row(**row) for row in rows]))
    rival_file = arguments.results / "rivals.jsonl"
    rivals = [Rivalry(**row) for row in read(rival_file)[1]] if rival_file.is_file() else []

    def filled(hole: re.Match[str]) -> str:
        name = hole[1]
        if name == "machine":
            return machine_text(head)
        if name == "rivals":
            return rivals_table(rivals) if rivals else "Not measured in this run."
        if name in ("load", "streams"):
            measured = arguments.results / f"{name}.txt"
            if not measured.is_file():
                return "Not measured in this run."
            return f"```text\n{measured.read_text(encoding='utf-8').strip()}\n```"
        return operation_table(name, found)

    page = re.sub(r"^\{([\w ]+)\}$", filled, TEMPLATE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (arguments.docs / "performance.md").write_text(page, encoding="utf-8")
    plot(found, arguments.docs / "performance.svg")
    print(f"{arguments.docs / 'performance.md'} and performance.svg, of {len(rows)} rows")


if __name__ == "__main__":
    main()
