"""The origin of a text, which is its prompt, rule and options as plain values, for records and traces."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion.options import Request, Settings
from coolfusion.fusion.selection.specs import spec_of
from coolfusion.records import Origin

__all__ = ["origin_of"]

# The first two have fields of their own, and the others change no text.
_ELSEWHERE = ("prompt", "messages", "priority", "timeout")


def origin_of(request: Request, settings: Settings) -> Origin:
    """Returns the origin of a text.

    Args:
        request: the request.
        settings: the settings of its fusion.

    Complexity: O(number of options).
    """
    prompt = request.prompt
    told = prompt if prompt is None or isinstance(prompt, str) else tuple(_text(each) for each in _each(prompt))
    messages = None if request.messages is None else tuple(_plain(each) for each in request.messages)
    options = {each.name: _plain(getattr(request, each.name)) for each in fields(request)}
    for name in _ELSEWHERE:
        options.pop(name, None)
    options["alignment"] = "aligned" if settings.aligned else "shortest"
    options["granularity"] = settings.granularity
    options["prefix"] = "likelier" if settings.may_drop_prefix else "always"
    try:
        spec = spec_of(settings.rule)
    except ArgumentError:  # a rule of the caller
        spec = None
    return Origin(told, str(settings.rule.name), spec, options, messages)


def _each(prompt: Any) -> tuple[Any, ...]:
    return prompt if isinstance(prompt, tuple) else (prompt,)


def _text(prompt: Any) -> str | None:
    return prompt if isinstance(prompt, str) else None


def _plain(value: Any) -> Any:
    """Returns an option as plain values of JSON, in which a function is its name."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return getattr(value, "__name__", repr(value))
