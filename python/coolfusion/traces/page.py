"""Traces as one page of HTML that needs no network, with text in the colours of its authors and steps on a click.

The page may load nothing and run nothing but its own script, which its Content-Security-Policy names by digest. Data is
JSON in it, and the script makes text nodes of data, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.records import MemberOutput, Step
from coolfusion.traces.authors import COLOURS, DARK_COLOURS, initials, safe
from coolfusion.traces.plain import to_plain
from coolfusion.traces.reader import Trace

__all__ = ["page_of", "prompts_of", "write_page"]

_PLACE = re.compile("@([A-Z]+)@")
_SHORTER = {"token_ids", "forced", "whole"}  # fields of candidates that the page does not show


def write_page(path: str | Path, traces: Sequence[Trace]) -> None:
    """Writes a page with some texts.

    Args:
        path: the file; an old one is replaced.
        traces: the texts, at least one.

    Raises:
        ArgumentError: there is no text, or the file cannot be written.
    """
    page = page_of(traces)
    try:
        Path(path).write_text(page, encoding="utf-8", newline="\n")
    except OSError as err:
        raise ArgumentError(f"{path}: cannot be written ({err.strerror}); expected a place for a page") from err


def page_of(traces: Sequence[Trace]) -> str:
    """Returns a page with some texts.

    Args:
        traces: the texts, at least one.

    Raises:
        ArgumentError: there is none.

    Complexity: O(size of the traces).

    Example:
        >>> from coolfusion.records import Output
        >>> page_of([Trace("0.1.0", ("</script>",), Output("a", (), "end", ()))]).count("</script>")
        2
    """
    traces = [choice for trace in traces for choice in trace.choices]
    if not traces:
        raise ArgumentError("no texts to show; expected at least one trace")
    # In JSON these characters stand only inside texts, where an escape has the same meaning.
    data = json.dumps({"texts": [_plain(each) for each in traces]}, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    style = _filled(_asset("page.css"), {"LIGHT": _variables(COLOURS), "DARK": _variables(DARK_COLOURS)})
    script = _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    start = prompts_of(traces[0])[-1][1] + traces[0].output.text
    title = escape(f"{safe(start)[:60]} · coolfusion trace")
    parts = {"POLICY": policy, "TITLE": title, "STYLE": style, "DATA": data, "SCRIPT": script}
    return _filled(_asset("page.html"), parts)


def prompts_of(trace: Trace) -> list[tuple[str, str]]:
    """Returns pairs of a speaker and its words before the text.

    A speaker is the role of a message or the name of a member, and "" stands for all members.

    Args:
        trace: the text.

    Example:
        >>> from coolfusion.records import Origin, Output
        >>> prompts_of(Trace("0", ("a", "b"), Output("", (), "end", (), origin=Origin(("x", None), "paper"))))
        [('a', 'x'), ('b', '(given as ids)')]
    """
    origin = trace.output.origin
    if origin is None:
        return [("", "")]
    if origin.messages is not None:
        return [(str(each.get("role")), _said(each)) for each in origin.messages]
    if isinstance(origin.prompt, str):
        return [("", origin.prompt)]
    told = ["(given as ids)" if each is None else each for each in origin.prompt or ()]
    return [("", told[0])] if len(set(told)) == 1 else list(zip(trace.names, told, strict=False)) or [("", "")]


def _said(message: Mapping[str, Any]) -> str:
    """Returns the content of a message, as JSON for a call of tools."""
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(to_plain(message.get("tool_calls")), ensure_ascii=False)


def _plain(trace: Trace) -> dict[str, Any]:
    """Returns the values of a text that the script shows."""
    output, origin = trace.output, trace.output.origin
    names = [safe(name) for name in trace.names]
    chosen = None
    if output.author != "fusion":
        chosen = (
            f"A rerank chose the text that {names[output.author]} wrote alone; below are the steps of the fused one."
        )
    return {
        "coolfusion": safe(trace.coolfusion),
        "members": names,
        "initials": initials(names),
        "prompts": [(safe(name), safe(text)) for name, text in prompts_of(trace)],
        "rule": None if origin is None else safe(origin.rule),
        "finish": output.finish_reason,
        "error": None if output.error is None else f"Error: {safe(output.error)}",
        "problem": None if trace.problem is None else safe(trace.problem),
        "chosen": chosen,
        "notes": [safe(note) for note in output.notes],
        "seconds": trace.seconds,
        "costs": [_cost(member) for member in output.members],
        "steps": [_step(step) for step in output.steps],
    }


def _cost(member: MemberOutput) -> str:
    return f"{safe(member.name)}: {len(member.token_ids)} tokens, {member.forward_passes} passes"


def _step(step: Step) -> dict[str, Any]:
    plain = to_plain(step)
    shown = [{name: each[name] for name in each if name not in _SHORTER} for each in plain["candidates"]]
    return {
        **plain,
        "text": safe(step.text),
        "candidates": _safe(shown),
        "rejected": _safe(plain["rejected"]),
        "overridden": step.overridden,
    }


def _safe(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns plain values in which all texts are safe to show."""
    return [{name: safe(each) if isinstance(each, str) else each for name, each in row.items()} for row in rows]


def _asset(name: str) -> str:
    return (files("coolfusion.traces") / "assets" / name).read_text(encoding="utf-8")


def _variables(colours: Sequence[str]) -> str:
    return " ".join(f"--m{at}: {colour};" for at, colour in enumerate(colours))


def _filled(template: str, parts: dict[str, str]) -> str:
    """Returns a template with its places filled, in one pass, so that no place inside a filled-in text counts."""
    return _PLACE.sub(lambda place: parts[place[1]], template)


def _digest(source: str) -> str:
    """Returns the source expression of a Content-Security-Policy for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
