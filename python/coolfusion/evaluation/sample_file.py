"""The file of an evaluation: JSON lines, a head with the set-up and then a record for each row and item.

Records are appended as they come. A run that finds the file of the same set-up goes on where that ended; a file of
another set-up is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError

__all__ = ["SampleFile", "SampleRecord", "setup_digest"]


class SampleRecord(NamedTuple):
    """The answer of one row to one item.

    Attributes:
        task: the name of the task.
        item: the id of the item.
        row: the name of the row.
        text: what was written.
        answer: what members vote on.
        scores: by the name of the metric.
        correct: whether the answer is right; None where there is no right answer.
        weight: of the item in means: 1, or its bytes.
        passes: passes of all members in which the item had a part.
        positions: tokens of all members that went through them.
        flops: 2 * parameters * positions, over all members.
        seconds: the item's share of the time of its chunk.
        error: what ended it, or None.
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
        """The task, the row and the item."""
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
        self.path = None if path is None else Path(path)
        self.records: dict[tuple[str, str, str], SampleRecord] = {}
        self._head: dict[str, Any] = {"setup": dict(setup), "digest": setup_digest(setup)}
        if self.path is None:
            return
        try:
            if self.path.is_file() and self.path.stat().st_size:
                self._resume(self.path)
            else:
                self.path.write_text(json.dumps(self._head) + "\n", encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise ArgumentError(f"{self.path}: cannot be used for records ({err})") from err

    def __repr__(self) -> str:
        return f"SampleFile({str(self.path)!r}, {len(self.records)} records)"

    def add(self, records: Iterable[SampleRecord]) -> None:
        """Appends records; they are in the file when this returns.

        Args:
            records: new records.
        """
        found = list(records)
        self.records |= {record.key: record for record in found}
        if self.path is not None:
            lines = "".join(json.dumps(_jsonable(record._asdict())) + "\n" for record in found)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)

    def _resume(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        lines = whole.split("\n")[:-1]
        head = _read(lines[0] if lines else text, f"{path}, line 1")
        if head.get("digest") != self._head["digest"]:
            old, new = head.get("setup"), self._head["setup"]
            raise ArgumentError(f"{path} holds records of another set-up: {_difference(old, new)}; expected a new file")
        for number, line in enumerate(lines[1:], 2):
            fields = _read(line, f"{path}, line {number}")
            if set(fields) != set(SampleRecord._fields):
                raise ArgumentError(f"{path}, line {number}: has the fields {sorted(fields)}; expected a sample record")
            scores = {name: math.nan if score is None else score for name, score in fields["scores"].items()}
            record = SampleRecord(**{**fields, "scores": scores})
            self.records[record.key] = record
        if whole != text:  # a run that was killed has left half a line
            path.write_text(whole, encoding="utf-8")


def setup_digest(setup: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of plain values, whatever the order of their keys.

    Args:
        setup: values that JSON can hold.

    Example:
        >>> setup_digest({"a": 1, "b": 2}) == setup_digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(setup, sort_keys=True).encode()).hexdigest()


def _read(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as err:
        raise ArgumentError(f"{where}: no JSON ({err}); expected the records of an evaluation") from err
    if not isinstance(value, dict):
        raise ArgumentError(f"{where}: {line:.60}; expected the records of an evaluation")
    return value


def _difference(old: Any, new: Mapping[str, Any]) -> str:
    if not isinstance(old, dict):
        return "it has no set-up"
    # The file has the JSON form of the set-up, which knows no tuples.
    plain = json.loads(json.dumps(new))
    names = [name for name in sorted({*old, *plain}) if old.get(name) != plain.get(name)]
    return "; ".join(f"{name} was {old.get(name)!r:.200} and is {plain.get(name)!r:.200}" for name in names)


def _jsonable(fields: dict[str, Any]) -> dict[str, Any]:
    scores = {name: score if math.isfinite(score) else None for name, score in fields["scores"].items()}
    return {**fields, "scores": scores}
