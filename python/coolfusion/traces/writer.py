"""Writes traces to a file while texts are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from coolfusion.errors import ArgumentError
from coolfusion.records import Origin, Output, Step
from coolfusion.traces.lines import end_line, head_line, lines_of, step_line

__all__ = ["TraceWriter"]


class TraceWriter:
    """A file of traces that grows as steps come, so that an interrupted run leaves the steps that it made.

    Args:
        path: the file; an old one is replaced when the first text begins.

    Raises:
        ArgumentError: the file cannot be written.

    Example:
        ``with TraceWriter("run.jsonl") as trace: trace.write(fusion.generate("Once upon a time"))``
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file: TextIO = self.path.open("a", encoding="ascii", newline="\n")
        except OSError as err:
            raise ArgumentError(f"{path}: cannot be written ({err.strerror}); expected a place for a trace") from err
        self._begun = False

    def __repr__(self) -> str:
        return f"TraceWriter({str(self.path)!r})"

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def begin(self, names: Sequence[str], origin: Origin | None) -> None:
        """Begins a text.

        Args:
            names: (M,) the members' names.
            origin: the prompt, rule and options of the text.
        """
        self._put(head_line(names, origin))

    def step(self, step: Step) -> None:
        """Writes a step of the text that was begun.

        Args:
            step: the step.
        """
        self._put(step_line(step))

    def end(self, output: Output, seconds: float | None = None) -> None:
        """Ends the text that was begun.

        Args:
            output: the whole text with its steps.
            seconds: seconds that the writing took; None takes the sum of the steps.
        """
        self._put(end_line(output, seconds))

    def write(self, output: Output, seconds: float | None = None) -> None:
        """Writes a whole text.

        Args:
            output: the text.
            seconds: see `end`.
        """
        self._put("".join(lines_of(output, seconds)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _put(self, lines: str) -> None:
        if not self._begun:
            self._begun = True
            self._file.truncate(0)
        self._file.write(lines)
        self._file.flush()
