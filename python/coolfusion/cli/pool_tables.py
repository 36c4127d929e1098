"""Renders the tables of a pool's check on a terminal."""

from __future__ import annotations

import math

from rich.table import Table

from coolfusion.evaluation.pool import PoolReport

__all__ = ["agreement_line", "members_table", "rules_table"]


def members_table(report: PoolReport) -> Table:
    """Returns the table of the members alone, and of choices among their answers: the majority vote and the oracle."""
    sizes = f"{report.n_development} development and {report.n_report} report items"
    table = Table(title=f"{report.task}: share of right answers, {sizes}", title_justify="left")
    table.add_column("alone", no_wrap=True)
    own = any(not math.isnan(each.own_report) for each in report.members)
    for name in ("greedy dev", "report", *(("most probable dev", "report") if own else ())):
        table.add_column(name, justify="right")
    for each in report.members:
        cells = [each.development, each.report, *((each.own_development, each.own_report) if own else ())]
        table.add_row(each.name, *map(_share, cells), style="bold" if each.name == report.primary else None)
    for name, value in (("majority vote", report.vote), ("oracle", report.oracle)):
        if not math.isnan(value):
            table.add_row(name, "", _share(value))
    return table


def agreement_line(report: PoolReport) -> str:
    """Returns one line about the agreement of the members' greedy answers."""
    pairs = ", ".join(f"{one} and {other} {_share(share)}" for one, other, share in report.agreement)
    return f"equal answers: {pairs}; all wrong: {_share(report.co_failure)}"


def rules_table(report: PoolReport) -> Table:
    """Returns the table of the rules, each with its gain over the best member under the same decoding."""
    table = Table(title=f"together; overrides are of {report.primary}", title_justify="left")
    table.add_column("rule")
    for name in ("dev", "report", "gain [95 %]", "over", "overrides"):
        table.add_column(name, justify="right")
    for each in report.rules:
        gain = each.gain
        shown = f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        cells = [_share(each.development), _share(each.report), shown, each.baseline, _share(each.overrides)]
        table.add_row(each.name, *cells, style="bold" if each.name == report.chosen.name else None)
    return table


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
