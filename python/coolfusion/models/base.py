"""What the fusion loop asks of a model: one context, read forwards, rolled back to the last commit.

A runner holds one context of token ids. Everything read after the last `commit` is provisional: `rollback` forgets
it. Logits never leave the runner as a whole except through `next_logits`, so that a runner on an accelerator moves
single numbers. Runners know nothing of text, of other models or of fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model over token ids.

    All probabilities are natural logarithms of the softmax over *all* rows of the logits, computed in float64. A
    model whose next row is no distribution (nan, +inf, or no finite logit) answers None in `greedy` and nan in
    `next_logprob` and `score`, and raises nothing.

    Attributes:
        name: for messages and records.
        n_rows: length V of a row of logits; ids are below it.
        limit: most tokens of context the model can hold, or None.
        end_ids: ids that end a text; a model may have several or none.
        forward_passes: calls of the model since it was loaded.
        tokens_processed: tokens that went through those calls.
    """

    name: str
    n_rows: int
    limit: int | None
    end_ids: tuple[int, ...]
    forward_passes: int
    tokens_processed: int

    def prefill(self, ids: Sequence[int]) -> None:
        """Forget everything and make `ids` the committed context. At least one id, at most `limit`."""

    def extend(self, ids: Sequence[int]) -> None:
        """Read `ids` after the context, provisionally."""

    def commit(self) -> None:
        """Make the present context the one that `rollback` returns to."""

    def rollback(self) -> None:
        """Return to the context of the last `commit` or `prefill`."""

    def pending(self) -> tuple[int, ...]:
        """The ids read since the last commit."""

    def next_logits(self) -> Sequence[float]:
        """The row of logits for the next token, (V,) float64."""

    def greedy(self, banned: tuple[int, ...]) -> int | None:
        """The most likely next id outside `banned`, the smallest of equals; None if the row is no distribution."""

    def next_logprob(self, ids: Sequence[int]) -> float:
        """ln of the summed probability that one of `ids` comes next; -inf for no ids."""

    def score(self, ids: Sequence[int]) -> list[float]:
        """ln p of each of `ids` in turn after the committed context, which stays as it is."""

    def describe(self) -> dict[str, Any]:
        """What is known of the runner, as values that JSON can hold."""
