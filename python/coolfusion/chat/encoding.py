"""From a rendered template to ids: control tokens where the template wrote them, and text everywhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.errors import TransferError


class Controls(NamedTuple):
    """How a tokenizer reads the control tokens of a rendered template.

    Attributes:
        pattern: finds the longest control token, with the white space that it eats; None without any.
        ids: of each control token.
        anew: whether the text after one is read as the beginning of a text.
        texts: added tokens that are text, and their ids.
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
    # A mark cannot part a single character, so one is always text in a conversation.
    ids = {content: token_id for content, token_id in tokenizer.control_tokens.items() if len(content) > 1}
    definition = _definition(tokenizer)
    flags = {each.get("content"): each for each in definition.get("added_tokens") or ()}
    parts = []
    for content in sorted(ids, key=len, reverse=True):
        own = flags.get(content, {})
        before, after = (r"\s*" if own.get(name) else "" for name in ("lstrip", "rstrip"))
        parts.append(f"{before}({re.escape(content)}){after}" if before or after else f"({re.escape(content)})")
    pattern = re.compile("|".join(parts)) if parts else None
    texts = {}
    for content in tokenizer.describe()["added_text_tokens"]:
        token_id = flags.get(content, {}).get("id")
        if isinstance(token_id, int) and token_id < tokenizer.vocab_size:
            texts[content] = token_id
    return Controls(pattern, ids, not _first_only(definition.get("pre_tokenizer")), texts)


def encoded(tokenizer: Tokenizer, text: str, guard: str, cut: str) -> list[int]:
    """Returns the ids of a rendered text.

    Args:
        tokenizer: the member's.
        text: the text, with marks.
        guard: a mark that is left out.
        cut: a mark at which the text is encoded in two parts.
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


def _definition(tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns the definition of a tokenizer, {} of one around an object.

    A pickled tokenizer begins with its tokenizer.json and the length of that, in eight bytes.
    """
    try:
        reduced: Any = tokenizer.__reduce__()
    except TransferError:  # an object that cannot be pickled
        return {}
    make, arguments, *_ = reduced
    if getattr(make, "__name__", "") != "_tokenizer":
        return {}
    state: bytes = arguments[0]
    found: dict[str, Any] = json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])
    return found


def _first_only(stage: Any) -> bool:
    """Returns whether a pre-tokenizer puts a space before the first section of a text alone."""
    if not isinstance(stage, dict):
        return False
    inner: Sequence[Any] = stage.get("pretokenizers") or ()
    return stage.get("prepend_scheme") == "first" or any(_first_only(each) for each in inner)
