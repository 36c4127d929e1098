"""The paper's loop without caches, drafts and batches, so that it can be read (arXiv 2407.19807, section 3).

`FusionEngine` writes the same text in far fewer passes, and the tests compare the two. Limits of context, failing
models, budgets inside a segment and tokenizers that lose text are the engine's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from coolfusion._core import Segmenter
from coolfusion.members.endings import Granularity
from coolfusion.members.member import Member
from coolfusion.models.numerics import log_softmax


class Writer:
    """One member's side of the text, which is its ids and the segmenter that cuts the output of its model."""

    def __init__(self, member: Member, prompt: str, others: Sequence[Member], granularity: Granularity) -> None:
        self.member, self.text, self.ids = member, prompt, member.prompt_ids(prompt)
        align_with = [other.tokenizer for other in others]
        self.segmenter = Segmenter(
            member.tokenizer, align_with=align_with, prompt_ids=list(self.ids), granularity=granularity
        )

    def logprobs(self, ids: Sequence[int]) -> list[float]:
        """Returns (V,) ln p of the token that follows `ids`, in a pass without a cache."""
        context = self.member.runner.new_context()
        self.member.runner.prefill([(context, list(ids))])
        row = log_softmax(context.next_logits(()))
        context.close()
        return row

    def propose(self) -> str:
        """Writes greedy tokens until the segmenter knows a segment; "" is END (TextGen in the paper)."""
        self.segmenter.restart("")
        ids: list[int] = []
        while True:
            row = self.logprobs([*self.ids, *ids])
            allowed = [i for i in range(len(row)) if i not in self.member.suppress_tokens]
            best = max(allowed, key=lambda i: (row[i], -i))
            if best in self.member.runner.eos_token_ids:
                segment = self.segmenter.finish() if ids else None
                return segment.text if segment else ""
            ids.append(best)
            segment = self.segmenter.push(best)
            if segment is not None:
                return segment.text

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text` after the text so far, or alone if they would rewrite ids of the text so far."""
        tokenizer = self.member.tokenizer
        before, after = tokenizer.encode(self.text), tokenizer.encode(self.text + text)
        if after[: len(before)] == before:
            return list(after[len(before) :])
        return list(tokenizer.encode(text, continues=True))

    def perplexity(self, text: str) -> float:
        """Returns PPL_u(s) = exp(-(1/|s|) sum of ln p(s_i)) over the member's own tokens, where END is one event."""
        if not text:
            return 1.0 / math.fsum(math.exp(self.logprobs(self.ids)[i]) for i in self.member.runner.eos_token_ids)
        ids = self.encode(text)
        logprobs = [self.logprobs([*self.ids, *ids[:n]])[token_id] for n, token_id in enumerate(ids)]
        return math.exp(-math.fsum(logprobs) / len(ids))

    def commit(self, text: str) -> None:
        """Appends the segment that won."""
        self.ids += self.encode(text)
        self.text += text
        self.segmenter.restart(text)


def fuse(members: Sequence[Member], prompt: str, max_segments: int, granularity: Granularity = "word") -> str:
    """Writes a text with several members, at most `max_segments` segments.

    Complexity: O(length) passes of O(length) tokens for every token of every candidate.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> members = fusion().members
        >>> fuse(members, "Once upon a time", 2)
        '...'
    """
    writers = [Writer(m, prompt, [other for other in members if other is not m], granularity) for m in members]
    for _ in range(max_segments):
        candidates = sorted({writer.propose() for writer in writers}, key=str.encode)
        means = [math.fsum(writer.perplexity(text) for writer in writers) / len(writers) for text in candidates]
        winner = candidates[means.index(min(means))]
        if not winner:
            break
        for writer in writers:
            writer.commit(winner)
    return writers[0].text[len(prompt) :]
