"""Reads plain objects of JSON field by field, with errors that name the path of the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from coolfusion.errors import ArgumentError

REQUIRED = object()
_INFINITIES = {"inf": math.inf, "-inf": -math.inf}  # JSON has no numbers for them


class Fields:
    """The fields of one object, each of which is taken once, so that `end` can refuse an unknown one.

    Args:
        value: the object.
        where: the path of the object, for messages.

    Raises:
        ArgumentError: the value is no object with texts as names.

    Example:
        >>> fields = Fields({"margin": "inf"}, "rule")
        >>> fields.number("margin"), fields.number("tolerance", 1.0), fields.end()
        (inf, 1.0, None)
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ArgumentError(f"{where} is {value!r:.60}; expected an object with named fields")
        self.where = where
        self._left = dict(value)

    def __repr__(self) -> str:
        return f"Fields({self.where!r}, left={sorted(self._left)})"

    def path(self, name: str) -> str:
        """Returns the path of a field."""
        return f"{self.where}.{name}"

    def take(self, name: str, default: Any = REQUIRED) -> Any:
        """Returns the value of a field unchanged.

        Raises:
            ArgumentError: the field is absent, and there is no default.
        """
        if name not in self._left and default is REQUIRED:
            raise ArgumentError(f"{self.path(name)} is missing; the object has {sorted(self._left)}")
        return self._left.pop(name, default)

    def number(self, name: str, default: Any = REQUIRED) -> float:
        """Returns a number; "inf" and "-inf" are the infinities.

        Raises:
            ArgumentError: the value is no number, or is nan.
        """
        value = self.take(name, default)
        found = _INFINITIES.get(value) if isinstance(value, str) else value
        if isinstance(found, bool) or not isinstance(found, int | float) or math.isnan(found):
            raise self.wrong(name, value, 'a number, "inf" or "-inf"')
        return float(found)

    def count(self, name: str, default: Any = REQUIRED) -> int:
        """Returns a whole number of at least 0.

        Raises:
            ArgumentError: the value is no such number.
        """
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong(name, value, "a whole number from 0 on")
        return value

    def flag(self, name: str, default: Any = REQUIRED) -> bool:
        """Returns True or False.

        Raises:
            ArgumentError: the value is neither.
        """
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def text(self, name: str, default: Any = REQUIRED) -> Any:
        """Returns a text that is not empty, or the default.

        Raises:
            ArgumentError: the value is no such text.
        """
        if name not in self._left and default is not REQUIRED:
            return default
        value = self.take(name)
        if value is default or (isinstance(value, str) and value):
            return value
        raise self.wrong(name, value, "a text")

    def choice(self, name: str, choices: Sequence[str], default: Any = REQUIRED) -> Any:
        """Returns one of some texts.

        Raises:
            ArgumentError: the value is none of them.
        """
        value = self.take(name, default)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(name, value, " or ".join(map(repr, choices)))
        return value

    def inside(self, name: str, default: Any = REQUIRED) -> Fields:
        """Returns the fields of an object within this one."""
        return Fields(self.take(name, default), self.path(name))

    def end(self) -> None:
        """Raises ArgumentError if a field is left, because nothing reads it."""
        if self._left:
            raise ArgumentError(f"{self.path(min(self._left))} is unknown; expected no such field")

    def wrong(self, name: str, value: Any, expected: str) -> ArgumentError:
        """Returns the error of a field with a wrong value."""
        return ArgumentError(f"{self.path(name)} is {value!r:.60}; expected {expected}")


def plain_number(value: float) -> float | str:
    """Returns a number as JSON can hold it, for example "inf" for infinity."""
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"
