"""Metrics of answers, from their published definitions: numbers of GSM8K, exact match and F1 of SQuAD, first words."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

__all__ = [
    "best_match",
    "exact_match",
    "first_word",
    "flexible_number",
    "normalized",
    "same_number",
    "strict_number",
    "token_f1",
]

# A sign, a currency sign, digits with separators of thousands, and decimals.
_NUMBER = r"-?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_STRICT = re.compile(rf"####\s*({_NUMBER})")
_FLEXIBLE = re.compile(_NUMBER)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_OPENERS = "\"'“‘([{«"
_CLOSERS = "\"'”’)]}».,;:!?…"


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
    return _plain(found[1]) if found else ""


def flexible_number(text: str) -> str:
    """Returns the last number of a text; "" if there is none.

    Args:
        text: an answer with its reasoning.

    Example:
        >>> flexible_number("She makes 9 * 2 = $18.50 a day."), flexible_number("none")
        ('18.50', '')
    """
    found = _FLEXIBLE.findall(text)
    return _plain(found[-1]) if found else ""


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
        return Decimal(_plain(one)) == Decimal(_plain(other))
    except InvalidOperation:
        return False


def normalized(text: str) -> str:
    """Returns a text as SQuAD compares it: lower case, without ASCII punctuation, articles and extra white space.

    Args:
        text: an answer.

    Source: Rajpurkar et al. (2016), arXiv 1606.05250.

    Example:
        >>> normalized("The  Eiffel-Tower, in a park!")
        'eiffeltower in park'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """Returns 1 where two answers are the same after `normalized`, else 0.

    Args:
        answer: the answer.
        gold: the right one.
    """
    return float(normalized(answer) == normalized(gold))


def token_f1(answer: str, gold: str) -> float:
    """Returns the F1 of the bags of words of two answers after `normalized`.

    Args:
        answer: the answer.
        gold: the right one.

    Returns:
        from 0 to 1; where one has no words, 1 if both have none.

    Source: Rajpurkar et al. (2016), arXiv 1606.05250.

    Example:
        >>> token_f1("in the park", "park")  # precision 1/2, recall 1
        0.6666666666666666
    """
    words, wanted = normalized(answer).split(), normalized(gold).split()
    if not words or not wanted:
        return float(words == wanted)
    common = (Counter(words) & Counter(wanted)).total()
    return 2.0 * common / (len(words) + len(wanted))


def best_match(answer: str, golds: Sequence[str]) -> dict[str, float]:
    """Returns exact match and F1 against the gold answer that fits best, each on its own.

    Args:
        answer: the answer.
        golds: all right answers.

    Example:
        >>> best_match("The USA", ["United States", "USA"])
        {'em': 1.0, 'f1': 1.0}
    """
    return {
        "em": max((exact_match(answer, gold) for gold in golds), default=0.0),
        "f1": max((token_f1(answer, gold) for gold in golds), default=0.0),
    }


def first_word(text: str) -> str:
    """Returns the first word of a text, without quotation marks, brackets and punctuation around it.

    Args:
        text: a continuation.

    Example:
        >>> first_word(' signs," he said'), first_word("\\n")
        ('signs', '')
    """
    words = text.split()
    return words[0].lstrip(_OPENERS).rstrip(_CLOSERS) if words else ""


def _plain(number: str) -> str:
    return number.replace(",", "").replace("$", "").strip()
