"""How texts are begun: what is refused before anything is read, and what is warned of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from coolfusion.errors import ArgumentError, CoolFusionError, CoolFusionWarning, PromptTooLongError
from coolfusion.generation import Generation, Plan
from coolfusion.member import Member, Prompt

OneText = str | tuple[Prompt, ...]


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
    opened: list[Generation | CoolFusionError] = []
    for number, own in enumerate([_prompts(prompt, len(members)) for prompt in prompts]):
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


def _prompts(prompt: Any, count: int) -> list[Prompt]:
    """One prompt for each member.

    Raises:
        ArgumentError: not a text, and not one prompt for each member.
    """
    if isinstance(prompt, str):
        return [prompt] * count
    prompts = list(prompt) if isinstance(prompt, tuple) else []
    if len(prompts) != count or any(not isinstance(each, str | list | tuple) for each in prompts):
        raise ArgumentError(
            f"a prompt must be a text, or a tuple of one text or list of ids for each of the {count} members, "
            f"not {prompt!r:.80}"
        )
    return prompts
