"""The marks that tell authors apart, a colour and a style for readers who cannot see it, and each author's shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["COLOURS", "DARK_COLOURS", "UNDERLINES", "Shares", "initials", "safe", "shares_of"]

# After Okabe and Ito (2008), told apart with every common colour vision; darkened for lines on a white page.
COLOURS = ("#0072b2", "#d55e00", "#00875f", "#a8458c", "#8a6a00", "#3a3fa8", "#4d4d4d", "#b0223c")
DARK_COLOURS = ("#56b4e9", "#ff9a56", "#3ecf9e", "#e08bc4", "#e3c04b", "#a3a8ff", "#b8b8b8", "#ff8597")
# Five styles and eight colours are 40 different pairs.
UNDERLINES = ("solid", "dashed", "dotted", "double", "wavy")
_CONTROL = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **{code: f"<U+{code:04X}>" for code in (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
    0x2028: "<U+2028>",
    0x2029: "<U+2029>",
}


class Shares(NamedTuple):
    """A summary of steps, for example won (.5, .5) for two members that each won one of two steps.

    Attributes:
        won: (M,) each member's share of the steps; a step that several members proposed is shared by them.
        proposed: (M,) the share of the steps whose winner the member proposed.
        agreement: the mean share of the members that proposed the winner.
        unanimous: the share of the steps whose winner all members proposed.
        overridden: number of steps that committed a candidate that the primary member did not propose.
        seconds: (propose, evaluate, select, commit) sums over the steps.
    """

    won: tuple[float, ...]
    proposed: tuple[float, ...]
    agreement: float
    unanimous: float
    overridden: int
    seconds: tuple[float, float, float, float]


def shares_of(steps: Sequence[Any], n_members: int) -> Shares:
    """Returns the share of each member in the committed segments, and the seconds of the phases.

    Args:
        steps: `Step` records.
        n_members: number of members.

    Complexity: O(steps * members).

    Example:
        >>> shares_of([], 2).won
        (nan, nan)
    """
    authors = [step.candidates[step.winner].members for step in steps]
    members = range(n_members)
    won = tuple(_mean([(j in each) / len(each) for each in authors]) for j in members)
    proposed = tuple(_mean([float(j in each) for each in authors]) for j in members)
    agreement = _mean([len(each) / n_members for each in authors])
    unanimous = _mean([float(len(each) == n_members) for each in authors])
    seconds = [sum(step.seconds[phase] for step in steps) for phase in range(4)]
    overridden = sum(step.overridden for step in steps)
    return Shares(won, proposed, agreement, unanimous, overridden, (seconds[0], seconds[1], seconds[2], seconds[3]))


def initials(names: Sequence[str]) -> list[str]:
    """Returns a short name for each member, which is its first one or two letters, or A, B, C if two would be equal.

    Args:
        names: the members' names.

    Example:
        >>> initials(["ash", "birch"]), initials(["gemma-1b", "gemma-4b"])
        (['a', 'b'], ['A', 'B'])
    """
    for size in (1, 2):
        found = [name[:size] for name in names]
        if len(set(found)) == len(found) and all(each.isalnum() and each.isascii() for each in found):
            return found
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [letters[at] if at < len(letters) else str(at) for at in range(len(names))]


def safe(text: str) -> str:
    """Returns a text in which each character that could steer a terminal or reorder a page has become visible.

    Args:
        text: any text, lone surrogates included.

    Example:
        >>> safe("a\\x1b[31mb\\ud800")
        'a\u241b[31mb\ufffd'
    """
    return text.translate(_CONTROL).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
