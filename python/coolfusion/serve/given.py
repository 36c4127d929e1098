"""Prompts that are given to be scored (`echo`): their words, and ids that are one character each.

A text prompt has its words as tokens. Ids are one token each: the first character of a word has the log-probability of
the whole word, and the others have 0, because they are certain once the word is known. So a sum over the characters of
a continuation is the fused log-likelihood of the continuation. Ids of a context are null: the context is not scored.

`top_logprobs` tells what the pool itself would write. Where that is another text, the first token that differs lists
the pool's text beside its own, with the log-probability 0, because a pool writes greedily and is certain of its choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from coolfusion.errors import ArgumentError
from coolfusion.evaluation.likelihood import TextLikelihood, is_written, plan_texts, weights_of
from coolfusion.evaluation.prompts import prompt_of
from coolfusion.evaluation.score_request import enter_scores
from coolfusion.fusion.selection import as_rule
from coolfusion.records import Output
from coolfusion.serve.characters import EMPTY, LAST, texts_of
from coolfusion.serve.segments import Columns
from coolfusion.serve.service import Plan, Service
from coolfusion.serve.writing import written

__all__ = ["Given", "fill", "given_of", "score"]


class Given(NamedTuple):
    """A prompt of a completion.

    Attributes:
        context: the part that is not scored.
        text: the part that is.
        ids: the ids that the client sent, or None for a text.
    """

    context: str
    text: str
    ids: tuple[int, ...] | None = None

    @property
    def whole(self) -> str:
        """The prompt."""
        return self.context + self.text


def given_of(prompt: str | Sequence[int], context_length: int | None) -> Given:
    """Returns a prompt in its parts.

    Args:
        prompt: a text, or ids of `characters`; the last of several texts in a row of ids is scored.
        context_length: characters at the start that are not scored; None leaves it to the ids.

    Raises:
        ArgumentError: ids that are none, or a context that is longer than the prompt.
    """
    ids = None if isinstance(prompt, str) else tuple(prompt)
    parts = [prompt] if isinstance(prompt, str) else texts_of(prompt)
    whole, at = "".join(parts), len("".join(parts[:-1]))
    if context_length is not None:
        if context_length > len(whole):
            raise ArgumentError(f"context_length is {context_length}, and the prompt has {len(whole)} characters")
        at = context_length
    return Given(whole[:at], whole[at:], ids)


async def score(
    service: Service, plan: Plan, givens: Sequence[Given], *, greedy: bool
) -> list[tuple[TextLikelihood, str | None]]:
    """Returns for each prompt its likelihood, and what the pool would write instead; None where it would write it.

    Args:
        service: the service.
        plan: how texts are written, and by whom.
        givens: the prompts.
        greedy: whether to ask what the pool would write; else all are None.

    Raises:
        CoolFusionError: a member cannot say a text.
    """
    fusion, members = service.fusion, plan.members
    rule = plan.engine_options.get("rule")
    weights = weights_of(fusion.rule if rule is None else as_rule(rule))
    pairs = [(prompt_of(fusion.members, given.context), given.text) for given in givens]

    def read() -> Any:
        return plan_texts(fusion, pairs, weights=weights, members=members, greedy=greedy)

    plan_of_texts = await service.aside(read)

    def enter() -> Any:
        return enter_scores(fusion.engine, plan_of_texts.numbers, plan_of_texts.asked)

    with service.runner.enter(enter, service.settings.timeout) as batch:
        await batch.finished()
        requests: list[Any] = [entry.running for entry in batch.entries]
    for request in requests:
        service.metrics.note_costs(request.costs)
    found = await service.aside(plan_of_texts.fused, requests)
    others: list[str | None] = [None] * len(givens)
    if greedy:
        for at, (pair, likelihood) in enumerate(zip(pairs, found, strict=True)):
            if not (len(members) == 1 and likelihood.greedy[0]):
                others[at] = await _instead(service, plan, pair, likelihood)
    return list(zip(found, others, strict=True))


async def _instead(service: Service, plan: Plan, pair: tuple[Any, str], likelihood: TextLikelihood) -> str | None:
    """Returns what the pool writes after a context; None if that begins with the text."""
    context, text = pair
    budget = max(1, *likelihood.n_tokens)
    alone = plan._replace(request_options={})
    while True:
        async with written(service, alone, [context], 1, budget) as writing:
            await writing.finished()
            output: Output = writing.entries[0].running.output
        answer = is_written(text, output)
        if answer is not None:
            return None if answer else output.text
        budget *= 2


def fill(columns: Columns, given: Given, likelihood: TextLikelihood, instead: str | None) -> None:
    """Adds the tokens of a prompt.

    Args:
        columns: where they are added.
        given: the prompt.
        likelihood: of its text.
        instead: what the pool writes after the context, or None if that begins with the text.
    """
    tokens = _words(given, likelihood) if given.ids is None else _characters(given, likelihood)
    at = 0  # in the text after the context
    for token, logprob in tokens:
        top = None
        if logprob is not None:
            top = {token: logprob}
            if instead is not None and not instead.startswith(given.text[: at + len(token)]):
                other, instead = _next(instead[at:], token), None
                top[other] = 0.0
            at += len(token)
        columns.add(token, logprob, top)
    columns.n_given = len(columns.tokens)


def _next(rest: str, token: str) -> str:
    """Returns the beginning of a text that stands in the place of a token; "" for END."""
    if len(token) == 1:
        return rest[:1]
    found = re.match(r"\s*\S*", rest)
    return found[0] if found else ""


def _words(given: Given, likelihood: TextLikelihood) -> list[tuple[str, float | None]]:
    context: list[tuple[str, float | None]] = [(given.context, None)] if given.context else []
    return [*context, *zip(likelihood.words, likelihood.fused, strict=True)]


def _characters(given: Given, likelihood: TextLikelihood) -> list[tuple[str, float | None]]:
    assert given.ids is not None
    starts: dict[int, float] = {}
    at = len(given.context)
    for word, logprob in zip(likelihood.words, likelihood.fused, strict=True):
        starts[at] = logprob
        at += len(word)
    found: list[tuple[str, float | None]] = []
    at = 0
    for token_id in given.ids:
        if token_id == EMPTY:
            found.append(("", None))
            continue
        character = chr(token_id - LAST if token_id >= LAST else token_id)
        found.append((character, None if at < len(given.context) else starts.get(at, 0.0)))
        at += 1
    return found
