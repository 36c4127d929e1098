"""Encodes a rendered template, with control tokens where the template wrote them and text everywhere else."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from coolfusion._core import Tokenizer


class Controls(NamedTuple):
    """The control tokens of a tokenizer, as it reads them in a rendered template.

    Attributes:
        pattern: the pattern of the longest control token, with the white space that it eats; None without any.
        id_of_group: the id of the control token that each group of the pattern finds.
        ids: the id of each control token.
        anew: whether the text after one is read as the beginning of a text.
        texts: the ids of added tokens that are text.
    """

    pattern: re.Pattern[str] | None
    id_of_group: list[int]
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
    pattern, tokens = pattern_of({content: strips.get(content, (False, False)) for content in ids})
    texts = {content: token_id for token_id, content, control, *_ in added if not control}
    return Controls(pattern, [ids[content] for content in tokens], ids, not prefixes_once, texts)


def pattern_of(strips: Mapping[str, tuple[bool, bool]]) -> tuple[re.Pattern[str] | None, list[str]]:
    """Returns a pattern that finds the longest token with the white space that it eats, and the token of each group.

    The tokens are a tree of characters, so that a text is read once and not once for each of them.

    Args:
        strips: the tokens, and whether each eats the white space before and after.

    Complexity: O(size of the tokens). A search is O(size of the text), if no token begins or ends with white space.

    Example:
        >>> pattern, tokens = pattern_of({"<a>": (False, True), "<a>b": (False, False)})
        >>> [(hit[0], tokens[hit.lastindex - 1]) for hit in pattern.finditer("x<a>  <a>b")]
        [('<a>  ', '<a>'), ('<a>b', '<a>b')]
    """
    if not strips:
        return None, []
    groups: list[str] = []
    eaters = [content for content, (before, _) in strips.items() if before]
    if any(content[0].isspace() or content[-1].isspace() for content in strips):
        # Which of two tokens begins first is a matter of length then, and one may end inside a run of white space.
        parts = [
            (r"\s*" if strips[content][0] else "") + _tree([content], strips, groups)
            for content in sorted(strips, key=len, reverse=True)
        ]
    else:
        parts = [_tree(list(strips), strips, groups)]
        if eaters:
            # A run of white space is read from its begin alone, so once. No match ends inside a run.
            parts.append(r"(?<!\s)\s+" + _tree(eaters, strips, groups))
    return re.compile("|".join(parts)), groups


def _tree(tokens: list[str], strips: Mapping[str, tuple[bool, bool]], groups: list[str], at: int = 0) -> str:
    """Returns a pattern of the tokens from a character on, the longest first; an empty group tells which one it was."""
    prefix = os.path.commonprefix([token[at:] for token in tokens])  # noqa: RUF071 - of characters
    at += len(prefix)
    branches: dict[str, list[str]] = {}
    for token in tokens:
        branches.setdefault(token[at : at + 1], []).append(token)
    parts = [_tree(branch, strips, groups, at) for first, branch in branches.items() if first]
    if "" in branches:
        [token] = branches[""]
        groups.append(token)
        parts.append("()" + (r"\s*" if strips[token][1] else ""))
    return re.escape(prefix) + (f"(?:{'|'.join(parts)})" if len(parts) > 1 else parts[0])


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
        ids.append(controls.id_of_group[(hit.lastindex or 0) - 1])
        at, first = hit.end(), False
    return ids + _of_text(tokenizer, text[at:], guard, cut, anew=first or controls.anew)


def _of_text(tokenizer: Tokenizer, text: str, guard: str, cut: str, *, anew: bool) -> list[int]:
    ids: list[int] = []
    for part in text.replace(guard, "").split(cut):
        if part:
            ids += tokenizer.encode(part, continues=not anew)
            anew = False
    return ids
