"""Writes many texts and yields each as soon as it has ended, for lists that are long or may be interrupted."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError, CoolFusionError
from coolfusion.fusion.engine import Entry
from coolfusion.fusion.fusion import Fusion
from coolfusion.fusion.generation import error_of
from coolfusion.fusion.options import OneText, Request, check_count
from coolfusion.records import MemberOutput, Output

__all__ = ["Written", "write_each"]


class Written(NamedTuple):
    """A text of `write_each`, for example number 3 for the fourth prompt.

    Attributes:
        number: the place of its prompt, from 0.
        output: the output, unfinished if an error ended the text.
        error: the error that ended the text or prevented its start, or None.
    """

    number: int
    output: Output
    error: Exception | None


def write_each(
    fusion: Fusion, prompts: Iterable[OneText], *, skip: Container[int] = (), ahead: int = 64, **options: Any
) -> Iterator[Written]:
    """Yields texts as they end, in no fixed order. They share passes, as those of `Fusion.generate` of a list do.

    An error of one text ends no other. When the iteration is left, the texts that are being written are given up. A
    `KeyboardInterrupt` carries their beginnings in `partial`, a list of `Written`.

    Args:
        fusion: the fusion that writes the texts.
        prompts: the prompts; they are taken as there is room, so a generator may be long.
        skip: numbers of prompts that are left out, for example because a run before wrote their texts.
        ahead: most texts that are open at the same time; as many of them as the engine allows are written.
        options: the fields of a `Request`, for all texts.

    Raises:
        ArgumentError: an option outside its range.

    Complexity: as `Fusion.generate`, with the prompts and outputs of `ahead` texts in memory.

    Example:
        ``for each in write_each(fusion, prompts, max_new_tokens=32): print(each.number, each.output.text)``
    """
    check_count("ahead", ahead)
    waiting = ((number, prompt) for number, prompt in enumerate(prompts) if number not in skip)
    running: dict[int, Entry] = {}
    exhausted = False
    try:
        while True:
            while not exhausted and len(running) < ahead:
                number, prompt = next(waiting, (-1, ""))
                exhausted = number < 0
                if exhausted:
                    break
                opened = _opened(fusion, number, Request(prompt=prompt, **options))
                if isinstance(opened, Entry):
                    running[number] = opened
                else:
                    yield opened
            if not running:
                return
            fusion.engine.step_until(partial(_any_finished, list(running.values())))
            for number in [number for number, entry in running.items() if entry.running.is_finished]:
                entry = running.pop(number)
                yield Written(number, entry.running.output, error_of(entry))
    except KeyboardInterrupt as err:
        written = [Written(number, entry.running.output, None) for number, entry in running.items()]
        err.partial = written  # type: ignore[attr-defined]
        raise
    finally:
        for entry in running.values():
            fusion.engine.abort(entry.number)


def _any_finished(entries: Sequence[Entry]) -> bool:
    return any(entry.running.is_finished for entry in entries)


def _opened(fusion: Fusion, number: int, request: Request) -> Entry | Written:
    """Returns a text that was begun, or one with the error that prevented its start."""
    try:
        entry = fusion.engine.open(request, where=f"prompt {number}: ")
    except ArgumentError:
        raise
    except CoolFusionError as err:
        members = tuple(MemberOutput(member.name, [], [], 0, 0) for member in fusion.members)
        return Written(number, Output("", (), None, members, error=str(err)), err)
    fusion.engine.submit(entry)
    return entry
