"""Reads prompts from the option, from standard input, or from a file of JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from coolfusion.errors import ArgumentError, TextError

__all__ = ["read_prompt", "read_prompts"]

STDIN = "-"


def read_prompt(prompt: str | None) -> str:
    """Returns the prompt. Standard input is read for "-", and for no prompt where it is no terminal.

    One line break at the end of the input is left out, as the shell does with ``$(...)``.

    Raises:
        ArgumentError: there is no prompt.
        TextError: the input is not UTF-8.
    """
    if prompt is None and sys.stdin.isatty():
        raise ArgumentError("no prompt; expected --prompt TEXT, --prompts-file FILE, or a text on standard input")
    if prompt is not None and prompt != STDIN:
        return prompt
    return _decoded(sys.stdin.buffer.read(), "standard input").removesuffix("\n").removesuffix("\r")


def read_prompts(file: str) -> list[str]:
    """Returns the prompts of a file of JSON lines, or of standard input for "-". Empty lines are left out.

    Raises:
        ArgumentError: the file cannot be read, is empty, or a line is neither a JSON text nor an object with a text as
            `prompt`.
        TextError: the file is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as err:
        raise ArgumentError(f"{file}: cannot be read ({err.strerror}); expected a file of JSON lines") from err
    lines = enumerate(_decoded(data, file).split("\n"), 1)
    prompts = [_prompt(line, f"{file}, line {number}") for number, line in lines if line.strip()]
    if not prompts:
        raise ArgumentError(f"{file}: no prompts; expected at least one line")
    return prompts


def _prompt(line: str, where: str) -> str:
    try:
        value: Any = json.loads(line)
    except ValueError as err:
        raise ArgumentError(f"{where}: no JSON ({err})") from err
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise ArgumentError(f"{where}: {line.strip():.60}; expected a JSON text, or an object with a text as `prompt`")
    return prompt


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise TextError(f"{where}: byte {err.start} begins no character ({err.reason}); expected UTF-8") from err
