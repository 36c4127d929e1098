"""How texts are begun: what is refused before anything is read, and what is warned of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from coolfusion.errors import CoolFusionError, CoolFusionWarning, PromptTooLongError
from coolfusion.generation import Generation, Plan
from coolfusion.member import Member
from coolfusion.prompts import Reader, per_member

OneText = str | tuple[Any, ...]


def open_texts(
    members: Sequence[Member],
    prompts: Sequence[OneText],
    plan: Plan,
    contexts: list[tuple[Any, ...]],
    *,
    first: int | None,
) -> list[Generation | CoolFusionError]:
    """Texts that are written in step, or why one cannot be begun.

    Args:
        members: who writes.
        prompts: of the texts.
        plan: how they are written.
        contexts: rows of one context of each member; each text takes the first row away.
        first: the number of the first prompt, for messages; None if there is only one.

    Raises:
        ArgumentError: what stands for a prompt is none.
    """
    readers = [Reader(member.name, member.tokenizer) for member in members]
    opened: list[Generation | CoolFusionError] = []
    for number, own in enumerate([per_member(prompt, readers) for prompt in prompts]):
        where = "" if first is None else f"prompt {first + number}: "
        try:
            generation = Generation(members, own, plan, contexts[0])
            contexts.pop(0)
            try:
                _check_lengths(generation, where)
            except PromptTooLongError:
                generation.close()
                raise
            opened.append(generation)
        except CoolFusionError as err:
            found = type(err)(f"{where}{err}") if where else err
            found.__cause__ = err if where else err.__cause__
            opened.append(found)
    return opened


def _check_lengths(generation: Generation, where: str) -> None:
    """Warns of members that cannot hold their prompt.

    Raises:
        PromptTooLongError: one cannot, and it is not to be cut.
    """
    for state in generation.states:
        limit, name = state.member.runner.limit, state.member.name
        if limit is None or state.n_prompt <= limit:
            continue
        what = f"the prompt has {state.n_prompt} tokens of member {name}, whose limit is {limit}"
        if generation.plan.overlong == "error":
            raise PromptTooLongError(what)
        kept = state.kept_after_cut
        what += f": only the last {kept} are read, and {state.n_prompt - kept} are left out"
        warnings.warn(f"{where}{what}", CoolFusionWarning, stacklevel=4)
