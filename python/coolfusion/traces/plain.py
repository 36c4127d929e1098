"""The conversion of records to plain values that strict JSON can hold, and exactly back.

Both directions follow the types of the records' fields. A field with its default is left out, and a number that is not
finite is the text "inf", "-inf" or "nan".
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from coolfusion.errors import ArgumentError

__all__ = ["from_plain", "to_plain"]

_SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_REQUIRED = object()


class _Field(NamedTuple):
    name: str
    kind: Any
    default: Any


def to_plain(value: Any) -> Any:
    """Returns a record, or a value that JSON can hold, as plain values.

    Args:
        value: a record, a mapping with texts as names, a sequence, a text, a number, True, False or None.

    Raises:
        ArgumentError: the value is none of these.

    Complexity: O(size of the value).

    Example:
        >>> from coolfusion.records import Score
        >>> to_plain([Score(-math.inf, 1), {"seed": 3}])
        [{'logprob': '-inf', 'n_tokens': 1}, {'seed': 3}]
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if _is_record(type(value)):
        return _of_record(value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_plain(each) for each in value]
    raise ArgumentError(f"{value!r:.60} of type {type(value).__name__} has no plain form; expected records or numbers")


def from_plain(kind: Any, value: Any, where: str = "") -> Any:
    """Returns the record that `to_plain` has written.

    Args:
        kind: the type: a record, a tuple, list or union of such, or a plain one.
        value: plain values.
        where: the path of the value, for messages.

    Raises:
        ArgumentError: a value is not of its type, a field is missing, or an object has an unknown one; the message has
            the path.

    Complexity: O(size of the value).

    Example:
        >>> from coolfusion.records import Score
        >>> from_plain(Score, {"logprob": "-inf", "n_tokens": 1}).logprob
        -inf
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(inner, value, where)
    if origin is Literal:
        if isinstance(value, str) and value in inner:
            return value
    elif origin in (tuple, list):
        return _sequence(origin, inner, value, where)
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {name: from_plain(inner[1], each, _inside(where, name)) for name, each in value.items()}
    elif _is_record(kind):
        return _record(kind, value, where)
    elif kind is float:
        found = _SPECIAL.get(value) if isinstance(value, str) else value
        if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) != math.inf:
            return _as_float(found, where)
        if isinstance(found, float) and isinstance(value, str):
            return found
    elif kind is type(None):
        if value is None:
            return None
    elif type(value) is kind:  # bool is no int here
        return value
    raise _wrong(where, value, _said(kind))


def _as_float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError as err:
        raise _wrong(where, value, _said(float)) from err


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")))


@cache
def _fields_of(kind: type) -> tuple[_Field, ...]:
    """Returns the fields of a record with their types and defaults."""
    kinds = get_type_hints(kind)
    if is_dataclass(kind):
        named = [(each.name, _REQUIRED if each.default is MISSING else each.default) for each in fields(kind)]
    else:
        defaults = kind._field_defaults  # type: ignore[attr-defined]
        named = [(name, defaults.get(name, _REQUIRED)) for name in kind._fields]  # type: ignore[attr-defined]
    return tuple(_Field(name, kinds[name], default) for name, default in named)


def _of_record(value: Any) -> dict[str, Any]:
    kind: type = type(value)
    found = {}
    for name, _, default in _fields_of(kind):
        given = getattr(value, name)
        # The repr tells 0 from 0.0 and from -0.0.
        if given is not default and not (given == default and repr(given) == repr(default)):
            found[name] = to_plain(given)
    return found


def _record(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, value, f"an object with the fields of a {kind.__name__}")
    known = _fields_of(kind)
    missing = [each.name for each in known if each.default is _REQUIRED and each.name not in value]
    unknown = sorted(set(value) - {each.name for each in known})
    if missing or unknown:
        what = f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown"
        expected = f"expected the fields of a {kind.__name__}: {', '.join(each.name for each in known)}"
        raise ArgumentError(f"{_inside(where, what)}; {expected}")
    given = {name: from_plain(field, value[name], _inside(where, name)) for name, field, _ in known if name in value}
    return kind(**given)


def _sequence(origin: type, inner: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    if origin is list or inner[1:] == (...,):
        kinds = [inner[0]] * len(value)
    elif len(value) == len(inner):
        kinds = list(inner)
    else:
        raise _wrong(where, value, f"a list of {len(inner)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return origin(from_plain(kind, each, f"{where}[{at}]") for at, (kind, each) in pairs)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Returns a value of a union; a value that only one kind fits is read as it, so that errors have its path."""
    for kind in kinds:
        holds = _is_record(kind) and isinstance(value, dict)
        if holds or (get_origin(kind) is tuple and isinstance(value, list)):
            return from_plain(kind, value, where)
    for kind in kinds:
        try:
            return from_plain(kind, value, where)
        except ArgumentError:
            continue
    raise _wrong(where, value, " or ".join(_said(kind) for kind in kinds))


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    names = {str: "a text", int: "a whole number", bool: "true or false", type(None): "null"}
    return names.get(kind, 'a number, "inf", "-inf" or "nan"' if kind is float else "an object")


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _wrong(where: str, value: Any, expected: str) -> ArgumentError:
    shown = f"{value:#x}" if isinstance(value, int) and value.bit_length() > 64 else repr(value)
    return ArgumentError(
        f"{where or 'the value'} is {shown if len(shown) < 60 else shown[:57] + '...'}; expected {expected}"
    )
