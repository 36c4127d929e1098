"""The settings of a rerank: the scores that count, the treatment of length, END and repetition, and the vote."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

from coolfusion.errors import ArgumentError
from coolfusion.fusion.answers import Extractor, as_extractor
from coolfusion.fusion.selection.weights import Uniform, Weights

Scores = Literal["all", "others"]
Length = Literal["rule", "token", "byte", "whole"]
UNIFORM = Uniform()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """The settings by which a rerank chooses the best of several whole continuations.

    The defaults are the paper's Cool+R. Continuations are compared by criteria in turn, and one that is not asked for
    is left out. An answer comes before none, a finished text before an unfinished one, and a loop last. Then the votes
    for the answer decide, the value of the scores, the bytes of the text, and the order of `Output.continuations`.

    Attributes:
        scores: "all" lets every member judge every continuation (the paper). "others" leaves out the author's own
            score of a text that it wrote alone. The fused text is then judged by all, because each of them may have
            written a part. A sole member judges itself.
        length: "rule" takes the selection rule of the steps over whole texts (the paper's is the mean over members of
            exp(-ln p / tokens)). The others take minus the mean over the judges of ln p divided by the tokens, by the
            bytes, or by nothing ("whole"). END counts as one token and one byte.
        end: whether END counts where the author ended with it. A continuation without text or END ranks last.
        margin: a member's own text replaces the fused one if its value is less by more than this, in nats of `length`.
            0 is the paper's. With `length="byte"` and 0.1 no rerank was worse than the fused text in
            docs/results.md.
        unfinished: "same" ranks a continuation that its budget has cut as any other (the paper). "last" ranks it after
            those that END or a stop string has ended.
        repetition: a continuation ranks after all others if a loop covers more than this share of it; None has no such
            guard. A loop is the longest end of a text that is one unit three times or more, from 24 characters on.
        vote: whether members vote on answers before likelihood decides. Only continuations with an answer and of the
            best standing (finished, unfinished, repetitive) among these vote.
        answer: the extractor of an answer from a text, by name or as a function that returns "" without an answer.
            Names are "number" (GSM8K's), "choice" (A to E), "first_line", "last_line" and "exact".
        weights: the weights of the ballots, `Uniform()`, `Fixed({name: weight})` or `ByEvidence(kappa)` over the
            prompt. A member's ballots count M times its weight each, so that the mean is 1. The fused text's counts 1.
        samples: most texts that each member draws besides its greedy one, one a round, with `Request.seed`.
        temperature: divisor of the logits of the samples.
        top_p: samples come from the fewest most likely tokens with this probability in all.
        stop_at: no further round is drawn if the leading answer is the more frequent one of the two best with this
            posterior probability. None draws until it cannot be overtaken. Without a vote all samples are drawn.

    Raises:
        ArgumentError: a value outside its range.

    Source:
        Cool+R: arXiv 2407.19807. Vote, then the mean of ln p: arXiv 2510.02377. Scores without the author's: arXiv
        2603.25450. The posterior: Beta(n1 + 1, n2 + 1) above 1/2, Adaptive-Consistency (arXiv 2305.11860). Its odds are
        the Bayes factor of two answers (arXiv 2509.21091).

    Example:
        >>> Rerank(vote=True, answer="number", scores="others", length="byte").samples
        0
    """

    scores: Scores = "all"
    length: Length = "rule"
    end: bool = True
    margin: float = 0.0
    unfinished: Literal["same", "last"] = "same"
    repetition: float | None = None
    vote: bool = False
    answer: str | Extractor = "exact"
    weights: Weights = UNIFORM
    samples: int = 0
    temperature: float = 0.7
    top_p: float = 1.0
    stop_at: float | None = 0.95

    def __post_init__(self) -> None:
        _one_of("scores", self.scores, ("all", "others"))
        _one_of("length", self.length, ("rule", "token", "byte", "whole"))
        _one_of("unfinished", self.unfinished, ("same", "last"))
        for name, value in (("end", self.end), ("vote", self.vote)):
            if not isinstance(value, bool):
                raise ArgumentError(f"{name} must be True or False, not {value!r}")
        number = isinstance(self.margin, Real) and not isinstance(self.margin, bool)
        if not number or not self.margin >= 0.0:
            raise ArgumentError(f"margin must be a number of at least 0, not {self.margin!r}")
        as_extractor(self.answer)
        if not callable(getattr(self.weights, "of", None)):
            raise ArgumentError(f"weights must be Uniform(), Fixed(...) or ByEvidence(...), not {self.weights!r}")
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 0:
            raise ArgumentError(f"samples must be a whole number from 0 on, not {self.samples!r}")
        _between("temperature", self.temperature, 0.0, math.inf)
        _between("top_p", self.top_p, 0.0, 1.0, closed=True)
        if self.repetition is not None:
            _between("repetition", self.repetition, 0.0, 1.0)
        if self.stop_at is not None:
            _between("stop_at", self.stop_at, 0.5, 1.0)

    def __repr__(self) -> str:
        changed = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        return f"Rerank({', '.join(f'{name}={getattr(self, name)!r}' for name in changed)})"

    @property
    def extractor(self) -> Extractor:
        """Returns the function that reads an answer."""
        return as_extractor(self.answer)


def as_rerank(given: Any) -> Rerank | None:
    """Returns the settings of a rerank, or None without one.

    Args:
        given: True for the paper's settings, False for none, or a `Rerank`.

    Raises:
        ArgumentError: the value is none of these.
    """
    if isinstance(given, Rerank):
        return given
    if not isinstance(given, bool):
        raise ArgumentError(f"rerank must be True or False, not {given!r}, or a Rerank")
    return Rerank() if given else None


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name} {value!r} is unknown; expected {' or '.join(map(repr, choices))}")


def _between(name: str, value: Any, low: float, high: float, *, closed: bool = False) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (low < value < high or (closed and value == high)):
        raise ArgumentError(
            f"{name} must be a number above {low:g} and {'at most' if closed else 'below'} {high:g}, not {value!r}"
        )
