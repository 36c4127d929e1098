"""Prompts for texts that stand at the beginning of a document."""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.errors import EmptyPromptError
from coolfusion.members.member import Member

__all__ = ["prompt_of", "start_ids"]


def start_ids(member: Member) -> list[int]:
    """Returns the ids after which a member begins a document: its prefix, or else its BOS, or else its END.

    Args:
        member: the member.

    Raises:
        EmptyPromptError: it has none of them.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [len(start_ids(member)) for member in fusion().members]
        [1, 1, 1]
    """
    tokenizer = member.tokenizer
    known = [each for each in (tokenizer.bos_id, tokenizer.eos_id, *member.runner.eos_token_ids) if each is not None]
    ids = list(member.prefix_ids) or known[:1]
    if not ids:
        raise EmptyPromptError(f"member {member.name} has neither a prefix nor BOS nor END to begin a text with")
    return ids


def prompt_of(members: Sequence[Member], context: str) -> str | tuple[list[int], ...]:
    """Returns a context as a prompt for all members; one that is empty becomes the start of a document for each.

    Args:
        members: the members.
        context: the text before the text that is scored or written.

    Raises:
        EmptyPromptError: the context is empty and a member has nothing to begin a text with.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> prompt_of(fusion().members, "Once")
        'Once'
    """
    return context or tuple(start_ids(member) for member in members)
