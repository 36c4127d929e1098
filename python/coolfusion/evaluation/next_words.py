"""Places of a text where the next word is asked for, and whether a word is the right one.

A word is right if its letters and digits are those of the true word, with their marks. Punctuation and the kind of
white space do not count, because members attach them differently. A candidate without white space before it continues
the word before, so it is wrong.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.data import Record, read_records
from coolfusion.evaluation.tasks import items_of, task_named

__all__ = ["Position", "is_right", "last_words", "letters", "part_of", "positions", "positions_of"]

FEWEST, MOST = 40, 200  # characters of a prefix
APART = 20  # characters between the places of a paragraph
PER_PARAGRAPH = 2


class Position(NamedTuple):
    """A place where the next word is asked for.

    Attributes:
        id: its name in records.
        group: the paragraph or document; all places of one are in the same half of the data.
        prompt: the text before it, which ends with a word.
        gold: the word that follows, without the white space before it.
    """

    id: str
    group: str
    prompt: str
    gold: str


def letters(word: str) -> str:
    """Returns the letters, digits and marks of a word.

    Args:
        word: any text.

    Example:
        >>> letters(' garage,"'), letters("don't"), letters(" - ")
        ('garage', 'dont', '')
    """
    return "".join(each for each in word if each.isalnum() or unicodedata.category(each)[0] == "M")


def is_right(candidate: str, gold: str) -> bool:
    """Returns whether a candidate is the true next word after a prompt that ends with a word.

    Args:
        candidate: the text after the prompt, white space included; "" is END.
        gold: the true word.

    Example:
        >>> is_right("\\ndog.", "dog"), is_right("dog", "dog"), is_right(" Dog", "dog")
        (True, False, False)
    """
    return candidate[:1].isspace() and letters(candidate) == letters(gold)


def part_of(text: str) -> tuple[float, float]:
    """Returns the part of a file that "START:END" names, in fractions of it.

    Args:
        text: two numbers from 0 to 1 with a colon between them.

    Raises:
        ArgumentError: it is of another form, or the part is empty.

    Example:
        >>> part_of("0:0.6")
        (0.0, 0.6)
    """
    start, _, end = text.partition(":")
    try:
        found = float(start), float(end)
    except ValueError:
        found = 1.0, 0.0
    if not 0.0 <= found[0] < found[1] <= 1.0:
        raise ArgumentError(f"part {text!r} is none; expected two fractions in ascending order, for example 0:0.6")
    return found


def positions(
    text: str, *, part: tuple[float, float] = (0.0, 1.0), limit: int | None = None, seed: int = 1
) -> list[Position]:
    """Returns places of a text, at most two of each paragraph and at least 20 characters apart.

    Paragraphs stand between empty lines; in a text without any, each line is one. A prefix has 40 to 200 characters of
    its paragraph and is cut before white space. Paragraphs that the part cuts in two are left out, and a paragraph
    that stands twice counts once.

    Args:
        text: the text.
        part: the beginning and the end of the part that may be used, in fractions of the text.
        limit: the most places, or None.
        seed: of the draws; it orders the paragraphs, so that a limit takes them from everywhere.

    Complexity: O(size of the text).

    Example:
        >>> [found] = positions("The little cat sat on the mat and looked at us.")
        >>> len(found.prompt) >= 40 and found.gold in ("at", "us.")
        True
    """
    text = text.replace("\r\n", "\n")
    between = "\n\n" if "\n\n" in text else "\n"
    start, end = (round(len(text) * each) for each in part)
    paragraphs = text[start:end].split(between)
    if start > 0:
        paragraphs = paragraphs[1:]
    if end < len(text):
        paragraphs = paragraphs[:-1]
    unique = sorted(dict.fromkeys(each.strip() for each in paragraphs if each.strip()))
    random.Random(f"{seed}").shuffle(unique)
    found: list[Position] = []
    for paragraph in unique:
        if limit is not None and len(found) >= limit:
            break
        found += _of_paragraph(paragraph, seed)
    return found[:limit]


def last_words(records: Sequence[Record], *, limit: int | None = None) -> list[Position]:
    """Returns the last word of each document of LAMBADA.

    Args:
        records: objects with a `text`.
        limit: the most documents, or None.

    Raises:
        ArgumentError: a record has no text of two words.

    Example:
        >>> last_words([{"text": "she opened the door of the garage"}])[0].gold
        'garage'
    """
    items = items_of(task_named("lambada"), records)
    found = [Position(id, id, sample.prompt, sample.golds[0]) for id, sample in items if letters(sample.golds[0])]
    return found[:limit]


def positions_of(
    task: str, path: str | Path, *, part: tuple[float, float] = (0.0, 1.0), limit: int | None = None, seed: int = 1
) -> list[Position]:
    """Returns the places of a file.

    Args:
        task: "next_word" for a plain text, or JSON lines with a `text` each; "lambada" for its last words.
        path: the file.
        part: see `positions`.
        limit: the most places, or None.
        seed: see `positions`.

    Raises:
        ArgumentError: the file cannot be read, or has no place.
        TextError: the file is not UTF-8.

    Complexity: O(size of the file).
    """
    records = read_records(path)
    if task == "lambada":
        start, end = (round(len(records) * each) for each in part)
        found = last_words(records[start:end], limit=limit)
    else:
        texts = [record.get("text") for record in records]
        if not all(isinstance(text, str) for text in texts):
            raise ArgumentError(f"{path}: a record has no text; expected plain text, or objects with a `text`")
        # One text stands for a file without empty lines, whose lines are the paragraphs.
        found = positions("\n\n".join(map(str, texts)), part=part, limit=limit, seed=seed)
    if not found:
        raise ArgumentError(f"{path}: has no place for a next word; expected paragraphs of {FEWEST} characters or more")
    return found


def _of_paragraph(paragraph: str, seed: int) -> list[Position]:
    group = hashlib.sha256(paragraph.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    golds = {found.end(): found[1] for found in re.finditer(r"(?<=\S)(?=\s+(\S+))", paragraph)}
    possible = [at for at, gold in golds.items() if FEWEST <= at <= MOST and letters(gold)]
    random.Random(f"{seed}/{group}").shuffle(possible)
    chosen: list[int] = []
    for at in possible:
        if len(chosen) < PER_PARAGRAPH and all(abs(at - other) >= APART for other in chosen):
            chosen.append(at)
    return [Position(f"{group}-{at}", group, paragraph[:at], golds[at]) for at in sorted(chosen)]
