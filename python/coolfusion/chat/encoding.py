"""Encodes a rendered template, with control tokens where the template wrote them and text everywhere else."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from coolfusion._core import Tokenizer


class Controls(NamedTuple):
    """The control tokens of a tokenizer, as it reads them in a rendered template.

    Attributes:
        pattern: the pattern of the longest control token, with the white space that it eats; None without any.
        ids: the id of each control token.
        anew: whether the text after one is read as the beginning of a text.
        texts: the ids of added tokens that are text.
    """

    pattern: re.Pattern[str] | None
    ids: dict[str, int]
    anew: bool
    texts: dict[str, int]


@lru_cache(maxsize=64)
def controls_of(tokenizer: Tokenizer) -> Controls:
    """Returns the control tokens of a tokenizer with the flags of its definition.

    Complexity: O(definition), once for each tokenizer.
    """
    # A mark cannot part a single character, so a token of one character is always text in a conversation.
    ids = {content: token_id for content, token_id in tokenizer.control_tokens.items() if len(content) > 1}
    added, prefixes_once = tokenizer._sections()
    strips = {content: (lstrip, rstrip) for _, content, _, lstrip, rstrip in added}
    parts = []
    for content in sorted(ids, key=len, reverse=True):
        before, after = (r"\s*" if each else "" for each in strips.get(content, (False, False)))
        parts.append(f"{before}({re.escape(content)}){after}" if before or after else f"({re.escape(content)})")
    pattern = re.compile("|".join(parts)) if parts else None
    texts = {content: token_id for token_id, content, control, *_ in added if not control}
    return Controls(pattern, ids, not prefixes_once, texts)


def encoded(tokenizer: Tokenizer, text: str, guard: str, cut: str) -> list[int]:
    """Returns the ids of a rendered text.

    Args:
        tokenizer: the tokenizer of the member.
        text: the text, with marks.
        guard: the mark that is left out.
        cut: the mark at which the text is encoded in two parts.
    """
    controls = controls_of(tokenizer)
    ids: list[int] = []
    at, first = 0, True
    for hit in controls.pattern.finditer(text) if controls.pattern is not None else ():
        ids += _of_text(tokenizer, text[at : hit.start()], guard, cut, anew=first or controls.anew)
        ids.append(controls.ids[hit[hit.lastindex or 0]])
        at, first = hit.end(), False
    return ids + _of_text(tokenizer, text[at:], guard, cut, anew=first or controls.anew)


def _of_text(tokenizer: Tokenizer, text: str, guard: str, cut: str, *, anew: bool) -> list[int]:
    ids: list[int] = []
    for part in text.replace(guard, "").split(cut):
        if part:
            ids += tokenizer.encode(part, continues=not anew)
            anew = False
    return ids
