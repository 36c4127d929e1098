"""Files of records: JSON lines, a head with the set-up and then a record a line.

Records are appended as they come. A run continues a file of the same set-up where it ended. A file of another
set-up is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coolfusion.errors import ArgumentError

__all__ = ["RecordFile", "setup_digest"]


class RecordFile:
    """Plain records, in a file if there is a path.

    Args:
        path: the file, or None.
        setup: plain values that decide the records: models, options, data.
        fields: the names of each record's fields.

    Attributes:
        path: the file, or None.
        read: the records that the file held when it was opened.

    Raises:
        ArgumentError: the file is of another set-up, or is no file of such records; names the difference or the line.

    Complexity: O(size of the file).

    Example:
        >>> RecordFile(None, {"models": ["a"]}, ["item"]).read
        []
    """

    def __init__(self, path: str | Path | None, setup: Mapping[str, Any], fields: Sequence[str]) -> None:
        self.path = None if path is None else Path(path)
        self.read: list[dict[str, Any]] = []
        self._head: dict[str, Any] = {"setup": dict(setup), "digest": setup_digest(setup)}
        if self.path is None:
            return
        try:
            if self.path.is_file() and self.path.stat().st_size:
                self._resume(self.path, set(fields))
            else:
                self.path.write_text(json.dumps(self._head) + "\n", encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise ArgumentError(f"{self.path}: cannot be used for records ({err})") from err

    def __repr__(self) -> str:
        return f"RecordFile({str(self.path)!r}, {len(self.read)} records read)"

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Appends records; they are in the file when this returns.

        Args:
            records: new records, as JSON can hold them.
        """
        lines = "".join(json.dumps(record) + "\n" for record in records)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)

    def _resume(self, path: Path, fields: set[str]) -> None:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        lines = whole.split("\n")[:-1]
        head = _read(lines[0] if lines else text, f"{path}, line 1")
        if head.get("digest") != self._head["digest"]:
            old, new = head.get("setup"), self._head["setup"]
            raise ArgumentError(f"{path} holds records of another set-up: {_difference(old, new)}; expected a new file")
        for number, line in enumerate(lines[1:], 2):
            record = _read(line, f"{path}, line {number}")
            if set(record) != fields:
                expected = f"expected a record with {sorted(fields)}"
                raise ArgumentError(f"{path}, line {number}: has the fields {sorted(record)}; {expected}")
            self.read.append(record)
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
        raise ArgumentError(f"{where}: no JSON ({err}); expected a file of records") from err
    if not isinstance(value, dict):
        raise ArgumentError(f"{where}: {line:.60}; expected a file of records")
    return value


def _difference(old: Any, new: Mapping[str, Any]) -> str:
    if not isinstance(old, dict):
        return "it has no set-up"
    # The file has the JSON form of the set-up, which knows no tuples.
    plain = json.loads(json.dumps(new))
    names = [name for name in sorted({*old, *plain}) if old.get(name) != plain.get(name)]
    return "; ".join(f"{name} was {old.get(name)!r:.200} and is {plain.get(name)!r:.200}" for name in names)
