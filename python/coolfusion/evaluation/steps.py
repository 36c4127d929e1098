"""Recorded steps: the first step of a fusion after a prompt, with everything that a selection rule could ask for.

A step has one round or two. In the first each member proposes its greedy segment. In the second each adds its
alternatives, and scores are measured again, because a member's own tokens may spell a segment in another way. Records
hold both, so `coolfusion.evaluation.replay` can let any rule decide without a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.record_file import RecordFile
from coolfusion.fusion.fields import plain_number
from coolfusion.records import Candidate, Score

__all__ = ["Round", "StepFile", "StepRecord"]


class Round(NamedTuple):
    """The candidates of one round of a step, as `StepView` has them.

    Attributes:
        candidates: (C,) the candidates, in the order of their bytes; END first.
        scores: (C, M) with the probabilities at word boundaries, where they could be measured.
    """

    candidates: tuple[Candidate, ...]
    scores: tuple[tuple[Score, ...], ...]


class StepRecord(NamedTuple):
    """The first step of a fusion after a prompt.

    Attributes:
        item: the id of the place.
        group: the paragraph or document that it is of.
        prompt: the text before it.
        gold: the word that follows in the data.
        names: (M,) the members' names.
        greedy: the members' greedy segments.
        wider: the greedy segments and the alternatives; None where all members proposed the same segment.
        prompt_scores: (M,) the score of the prompt under each member; () for one member.
        refused: the texts that could be no candidates, each with its proposers. For example, a member cannot represent
            them.
        alternatives: number of alternatives that each member was asked for.
        divisible: whether a part of the members would have proposed the same segments. Then no proposal was refused,
            and no segment holds a boundary of its writer's own tokenizer.
        error: why there is no step, or None.
    """

    item: str
    group: str
    prompt: str
    gold: str
    names: tuple[str, ...]
    greedy: Round
    wider: Round | None
    prompt_scores: tuple[Score, ...]
    refused: tuple[tuple[str, tuple[int, ...]], ...]
    alternatives: int
    divisible: bool
    error: str | None = None

    def is_alternative(self, candidate: Candidate) -> bool:
        """Returns whether no member proposed a candidate as its greedy segment.

        Args:
            candidate: one of `wider`.
        """
        return all(candidate.text != each.text for each in self.greedy.candidates)


class StepFile:
    """Recorded steps, in memory and, if there is a path, in a file.

    Args:
        path: the file, or None.
        setup: plain values that decide the records: models, data, alternatives.

    Attributes:
        records: the records by item.

    Raises:
        ArgumentError: the file is of another set-up, or holds something else; names the difference or the line.

    Complexity: O(size of the file).

    Example:
        >>> StepFile(None, {"models": ["a"]}).records
        {}
    """

    def __init__(self, path: str | Path | None, setup: Mapping[str, Any]) -> None:
        self.records: dict[str, StepRecord] = {}
        self._file = RecordFile(path, setup, StepRecord._fields)
        for number, fields in enumerate(self._file.read, 2):
            try:
                record = _record(fields)
            except (TypeError, ValueError, KeyError) as err:
                raise ArgumentError(f"{path}, line {number}: no recorded step ({err!r:.80})") from err
            self.records[record.item] = record

    def __repr__(self) -> str:
        return f"StepFile({str(self._file.path)!r}, {len(self.records)} records)"

    def add(self, records: Iterable[StepRecord]) -> None:
        """Appends records; they are in the file when this returns.

        Args:
            records: new records.
        """
        found = list(records)
        self.records |= {record.item: record for record in found}
        self._file.append(_plain(record) for record in found)


def _plain(record: StepRecord) -> dict[str, Any]:
    """Returns a record as strict JSON can hold it."""
    return {
        **record._asdict(),
        "greedy": _plain_round(record.greedy),
        "wider": None if record.wider is None else _plain_round(record.wider),
        "prompt_scores": [_plain_score(score) for score in record.prompt_scores],
    }


def _plain_round(found: Round) -> list[dict[str, Any]]:
    return [
        {
            "text": candidate.text,
            "end": candidate.end,
            "members": candidate.members,
            "token_ids": candidate.token_ids,
            "forced": candidate.forced,
            "whole": candidate.whole,
            "scores": [_plain_score(score) for score in row],
        }
        for candidate, row in zip(found.candidates, found.scores, strict=True)
    ]


def _plain_score(score: Score) -> list[Any]:
    return [plain_number(each) if isinstance(each, float) else each for each in score]


def _record(fields: Mapping[str, Any]) -> StepRecord:
    return StepRecord(
        **{
            **fields,
            "names": tuple(fields["names"]),
            "greedy": _round(fields["greedy"]),
            "wider": None if fields["wider"] is None else _round(fields["wider"]),
            "prompt_scores": tuple(map(_score, fields["prompt_scores"])),
            "refused": tuple((text, tuple(members)) for text, members in fields["refused"]),
        }
    )


def _round(rows: list[dict[str, Any]]) -> Round:
    candidates = tuple(
        Candidate(
            row["text"],
            row["end"],
            tuple(row["members"]),
            tuple(map(tuple, row["token_ids"])),
            tuple(row["forced"]),
            row["whole"],
        )
        for row in rows
    )
    return Round(candidates, tuple(tuple(map(_score, row["scores"])) for row in rows))


def _score(values: list[Any]) -> Score:
    read: list[Any] = [float(value) if isinstance(value, str) else value for value in values]
    return Score(*read)
