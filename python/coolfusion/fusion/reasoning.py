"""Finds the beginning and end of a member's reasoning in the text that the member writes before its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion.judged import ids_under
from coolfusion.fusion.transcript import Transcript
from coolfusion.records import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Think:
    """The markers and the budget of the reasoning of members before they answer together.

    Each member reasons alone. All members then write and judge the answer. Each member reads its own prompt, its own
    reasoning and the common answer, and never the reasoning of another.

    Attributes:
        open: the text with which a reasoning begins; it may also stand at the end of the prompt.
        close: the text with which a reasoning ends. It is added if the budget or END comes before it.
        max_new_tokens: budget of each member's reasoning, in its own tokens.

    Raises:
        ArgumentError: an empty marker, or a budget below 1.

    Source:
        Answers fused after reasoning apart: ThinkMerge, arXiv 2512.02874. The marker that is added at the end of the
        budget: budget forcing, arXiv 2501.19393.

    Example:
        >>> Think(max_new_tokens=256).close
        '</think>'
    """

    open: str = "<think>"
    close: str = "</think>"
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        for name, value in (("open", self.open), ("close", self.close)):
            if not isinstance(value, str) or not value:
                raise ArgumentError(f"{name} must be a text of at least one character, not {value!r}")
        most = self.max_new_tokens
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ArgumentError(f"max_new_tokens of the reasoning must be a whole number of at least 1, not {most!r}")


def as_think(given: Any) -> Think | None:
    """Returns the settings of the members' reasoning, or None if they do not reason.

    Args:
        given: a `Think`, a pair of an opening and a closing marker, or None.

    Raises:
        ArgumentError: the value is none of these.

    Example:
        >>> as_think(("[THINK]", "[/THINK]")).open
        '[THINK]'
    """
    if given is None or isinstance(given, Think):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return Think(open=given[0], close=given[1])
    raise ArgumentError(f"think must be None, a pair of markers or a Think, not {given!r}")


def is_open(before: str, think: Think) -> bool:
    """Returns whether a prompt ends inside a reasoning.

    Args:
        before: the prompt.
        think: the markers.
    """
    return before.rfind(think.open) > before.rfind(think.close)


def does_not_reason(before: str, text: str, think: Think) -> bool:
    """Returns whether a member certainly answers at once, because neither its prompt nor its text opens a reasoning.

    Args:
        before: the prompt.
        text: the beginning of the member's text.
        think: the markers.

    Example:
        >>> [does_not_reason("Q:", text, Think()) for text in (" <thi", " The", " ")]
        [False, True, False]
    """
    start = text.lstrip()
    return not (is_open(before, think) or start.startswith(think.open) or think.open.startswith(start))


def reasoning_of(before: str, text: str, reason: FinishReason | None, think: Think) -> str:
    """Returns the reasoning in the text of a member, with its closing marker, or "" without a reasoning.

    Args:
        before: the prompt.
        text: the text of the member, cut before the first closing marker.
        reason: the reason why the member stopped, "stop" at the marker.
        think: the markers.

    Example:
        >>> reasoning_of("Q:", "<think>1 + 1", "length", Think()), reasoning_of("Q:", " It is 2.", "end", Think())
        ('<think>1 + 1</think>', '')
    """
    reasons = reason == "stop" or is_open(before, think) or think.open in text
    return text + think.close if reasons else ""


def reasoning_ids(transcript: Transcript, reasoning: str) -> list[int] | None:
    """Returns the ids of a reasoning under the member that wrote it, or None if its tokenizer cannot represent it.

    The member's own ids count as far as they spell it. Where a token holds text after the marker as well, and where
    the marker was added, canonical ids follow.

    Args:
        transcript: the transcript of the member's reasoning.
        reasoning: the text of the reasoning.
    """
    own, wanted, spelled = list[int](), reasoning.encode(), b""
    for token_id in transcript.ids[transcript.n_prompt :]:
        longer = spelled + transcript.member.tokenizer.token_bytes(token_id)
        if not wanted.startswith(longer):
            break
        own.append(token_id)
        spelled = longer
    if spelled == wanted:
        return own
    found = ids_under(transcript, transcript.number, reasoning, own)
    return found if isinstance(found, list) else None
