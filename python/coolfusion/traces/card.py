"""A small static picture of an output for notebooks, without a script and with all text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coolfusion.traces.authors import COLOURS, UNDERLINES, initials, safe

__all__ = ["card"]

MOST_SEGMENTS = 400  # a notebook keeps every output in its file


def card(
    names: Sequence[str],
    segments: Sequence[tuple[str, Sequence[int]]],
    text: str,
    finish_reason: str | None,
    error: str | None,
) -> str:
    """Returns an output as HTML.

    Args:
        names: (M,) the members' names.
        segments: the text of each step, and numbers of the members that proposed it.
        text: the text; shown without authors if a rerank chose another than that of the steps.
        finish_reason: the reason why the text ended.
        error: the error that ended the text, or None.

    Complexity: O(size of the text), at most 400 segments.

    Example:
        >>> card(["<b>"], [("a", (0,))], "a", "end", None).count("<b>")
        0
    """
    short = initials(names)
    legend = " ".join(
        f'<span style="{_style((at,))}">{escape(safe(name))}</span> ({escape(short[at])})'
        for at, name in enumerate(names)
    )
    shown = "".join(_segment(each, authors, names) for each, authors in segments[:MOST_SEGMENTS])
    if "".join(each for each, _ in segments) != text:
        shown = escape(safe(text))
    elif len(segments) > MOST_SEGMENTS:
        shown += f" <em>… {len(segments) - MOST_SEGMENTS} more segments</em>"
    ended = f"{len(segments)} steps, finish: {finish_reason}" + ("" if error is None else f", error: {error}")
    return (
        '<div style="font-family:system-ui,sans-serif;line-height:1.7;max-width:60em">'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{shown}</div>'
        f'<div style="font-size:85%;opacity:.75;margin-top:.5em">{legend} · {escape(safe(ended))}</div></div>'
    )


def _segment(text: str, authors: Sequence[int], names: Sequence[str]) -> str:
    by = "all" if len(authors) == len(names) > 1 else " and ".join(names[at] for at in authors)
    style = _style(authors)
    attributes = f' style="{style}"' if style else ""
    return f'<span{attributes} title="{escape(safe(by))}">{escape(safe(text))}</span>'


def _style(authors: Sequence[int]) -> str:
    """Returns the style of one author's text; a segment that several members proposed is plain."""
    if len(authors) != 1:
        return ""
    colour, line = COLOURS[authors[0] % len(COLOURS)], UNDERLINES[authors[0] % len(UNDERLINES)]
    return (
        f"text-decoration:underline {line} {colour} 2px;text-underline-offset:3px;"
        f"text-decoration-skip-ink:none;background:{colour}22"
    )
