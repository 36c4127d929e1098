"""Reads traces back into the records that they were written from."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from coolfusion.errors import ArgumentError
from coolfusion.records import MemberOutput, Origin, Output, Step
from coolfusion.traces.lines import SCHEMA
from coolfusion.traces.plain import from_plain

__all__ = ["Trace", "parse_traces", "read_trace", "read_traces"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A text of a trace, for example the one that `coolfusion generate --trace run.jsonl` wrote.

    Attributes:
        coolfusion: the version of the library that wrote it.
        names: (M,) the members' names.
        output: the output. For a text without an end line it holds the steps, and members without ids.
        seconds: seconds that the writing took; None without an end line.
        problem: the part of the text that the file lacks, for example the end of its last line. None if it is whole.
    """

    coolfusion: str
    names: tuple[str, ...]
    output: Output
    seconds: float | None = None
    problem: str | None = None

    @property
    def choices(self) -> tuple[Trace, ...]:
        """Returns the traces of all texts of the request, this one first."""
        others = (replace(self, output=output, seconds=None, problem=None) for output in self.output.others)
        return (replace(self, output=replace(self.output, others=())), *others)

    def __repr__(self) -> str:
        problem = "" if self.problem is None else f", problem={self.problem!r:.80}"
        return f"Trace({self.output!r}{problem})"


def read_trace(path: str | Path) -> Trace:
    """Returns the text of a file that holds one.

    Args:
        path: the file, as `Output.to_trace` and `coolfusion generate --trace` write it.

    Raises:
        ArgumentError: the file cannot be read, holds several texts, or a line is not as the schema says. The message
            names the line and the expected form. A last line that was cut off is no error; see `Trace.problem`.

    Complexity: O(size of the file).

    Example:
        ``read_trace("run.jsonl").output.steps[0].candidates``
    """
    found = read_traces(path)
    if len(found) > 1:
        raise ArgumentError(f"{path}: holds {len(found)} texts; expected one (read_traces reads them all)")
    return found[0]


def read_traces(path: str | Path) -> list[Trace]:
    """Returns all texts of a file, in their order.

    Args:
        path: the file.

    Raises:
        ArgumentError: as `read_trace`.

    Complexity: O(size of the file).
    """
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise ArgumentError(f"{path}: cannot be read ({err.strerror}); expected a trace, JSON lines") from err
    return parse_traces(data, str(path))


def parse_traces(data: str | bytes, where: str = "the trace") -> list[Trace]:
    """Returns the texts of a trace that is in memory.

    Args:
        data: the result of `Output.to_trace`, or the bytes of a file.
        where: the name of the data, for messages.

    Raises:
        ArgumentError: as `read_trace`.

    Complexity: O(size of the data).

    Example:
        >>> from coolfusion.records import Output
        >>> parse_traces(Output("", (), "end", ()).to_trace())
        [Trace(Output('', 0 steps, finish_reason='end'))]
    """
    lines = (data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).split(b"\n")
    last = lines.pop()  # the text after the last line break, which is empty or a line that was cut off
    texts: list[_Text] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(texts, line, f"{where}, line {number}")
    cut = None
    if last.strip():
        at = f"{where}, line {len(lines) + 1}"
        try:
            values = _object(last, at)
        except ArgumentError:
            if not texts:
                raise
            cut = f"{at} was cut off after {len(last)} bytes; expected a whole line, the writing was interrupted"
        else:
            _take(texts, values, at)
    if not texts:
        raise ArgumentError(f"{where}: is empty; expected a head, the steps and the end of a text")
    return _joined([(text.choice, text.trace(cut if text is texts[-1] else None, where)) for text in texts])


class _Text:
    """A text whose lines are being read."""

    def __init__(self, coolfusion: str, names: tuple[str, ...], origin: Origin | None, choice: int) -> None:
        self.coolfusion, self.names, self.origin, self.choice = coolfusion, names, origin, choice
        self.steps: list[Step] = []
        self.end: dict[str, Any] | None = None

    def trace(self, cut: str | None, where: str) -> Trace:
        """Returns the text; without an end line it holds the text of its steps."""
        steps = tuple(self.steps)
        if self.end is not None:
            seconds = self.end.pop("seconds")
            output = Output(steps=steps, origin=self.origin, **self.end)
            return Trace(self.coolfusion, self.names, output, seconds, cut)
        members = tuple(
            MemberOutput(
                name,
                [],
                [],
                0,
                sum(step.members[at].forced_cut for step in steps),
                sum(step.members[at].forward_passes for step in steps),
                sum(step.members[at].processed_tokens for step in steps),
            )
            for at, name in enumerate(self.names)
        )
        output = Output("".join(step.text for step in steps), steps, None, members, origin=self.origin)
        problem = cut or f"{where}: no end line after step {len(steps) - 1}; the writing was interrupted"
        return Trace(self.coolfusion, self.names, output, None, problem)


def _joined(traces: list[tuple[int, Trace]]) -> list[Trace]:
    """Returns the texts of a file, with the texts of one request joined in one trace."""
    found: list[Trace] = []
    for choice, trace in traces:
        if choice == 0:
            found.append(trace)
            continue
        first = found[-1]
        output = replace(first.output, others=(*first.output.others, trace.output))
        found[-1] = replace(first, output=output, problem=first.problem or trace.problem)
    return found


def _take(texts: list[_Text], line: bytes | dict[str, Any], where: str) -> None:
    """Adds one line to the text."""
    values = line if isinstance(line, dict) else _object(line, where)
    kind = values.pop("line", None)
    if kind == "head":
        text = _head(values, where)
        before = texts[-1].choice + 1 if texts else 0
        if text.choice not in (0, before):
            _refuse(where, f"choice is {text.choice}", f"0 or {before}" if before else "0")
        texts.append(text)
        return
    if kind not in ("step", "end"):
        _refuse(where, f"line is {kind!r:.40}", '"head", "step" or "end"')
    if not texts or texts[-1].end is not None:
        _refuse(where, f"is a line of kind {kind!r}", "the head of a text before it")
    text = texts[-1]
    if kind == "end":
        text.end = _end(values, text, where)
    else:
        text.steps.append(_step(values, text, where))


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8", "surrogatepass"), parse_constant=_no_constant)
    except json.JSONDecodeError as err:
        raise ArgumentError(f"{where}: no JSON ({err.msg} at character {err.pos}); expected a line of a trace") from err
    except (ValueError, RecursionError) as err:
        raise ArgumentError(f"{where}: no JSON ({err}); expected a line of a trace") from err
    if not isinstance(values, dict):
        _refuse(where, f"is {values!r:.40}", "an object, a line of a trace")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _head(values: dict[str, Any], where: str) -> _Text:
    schema = values.pop("schema", None)
    if schema != SCHEMA or isinstance(schema, bool):
        _refuse(where, f"schema is {schema!r:.40}", f"{SCHEMA}, the schema that this version of coolfusion reads")
    kinds: dict[str, Any] = {"coolfusion": str, "members": tuple[str, ...], "origin": Origin | None, "choice": int}
    found = _typed(kinds, values, where)
    return _Text(found["coolfusion"], found["members"], found["origin"], found["choice"])


def _step(values: dict[str, Any], text: _Text, where: str) -> Step:
    step: Step = _read(Step, values, where)
    n_members, n_candidates = len(text.names), len(step.candidates)
    sizes = [
        ("index", step.index, len(text.steps)),
        ("number of scores", len(step.scores), n_candidates),
        ("number of values", len(step.values), n_candidates),
        ("number of members", len(step.members), n_members),
        ("number of weights", len(step.weights) or n_members, n_members),
        ("number of probabilities", len(step.probabilities) or n_candidates, n_candidates),
        *((f"number of scores[{at}]", len(row), n_members) for at, row in enumerate(step.scores)),
        *(
            (f"number of candidates[{at}].token_ids", len(c.token_ids), n_members)
            for at, c in enumerate(step.candidates)
        ),
    ]
    for what, found, expected in sizes:
        if found != expected:
            _refuse(where, f"{what} is {found}", str(expected))
    if not 0 <= step.winner < n_candidates:
        _refuse(where, f"winner is {step.winner}", f"a number from 0 to {n_candidates - 1}")
    numbers = [*step.excluded, *(number for each in step.candidates for number in each.members)]
    numbers += [] if step.primary is None else [step.primary]
    numbers += [number for each in step.rejected for number in (*each.members, each.member)]
    wrong = [number for number in numbers if not 0 <= number < n_members]
    if wrong:
        _refuse(where, f"a member has the number {wrong[0]}", f"one from 0 to {n_members - 1}")
    return step


def _end(values: dict[str, Any], text: _Text, where: str) -> dict[str, Any]:
    values.pop("phases", None)  # the sums of the steps' seconds, for readers of the plain file
    hints = get_type_hints(Output)
    written = [each for each in fields(Output) if each.name not in ("steps", "origin", "others")]
    # A field with its default is left out.
    wanted = [each.name for each in written if each.name in values or each.default is MISSING]
    found = _typed({**{name: hints[name] for name in wanted}, "seconds": float}, values, where)
    author = found.get("author", "fusion")
    if author != "fusion" and not 0 <= author < len(text.names):
        _refuse(where, f"author is {author}", f"a number from 0 to {len(text.names) - 1}")
    if tuple(member.name for member in found["members"]) != text.names:
        _refuse(where, "its members have other names", f"those of the head: {', '.join(text.names)}")
    return found


def _typed(kinds: dict[str, Any], values: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns the fields of a line, and raises if a field is missing or unknown."""
    if set(values) != set(kinds):
        _refuse(where, f"has the fields {sorted(values)}", f"{sorted(kinds)}")
    return {name: _read(kind, values[name], where, name) for name, kind in kinds.items()}


def _read(kind: Any, value: Any, where: str, name: str = "") -> Any:
    try:
        return from_plain(kind, value, name)
    except ArgumentError as err:
        raise ArgumentError(f"{where}: {err}") from err


def _refuse(where: str, found: str, expected: str) -> NoReturn:
    raise ArgumentError(f"{where}: {found}; expected {expected}")
