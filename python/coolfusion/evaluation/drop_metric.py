"""Exact match and F1 of DROP, from the published definition (Dua et al. 2019, arXiv 1903.00161, section 5).

An answer is a bag of spans. Spans are normalized word by word, numbers as numbers. F1 pairs the spans of answer and
gold one to one so that the sum of their F1 is greatest. A pair counts nothing if the gold span holds numbers and shares
none of them.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Sequence

__all__ = ["drop_scores", "normalized_span"]

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def drop_scores(answer: Sequence[str], golds: Iterable[Sequence[str]]) -> dict[str, float]:
    """Returns exact match and F1 of an answer against the annotation that fits best, by exact match and then by F1.

    Args:
        answer: the spans of the answer.
        golds: the annotations, each with its spans.

    Returns:
        both from 0 to 1.

    Example:
        >>> drop_scores(["the 2 dogs"], [["2 dogs"], ["two"]])
        {'em': 1.0, 'f1': 1.0}
        >>> drop_scores(["3 dogs"], [["2 dogs"]])["f1"]  # the number is wrong
        0.0
    """
    spans = [normalized_span(span) for span in answer]
    scored = [_scores(spans, [normalized_span(span) for span in gold]) for gold in golds]
    em, f1 = max(scored, default=(0.0, 0.0))
    return {"em": em, "f1": f1}


def normalized_span(span: str) -> str:
    """Returns a span in lower case, without articles and punctuation; numbers in the form of a decimal fraction.

    Args:
        span: one span.

    Example:
        >>> normalized_span("The 1,5-year-old dog"), normalized_span("7 dogs.")
        ('15.0 year old dog', '7.0 dogs')
    """
    words = []
    for part in re.split(r"[ -]", span.lower()):
        word = part if _is_number(part) else part.translate(_PUNCTUATION)
        words.append(str(float(word)) if _is_number(word) else re.sub(r"\b(a|an|the)\b", " ", word))
    return " ".join(" ".join(words).split())


def _scores(spans: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    em = float(len(spans) == len(gold) and set(spans) == set(gold))
    longest = max(len(spans), len(gold))
    pairs = [[_pair_f1(set(one.split()), set(other.split())) for other in gold] for one in spans]
    return em, round(_best_sum(pairs) / longest, 2) if longest else 0.0


def _pair_f1(words: set[str], wanted: set[str]) -> float:
    numbers = set(filter(_is_number, wanted))
    if numbers and not numbers & words:
        return 0.0
    if not words or not wanted:
        return float(words == wanted)
    return 2.0 * len(words & wanted) / (len(words) + len(wanted))


def _best_sum(pairs: Sequence[Sequence[float]]) -> float:
    """Returns the greatest sum of pairs, each row and column at most once: the Hungarian method, O(rows^2 columns)."""
    if not pairs or not pairs[0]:
        return 0.0
    if len(pairs) > len(pairs[0]):
        pairs = list(zip(*pairs, strict=True))
    n, m = len(pairs), len(pairs[0])
    of_row, of_column = [0.0] * (n + 1), [0.0] * (m + 1)  # potentials; row and column 0 are no pair
    row_at = [0] * (m + 1)
    for row in range(1, n + 1):
        row_at[0], column = row, 0
        slack, before, seen = [math.inf] * (m + 1), [0] * (m + 1), [False] * (m + 1)
        while row_at[column]:
            seen[column] = True
            at, step, following = row_at[column], math.inf, 0
            for other in range(1, m + 1):
                if not seen[other]:
                    cost = -pairs[at - 1][other - 1] - of_row[at] - of_column[other]
                    if cost < slack[other]:
                        slack[other], before[other] = cost, column
                    if slack[other] < step:
                        step, following = slack[other], other
            for other in range(m + 1):
                if seen[other]:
                    of_row[row_at[other]] += step
                    of_column[other] -= step
                else:
                    slack[other] -= step
            column = following
        while column:
            row_at[column] = row_at[before[column]]
            column = before[column]
    return math.fsum(pairs[row_at[other] - 1][other - 1] for other in range(1, m + 1) if row_at[other])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
