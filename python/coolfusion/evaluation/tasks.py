"""The tasks, which turn records into prompts, end texts, and score answers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation import metrics
from coolfusion.evaluation.data import Record
from coolfusion.evaluation.drop_metric import drop_scores, normalized_span
from coolfusion.evaluation.samples import (
    Sample,
    of_completion,
    of_conversation,
    of_last_word,
    of_next_words,
    of_open_question,
    of_passage,
    of_question,
    of_text,
)

__all__ = ["TASKS", "Item", "Task", "items_of", "task_named"]


class Task(NamedTuple):
    """A task of an evaluation, for example "gsm8k", with functions from records to scores.

    Attributes:
        name: its name.
        samples: a function from a record to its samples.
        metrics: the names of its scores, the one that tables show first.
        correct: the score that is 1 for a right answer and less for a wrong one.
        answer: a function from the written text to the answer, as members vote on it.
        scores: a function from the written text and the right answers to the scores.
        max_new_tokens: budget of each member.
        stops: stop strings. A written text ends before the first of them.
        lower_is_better: whether the least score is the best.
    """

    name: str
    samples: Callable[[Record], list[Sample]]
    metrics: tuple[str, ...]
    correct: str
    answer: Callable[[str], str]
    scores: Callable[[str, Sequence[Any]], dict[str, float]]
    max_new_tokens: int = 0
    stops: tuple[str, ...] = ()
    lower_is_better: bool = False

    @property
    def writes(self) -> bool:
        """Returns whether a text is written; else the likelihood of the sample's text is measured."""
        return self.max_new_tokens > 0


class Item(NamedTuple):
    """A sample with its name in records.

    Attributes:
        id: a hash of prompt and answers, and a number for each further sample that is the same.
        sample: the sample; shown examples stand before its prompt.
    """

    id: str
    sample: Sample


def items_of(
    task: Task, records: Sequence[Record], *, shots: Sequence[Record] = (), limit: int | None = None
) -> list[Item]:
    """Returns the items of a task.

    Args:
        task: the task.
        records: the records.
        shots: records that are shown with their answers before each prompt.
        limit: the most items, or None.

    Raises:
        ArgumentError: a record lacks a field that the task needs; names its number.

    Example:
        >>> task = task_named("unscramble")
        >>> [item] = items_of(task, [{"context": "cta =", "completion": " cat"}])
        >>> item.sample
        Sample(prompt='cta =', golds=('cat',), shown=' cat')
    """
    shown = "".join(f"{each.prompt}{each.shown}\n\n" for each in _samples(task, shots, "shot"))
    seen: Counter[str] = Counter()
    items: list[Item] = []
    for sample in _samples(task, records, "record"):
        if limit is not None and len(items) >= limit:
            break
        key = json.dumps([sample.prompt, sample.golds], ensure_ascii=False)
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        seen[name] += 1
        number = f"-{seen[name]}" if seen[name] > 1 else ""
        items.append(Item(name + number, sample._replace(prompt=shown + sample.prompt)))
    return items


def task_named(name: str) -> Task:
    """Returns a task by its name.

    Args:
        name: one of `TASKS`.

    Raises:
        ArgumentError: there is none of this name.
    """
    if name not in TASKS:
        raise ArgumentError(f"task {name!r} is unknown; expected one of {', '.join(sorted(TASKS))}")
    return TASKS[name]


def _samples(task: Task, records: Sequence[Record], what: str) -> list[Sample]:
    found = []
    for number, record in enumerate(records, 1):
        try:
            found += task.samples(record)
        except ArgumentError as err:
            raise ArgumentError(f"task {task.name}, {what} {number}: {err}") from err
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            fields = f"its fields are {sorted(record)}"
            raise ArgumentError(f"task {task.name}, {what} {number}: cannot be read, {fields} ({err!r})") from err
    return found


def _numbers(text: str, golds: Sequence[str]) -> dict[str, float]:
    found = {"flexible": metrics.flexible_number(text), "strict": metrics.strict_number(text)}
    return {name: float(any(metrics.same_number(number, gold) for gold in golds)) for name, number in found.items()}


def _line(text: str) -> str:
    """Returns the first line that is not empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _best(text: str, golds: Sequence[str]) -> dict[str, float]:
    return metrics.best_match(_line(text), golds)


def _drop(text: str, golds: Sequence[Any]) -> dict[str, float]:
    return drop_scores([_line(text)], [[gold] if isinstance(gold, str) else gold for gold in golds])


def _word(text: str, golds: Sequence[str]) -> dict[str, float]:
    found = metrics.first_word(text)
    return {"accuracy": float(bool(found) and any(found == metrics.first_word(gold) for gold in golds))}


def _same(text: str, golds: Sequence[str]) -> dict[str, float]:
    return {"accuracy": float(_line(text) in golds)}


def _normal_line(text: str) -> str:
    return metrics.normalized(_line(text))


def _questions(name: str, samples: Any, shown: tuple[str, ...], correct: str = "em", tokens: int = 48) -> Task:
    return Task(name, samples, shown, correct, _normal_line, _best, tokens, ("\n",))


_F1 = ("f1", "em")
_ALL = (
    Task(
        "gsm8k", of_question, ("flexible", "strict"), "flexible", metrics.flexible_number, _numbers, 400, ("Question:",)
    ),
    Task(
        "mgsm", of_question, ("flexible", "strict"), "flexible", metrics.flexible_number, _numbers, 400, ("Question:",)
    ),
    Task("drop", of_passage, _F1, "em", lambda text: normalized_span(_line(text)), _drop, 48, ("\n",)),
    _questions("triviaqa", of_open_question, ("em", "f1"), tokens=24),
    _questions("coqa", of_conversation, _F1),
    _questions("squad", of_passage, _F1),
    Task("lambada", of_last_word, ("accuracy",), "accuracy", metrics.first_word, _word, 12),
    Task("next_word", of_next_words, ("accuracy",), "accuracy", metrics.first_word, _word, 12),
    Task("unscramble", of_completion, ("accuracy",), "accuracy", _line, _same, 24, ("\n\n",)),
    Task("bits_per_byte", of_text, ("bits_per_byte",), "", str, lambda text, golds: {}, lower_is_better=True),
)
TASKS = {task.name: task for task in _ALL}
