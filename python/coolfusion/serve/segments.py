"""Reports the log-probabilities of written segments. To a client a segment is a token with its rival candidates."""

from __future__ import annotations

import math
from typing import Any

from coolfusion.records import Step

__all__ = ["Columns", "candidates_of", "chat_entry", "is_end"]


def candidates_of(step: Step) -> list[tuple[str, float]]:
    """Returns the candidates of a step with ln of the rule's probability, the likeliest first.

    For example, probabilities of .75 and .25 give -0.29 and -1.39.

    Args:
        step: a step of a request with `logprobs`.
    """
    pairs = zip(step.candidates, step.probabilities, strict=True)
    found = [(candidate.text, math.log(chance)) for candidate, chance in pairs if chance > 0.0]
    return sorted(found, key=lambda each: (-each[1], each[0]))


def is_end(step: Step) -> bool:
    """Returns whether a step ends the text, because END is no token to clients.

    Args:
        step: the step.
    """
    return step.candidates[step.winner].end


class Columns:
    """The logprobs of a completion: tokens, their log-probabilities, the likeliest candidates, and their offsets.

    Args:
        most: the greatest number of candidates for a token.
        offset: the number of characters of the answer before the first token.

    Attributes:
        n_given: the number of tokens of the echoed prompt.
    """

    def __init__(self, most: int, offset: int = 0) -> None:
        self.most, self.offset, self.n_given = most, offset, 0
        self.tokens: list[str] = []
        self.token_logprobs: list[float | None] = []
        self.top_logprobs: list[dict[str, float] | None] = []
        self.text_offset: list[int] = []

    def __repr__(self) -> str:
        return f"Columns({len(self.tokens)} tokens)"

    def add(self, token: str, logprob: float | None, top: dict[str, float] | None) -> None:
        """Adds a token.

        Args:
            token: the text of the token.
            logprob: ln p, or None where the token was given and not scored.
            top: the likeliest candidates, which are left out where none are asked for.
        """
        self.tokens.append(token)
        self.token_logprobs.append(None if logprob is None else finite(logprob))
        kept = None if top is None or not self.most else {text: finite(value) for text, value in top.items()}
        self.top_logprobs.append(kept)
        self.text_offset.append(self.offset)
        self.offset += len(token)

    def add_step(self, text: str, step: Step) -> None:
        """Adds a segment as a token.

        Args:
            text: the text that the segment adds to the answer.
            step: the step, with its candidates.
        """
        self.add(text, step.logprob, dict(candidates_of(step)[: self.most]))

    def as_dict(self) -> dict[str, Any]:
        """Returns the columns as JSON can hold them."""
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs if self.most else None,
            "text_offset": self.text_offset,
        }


def chat_entry(text: str, step: Step, most: int) -> dict[str, Any]:
    """Returns a segment in the form of a chat's logprobs.

    Args:
        text: the text that the segment adds to the answer.
        step: the step, with its candidates.
        most: the greatest number of candidates in the entry.
    """
    top = [_entry(other, logprob) for other, logprob in candidates_of(step)[:most]]
    return {**_entry(text, step.logprob or 0.0), "top_logprobs": top}


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": finite(logprob), "bytes": list(text.encode())}


def finite(logprob: float) -> float:
    """Returns a log-probability, or OpenAI's -9999 where it is not finite, because JSON has no infinity.

    Args:
        logprob: ln p, in nats.
    """
    return logprob if math.isfinite(logprob) else -9999.0
