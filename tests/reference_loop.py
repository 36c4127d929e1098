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
        """The next segment, "" for END, None for nothing; `cut` tells whether the budget has ended it."""
        self.cut = False
        self.segmenter.restart("")
        ids = []
        while True:
            row = self.logprobs(ids)
            allowed = [i for i in range(len(row)) if i not in self.member.suppress_tokens]
            best = max(allowed, key=lambda i: (row[i], -i))
            if best in self.member.runner.eos_token_ids:
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
                self.own, self.cut = self._last(ids), True
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

    def ids_of(self, text, *, own=True):
        """What it scores and commits; None if it cannot say the text."""
        if not text or (own and self.own[0] == text):
            return () if not text else self.own[1]
        tokenizer = self.member.tokenizer
        before, after = tokenizer.encode(self.text), tokenizer.encode(self.text + text)
        if after[: len(before)] == before:
            ids = tuple(after[len(before) :])
        else:
            ids = tuple(tokenizer.encode(text, continues=True))
        said = b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
        return ids if said else None

    def score(self, text):
        if not text:
            row = self.logprobs(())
            ends = [row[i] for i in self.member.runner.eos_token_ids]
            return (math.log(math.fsum(map(math.exp, ends))) if ends else -math.inf), 1
        ids = self.ids_of(text)
        return math.fsum(self.logprobs(ids[:n])[ids[n]] for n in range(len(ids))), len(ids)


def says(writers, text):
    """The longest beginning of a text that all can say; it ends after no white space."""
    if all(writer.ids_of(text) is not None for writer in writers):
        return text
    for n in range(len(text) - 1, 0, -1):
        if text[n - 1].isspace() or (text[n - 1].isdecimal() and text[n].isdecimal()):
            continue
        if all(writer.ids_of(text[:n], own=False) is not None for writer in writers):
            return text[:n]
    return ""


def cut(writers, winner, proposers, left):
    """The longest beginning of the winner that fits, and the ids of all; the winner itself where it does."""
    whole = [writer.ids_of(winner) for writer in writers]
    if all(len(ids) <= room for ids, room in zip(whole, left, strict=True)):
        return winner, whole

    def ends(writer, ids, text, room):
        spelled = [writer.member.tokenizer.token_bytes(i) for i in ids]
        return {len(text.encode()) - sum(map(len, spelled[n:])): ids[:n] for n in range(1, len(ids) + 1)}

    for n in range(len(winner) - 1, 0, -1):
        text, found = winner[:n], []
        for at, (writer, room) in enumerate(zip(writers, left, strict=True)):
            own, ids = writer.own
            if at in proposers:
                reached = len(own.encode()) - sum(len(writer.member.tokenizer.token_bytes(i)) for i in ids[room:])
                if len(text.encode()) > reached:
                    break
            choices = [ends(writer, whole[at], winner, room).get(len(text.encode()))]
            if own and own.startswith(text):
                choices.append(ends(writer, ids, own, room).get(len(text.encode())))
            choices = [choice for choice in choices if choice is not None] or [writer.ids_of(text, own=False)]
            best = min((choice for choice in choices if choice is not None), key=len, default=None)
            if best is None or len(best) > room:
                break
            found.append(best)
        else:
            return text, found
    return "", []


def write_without_cache(members, prompt, budget, *, aligned):
    """The steps and the finish reason; "stuck" where nothing that is proposed can be said by all."""
    tokenizers = [member.tokenizer for member in members] if aligned else []
    writers = [Writer(m, prompt, [t for t in tokenizers if t is not m.tokenizer]) for m in members]
    steps = []
    while True:
        left = [budget - (len(writer.ids) - writer.n_prompt) for writer in writers]
        if min(left) == 0:
            return steps, "length"
        proposed = [writer.propose(room) for writer, room in zip(writers, left, strict=True)]
        unfinished = any(writer.cut for writer in writers)
        alike = len(set(proposed)) == 1 and (proposed[0] is not None or all(writer.cut for writer in writers))
        if unfinished and not alike and len(writers) > 1:
            proposed, unfinished = [writer.propose(256) for writer in writers], False
        said = [text and says(writers, text) for text in proposed]
        candidates = sorted(
            {text for text, whole in zip(said, proposed, strict=True) if text or whole == ""}, key=str.encode
        )
        if not candidates:
            return steps, "length" if unfinished else "stuck"
        scores = [[writer.score(text) for writer in writers] for text in candidates]
        means = [math.fsum(math.exp(-logprob / n) for logprob, n in row) / len(row) for row in scores]
        winner = candidates[means.index(min(means))]
        text, ids = cut(writers, winner, [at for at, each in enumerate(said) if each == winner], left)
        if winner and not text:
            return steps, "length"
        steps.append(Decided(text, candidates, scores))
        if not winner:
            return steps, "end"
        for writer, own in zip(writers, ids, strict=True):
            writer.ids.extend(own)
            writer.text += text
            writer.segmenter.restart(text)
        if unfinished or text != winner:
            return steps, "length"
