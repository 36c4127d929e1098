"""Makes the state machine of a request, for a fused text, a rerank, or either of them after members' reasoning."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

from coolfusion.fusion.choices import ChoicesRequest
from coolfusion.fusion.options import Request, Settings
from coolfusion.fusion.prompts import check_lengths
from coolfusion.fusion.reasoning import as_think
from coolfusion.fusion.request import FusionRequest
from coolfusion.fusion.rerank import RerankRequest
from coolfusion.fusion.rerank_options import as_rerank
from coolfusion.fusion.running import Running
from coolfusion.fusion.thinking import ThinkingRequest
from coolfusion.members.member import Member, Prompt

Numbered = tuple[int, Member]
_REASONING = 1 << 64


def open_request(
    request: Request,
    members: Sequence[Numbered],
    prompts: Sequence[Prompt],
    settings: Settings,
    numbers: Iterator[int],
    where: str = "",
    notes: Sequence[str] = (),
) -> Running:
    """Returns the state machine of a request, before any command is sent.

    Args:
        request: the request.
        members: the members that write it, and their numbers in the executor.
        prompts: one prompt for each of these members.
        settings: the settings of the fusion.
        numbers: the numbers of new sessions.
        where: the text before messages that names the prompt.
        notes: the notes of the output.

    Raises:
        CoolFusionError: a member cannot begin with its prompt.
    """
    if request.temperature > 0.0 and request.seed is None:
        request = replace(request, seed=secrets.randbits(48))
    if request.n > 1:
        own = [replace(request, n=1, seed=None if request.seed is None else request.seed + k) for k in range(request.n)]
        texts = [open_request(each, members, prompts, settings, numbers, where, notes) for each in own]
        return ChoicesRequest(request, texts)
    rerank, think = as_rerank(request.rerank), as_think(request.think)
    # The sessions of an answer are known before its prompts are.
    n_sessions = 1 if rerank is None else 1 + len(members) + 1 + rerank.samples
    sessions = [next(numbers) for _ in range(n_sessions)]

    def alone(session: int, at: int, own: Request, prompt: Prompt) -> FusionRequest:
        return FusionRequest(session, [members[at]], [prompt], own, settings)

    def answer(given: Sequence[Prompt]) -> Running:
        text = FusionRequest(sessions[0], members, given, request, settings, notes)
        check_lengths(text.transcripts, request.overlong, where)
        if rerank is None:
            return text
        own = [alone(sessions[1 + at], at, request, prompt) for at, prompt in enumerate(given)]
        judgement, *rounds = sessions[1 + len(members) :]
        return RerankRequest(judgement, text, own, rerank, rounds)

    if think is None:
        return answer(prompts)
    reasoning = replace(
        request,
        max_new_tokens=think.max_new_tokens,
        stop_strings=think.close,
        rerank=False,
        think=None,
        whole_prompt=False,
        # Random numbers of its own, so that the answer does not depend on the draws of the reasoning.
        seed=None if request.seed is None else request.seed + _REASONING,
    )
    reasonings = [alone(next(numbers), at, reasoning, prompt) for at, prompt in enumerate(prompts)]
    check_lengths([each.transcripts[0] for each in reasonings], request.overlong, where)
    return ThinkingRequest(request, think, reasonings, sessions, answer)
