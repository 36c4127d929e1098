"""Renders chat templates with Jinja, in the environment that transformers gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from coolfusion.errors import MissingPackageError
from coolfusion.extras import install_command


class TemplateRefusal(Exception):
    """An error that a template raised, either its own refusal of the messages or an error of its code."""


def render(source: str, variables: Mapping[str, Any], now: datetime | None = None) -> str:
    """Returns the text that a template makes.

    Args:
        source: the template.
        variables: the variables that the template may read.
        now: the time that `strftime_now` tells; None takes the present.

    Raises:
        MissingPackageError: jinja2 is not installed.
        TemplateRefusal: the template raised.

    Example:
        >>> render("{{ bos_token }}{{ messages[0]['content'] | trim }}", {"messages": [{"content": " Hi "}]})
        'Hi'
    """
    moment = datetime.now() if now is None else now
    try:
        text: str = _compiled(source).render(strftime_now=moment.strftime, **variables)
    except MissingPackageError:
        raise
    except Exception as err:  # a template is code that came with a model
        raise TemplateRefusal(f"{type(err).__name__}: {err}") from err
    return text


@lru_cache(maxsize=64)
def _compiled(source: str) -> Any:
    return _environment().from_string(source)


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Returns a sandbox that forbids changes of values, with the functions that templates know."""
    try:
        import jinja2.ext
        import jinja2.nodes
        import jinja2.sandbox
    except ImportError as err:
        raise MissingPackageError(f"chat templates need jinja2: {install_command('hf')}") from err

    class Generation(jinja2.ext.Extension):
        """The tag that marks the assistant's words, which adds nothing to a rendering."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            """Returns the body of the tag."""
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, Generation]
    )

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Returns JSON without the escapes for HTML that Jinja would add."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
