"""Metrics of answers, from their published definitions: numbers of GSM8K, exact match and F1 of SQuAD, first words."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from coolfusion.fusion.answers import flexible_number, same_number, strict_number

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

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_OPENERS = "\"'“‘([{«"
_CLOSERS = "\"'”’)]}».,;:!?…"


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
