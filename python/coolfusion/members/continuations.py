"""The scores of whole continuations under one member, for a rerank (the paper's Cool+R)."""

from __future__ import annotations

from collections.abc import Sequence

from coolfusion.members.commands import ScoreContinuations, WholeScore
from coolfusion.members.member import Member
from coolfusion.members.session import TOKENS_AT_A_TIME, ForwardRequest, Task
from coolfusion.models.base import Context, TokenPath
from coolfusion.models.numerics import total


def score_continuations(member: Member, context: Context, command: ScoreContinuations) -> Task[tuple[WholeScore, ...]]:
    """Scores whole texts after a prompt: the sum of ln p, the number of tokens, and how often the context was cut.

    All texts that fit after the prompt are read in one pass. A longer one is read in parts; where the limit is reached,
    the newest half of it is kept as context, as in a generation.
    """
    prompt, texts, limit = command.prompt_ids, command.texts, member.runner.max_model_len
    found = [WholeScore(0.0, 0, 0)] * len(texts)
    short = [at for at, (ids, _) in enumerate(texts) if limit is None or len(prompt) + len(ids) <= limit]
    if short:
        yield ForwardRequest(context, (), prompt)
        together = member.runner.batches_paths and sum(len(texts[at][0]) for at in short) <= TOKENS_AT_A_TIME
        for group in [short] if together else [[at] for at in short]:
            context.clear()
            paths = [ids if ended else ids[:-1] for ids, ended in (texts[at] for at in group)]
            if not all(map(context.is_computed, paths)):
                yield ForwardRequest(context, tuple(paths))
            for at in group:
                found[at] = _sum(member, context, texts[at], (), 0)
    for at, text in enumerate(texts):
        if at not in short:
            found[at] = yield from _score_in_parts(member, context, prompt, text)
    return tuple(found)


def _score_in_parts(
    member: Member, context: Context, prompt: TokenPath, text: tuple[TokenPath, bool]
) -> Task[WholeScore]:
    limit, kept = member.runner.max_model_len, member.kept_after_cut
    assert limit is not None and kept is not None  # without a limit every text fits
    ids, ended = text
    everything = [*prompt, *ids]
    at, start, cuts = len(prompt), 0, 0
    before: list[float] = []
    while True:
        if at - start > limit or (at - start == limit and at < len(everything)):
            start, cuts = at - kept, cuts + 1
        yield ForwardRequest(context, (), everything[start:at])
        block = tuple(everything[at : start + limit])
        last = at + len(block) == len(everything)
        path = block if last and ended else block[:-1]
        if not context.is_computed(path):
            yield ForwardRequest(context, (path,))
        if last:
            return _sum(member, context, (block, ended), before, cuts)
        before += context.logprobs(block)
        at += len(block)


def _sum(
    member: Member, context: Context, text: tuple[TokenPath, bool], before: Sequence[float], cuts: int
) -> WholeScore:
    path, ended = text
    logprobs = [*before, *context.logprobs(path)]
    if ended:
        logprobs.append(context.next_logprob(path, member.runner.eos_token_ids))
    return WholeScore(total(logprobs), len(logprobs), cuts)
