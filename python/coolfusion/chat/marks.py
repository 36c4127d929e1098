"""Marks in callers' texts, so that a control token in a rendered text is certainly one that the template wrote.

A mark is a character that stands in no text and in no template. `Marker.marked` puts one

- inside each control token that a text spells, after its first character, and
- at an end of a text that could complete a control token together with text of the template.

So an occurrence of a control token without a mark holds no character of a text. The exception is a text that lies
inside it as a whole, as a role does. Marks are no white space, and the ends are those without white space, so that
`trim` leaves them. A rendering with marks is believed only if it equals, without them, the rendering of the texts as
they are. Tokens of the vocabulary that are text, but which the template writes as structure, are cut in the same way
by a second mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

# Noncharacters of Unicode, which are not for interchange: guards, cuts, and the end of the last message.
_FIRST, _LAST = 0xFDD0, 0xFDEF


def free_characters(count: int, *texts: str) -> list[str]:
    """Returns noncharacters that stand in none of some texts.

    Args:
        count: number of characters.
        texts: the texts.

    Returns:
        fewer than `count` where the texts hold nearly all of them.
    """
    used = set().union(*map(set, texts))
    return [chr(code) for code in range(_FIRST, _LAST + 1) if chr(code) not in used][:count]


def texts_in(value: Any) -> Iterable[str]:
    """Yields all texts of a plain value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield name
            yield from texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_in(each)


@lru_cache(maxsize=64)
def _alternatives(tokens: tuple[str, ...]) -> re.Pattern[str] | None:
    """Returns a pattern that matches the longest of some tokens, or None without tokens."""
    ordered = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


class Marker:
    """A marker of the places at which a text must not become a control token.

    Args:
        controls: the control tokens.
        written: tokens that are text, and which the template writes as structure.
        guard: the mark that breaks a control token.
        cut: the mark at which a token of `written` is cut.
    """

    def __init__(self, controls: Sequence[str], written: Sequence[str], guard: str, cut: str) -> None:
        self._controls, self._written = tuple(controls), tuple(written)
        self._guard, self._cut = guard, cut
        self._beginnings = {token[:n] for token in controls for n in range(1, len(token))}
        self._endings = {token[n:] for token in controls for n in range(1, len(token))}
        self._longest = max(map(len, controls), default=0)

    def __repr__(self) -> str:
        return f"Marker({len(self._controls)} controls, {len(self._written)} others)"

    def marked(self, text: str, *, cuts: bool = True) -> str:
        """Returns a text with marks, of which most texts need none.

        Args:
            text: the text.
            cuts: whether tokens that are text are cut too.

        Complexity: O(text * longest control token).
        """
        marks: dict[int, str] = {}
        _inside(text, self._controls, self._guard, marks)
        if cuts:  # a cut breaks a control token too
            _inside(text, self._written, self._cut, marks)
        core = text.strip()
        start = len(text) - len(text.lstrip())
        for end in {len(text), start + len(core)} if core else ():
            if any(text[max(0, end - n) : end] in self._beginnings for n in range(1, self._longest)):
                marks.setdefault(end, self._guard)
        for begin in {0, start} if core else ():
            if any(text[begin : begin + n] in self._endings for n in range(1, self._longest)):
                marks.setdefault(begin, self._guard)
        if not marks:
            return text
        pieces, before = [], 0
        for at in sorted(marks):
            pieces += [text[before:at], marks[at]]
            before = at
        return "".join([*pieces, text[before:]])

    def marked_value(self, value: Any, *, cuts: bool = True, kept: Sequence[str] = ()) -> Any:
        """Returns a plain value with marks in all its texts and names of fields.

        Args:
            value: the value.
            cuts: whether tokens that are text are cut too.
            kept: fields that are left as they are.
        """
        if isinstance(value, str):
            return self.marked(value, cuts=cuts)
        if isinstance(value, Mapping):
            return {
                self.marked(name, cuts=cuts): each if name in kept else self.marked_value(each, cuts=cuts)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.marked_value(each, cuts=cuts) for each in value]
        return value


def _inside(text: str, tokens: tuple[str, ...], mark: str, marks: dict[int, str]) -> None:
    """Notes a mark after the first character of each occurrence, overlapping ones included."""
    for token in tokens if len(tokens) < 32 else _spelled(text, tokens):
        at = text.find(token)
        while at >= 0:
            marks[at + 1] = mark
            at = text.find(token, at + 1)


def _spelled(text: str, tokens: tuple[str, ...]) -> list[str]:
    """Returns the tokens of a long list that a text may spell, or none if it spells none at all."""
    pattern = _alternatives(tokens)
    return [token for token in tokens if token in text] if pattern is not None and pattern.search(text) else []
