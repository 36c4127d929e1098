"""Reads the records of a task from a local file: JSON lines, also within gzip, tab-separated values, plain text."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from coolfusion.errors import ArgumentError, TextError

__all__ = ["digest_of", "read_records"]

Record = dict[str, Any]


def read_records(path: str | Path) -> list[Record]:
    """Returns the records of a file.

    Args:
        path: a file. `.gz` is unpacked. A line of `.tsv` is a question and an answer with a tab between them, as in
            MGSM. A paragraph of `.txt` (between empty lines) is a `text`. All else is JSON lines, each an object or a
            text.

    Raises:
        ArgumentError: the file cannot be read, holds nothing, or a line is of another form; names the line.
        TextError: the file is not UTF-8.

    Example:
        ``read_records("gsm8k/test.jsonl")[0]["question"]``
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except UnicodeDecodeError as err:
        raise TextError(f"{path}: byte {err.start} begins no character ({err.reason}); expected UTF-8") from err
    except (OSError, EOFError) as err:
        raise ArgumentError(f"{path}: cannot be read ({err})") from err
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix == ".txt":
        paragraphs = [part.strip("\n") for part in text.replace("\r\n", "\n").split("\n\n")]
        found: list[Record] = [{"text": part} for part in paragraphs if part.strip()]
    else:
        lines = enumerate(text.split("\n"), 1)
        read = _of_tsv if suffix == ".tsv" else _of_json
        found = [read(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    if not found:
        raise ArgumentError(f"{path}: holds no records; expected at least one line")
    return found


def digest_of(path: str | Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits.

    Args:
        path: the file.

    Raises:
        ArgumentError: it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as err:
        raise ArgumentError(f"{path}: cannot be read ({err.strerror}); expected a file") from err


def _of_json(line: str, where: str) -> Record:
    try:
        value = json.loads(line)
    except ValueError as err:
        raise ArgumentError(f"{where}: no JSON ({err})") from err
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise ArgumentError(f"{where}: {line.strip():.60}; expected a JSON object or a text")
    return value


def _of_tsv(line: str, where: str) -> Record:
    question, tab, answer = line.rstrip("\r").rpartition("\t")
    if not tab:
        raise ArgumentError(f"{where}: {line.strip():.60}; expected a question, a tab and an answer")
    return {"question": question, "answer": answer}
