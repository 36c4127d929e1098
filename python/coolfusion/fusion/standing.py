"""The standing of a continuation, which is "finished", "unfinished", or "repetitive" if it runs in a loop."""

from __future__ import annotations

from coolfusion.fusion.rerank_options import Rerank
from coolfusion.records import FinishReason, Standing

# Shorter loops are words such as "no, no, no" or numbers such as 111.
SHORTEST_LOOP = 24
COPIES = 3
STANDINGS: tuple[Standing, ...] = ("finished", "unfinished", "repetitive")


def standing_of(text: str, reason: FinishReason, settings: Rerank) -> Standing:
    """Returns the standing of a continuation, or "finished" if the settings do not ask for it.

    Args:
        text: the continuation.
        reason: the reason why its author stopped.
        settings: the settings of the rerank, which bound the share of a loop.
    """
    if settings.repetition is not None and loop_share(text) > settings.repetition:
        return "repetitive"
    return "unfinished" if settings.unfinished == "last" and reason == "length" else "finished"


def loop_share(text: str) -> float:
    """Returns the share of a text that a loop at its end covers.

    A loop is one unit three times or more, of which the first may be cut.

    Args:
        text: a continuation.

    Returns:
        from 0 to 1; 0 where the longest loop has fewer than 24 characters.

    Complexity: O(characters), by the prefix function of the reversed text (Knuth, Morris, Pratt).

    Example:
        >>> loop_share("It is " + "very, " * 10 + "ve"), loop_share("ha ha ha")
        (0.926..., 0.0)
    """
    turned, longest = text[::-1], 0
    # borders[n]: the longest proper prefix of turned[:n + 1] that is also its suffix.
    borders = [0] * len(turned)
    for at in range(1, len(turned)):
        border = borders[at - 1]
        while border and turned[at] != turned[border]:
            border = borders[border - 1]
        borders[at] = border + 1 if turned[at] == turned[border] else 0
        period = at + 1 - borders[at]
        if at + 1 >= COPIES * period:
            longest = at + 1
    return longest / len(text) if longest >= SHORTEST_LOOP else 0.0
