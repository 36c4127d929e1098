"""The verdict of a check, which decides whether and how to fuse, with the recipe that does it.

Everything is chosen on the development half and judged on the report half. The rule that was best on the first must
beat every member on the second, by the lower end of each interval. Such a test of all members at once needs
no correction, because all must be beaten (Berger, 1982). Otherwise the recipe is one that
is never worse, which is a primary member with a margin, or the best member alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from coolfusion.evaluation.pool.report import PoolReport, RuleLine
from coolfusion.evaluation.statistics import Interval
from coolfusion.fusion.options import Alignment, Prefix
from coolfusion.fusion.recipe import Recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule, spec_of
from coolfusion.members.endings import Granularity

__all__ = ["Verdict", "recipe_of", "verdict_of"]

FEWEST_GROUPS = 20  # an interval over fewer says nothing
ALARM = 0.2  # of overrides: pairs above it tend to lose (BlendIn, arXiv 2606.11201)
GAP = 0.1  # of right answers, below the best member


class Verdict(NamedTuple):
    """The decision whether and how to fuse.

    Attributes:
        fuse: whether fusing was shown to pay.
        primary: the best member of the development half.
        rule: the rule of the recipe, which is the chosen rule or the primary with its margin.
        alone: whether the recipe is the primary alone.
        text: the reasons, in plain sentences.
    """

    fuse: bool
    primary: str
    rule: RuleLine | None
    alone: bool
    text: str


def verdict_of(report: PoolReport, guarded: RuleLine | None = None) -> Verdict:
    """Returns the verdict of a report.

    Args:
        report: the report.
        guarded: the primary with a calibrated margin, where one was calibrated.

    Example:
        ``verdict_of(report).text``
    """
    chosen, primary = report.chosen, report.primary
    rival, least = min(report.rivals, key=lambda each: each[1].low)
    shown = report.n_groups >= FEWEST_GROUPS and least.low > 0.0
    compared = f"{chosen.report:.3f} on the report half, {_gain(chosen)} against {chosen.baseline} alone"
    if shown:
        lines = [f"Fuse. The rule '{chosen.name}' was best on the development half. It has {compared}."]
        lines.append(f"The primary member is {primary}; {_parts(chosen.spec)}.")
        rule: RuleLine | None = chosen
    else:
        lines = [f"Fusing is not shown to pay. The best rule of the development half, '{chosen.name}', has {compared}."]
        if report.n_groups < FEWEST_GROUPS:
            lines.append(f"The report half has {report.n_groups} documents; an interval needs {FEWEST_GROUPS} of them.")
        elif rival != chosen.baseline:
            lines.append(f"Against {rival} alone it is {_interval(least)}.")
        rule = guarded if guarded is not None and _never_worse(guarded) else None
        if rule is not None:
            lines.append(
                f"The recipe lets {primary} decide unless others outbid it by {rule.spec['margin']:.3g} nats: "
                f"{rule.report:.3f} on the report half, {_gain(rule)}."
            )
        else:
            lines.append(f"The recipe is {primary} alone.")
    lines += _warnings(report, chosen)
    return Verdict(shown, primary, rule, rule is None, "\n".join(lines))


def recipe_of(
    report: PoolReport,
    verdict: Verdict,
    *,
    alignment: Alignment = "aligned",
    granularity: Granularity = "word",
    prefix: Prefix = "always",
    facts: Mapping[str, Any] | None = None,
) -> Recipe:
    """Returns the recipe of a verdict.

    Args:
        report: the report.
        verdict: its verdict.
        alignment: where segments ended.
        granularity: the unit of text that a segment was.
        prefix: when prompts were read without BOS.
        facts: further plain values about the measurement, for example the digest of the data.

    Example:
        ``recipe_of(report, verdict_of(report)).write("recipe.json")``
    """
    measured: dict[str, Any] = {
        **(facts or {}),
        "task": report.task,
        "items": {"development": report.n_development, "report": report.n_report},
        "members": {each.name: _finite(each.report) for each in report.members},
        "fuse": verdict.fuse,
    }
    if verdict.rule is None:
        rule = spec_of(as_rule(DEFAULT_RULE))
        return Recipe((verdict.primary,), rule, alignment, granularity, prefix, measured=measured)
    line = verdict.rule
    numbers = {"difference": line.gain.difference, "low": line.gain.low, "high": line.gain.high}
    measured["rule"] = {"report": _finite(line.report), **{name: _finite(each) for name, each in numbers.items()}}
    return Recipe(
        tuple(each.name for each in report.members), line.spec, alignment, granularity, prefix, measured=measured
    )


def _never_worse(guarded: RuleLine) -> bool:
    """Returns whether a primary with a margin lost on neither half; an infinite margin is the primary alone."""
    return guarded.spec.get("margin") != "inf" and guarded.gain.difference >= 0.0


def _gain(line: RuleLine) -> str:
    return _interval(line.gain)


def _interval(gain: Interval) -> str:
    return f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _parts(spec: Mapping[str, Any]) -> str:
    """Returns weights and margin of a spec in words."""
    margin = spec["margin"] if spec["kind"] == "primary" else None
    while "rule" in spec:
        spec = spec["rule"]
    weights = spec.get("weights", {"kind": "uniform"})
    shares = {
        "uniform": "all members count alike",
        "evidence": f"members count by the evidence of the prompt, kappa {weights.get('kappa', 0.0):g}",
        "recent": f"members count by the last segments, kappa {weights.get('kappa', 0.0):g}",
        "fixed": "members count by their scores on the development half",
    }[weights["kind"]]
    return f"{shares}, and there is no margin" if margin is None else f"{shares}, and the margin is {margin} nats"


def _warnings(report: PoolReport, chosen: RuleLine) -> list[str]:
    lines = []
    sizes = report.n_development, report.n_report
    shares = {
        each.name: sum(n * share for n, share in zip(sizes, (each.development, each.report), strict=True) if n)
        / sum(sizes)
        for each in report.members
    }
    weak = [name for name, share in shares.items() if max(shares.values()) - share > GAP]
    if weak:
        lines.append(f"More than {GAP:.2f} below the best member: {', '.join(weak)}. Try the pool without.")
    if chosen.overrides > ALARM:
        lines.append(f"The rule '{chosen.name}' overrides the primary on {chosen.overrides:.0%} of the items.")
    if report.errors:
        lines.append(f"Items that failed and count as wrong: {report.errors}.")
    return lines


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
