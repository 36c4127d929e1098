"""Cuts a text exactly before its first stop string, whatever its segments are.

The first stop string is the one that is complete first, reading character by character (of several that end at the
same character, the longest). So the answer cannot depend on where segments end. Text that could still become the
beginning of a stop string is held back. All other text can never be part of one later, so released text is never
withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from coolfusion.errors import ArgumentError


def check_stop_strings(stop_strings: str | Iterable[str]) -> tuple[str, ...]:
    """Returns the stop strings as a tuple.

    Raises:
        ArgumentError: one is empty or no text.
    """
    if not isinstance(stop_strings, Iterable):
        raise ArgumentError(f"stop strings must be a text or a list of texts, not {stop_strings!r}")
    stops = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
    for stop in stops:
        if not isinstance(stop, str) or not stop:
            raise ArgumentError(f"a stop string must be a text of at least one character, not {stop!r}")
    return stops


class StopStringFilter:
    """A filter that releases generated text as soon as no stop string can begin in it.

    For example, with the stop string "END" a push of "E" releases nothing, and a further one of "ve" releases "Eve".

    Attributes:
        stopped: whether a stop string is complete, after which nothing is released.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    @property
    def held(self) -> str:
        """Returns the text that is held back."""
        return self._held

    def push(self, text: str) -> str:
        """Appends `text`, and returns the text that this releases.

        Complexity: O((held + text) * sum of stop lengths); `held` is shorter than the longest stop string.
        """
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self._held, self.stopped = "", True
            return text[: min(found)[1]]
        cut = next((i for i in range(len(text)) if self._may_begin(text[i:])), len(text))
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """Returns the text that is held back, because nothing more can come."""
        held, self._held = self._held, ""
        return held

    def _may_begin(self, tail: str) -> bool:
        return any(len(tail) < len(stop) and stop.startswith(tail) for stop in self._stops)
