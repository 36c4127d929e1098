"""The scores of whole texts under one member, for a rerank (the paper's Cool+R) and for evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from coolfusion.members.commands import ScoreContinuations, WholeScore, WholeText
from coolfusion.members.member import Member
from coolfusion.members.session import TOKENS_AT_A_TIME, ForwardRequest, Task
from coolfusion.models.base import Context, TokenPath
from coolfusion.models.numerics import total


def score_continuations(
    member: Member, context: Context, command: ScoreContinuations, *, has_prompt: bool = False
) -> Task[tuple[WholeScore, ...]]:
    """Scores whole texts after a prompt by the sum of ln p, the number of tokens, and the number of context cuts.

    All texts that fit after the prompt are read in one pass. A longer text is read in blocks. At the limit the newest
    half of the context is kept, as in a generation.

    Args:
        member: the member.
        context: an empty context, or one that has read the prompt and nothing else.
        command: the texts.
        has_prompt: whether the context has read the prompt.
    """
    prompt, texts, limit = command.prompt_ids, command.texts, member.runner.max_model_len
    found = [WholeScore(0.0, 0, 0)] * len(texts)
    lengths = [len(text.token_ids) for text in texts]
    short = [
        at
        for at, length in enumerate(lengths)
        if length <= TOKENS_AT_A_TIME and (limit is None or len(prompt) + length <= limit)
    ]
    if short:
        if not has_prompt:
            yield ForwardRequest(context, (), prompt)
        together = member.runner.batches_paths and sum(lengths[at] for at in short) <= TOKENS_AT_A_TIME
        for group in [short] if together else [[at] for at in short]:
            context.clear()
            paths = [text.token_ids if text.end else text.token_ids[:-1] for text in (texts[at] for at in group)]
            if not all(map(context.is_computed, paths)):
                yield ForwardRequest(context, tuple(paths))
            for at in group:
                reader = _Reader(member, texts[at])
                reader.take(context, texts[at].token_ids)
                found[at] = reader.score(context, texts[at].token_ids, 0)
    for at, text in enumerate(texts):
        if at not in short:
            found[at] = yield from _score_in_blocks(member, context, prompt, text)
    return tuple(found)


def _score_in_blocks(member: Member, context: Context, prompt: TokenPath, text: WholeText) -> Task[WholeScore]:
    """Scores a text in blocks of `TOKENS_AT_A_TIME` tokens, because rows of logits are large."""
    limit, kept = member.runner.max_model_len, member.kept_after_cut
    everything = [*prompt, *text.token_ids]
    reader = _Reader(member, text)
    at, start, cuts, fresh = len(prompt), 0, 0, True
    while True:
        room = TOKENS_AT_A_TIME
        if limit is not None and kept is not None:
            if at - start > limit or (at - start == limit and at < len(everything)):
                start, cuts, fresh = at - kept, cuts + 1, True
            room = min(room, start + limit - at)
        if fresh:
            yield ForwardRequest(context, (), everything[start:at])
            fresh = False
        block = tuple(everything[at : at + room])
        last = at + len(block) == len(everything)
        # The row after the last id is needed for END, and for the next block unless the context is cut before it.
        whole = text.end if last else limit is None or at + len(block) - start < limit
        path = block if whole else block[:-1]
        if not context.is_computed(path):
            yield ForwardRequest(context, (path,))
        reader.take(context, block)
        if last:
            return reader.score(context, block, cuts)
        if whole:
            context.commit(block)
        at += len(block)


class _Reader:
    """A reader of one text that collects its score while its blocks are read.

    Args:
        member: the member.
        text: the text.
    """

    def __init__(self, member: Member, text: WholeText) -> None:
        self._member, self._text = member, text
        self._logprobs: list[float] = []
        self._masses: list[float] = []
        self._greedy = text.greedy_from is not None

    def take(self, context: Context, block: TokenPath) -> None:
        """Reads the next block of the text, of which all but the last id is computed."""
        start = len(self._logprobs)
        self._logprobs += context.logprobs(block)
        for n_tokens, begins in self._text.marks:
            if start <= n_tokens < start + len(block):
                ids = self._member.ids_after_a_word(begins) if begins else ()
                self._masses.append(context.next_logprob(block[: n_tokens - start], ids) if begins else math.nan)
        if self._greedy:
            first = max(0, (self._text.greedy_from or 0) - start)
            self._greedy = all(context.greedy(block[:n]) == block[n] for n in range(first, len(block)))

    def score(self, context: Context, block: TokenPath, cuts: int) -> WholeScore:
        """Returns the score after the last block, which is computed to its end where END follows."""
        if self._text.end:
            self._logprobs.append(context.next_logprob(block, self._member.runner.eos_token_ids))
        logprobs: Sequence[float] = self._logprobs
        edges = [0, *(mark.n_tokens for mark in self._text.marks), len(logprobs)]
        parts = tuple(total(logprobs[one:other]) for one, other in pairwise(edges))
        return WholeScore(total(logprobs), len(logprobs), cuts, parts, tuple(self._masses), self._greedy)
