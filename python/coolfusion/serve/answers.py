"""Builds the parts of answers in OpenAI's shape: heads, finish reasons, usage, and the field `coolfusion`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from coolfusion.evaluation.likelihood import TextLikelihood
from coolfusion.fusion.engine import Entry
from coolfusion.records import Output, Step

__all__ = ["about", "authors", "finish_reason", "head", "usage", "usage_of_scores"]


def head(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """Returns the fields with which an answer, and each chunk of a stream, begins.

    Args:
        kind: OpenAI's name of the object.
        prefix: the prefix of the id, for example "cmpl".
        model: the name under which the client asked.
    """
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def finish_reason(output: Output) -> str | None:
    """Returns OpenAI's word for the end of a text, for example "stop" where the members ended it.

    Args:
        output: the text.
    """
    return "stop" if output.finish_reason == "end" else output.finish_reason


def authors(entry: Entry, step: Step) -> list[str]:
    """Returns the names of the members that proposed a segment.

    Args:
        entry: the entry of the text.
        step: the step with the segment.
    """
    members = entry.running.output.members
    return [members[at].name for at in step.candidates[step.winner].members]


def about(entry: Entry) -> dict[str, Any]:
    """Returns the field `coolfusion` of a text, for the facts that OpenAI's shape has no field for.

    They are the author, notes, the seed, the members' reasoning, and lost members. For example, `{"author": "smollm2"}`
    names the member whose text a rerank chose.

    Args:
        entry: the entry of the text.
    """
    output = entry.running.output
    found: dict[str, Any] = {"author": output.author}
    if isinstance(output.author, int):
        found["author"] = output.members[output.author].name
    if output.notes:
        found["notes"] = list(output.notes)
    if output.seed is not None:
        found["seed"] = output.seed
    if any(output.reasoning):
        names = [member.name for member in output.members]
        found["reasoning"] = dict(zip(names, output.reasoning, strict=True))
    lost = {member.name: member.failed for member in output.members if member.failed is not None}
    if lost:
        found["failed"] = lost
    return found


def usage(entries: Sequence[Entry], choices: int) -> dict[str, Any]:
    """Returns the numbers of tokens of a request.

    Members count in tokens of their own, so each total is the largest count of any member. For example, members with 5
    and 7 tokens give the total 7. The field `coolfusion` has the counts of all members.

    Args:
        entries: the entries of the texts.
        choices: the number of texts for each prompt, because the tokens of a prompt count once.
    """
    rows: dict[int, list[Any]] = {}
    for at, entry in enumerate(entries):
        costs = entry.running.costs
        for number, member in zip(sorted(costs), entry.running.output.members, strict=False):
            read = len(member.prompt_ids) if at % choices == 0 else 0
            _count(rows, number, member.name, read, member.committed_tokens, *costs[number])
    return _usage(rows)


def usage_of_scores(names: Sequence[str], numbers: Sequence[int], found: Sequence[TextLikelihood]) -> dict[str, Any]:
    """Returns the numbers of tokens of prompts that were scored and not continued.

    Args:
        names: the names of all members.
        numbers: the numbers of the members that scored.
        found: the likelihoods of the prompts.
    """
    rows: dict[int, list[Any]] = {number: [names[number], 0, 0, 0, 0] for number in numbers}
    for each in found:
        for number, n_tokens, costs in zip(numbers, each.n_tokens, each.costs or ((0, 0),) * len(numbers), strict=True):
            _count(rows, number, names[number], n_tokens, 0, *costs)
    return _usage(rows)


def _count(rows: dict[int, list[Any]], number: int, name: str, *counts: int) -> None:
    row = rows.setdefault(number, [name, 0, 0, 0, 0])
    row[1:] = [old + new for old, new in zip(row[1:], counts, strict=True)]


def _usage(rows: Mapping[int, Sequence[Any]]) -> dict[str, Any]:
    columns = ("name", "prompt_tokens", "completion_tokens", "forward_passes", "processed_tokens")
    members = [dict(zip(columns, rows[number], strict=True)) for number in sorted(rows)]
    prompt = max((row["prompt_tokens"] for row in members), default=0)
    completion = max((row["completion_tokens"] for row in members), default=0)
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**counts, "coolfusion": {"members": members}}
