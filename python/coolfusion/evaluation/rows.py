"""The rows of an evaluation, each a way to answer items, and the answers to a chunk of items in one engine.

All rows use the members of one fusion, so each model is loaded once. A row may differ from the fusion in its members,
its rule, its alignment and its granularity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Literal, NamedTuple

from coolfusion.errors import ArgumentError, CoolFusionError
from coolfusion.evaluation.likelihood import score_texts, weights_of
from coolfusion.evaluation.prompts import prompt_of
from coolfusion.evaluation.tasks import Item, Task
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.engine import Entry
from coolfusion.fusion.options import Alignment
from coolfusion.fusion.rerank import RerankRequest
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.selection import as_rule
from coolfusion.members.endings import Granularity
from coolfusion.records import Output

__all__ = ["Answer", "Row", "answer_items", "parameters_of"]


PAPERS_RERANK = Rerank()
# Keeps the fused text unless another one is clearly likelier to the members that did not write it (docs/results.md).
SAFE_RERANK = Rerank(scores="others", length="byte", margin=0.1)


class Row(NamedTuple):
    """A way to answer items, which is a choice of members and settings.

    Attributes:
        name: the name in tables and records.
        members: numbers of the members.
        rule: the name of the rule; None takes that of the fusion.
        alignment: where segments end.
        granularity: the unit of a segment; None takes that of the fusion, or else one that suits the rule.
        rerank: "fused" takes the best of all continuations (Cool+R), "alone" the best of the members' own. The paper's
            rule has the paper's rerank, and other rules `SAFE_RERANK`.
    """

    name: str
    members: tuple[int, ...]
    rule: str | None = "paper"
    alignment: Alignment = "aligned"
    granularity: Granularity | None = None
    rerank: Literal["no", "fused", "alone"] = "no"


class Answer(NamedTuple):
    """The answer of one row to one item.

    Attributes:
        text: the text of the answer; "" if a likelihood was measured.
        score: bits per byte, or nan where a text was written.
        costs: passes and tokens of each member, by its number; passes are counted for each item that shares one.
        seconds: its share of the time of its chunk.
        error: the message of the error that ended it, or None.
    """

    text: str
    score: float
    costs: Mapping[int, tuple[int, int]]
    seconds: float
    error: str | None = None


def answer_items(
    fusion: Fusion, task: Task, rows: Sequence[Row], items: Sequence[Item], *, max_new_tokens: int | None = None
) -> list[list[Answer]]:
    """Returns the answers of rows that need the same work, to items that share the passes of the models.

    Args:
        fusion: the members.
        task: the task.
        rows: one row; or some that differ in `rerank` alone, "no" excepted, which are written once.
        items: the items.
        max_new_tokens: the budget, where it is not the task's.

    Returns:
        for each row the answers to all items. An error of this package ends one item alone.

    Raises:
        ArgumentError: the rows need different work, or a rule is unknown.

    Complexity: as `Fusion.generate` for a list, or `score_texts`.

    Example:
        ``answer_items(fusion, task_named("gsm8k"), [Row("paper", (0, 1))], items)[0][0].text``
    """
    if len({row[1:5] for row in rows}) != 1 or (len(rows) > 1 and "no" in {row.rerank for row in rows}):
        raise ArgumentError(f"rows {[row.name for row in rows]} need different work; expected rows of one rerank")
    begun = perf_counter()
    if task.writes:
        found = _write(fusion, task, rows, items, max_new_tokens or task.max_new_tokens)
    else:
        found = [_measure(fusion, row, items) for row in rows]
    seconds = (perf_counter() - begun) / max(1, len(items))
    return [[answer._replace(seconds=seconds) for answer in answers] for answers in found]


def parameters_of(fusion: Fusion) -> list[int]:
    """Returns the number of parameters of each member; 0 where its model does not say.

    Args:
        fusion: the members.
    """
    return [int(member.runner.describe().get("parameters", 0)) for member in fusion.members]


def _write(fusion: Fusion, task: Task, rows: Sequence[Row], items: Sequence[Item], budget: int) -> list[list[Answer]]:
    engine, row = fusion.engine, rows[0]
    entries: list[Entry | CoolFusionError] = []
    for item in items:
        prompt = prompt_of(fusion.members, item.sample.prompt)
        rerank = False if row.rerank == "no" else PAPERS_RERANK if row.rule == "paper" else SAFE_RERANK
        request = Request(prompt=prompt, max_new_tokens=budget, stop_strings=task.stops, rerank=rerank)
        try:
            entry = engine.open(
                request,
                members=row.members,
                rule=row.rule,
                alignment=row.alignment,
                granularity=row.granularity,
            )
            entries.append(entry)
        except ArgumentError:
            raise
        except CoolFusionError as err:
            entries.append(err)
    opened = [entry for entry in entries if isinstance(entry, Entry)]
    for entry in opened:
        engine.submit(entry)
    try:
        engine.step_until(lambda: all(entry.running.is_finished for entry in opened))
    finally:
        for entry in opened:
            if not entry.running.is_finished:
                engine.abort(entry.number)
    return [[_answer(entry, each) for entry in entries] for each in rows]


def _answer(entry: Entry | CoolFusionError, row: Row) -> Answer:
    if isinstance(entry, CoolFusionError):
        return Answer("", math.nan, {}, 0.0, f"{type(entry).__name__}: {entry}")
    running = entry.running
    if running.error is not None:
        if not isinstance(running.error, CoolFusionError):
            raise running.error
        return Answer("", math.nan, running.costs, 0.0, f"{type(running.error).__name__}: {running.error}")
    if row.rerank == "alone" and isinstance(running, RerankRequest):
        fused, whole = running.fused.costs, running.costs
        costs = {j: (whole[j][0] - fused[j][0], whole[j][1] - fused[j][1]) for j in whole}
        return Answer(_best_alone(running.output), math.nan, costs, 0.0)
    return Answer(running.output.text, math.nan, running.costs, 0.0)


def _best_alone(output: Output) -> str:
    """Returns the best of the members' own continuations by the rule; of equal ones the bytewise smaller text."""
    alone = [each for each in output.continuations if each.author != "fusion" and each.rejected is None]
    return min(alone, key=lambda each: (each.value, each.text.encode())).text if alone else ""


def _measure(fusion: Fusion, row: Row, items: Sequence[Item]) -> list[Answer]:
    """Returns bits per byte. Where one item fails, the others are measured one by one."""
    weights = weights_of(fusion.rule if row.rule is None else as_rule(row.rule))
    start = prompt_of(fusion.members, "")
    texts = [(start, item.sample.golds[0]) for item in items]
    try:
        found = score_texts(fusion, texts, weights=weights, members=row.members)
    except ArgumentError:
        raise
    except CoolFusionError as err:
        if len(items) == 1:
            return [Answer("", math.nan, {}, 0.0, f"{type(err).__name__}: {err}")]
        return [answer for item in items for answer in _measure(fusion, row, [item])]
    return [
        Answer("", -each.logprob / math.log(2.0) / each.n_bytes, dict(zip(row.members, each.costs, strict=True)), 0.0)
        for each in found
    ]
