"""The slow and obvious twin of the whole loop, written from the paper: no cache, no records, rows from scratch.

Every row of logits is asked for with the whole context, every text is encoded by the whole stream, every candidate is
scored by itself. It shares with the library the tokenizers' core (segments and streams have twins of their own in
`reference.py`) and nothing of the loop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import coolfusion as cf


class Decided(NamedTuple):
    """A step: its text, the candidates, and for each under each member (sum of ln p, number of tokens)."""

    text: str
    candidates: list[str]
    scores: list[list[tuple[float, int]]]


class Writer:
    """A member's side of the text."""

    def __init__(self, member, prompt, others):
        self.member, self.rows = member, member.runner._logits
        self.ids = [*member.prefix_ids, *member.tokenizer.encode(prompt)]
        self.n_prompt = len(self.ids)
        self.text = prompt
        self.segmenter = cf.Segmenter(member.tokenizer, align_with=others, prompt_ids=list(self.ids))
        self.own = None  # the text and ids it proposed

    def logprobs(self, ids):
        row = self.rows(tuple(self.ids) + tuple(ids))
        top = max(row)
        norm = top + math.log(math.fsum(math.exp(value - top) for value in row))
        return [value - norm for value in row]

    def propose(self, budget):
        """The next segment, "" for END, None for nothing."""
        self.segmenter.restart("")
        ids = []
        while True:
            row = self.logprobs(ids)
            allowed = [i for i in range(len(row)) if i not in self.member.banned]
            best = max(allowed, key=lambda i: (row[i], -i))
            if best in self.member.runner.end_ids:
                self.own = self._last(ids)
                if self.own[0] is None:
                    self.own = ("", ())
                return self.own[0]
            ids.append(best)
            segment = self.segmenter.push(best)
            if segment is not None:
                self.own = self._checked(segment)
                return self.own[0]
            if len(ids) == budget:
                self.own = self._last(ids)
                return self.own[0]

    def _last(self, ids):
        for n in range(len(ids), 0, -1):
            self.segmenter.restart("")
            for token_id in ids[:n]:
                self.segmenter.push(token_id)
            segment = self.segmenter.finish()
            if segment is None or segment.valid:
                return self._checked(segment)
        return None, ()

    @staticmethod
    def _checked(segment):
        if segment is None or not segment.valid or not segment.text:
            return None, ()
        return segment.text, tuple(segment.token_ids)

    def ids_of(self, text):
        """What it scores and commits; None if it cannot."""
        if not text or self.own[0] == text:
            return () if not text else self.own[1]
        before = self.member.tokenizer.encode(self.text)
        after = self.member.tokenizer.encode(self.text + text)
        if after[: len(before)] == before:
            return tuple(after[len(before) :])
        return tuple(self.member.tokenizer.encode(text, continues=True))

    def score(self, text):
        if not text:
            row = self.logprobs(())
            ends = [row[i] for i in self.member.runner.end_ids]
            return (math.log(math.fsum(map(math.exp, ends))) if ends else -math.inf), 1
        ids = self.ids_of(text)
        return math.fsum(self.logprobs(ids[:n])[ids[n]] for n in range(len(ids))), len(ids)


def write_without_cache(members, prompt, budget, *, aligned):
    """The steps and the finish reason."""
    tokenizers = [member.tokenizer for member in members] if aligned else []
    writers = [Writer(m, prompt, [t for t in tokenizers if t is not m.tokenizer]) for m in members]
    steps = []
    while True:
        left = [budget - (len(writer.ids) - writer.n_prompt) for writer in writers]
        if min(left) == 0:
            return steps, "length"
        texts = {writer.propose(room) for writer, room in zip(writers, left, strict=True)} - {None}
        candidates = sorted(
            text
            for text in texts
            if all(len(writer.ids_of(text)) <= room for writer, room in zip(writers, left, strict=True))
        )
        if not candidates:
            return steps, "length"
        scores = [[writer.score(text) for writer in writers] for text in candidates]
        means = [math.fsum(math.exp(-logprob / n) for logprob, n in row) / len(row) for row in scores]
        winner = candidates[means.index(min(means))]
        steps.append(Decided(winner, candidates, scores))
        if not winner:
            return steps, "end"
        for writer in writers:
            writer.ids.extend(writer.ids_of(winner))
            writer.text += winner
            writer.segmenter.restart(winner)
