"""Reads prompts as callers give them, as a text or as ids in any usual container.

A prompt that is a text never holds a control token, because one that it spells is encoded letter by letter. For
example, a chat template that was written out (``apply_chat_template(tokenize=False)``) is not the prompt that the
model was trained on. A warning names the control tokens that a prompt spells.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.chat import chat_prompt
from coolfusion.errors import ArgumentError, CoolFusionWarning, PromptTooLongError
from coolfusion.fusion.options import Request
from coolfusion.fusion.transcript import Transcript
from coolfusion.members.member import Prompt

_CONTAINERS = "a list, a range, an array or tensor of whole numbers, or the output of a transformers tokenizer"


class Reader(NamedTuple):
    """A reader of prompts, for example the name and tokenizer of a member.

    Attributes:
        name: the name of the member, for messages.
        tokenizer: the tokenizer of the member.
    """

    name: str
    tokenizer: Tokenizer


def prompts_of(request: Request, readers: Sequence[Reader], numbers: Sequence[int]) -> tuple[list[Prompt], list[str]]:
    """Returns the prompt of each member that takes part, and notes on how a conversation was read.

    Args:
        request: the request, with a prompt or messages.
        readers: all members.
        numbers: numbers of the members that take part.

    Raises:
        ArgumentError: as `per_member`, or a chat template does not take the messages.
        MissingPackageError: a chat template needs jinja2.
    """
    if request.chat is None:
        every_prompt = per_member(request.prompt, readers)
        return [every_prompt[number] for number in numbers], []
    found = [chat_prompt(readers[number].name, readers[number].tokenizer, request.chat) for number in numbers]
    return [each.prompt for each in found], [note for each in found for note in each.notes]


def per_member(prompt: Any, readers: Sequence[Reader]) -> list[Prompt]:
    """Returns one prompt for each member, a text or a list of ids.

    Args:
        prompt: a text for all, or a tuple of a text or ids for each. One member also takes ids that are not in a tuple.
        readers: the members.

    Raises:
        ArgumentError: the prompt is none of these; the message names the member, and the position of an id.
    """
    if isinstance(prompt, str):
        return [prompt] * len(readers)
    if not isinstance(prompt, tuple) and len(readers) == 1:
        prompt = (prompt,)
    if not isinstance(prompt, tuple) or len(prompt) != len(readers):
        raise ArgumentError(
            f"a prompt must be a text, or a tuple of one text or one list of ids for each of the {len(readers)} "
            f"members, not {prompt!r:.80}"
        )
    return [
        each if isinstance(each, str) else token_ids(each, f"the prompt of member {reader.name}")
        for each, reader in zip(prompt, readers, strict=True)
    ]


def token_ids(given: Any, what: str) -> list[int]:
    """Returns the ids in a container.

    Containers are a list, tuple or range, an array (NumPy, ``array``), a tensor, an ``Encoding``, and a mapping with
    ``input_ids`` such as a ``BatchEncoding``. One row of two dimensions counts as one.

    Raises:
        ArgumentError: another container, several rows, or an item that is no whole number of at least 0.

    Example:
        ``token_ids(tokenizer("Once", return_tensors="pt"), "the prompt")``
    """
    if isinstance(given, Mapping):
        if "input_ids" not in given:
            raise ArgumentError(f"{what} is a mapping without `input_ids`: expected {_CONTAINERS}")
        given = given["input_ids"]
    given = getattr(given, "ids", given)
    given = given.tolist() if hasattr(given, "tolist") else given
    unordered = isinstance(given, str | bytes | bytearray | set | frozenset | Mapping)
    if unordered or not isinstance(given, Iterable):
        raise ArgumentError(f"{what} is {given!r:.80} of type {type(given).__name__}: expected a text, {_CONTAINERS}")
    items = list(given)
    if items and all(_is_row(item) for item in items):
        if len(items) > 1:
            raise ArgumentError(f"{what} holds {len(items)} rows of ids: expected those of one text")
        return token_ids(items[0], what)
    return [_token_id(item, position, what) for position, item in enumerate(items)]


def _is_row(item: Any) -> bool:
    return isinstance(item, list | tuple) or getattr(item, "ndim", 0) > 0


def _token_id(item: Any, position: int, what: str) -> int:
    value = item.item() if hasattr(item, "item") else item  # a number of NumPy or torch
    try:
        token_id = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        token_id = -1
    if token_id < 0:
        raise ArgumentError(f"{what} has {item!r:.40} at position {position}: expected an id, a whole number from 0 on")
    return token_id


def warn_of_spelled(prompts: Iterable[Any], readers: Sequence[Reader]) -> None:
    """Warns once for all prompts if a text spells control tokens of a member that reads it.

    Complexity: one search of each prompt for each control token.
    """
    prompts, spelling = list(prompts), []
    for number, (name, tokenizer) in enumerate(readers):
        given = (each[number : number + 1] if isinstance(each, tuple) else (each,) for each in prompts)
        texts = [text for one in given for text in one if isinstance(text, str)]
        controls = [each for each in tokenizer.control_tokens if len(each) > 1]
        spelled = [control for control in controls if any(control in text for text in texts)]
        if spelled:
            spelling.append(f"{' '.join(spelled[:5])}{' ...' if spelled[5:] else ''} of member {name}")
    if spelling:
        warn_caller(
            f"the prompt spells control tokens ({'; '.join(spelling)}), which a text cannot give: they are encoded as "
            "text. To give the control tokens themselves, pass ids for each member in a tuple, such as "
            "(tokenizer_a.apply_chat_template(messages), tokenizer_b.apply_chat_template(messages))",
        )


def check_lengths(transcripts: Sequence[Transcript], overlong: str, where: str = "") -> None:
    """Warns of members that cannot hold their prompt.

    Raises:
        PromptTooLongError: a member cannot hold its prompt, and `overlong` is "error".
    """
    for transcript in transcripts:
        member = transcript.member
        limit, kept = member.runner.max_model_len, member.kept_after_cut
        if limit is None or kept is None or transcript.n_prompt <= limit:
            continue
        what = f"the prompt has {transcript.n_prompt} tokens of member {member.name}, whose limit is {limit}"
        if overlong == "error":
            raise PromptTooLongError(what)
        what += f": only the last {kept} are read, and {transcript.n_prompt - kept} are left out"
        warn_caller(f"{where}{what}")


def warn_caller(message: str, category: type[Warning] = CoolFusionWarning) -> None:
    """Warns with the place of the first caller outside of this package."""
    depth, frame = 2, sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "coolfusion":
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=depth)
