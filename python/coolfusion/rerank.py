"""Rerank: the paper's Cool+R. Every member also writes alone, and all judge all k + 1 whole continuations.

The rule is the one of the steps, by default the mean over members of the perplexity, over the whole continuation.
Ids under a member: the author's own where they say exactly the text, the committed ones for the fused text, canonical
ids otherwise. A continuation that its author ended carries END as one more event, so that stopping in the middle of
a sentence has its price; one that was cut (budget, stop string) does not. Ties go to the bytewise smaller text, then
to the fused one. Definitions: docs/design.md, "rerank".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coolfusion.crew import Turn
from coolfusion.errors import CoolFusionError, UnrepresentableTextError
from coolfusion.generation import Generation
from coolfusion.member import Member, MemberState, Need, Task
from coolfusion.models.base import Context, Path
from coolfusion.records import Author, Continuation, MemberOutput, Output, Rejection, Score
from coolfusion.schedule import Order, Phases
from coolfusion.scoring import total
from coolfusion.selection import select

# Tokens of continuations whose logits are held at a time: with 128K rows of 2 bytes, 128 MB.
TOKENS_AT_A_TIME = 512


class Judge(NamedTuple):
    """A member that scores whole continuations behind a prompt."""

    member: Member
    context: Context
    prompt_ids: list[int]


def write_and_rerank(
    generations: Sequence[Generation], contexts: Sequence[Sequence[Context]]
) -> tuple[list[Output], list[CoolFusionError | None]]:
    """Write texts, let each member write alone under the same prompts, budgets and stop strings, and choose.

    Args:
        generations: of one fusion, not begun.
        contexts: for each generation at least one more of each member, which shares passes with it: the members' own
            texts are written in step with the fused one.

    Returns:
        for each the fused output with the chosen text, its finish reason and author, and all continuations, and the
        error that ended it or None. If none of the continuations can be judged, the fused text stays. `steps` and
        `members` remain those of the fused text.

    Complexity: the members' own texts share the passes of the fused ones; then, under each member, one pass over the
        prompt and one over all continuations, more where they are long.
    """
    if not generations:
        return [], []
    alone = [_alone(generation, row) for generation, row in zip(generations, contexts, strict=False)]
    crew = generations[0].plan.crew
    everyone = [each for own, generation in zip(alone, generations, strict=True) for each in (generation, *own)]
    crew.run([generation.all_steps() for generation in everyone])
    outputs: list[Output] = []
    errors: list[CoolFusionError | None] = []
    turns = [_reranked(generation, own) for generation, own in zip(generations, alone, strict=True)]
    for generation, result in zip(generations, crew.run(turns), strict=True):
        if isinstance(result, CoolFusionError):
            result.partial = generation.output
            outputs.append(generation.output)
            errors.append(result)
        else:
            outputs.append(result)
            errors.append(None)
    return outputs, errors


def _alone(generation: Generation, contexts: Sequence[Context]) -> list[Generation]:
    """Each member's own text: a fusion of this member alone."""
    return [
        Generation([state.member], [prompt], generation.plan, [context])
        for state, prompt, context in zip(generation.states, generation.prompts, contexts, strict=True)
    ]


def _reranked(generation: Generation, alone: Sequence[Generation]) -> Turn[Output]:
    """The turn that judges the continuations of one prompt.

    Raises:
        CoolFusionError: what ended the fused text or, under "stop", a member's own.
    """
    fused = generation.output
    for each in (generation, *alone):
        if each.error is not None and (each is generation or generation.plan.on_failure == "stop"):
            raise each.error
    authors: list[tuple[Author, Output]] = [("fusion", fused)]
    authors += [(number, each.output) for number, each in enumerate(alone) if each.error is None]
    judged = [_open(generation, author, written) for author, written in authors]
    continuations = yield from _score_all(generation, judged)
    best, continuations = _choose(generation, continuations)
    return replace(
        fused, text=best.text, finish_reason=best.finish_reason, author=best.author, continuations=tuple(continuations)
    )


class _Judged(NamedTuple):
    """A continuation, and under each member the ids that are scored."""

    continuation: Continuation
    ids: tuple[list[int], ...]


def _open(generation: Generation, author: Author, written: Output) -> _Judged:
    """A continuation before it is scored; without ids where some member cannot say it."""
    reason = written.finish_reason or "length"
    if not written.text and reason != "end":
        refusal = Rejection("", (), 0, "empty", "nothing was written, and nothing says that it ends here")
        return _Judged(Continuation(author, "", reason, rejected=refusal), ())
    ids = []
    for state in generation.states:
        found = _ids_under(state, author, written.text, _own_ids(state, author, written.members))
        if isinstance(found, Rejection):
            return _Judged(Continuation(author, written.text, reason, rejected=found), ())
        ids.append(found)
    return _Judged(Continuation(author, written.text, reason), tuple(ids))


def _score_all(generation: Generation, judged: list[_Judged]) -> Phases:
    """The same continuations with their scores; under a lost member they are nan."""
    scored = [each for each in judged if each.continuation.rejected is None]
    states = [state for state in generation.states if state.failed is None]
    judges = [Judge(state.member, state.member.runner.open(1)[0], state.ids[: state.n_prompt]) for state in states]
    ended = [each.continuation.finish_reason == "end" for each in scored]
    answers = yield [
        Order(judge, _score_whole(judge, list(zip([each.ids[state.number] for each in scored], ended, strict=True))))
        for judge, state in zip(judges, states, strict=True)
    ]
    generation.plan.crew.close([judge.member for judge in judges], [judge.context for judge in judges])
    columns: dict[int, list[tuple[float, int, int]]] = {}
    for state, answer in zip(states, answers, strict=True):
        if isinstance(answer, CoolFusionError):
            if generation.plan.on_failure == "stop":
                raise answer
            state.lose(answer)
        else:
            columns[state.number] = answer
    found = iter(range(len(scored)))
    return [
        each.continuation
        if each.continuation.rejected
        else _with_scores(generation, each.continuation, columns, next(found))
        for each in judged
    ]


def _with_scores(
    generation: Generation, continuation: Continuation, columns: dict[int, list[tuple[float, int, int]]], at: int
) -> Continuation:
    n_bytes = len(continuation.text.encode())
    rows = [columns[state.number][at] if state.number in columns else (math.nan, 0, 0) for state in generation.states]
    scores = tuple(Score(logprob, n_tokens, n_bytes) for logprob, n_tokens, _ in rows)
    return replace(continuation, scores=scores, context_cuts=tuple(cuts for _, _, cuts in rows))


def _score_whole(judge: Judge, texts: Sequence[tuple[list[int], bool]]) -> Task[list[tuple[float, int, int]]]:
    """Sum of ln p, number of tokens and number of context cuts of whole continuations; END is a token more.

    All that fit behind the prompt are read in one pass. A longer one is read in parts: where the limit is reached,
    the newest half of it is kept as context, as in a generation.
    """
    runner, context, prompt = judge.member.runner, judge.context, judge.prompt_ids
    runner.banned = judge.member.banned
    limit = runner.limit
    found: list[tuple[float, int, int]] = [(0.0, 0, 0)] * len(texts)
    short = [at for at, (ids, _) in enumerate(texts) if limit is None or len(prompt) + len(ids) <= limit]
    if short:
        yield Need(context, (), prompt)
        together = runner.packs and sum(len(texts[at][0]) for at in short) <= TOKENS_AT_A_TIME
        for group in [short] if together else [[at] for at in short]:
            context.clear()
            paths = [tuple(ids) if ended else tuple(ids[:-1]) for ids, ended in (texts[at] for at in group)]
            if not all(map(context.is_known, paths)):
                yield Need(context, tuple(paths))
            for at in group:
                found[at] = _sum(judge, tuple(texts[at][0]), [], texts[at][1], 0)
    for at, (ids, ended) in enumerate(texts):
        if at not in short:
            found[at] = yield from _score_in_parts(judge, ids, ended)
    return found


def _score_in_parts(judge: Judge, ids: list[int], ended: bool) -> Task[tuple[float, int, int]]:
    limit = judge.member.runner.limit
    assert limit is not None  # else everything fits
    everything = [*judge.prompt_ids, *ids]
    at, start, cuts = len(judge.prompt_ids), 0, 0
    before: list[float] = []
    while True:
        if at - start > limit or (at - start == limit and at < len(everything)):
            start, cuts = at - max(1, limit // 2), cuts + 1
        yield Need(judge.context, (), everything[start:at])
        block = tuple(everything[at : start + limit])
        last = at + len(block) == len(everything)
        path = block if last and ended else block[:-1]
        if not judge.context.is_known(path):
            yield Need(judge.context, (path,))
        if last:
            return _sum(judge, block, before, ended, cuts)
        before += judge.context.logprobs(block)
        at += len(block)


def _sum(judge: Judge, path: Path, before: list[float], ended: bool, cuts: int) -> tuple[float, int, int]:
    logprobs = [*before, *judge.context.logprobs(path)]
    if ended:
        logprobs.append(judge.context.next_logprob(path, judge.member.runner.end_ids))
    return total(logprobs), len(logprobs), cuts


def _choose(generation: Generation, judged: list[Continuation]) -> tuple[Continuation, list[Continuation]]:
    """The best continuation, and all with their values; the fused one if none could be scored."""
    open_ones = [n for n, each in enumerate(judged) if each.rejected is None]
    if not open_ones:
        return judged[0], judged
    names = [state.member.name for state in generation.states]
    texts, scores = [judged[n].text for n in open_ones], [judged[n].scores for n in open_ones]
    winner, values, *_ = select(texts, scores, generation.plan.rule, names)
    for n, value in zip(open_ones, values, strict=True):
        judged[n] = replace(judged[n], value=value)
    return judged[open_ones[winner]], judged


def _own_ids(state: MemberState, author: Author, members: Sequence[MemberOutput]) -> list[int] | None:
    """The ids that this member wrote or committed of the continuation, if it took part in it."""
    if author == "fusion":
        return members[state.number].token_ids
    return members[0].token_ids if author == state.number else None


def _ids_under(state: MemberState, author: Author, text: str, own: list[int] | None) -> list[int] | Rejection:
    """The ids of a continuation under a member.

    Its own ids hold more than the text where a stop string cut it; then, as for other members' texts, the canonical
    ids behind the prompt count, or those of the text by itself if the prompt's last tokens would be rewritten.
    """
    tokenizer = state.member.tokenizer
    if own is not None and b"".join(tokenizer.token_bytes(i) for i in own) == text.encode():
        return own
    if not text:
        return []
    edit = state.member.encoder(state.prompt).peek(text)
    ids, why = list(edit.ids), "" if edit.lossless else f"its tokenizer cannot say {text!r}"
    if edit.drop:
        try:
            ids, why = tokenizer.encode(text, continues=True, errors="strict"), ""
        except UnrepresentableTextError as err:
            why = str(err)
    if any(i >= state.member.runner.n_rows for i in ids):
        why = "a token has no row in the model"
    if why and author == "fusion" and own:
        return own
    return state.reject("lossy", text, (), why) if why else ids
