"""Models made of a text: they want to write it, and differ from each other as often as they are told to.

An oracle answers as a language model does, in time that does not depend on a vocabulary, so that what is left of a
step is the loop's own. With `seconds` a pass takes as long as it is told to, asleep: several oracles on devices of
their own then run at once, as models on as many GPUs would.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

from coolfusion.errors import ModelError
from coolfusion.fusion import Member
from coolfusion.models.base import TokenPath
from coolfusion.models.path_cache import PathLogits

# As easily said as what they stand for; none may be a beginning of another.
OTHER_WORDS = (" people", " water", " never", " house", " again")
WORDS_IN_A_BLOCK = 30
WANTED, SECOND, REST = math.log(0.9), math.log(0.08), math.log(1e-3)


class OracleContext:
    """One text under an oracle; a row is the text after a path."""

    def __init__(self, model: Oracle) -> None:
        self.forward_passes = self.processed_tokens = 0
        self.length = 0
        self._model = model
        self._text = b""
        self._paths: PathLogits[bytes] = PathLogits()

    def is_computed(self, path: TokenPath) -> bool:
        return path in self._paths

    def greedy(self, path: TokenPath) -> int | None:
        return self._model.wants(self._paths.rows[path])[0]

    def logprobs(self, path: TokenPath) -> list[float]:
        return [self._model.logprob(self._paths.rows[path[:n]], token_id) for n, token_id in enumerate(path)]

    def next_logprob(self, path: TokenPath, ids: Sequence[int]) -> float:
        return max((self._model.logprob(self._paths.rows[path], token_id) for token_id in ids), default=-math.inf)

    def next_logits(self, path: TokenPath) -> Sequence[float]:
        raise NotImplementedError("an oracle has no rows")

    def commit(self, path: TokenPath) -> None:
        self.length += len(path)
        self._text += self._model.bytes_of(path)
        self._paths.commit(path)

    def clear(self) -> None:
        self._paths.clear()

    def close(self) -> None:
        self._paths.restart(())


class Oracle:
    """A model that writes `text`, on some words another word of its own.

    Args:
        tokenizer: its tokenizer.
        text: what it wants to write, ASCII words.
        number: its place; each has another word to differ with.
        places: byte positions of `text` at which it differs.
        other: what it writes there.
        seconds: for a pass over one token, and for each more.
        device: where it runs.
    """

    batches_paths = True

    def __init__(
        self,
        tokenizer: Any,
        text: str,
        number: int,
        places: set[int],
        *,
        other: str = "",
        seconds: tuple[float, float] = (0.0, 0.0),
        device: str = "script",
    ) -> None:
        self.name = f"oracle {number}"
        self.pass_seconds = seconds if seconds[0] else (1.0, 0.0)
        self.device = device
        self.max_model_len = None
        self.logits_size = tokenizer.vocab_size
        self.eos_token_ids: tuple[int, ...] = ()
        self.suppress_tokens: frozenset[int] = frozenset()
        self.forward_passes = self.processed_tokens = 0
        self._tokenizer, self._places, self._seconds = tokenizer, places, seconds
        self._text, self._other = text.encode(), (other or OTHER_WORDS[number]).encode()
        self._answers: dict[bytes, tuple[int, int | None]] = {}
        self._bytes: dict[int, bytes] = {}

    def new_context(self) -> OracleContext:
        return OracleContext(self)

    def prefill(self, prompts: Sequence[tuple[OracleContext, Sequence[int]]]) -> None:
        for context, ids in prompts:
            context.length = len(ids)
            context._text = self._tokenizer.decode(list(ids)).encode()
            context._paths.restart(ids)
        self.forward([(context, [()]) for context, _ in prompts])

    def forward(self, wanted: Sequence[tuple[OracleContext, Sequence[TokenPath]]]) -> None:
        tokens = 0
        for context, paths in wanted:
            missing = context._paths.missing(paths)
            for path in missing:
                context._paths.rows[path] = context._text + self.bytes_of(path)
            own = len(context._paths.uncomputed_ids) + sum(1 for path in missing if path)
            context._paths.uncomputed_ids = ()
            context.forward_passes += bool(missing)
            context.processed_tokens += own
            tokens += own
        if not tokens:
            raise ModelError("a pass for nothing")
        self.forward_passes += 1
        self.processed_tokens += tokens
        if self._seconds[0]:
            time.sleep(self._seconds[0] + (tokens - 1) * self._seconds[1])

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": "oracle"}

    def bytes_of(self, path: Sequence[int]) -> bytes:
        for token_id in path:
            if token_id not in self._bytes:
                self._bytes[token_id] = self._tokenizer.token_bytes(token_id)
        return b"".join([self._bytes[token_id] for token_id in path])

    def wants(self, text: bytes) -> tuple[int, int | None]:
        """What it writes next, and what it holds second."""
        if text not in self._answers:
            first, second = self._wishes(text)
            self._answers[text] = (self._first_id(first), None if second is None else self._first_id(second))
        return self._answers[text]

    def logprob(self, text: bytes, token_id: int) -> float:
        first, second = self.wants(text)
        return WANTED if token_id == first else SECOND if token_id == second else REST

    def _first_id(self, text: bytes) -> int:
        found: int = self._tokenizer.encode(text.decode(), continues=True)[0]
        return found

    def _wishes(self, text: bytes) -> tuple[bytes, bytes | None]:
        for start in range(len(text), max(-1, len(text) - len(self._other)), -1):
            other = self._other + b" and"
            if start in self._places and text[:start] == self._text[:start] and other.startswith(text[start:]):
                return other[len(text) - start :], self._rest(text)
        return self._rest(text) or b" and", None

    def _rest(self, text: bytes) -> bytes | None:
        return self._text[len(text) : len(text) + 40] if self._text.startswith(text) else None


def trio(
    tokenizers: Sequence[Any],
    text: str,
    agreement: float,
    *,
    seed: int = 0,
    seconds: Sequence[tuple[float, float]] = (),
    apart: bool = False,
    begin: int = 0,
    others: Sequence[str] = OTHER_WORDS,
) -> list[Member]:
    """Members of which all agree on exactly this share of every `WORDS_IN_A_BLOCK` words.

    On each of the others one member differs, each equally often, so that the text returns to what the others write.

    Args:
        tokenizers: one for each member.
        text: what they want to write.
        agreement: a share that gives each member a whole number of words in a block.
        seed: of the places.
        seconds: for each member in turn, see `Oracle`.
        apart: whether each has a device of its own.
        begin: where in the text they begin to write.
        others: what each writes where it differs; none may be a beginning of another, or stand in the text.
    """
    dice = random.Random(seed)
    count = len(tokenizers)
    apiece = round((1.0 - agreement) * WORDS_IN_A_BLOCK / count)
    starts = [at for at, byte in enumerate(text.encode()) if byte == 32 and at >= begin]
    places: list[set[int]] = [set() for _ in tokenizers]
    for first in range(0, len(starts), WORDS_IN_A_BLOCK):
        block = starts[first : first + WORDS_IN_A_BLOCK]
        for at, start in enumerate(dice.sample(block, min(len(block), count * apiece))):
            places[at % count].add(start)
    members = []
    for number, tokenizer in enumerate(tokenizers):
        cost = seconds[number % len(seconds)] if seconds else (0.0, 0.0)
        device = f"device {number}" if apart else "script"
        model = Oracle(tokenizer, text, number, places[number], other=others[number], seconds=cost, device=device)
        members.append(Member(model, tokenizer))
    return members
