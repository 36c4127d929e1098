"""Runs `coolfusion generate` over many prompts: lines as texts end, a progress bar, a resumable file, a trace."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import Progress

from coolfusion.cli.loading import bar_columns
from coolfusion.errors import ArgumentError
from coolfusion.evaluation.record_file import RecordFile
from coolfusion.fusion import Fusion
from coolfusion.fusion.many import Written, write_each
from coolfusion.records import Output, to_jsonable
from coolfusion.traces import TraceWriter

__all__ = ["INTERRUPTED", "SOME_FAILED", "TextFile", "as_line", "write_many"]

SOME_FAILED = 3  # the exit code where some of many texts ended with an error, and all others are written
INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended
FIELDS = ("number", "prompt", "text", "finish_reason", "error", "output")
CHOICE_FIELDS = ("choice", "seed")  # of each of several texts for a prompt


class TextFile:
    """The texts of a run, in a file of JSON lines if there is a path. A later run of the same set-up continues it.

    Args:
        path: the file, or None.
        setup: plain values that decide the texts.
        prompts: all prompts of the run.
        whole: whether records hold whole outputs, with all steps.
        n: the number of texts for each prompt. Each has a record.

    Attributes:
        done: numbers of the prompts whose texts ended well.

    Raises:
        ArgumentError: the file has another set-up or other prompts, or is no file of texts.
    """

    def __init__(
        self, path: Path | None, setup: Mapping[str, Any], prompts: Sequence[str], whole: bool, n: int = 1
    ) -> None:
        self._prompts, self._whole, self._n = prompts, whole, n
        fields = FIELDS if n == 1 else (*FIELDS, *CHOICE_FIELDS)
        self._file = RecordFile(path, {**setup, "json": whole}, fields)
        well: dict[int, set[str]] = {}
        for line, record in enumerate(self._file.read, 2):
            number, prompt = record["number"], record["prompt"]
            known = isinstance(number, int) and 0 <= number < len(prompts)
            if not known or prompts[number] != prompt:
                expected = f"{prompts[number]!r:.60}" if known else f"one of {len(prompts)} prompts"
                raise ArgumentError(
                    f"{path}, line {line}: prompt {number} is {prompt!r:.60}; expected {expected}, as in this run"
                )
            if record["error"] is None:
                well.setdefault(number, set()).add(repr(record.get("choice")))
        self.done = {number for number, choices in well.items() if len(choices) == n}

    @property
    def is_complete(self) -> bool:
        """Returns whether the texts of every prompt ended well."""
        return len(self.done) == len(self._prompts)

    def add(self, written: Written) -> None:
        """Appends a text, or the several texts of its prompt."""
        number, output, _ = written
        self._file.append(
            {
                "number": number,
                "prompt": self._prompts[number],
                **(_choice(at, choice) if self._n > 1 else {}),
                "text": choice.text,
                "finish_reason": choice.finish_reason,
                "error": output.error,  # one for all choices, because it ended all of them
                "output": to_jsonable(replace(choice, others=())) if self._whole else None,
            }
            for at, choice in enumerate(output.choices)
        )


def write_many(
    fusion: Fusion,
    prompts: Sequence[str],
    options: Mapping[str, Any],
    console: Console,
    *,
    as_json: bool = False,
    file: TextFile | None = None,
    trace: TraceWriter | None = None,
) -> int:
    """Writes a text for each prompt that has none, as a line of a file or of standard output.

    Lines on standard output are in the order of the prompts, because they have no number.

    Returns:
        the exit code.
    """
    done = set[int]() if file is None else file.done
    lines = _InOrder(prompts, as_json)
    begun, n_written, failed, interrupted = perf_counter(), 0, 0, False
    with _bar(console, shown=file is not None or not sys.stdout.isatty()) as bar:
        running = bar.add_task("texts", total=len(prompts), completed=len(done))
        try:
            for each in write_each(fusion, prompts, skip=done, **options):
                n_written += 1
                if each.error is not None:
                    failed += 1
                    line = f"error: prompt {each.number}: {each.output.error}"
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
                if trace is not None:
                    trace.write(each.output)
                if file is None:
                    lines.take(each)
                else:
                    file.add(each)
                bar.advance(running)
        except KeyboardInterrupt as err:
            interrupted = True
            if file is None:
                lines.rest(getattr(err, "partial", ()))
    ended = "interrupted" if interrupted else f"{failed} with an error" if failed else "all ended well"
    told = f"{n_written} texts" + (f", {len(done)} were written before," if done else "")
    console.print(f"{told} in {perf_counter() - begun:.2f} s, {ended}", style="dim", markup=False, highlight=False)
    return INTERRUPTED if interrupted else SOME_FAILED if failed else 0


class _InOrder:
    """Prints texts in the order of their prompts, each as soon as those before it are printed."""

    def __init__(self, prompts: Sequence[str], as_json: bool) -> None:
        self._prompts, self._as_json = prompts, as_json
        self._next, self._held = 0, dict[int, Written]()

    def take(self, written: Written) -> None:
        """Takes a text that has ended."""
        self._held[written.number] = written
        while self._next in self._held:
            self._print(self._held.pop(self._next))
            self._next += 1

    def rest(self, unfinished: Sequence[Written]) -> None:
        """Prints the other texts after an interruption, also those that have not ended."""
        for written in sorted([*self._held.values(), *unfinished], key=lambda each: each.number):
            self._print(written)

    def _print(self, written: Written) -> None:
        number, output, _ = written
        for at, choice in enumerate(output.choices):
            if self._as_json:
                print(as_line(replace(choice, others=())), flush=True)
                continue
            head = {"prompt": self._prompts[number], **(_choice(at, choice) if output.others else {})}
            short = {"text": choice.text, "finish_reason": choice.finish_reason, "error": output.error}
            print(as_line({**head, **short}), flush=True)


def _choice(at: int, output: Output) -> dict[str, Any]:
    """Returns the fields that distinguish the texts of one prompt."""
    return {"choice": at, "seed": output.seed}


def _bar(console: Console, *, shown: bool) -> Progress:
    """Returns a progress bar on stderr. Lines on stdout do not pass through it, because they would go to stderr."""
    return Progress(*bar_columns(), console=console, redirect_stdout=False, disable=not (shown and console.is_terminal))


def as_line(value: Any) -> str:
    """Returns a value as one line of JSON."""
    plain = to_jsonable(value)
    shown = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    try:
        shown.encode()
    except UnicodeEncodeError:  # a prompt may hold lone surrogates, which only an escape can spell
        return json.dumps(plain, allow_nan=False)
    return shown
