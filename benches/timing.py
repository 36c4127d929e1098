"""Side by side in one run: who takes which turn, in which process, and what is kept of it.

An operation over a text is timed in forked processes of its own: the first pass meets tokenizer objects that have
encoded nothing yet, the passes after it objects that have seen this text and no other. The first pass also pays what a
new process pays (pages copied on their first write, some tenths of a millisecond), ours and theirs alike. That would be
most of what encoding takes, so encode is timed in this process, our tokenizer loaded anew for each round and the
library's cache emptied. Whole decoding and boundaries take so many documents that their work is more than those pages,
and each contestant has copies of its own of what it reads (`own`): else the first one pays for the others, who find
the counts of references on pages that were copied and texts whose UTF-8 Python has made and kept.
"""

from __future__ import annotations

import gc
import os
import pickle
import statistics
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from time import process_time_ns
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Contestant(NamedTuple):
    """A call and how much it does: bytes, tokens or pushes."""

    call: Callable[[], object]
    amount: float
    # Run before it, untimed.
    prepare: Callable[[], object] = lambda: None
    # Processor time of all threads, which other work on the machine disturbs little; batches take the wall's clock.
    clock: Callable[[], int] = process_time_ns


class Checked(NamedTuple):
    """What `check` leaves for the timed processes, after it compared the answers."""

    task: Any
    # Documents whose answers were compared.
    checked: int
    # Contestant -> documents on which its answer is another one; they are not timed.
    differing: dict[str, int] | None = None


class Row(NamedTuple):
    """One line of the results; times are ns per unit, ratios are time of the other / our time."""

    operation: str
    tokenizer: str
    family: str
    text: str
    unit: str
    checked: int
    differing: dict[str, int]
    # Contestant -> median of the first passes, of the passes after them; empty where there was one pass only.
    first: dict[str, float]
    again: dict[str, float]
    first_ratio: dict[str, float]
    again_ratio: dict[str, float]


class Size(NamedTuple):
    """How much is done."""

    encoded: int  # documents of 1,000 characters, of each text
    documents: int  # of each text in a batch
    walked: int  # documents to decode or to find boundaries in, of each text
    stream_documents: int
    rounds: int  # processes
    passes: int  # in each
    contexts: tuple[int, ...]  # tokens
    pieces: int  # pushed after each context


FULL = Size(200, 30, 100, 6, 2, 3, (100, 1_000, 4_000, 16_000, 100_000), 300)
QUICK = Size(20, 3, 3, 1, 1, 2, (100, 1_000), 6)


def in_child(call: Callable[[], T]) -> T:
    """The result of `call` in a forked process, which leaves no trace in this one."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            answer: tuple[str, Any] = ("result", call())
        except SystemExit as end:
            answer = ("end", str(end))
        except BaseException:  # noqa: BLE001 - the parent raises it
            answer = ("error", traceback.format_exc())
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise RuntimeError(f"the timed process ended with status {status} and without a result")
    kind, found = pickle.loads(data)
    if kind == "end":
        raise SystemExit(found)
    if kind == "error":
        raise RuntimeError(f"in the timed process:\n{found}")
    result: T = found
    return result


def own(given: T) -> T:
    """Equal objects that no other contestant has touched, in memory that this process has written to."""
    copy: T = pickle.loads(pickle.dumps(given))
    return copy


def turns(contestants: dict[str, Contestant], passes: int, first: int) -> list[dict[str, float]]:
    """`passes` dictionaries of ns per unit; each pass another contestant begins, from number `first` on."""
    gc.disable()
    names = list(contestants)
    found = []
    for number in range(passes if names else 0):
        at = (first + number) % len(names)
        times = {name: per_unit(contestants[name]) for name in names[at:] + names[:at]}
        found.append({name: times[name] for name in names})
    return found


def per_unit(contestant: Contestant) -> float:
    contestant.prepare()
    start = contestant.clock()
    contestant.call()
    return (contestant.clock() - start) / contestant.amount


def medians(passes: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in passes) for name in (passes[0] if passes else ())}


def ratios(passes: Sequence[dict[str, float]]) -> dict[str, float]:
    """The medians of each pass' ratios to the first contestant, which is ours."""
    if not passes:
        return {}
    ours, *others = passes[0]
    return {name: statistics.median(each[name] / each[ours] for each in passes) for name in others}


def measure(prepare: Callable[[], dict[str, Contestant]], rounds: int, passes: int) -> dict[str, dict[str, float]]:
    """The figures of a row: `prepare` runs in each of the `rounds` processes before the clock starts."""
    return figures([in_child(partial(round_of, prepare, passes, number)) for number in range(rounds)])


def figures(found: Sequence[Sequence[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians and ratios of the passes of each round."""
    first, again = [each[0] for each in found if each], [one for each in found for one in each[1:]]
    return {
        "first": medians(first),
        "again": medians(again),
        "first_ratio": ratios(first),
        "again_ratio": ratios(again),
    }


def round_of(prepare: Callable[[], dict[str, Contestant]], passes: int, number: int) -> list[dict[str, float]]:
    return turns(prepare(), passes, number)


def size_in_bytes(documents: Sequence[str]) -> int:
    return sum(len(document.encode()) for document in documents)
