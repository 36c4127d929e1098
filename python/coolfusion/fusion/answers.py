"""Extractors of answers from continuations, so that members can vote on the answers.

An extractor is a function from a text to its answer, "" for a text without one. For example, `number` returns "18" for
"so 9 + 9 = 18.00". Two answers are the same if their texts are equal, so an extractor returns one form for all
spellings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from coolfusion.errors import ArgumentError, CoolFusionError, FusionError

__all__ = [
    "ANSWERS",
    "Extractor",
    "as_extractor",
    "choice",
    "exact",
    "first_line",
    "flexible_number",
    "last_line",
    "number",
    "plain_number",
    "same_number",
    "strict_number",
]

Extractor = Callable[[str], str]

# A sign, a currency sign, digits with separators of thousands, and decimals.
_NUMBER = r"-?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_STRICT = re.compile(rf"####\s*({_NUMBER})")
_FLEXIBLE = re.compile(_NUMBER)
_STATED = re.compile(r"\banswer(?:\s+is)?\s*:?\s*\(?([A-Ea-e])\b", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\(([A-E])\)")
_FIRST = re.compile(r"\s*([A-E])(?:[.):]|\s*$)", re.MULTILINE)


def strict_number(text: str) -> str:
    """Returns the number after the first "####", the form of GSM8K's own solutions; "" if there is none.

    Args:
        text: an answer with its reasoning.

    Source: Cobbe et al. (2021), arXiv 2110.14168.

    Example:
        >>> strict_number("16 - 3 = 13 eggs. #### 1,300"), strict_number("It is 13.")
        ('1300', '')
    """
    found = _STRICT.search(text)
    return plain_number(found[1]) if found else ""


def flexible_number(text: str) -> str:
    """Returns the last number of a text; "" if there is none.

    Args:
        text: an answer with its reasoning.

    Example:
        >>> flexible_number("She makes 9 * 2 = $18.50 a day."), flexible_number("none")
        ('18.50', '')
    """
    found = _FLEXIBLE.findall(text)
    return plain_number(found[-1]) if found else ""


def same_number(one: str, other: str) -> bool:
    """Returns whether two texts are the same number; other texts are never equal.

    Args:
        one: a number.
        other: a number.

    Example:
        >>> same_number("18", "18.00"), same_number("1,000", "1000"), same_number("", "")
        (True, True, False)
    """
    try:
        return Decimal(plain_number(one)) == Decimal(plain_number(other))
    except InvalidOperation:
        return False


def plain_number(number: str) -> str:
    """Returns a number without separators of thousands, currency sign and white space.

    Args:
        number: a number as it stands in a text.

    Example:
        >>> plain_number("$1,000 ")
        '1000'
    """
    return number.replace(",", "").replace("$", "").strip()


def number(text: str) -> str:
    """Returns the number after the first "####" if there is one, else the last number, in one spelling.

    Args:
        text: an answer with its reasoning.

    Source: the strict and the flexible extraction of GSM8K, arXiv 2110.14168.

    Example:
        >>> number("so 9 + 9 = 18.00"), number("#### 1,300 (of 2,000)"), number("none")
        ('18', '1300', '')
    """
    found = strict_number(text) or flexible_number(text)
    if not found:
        return ""
    plain = f"{Decimal(found):f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("", "-", "-0") else plain


def choice(text: str) -> str:
    """Returns the letter of a multiple choice, A to E; "" if there is none.

    The last letter that is stated ("the answer is C", "Answer: (C)") counts first. After it comes the last letter in
    brackets, then a letter that begins a line and ends it or has one of `.):` after it.

    Args:
        text: an answer with its reasoning.

    Example:
        >>> choice("A cat is no dog, so the answer is (B)."), choice("C. Paris"), choice("A cat.")
        ('B', 'C', '')
    """
    for pattern in (_STATED, _IN_BRACKETS):
        found = pattern.findall(text)
        if found:
            return str(found[-1]).upper()
    first = _FIRST.search(text)
    return first[1] if first and (first.start() == 0 or text[first.start()] == "\n") else ""


def first_line(text: str) -> str:
    """Returns the first line that is not empty, without white space around it.

    Args:
        text: a continuation.

    Example:
        >>> first_line(" Paris\\nQuestion: next")
        'Paris'
    """
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def last_line(text: str) -> str:
    """Returns the last line that is not empty, without white space around it.

    Args:
        text: a continuation.

    Example:
        >>> last_line("First this.\\nThen that.\\n")
        'Then that.'
    """
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def exact(text: str) -> str:
    """Returns the whole text without white space around it.

    Args:
        text: a continuation.
    """
    return text.strip()


ANSWERS: dict[str, Extractor] = {
    "choice": choice,
    "exact": exact,
    "first_line": first_line,
    "last_line": last_line,
    "number": number,
}


def as_extractor(answer: str | Extractor) -> Extractor:
    """Returns the extractor of a name, or a given function with errors that name it.

    Args:
        answer: one of `ANSWERS`, or a function from a text to its answer, "" for none.

    Raises:
        ArgumentError: an unknown name, or no function. The returned function raises it where no text comes back, and
            FusionError where the function raises.

    Example:
        >>> as_extractor("number")("It is 7.")
        '7'
    """
    if isinstance(answer, str):
        if answer not in ANSWERS:
            raise ArgumentError(f"answer {answer!r} is unknown; expected one of {', '.join(ANSWERS)}, or a function")
        return ANSWERS[answer]
    if not callable(answer):
        raise ArgumentError(f"answer must be a name or a function, not {answer!r}")

    def checked(text: str) -> str:
        try:
            found = answer(text)
        except CoolFusionError:
            raise
        except Exception as err:
            raise FusionError(f"the answer of {text!r:.80} failed: {type(err).__name__}: {err}") from err
        if not isinstance(found, str):
            raise ArgumentError(f'the answer of {text!r:.80} must be a text, "" for none, not {found!r}')
        return found

    return checked
