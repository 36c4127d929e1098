"""Scores the prompts of a request (`echo`), word by word for texts and character by character for ids.

A text prompt has its words as tokens. Ids are one token each. The first character of a word has the log-probability of
the whole word. The others have 0, because they are certain once the word is known. So a sum over the characters of
a continuation is the fused log-likelihood of the continuation. For example, a word "cat" of ln p = -1.5 gives its
characters -1.5, 0 and 0. Ids of a context are null, because the context is not scored.

`top_logprobs` shows the text that the pool would write. Where that is another text, the first word that differs lists
the pool's word too. It has the log-probability 0, because a pool writes greedily and is certain of its choice.
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
    """A prompt of a completion, in two parts.

    Attributes:
        context: the first part, which is not scored.
        text: the rest, which is scored.
        ids: the ids that the client sent, or None for a text.
    """

    context: str
    text: str
    ids: tuple[int, ...] | None = None

    @property
    def whole(self) -> str:
        """The whole prompt."""
        return self.context + self.text


def given_of(prompt: str | Sequence[int], context_length: int | None) -> Given:
    """Returns a prompt, divided into its context and the text to score.

    For example, the ids of "Once" and " upon" in a row have the context "Once".

    Args:
        prompt: a text, or ids of `characters`. Of several texts in a row of ids the last is scored.
        context_length: the number of characters at the start that are not scored. None goes by the marks of the ids,
            and scores a text from its start.

    Raises:
        ArgumentError: an id is no character, or the context is longer than the prompt.
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
    """Returns the likelihood of each prompt, and the text that the pool would write in its place.

    The second is None where the pool would write the prompt's own text.

    Args:
        service: the service.
        plan: the members and options that score and write.
        givens: the prompts.
        greedy: whether the pool writes its own texts; else all of them are None.

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
    """Returns the text that the pool writes after a context, or None if it begins with the scored text."""
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
    """Adds the tokens of a prompt to columns.

    Args:
        columns: the columns.
        given: the prompt.
        likelihood: the likelihood of its text.
        instead: the text that the pool writes after the context, or None if it begins with the scored text.
    """
    words = _words(likelihood, instead)
    if given.ids is None:
        if given.context:
            columns.add(given.context, None, None)
        for word, logprob, top in words:
            columns.add(word, logprob, top)
    else:
        _add_characters(columns, given.ids, len(given.context), words)
    columns.n_given = len(columns.tokens)


_Word = tuple[str, float, dict[str, float]]


def _words(likelihood: TextLikelihood, instead: str | None) -> list[_Word]:
    """Returns the words of a text with their log-probabilities, and the pool's own word at the first difference."""
    found: list[_Word] = []
    before = ""
    for word, logprob in zip(likelihood.words, likelihood.fused, strict=True):
        top = {word: logprob}
        if instead is not None and not instead.startswith(before + word):
            written = re.match(r"\s*\S*", instead[len(before) :])
            top[written[0] if written and written[0] != word else ""] = 0.0
            instead = None  # only the first difference counts, because later words have other contexts
        found.append((word, logprob, top))
        before += word
    return found


def _add_characters(columns: Columns, ids: Sequence[int], n_context: int, words: Sequence[_Word]) -> None:
    """Adds ids that are characters. The first of each word has the log-probability of the word."""
    starts: dict[int, _Word] = {}
    at = n_context
    for word in words:
        starts[at] = word
        at += len(word[0])
    at = 0
    for token_id in ids:
        if token_id == EMPTY:
            columns.add("", None, None)
            continue
        character = chr(token_id - LAST if token_id >= LAST else token_id)
        if at < n_context:
            columns.add(character, None, None)
        elif at in starts:
            whole, logprob, top = starts[at]
            others = {text: value for text, value in top.items() if text != whole}
            columns.add(character, logprob, {character: logprob, **others})
        else:
            columns.add(character, 0.0, {character: 0.0})
        at += 1
