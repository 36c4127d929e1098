"""Sets of rows: those of `coolfusion eval`, and those of the paper's ablation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coolfusion.evaluation.rows import Row
from coolfusion.fusion import Fusion
from coolfusion.fusion.selection import as_rule
from coolfusion.members.endings import Granularity

__all__ = ["PAPER_TASKS", "paper_rows", "single_rows", "standard_rows"]

# The tasks of the paper's tables (arXiv 2407.19807, section 4).
PAPER_TASKS = ("gsm8k", "mgsm", "coqa", "drop", "triviaqa", "unscramble")


def single_rows(fusion: Fusion) -> list[Row]:
    """Returns a row for each member alone, greedy, under its name; a name that stands twice gets a number.

    Args:
        fusion: the members.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [row.name for row in single_rows(fusion())]
        ['ash', 'birch', 'cedar']
    """
    seen: Counter[str] = Counter()
    rows = []
    for number, member in enumerate(fusion.members):
        seen[member.name] += 1
        name = member.name if seen[member.name] == 1 else f"{member.name} #{seen[member.name]}"
        rows.append(Row(name, (number,)))
    return rows


def standard_rows(
    fusion: Fusion, rules: Sequence[str], *, recipe: bool = False, granularity: Granularity | None = None
) -> list[Row]:
    """Returns the single members, the paper's rule, the chosen rules, and a rerank by the first of them.

    Args:
        fusion: the members.
        rules: names of rules.
        recipe: whether the fusion was made by a recipe, whose rule then is the first one.
        granularity: the unit of a segment of the chosen rules; None takes one that suits each. The paper's rule, where
            it is not among them, has words.

    Raises:
        ArgumentError: an unknown rule.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [row.name for row in standard_rows(fusion(), ["mixture"])][3:]
        ['fused: paper', 'fused: mixture', 'rerank: mixture']
    """
    rows, everyone = single_rows(fusion), tuple(range(len(fusion.members)))
    for rule in rules:
        as_rule(rule)
    if len(everyone) == 1:
        return rows
    if "paper" not in rules:
        rows.append(Row("fused: paper", everyone, "paper"))
    rows += [Row(f"fused: {rule}", everyone, rule, granularity=granularity) for rule in dict.fromkeys(rules)]
    if recipe:
        own = Row("fused: recipe", everyone, None, fusion.alignment, fusion.granularity)
        return [*rows, own, own._replace(name="rerank: recipe", rerank="fused")]
    chosen = rules[0] if rules else "paper"
    return [*rows, Row(f"rerank: {chosen}", everyone, chosen, granularity=granularity, rerank="fused")]


def paper_rows(fusion: Fusion) -> list[Row]:
    """Returns the rows of the paper's ablation, with its rule.

    These are the single members, Cool with the first two of them, and a rerank of the members' own texts. Cool with the
    shortest segments, with aligned ones, and Cool+R follow.

    Args:
        fusion: the members, two or more; the paper has three.

    Source: arXiv 2407.19807, section 4.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [row.name for row in paper_rows(fusion())][3:]
        ['Cool2', 'Rerank3', 'Cool3 shortest', 'Cool3 aligned', 'Cool3+R']
    """
    everyone = tuple(range(len(fusion.members)))
    n = len(everyone)
    pair = [Row("Cool2", (0, 1))] if n > 2 else []
    return [
        *single_rows(fusion),
        *pair,
        Row(f"Rerank{n}", everyone, rerank="alone"),
        Row(f"Cool{n} shortest", everyone, alignment="shortest"),
        Row(f"Cool{n} aligned", everyone),
        Row(f"Cool{n}+R", everyone, rerank="fused"),
    ]
