"""The answers of an evaluation, with a record for each row and item in a `RecordFile`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.evaluation.record_file import RecordFile

__all__ = ["SampleFile", "SampleRecord"]


class SampleRecord(NamedTuple):
    """The answer of one row to one item.

    Attributes:
        task: the name of the task.
        item: the id of the item.
        row: the name of the row.
        text: the text of the answer.
        answer: the part of the text on which members vote.
        scores: by the name of the metric.
        correct: whether the answer is right; None where there is no right answer.
        weight: of the item in means: 1, or its bytes.
        passes: passes of all members in which the item had a part.
        positions: tokens of all members that went through them.
        flops: 2 * parameters * positions, over all members.
        seconds: the item's share of the time of its chunk.
        error: the message of the error that ended it, or None.
    """

    task: str
    item: str
    row: str
    text: str
    answer: str
    scores: Mapping[str, float]
    correct: bool | None
    weight: float
    passes: int
    positions: int
    flops: float
    seconds: float
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Returns the task, the row and the item."""
        return self.task, self.row, self.item


class SampleFile:
    """Records of an evaluation, in memory and, if there is a path, in a file.

    Args:
        path: the file, or None.
        setup: plain values that decide the records: models, options, data.

    Attributes:
        records: all records, by task, row and item.

    Raises:
        ArgumentError: the file is of another set-up, or is no file of an evaluation; names the difference or the line.

    Example:
        >>> SampleFile(None, {"models": ["a"]}).records
        {}
    """

    def __init__(self, path: str | Path | None, setup: Mapping[str, Any]) -> None:
        self.records: dict[tuple[str, str, str], SampleRecord] = {}
        self._file = RecordFile(path, setup, SampleRecord._fields)
        for fields in self._file.read:
            scores = {name: math.nan if score is None else score for name, score in fields["scores"].items()}
            record = SampleRecord(**{**fields, "scores": scores})
            self.records[record.key] = record

    def __repr__(self) -> str:
        return f"SampleFile({str(self._file.path)!r}, {len(self.records)} records)"

    def add(self, records: Iterable[SampleRecord]) -> None:
        """Appends records; they are in the file when this returns.

        Args:
            records: new records.
        """
        found = list(records)
        self.records |= {record.key: record for record in found}
        self._file.append(_jsonable(record._asdict()) for record in found)


def _jsonable(fields: dict[str, Any]) -> dict[str, Any]:
    scores = {name: score if math.isfinite(score) else None for name, score in fields["scores"].items()}
    return {**fields, "scores": scores}
