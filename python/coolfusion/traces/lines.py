"""The lines of a trace: a head, a line for each step, and an end. The schema is in docs/guides/traces.md.

This module knows records by their fields alone, because the records call it (`Output.to_trace`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coolfusion._core import __version__
from coolfusion.errors import ArgumentError
from coolfusion.traces.plain import to_plain

__all__ = ["SCHEMA", "end_line", "head_line", "lines_of", "step_line"]

SCHEMA = 1  # raised with every change of the lines or of the records' fields


def head_line(names: Sequence[str], origin: Any, choice: int = 0) -> str:
    """Returns the line that begins a text.

    Args:
        names: (M,) the members' names.
        origin: the `Origin` of the output, or None.
        choice: number of the text among those of one request.

    Raises:
        ArgumentError: the options hold a value that JSON cannot hold.

    Example:
        >>> head_line(["ash"], None)
        '{"line":"head","schema":1,"coolfusion":"...","members":["ash"],"origin":null,"choice":0}\\n'
    """
    return _line(
        {
            "line": "head",
            "schema": SCHEMA,
            "coolfusion": __version__,
            "members": list(names),
            "origin": origin,
            "choice": choice,
        }
    )


def step_line(step: Any) -> str:
    """Returns the line of a step.

    Args:
        step: a `Step`.
    """
    return _line({"line": "step", **to_plain(step)})


def end_line(output: Any, seconds: float | None = None) -> str:
    """Returns the line that ends a text.

    Args:
        output: an `Output`; its steps, its origin and the other texts of its request stand in other lines.
        seconds: seconds that the writing took, or None for the sum of the steps.
    """
    plain = to_plain(output)
    for elsewhere in ("steps", "origin", "others"):
        plain.pop(elsewhere, None)
    phases = {name: sum(getattr(step.seconds, name) for step in output.steps) for name in _PHASES}
    total = sum(phases.values()) if seconds is None else seconds
    return _line({"line": "end", **plain, "seconds": total, "phases": phases})


def lines_of(output: Any, seconds: float | None = None) -> Iterator[str]:
    """Yields the lines of an output, and of the other texts of its request after it.

    Args:
        output: an `Output`.
        seconds: see `end_line`.
    """
    for choice, each in enumerate(output.choices):
        yield head_line([member.name for member in each.members], each.origin, choice)
        yield from map(step_line, each.steps)
        yield end_line(each, seconds)


_PHASES = ("propose", "evaluate", "select", "commit")


def _line(values: Mapping[str, Any]) -> str:
    """Returns values as one line of ASCII, in which lone surrogates and control characters are escapes."""
    try:
        return json.dumps(to_plain(values), allow_nan=False, separators=(",", ":")) + "\n"
    except (ValueError, RecursionError) as err:
        if isinstance(err, ArgumentError):
            raise
        raise ArgumentError(f"a {values['line']} has no JSON form ({err}); expected smaller numbers") from err
